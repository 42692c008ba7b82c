// Types of eventcast.js.

/**
 * Class of a failure or refusal.
 *
 * - `authorization`: the token is refused, or does not grant the channel.
 * - `quota`: a rate or count of the account, gateway or connection is used up; later it may work.
 * - `network`: no connection, or the broker failed.
 * - `limit`: what was asked can never work (a filter that is too deep, a client id that is too long).
 * - `closed`: the client or the subscription was closed.
 */
export type Reason = 'authorization' | 'quota' | 'network' | 'limit' | 'closed';

export class EventcastError extends Error {
  readonly name: 'EventcastError';
  readonly reason: Reason;
  /** The channel, for an error of a subscription. */
  readonly channel?: string;
  /** Reason code of MQTT 5 (section 2.4). */
  readonly code?: number;
  /** Status of the gateway's answer. */
  readonly status?: number;
}

/** A message, the same whichever way it came. */
export interface Message<Payload = unknown> {
  /** Id of the event (`eb-id`); null where a client published and not the bridge. */
  readonly id: string | null;
  /** The channel as it was subscribed to; in the client's event `message` as the gateway names it, or absent. */
  readonly channel?: string | null;
  /** The MQTT topic, with the environment before it. */
  readonly topic: string;
  readonly source: string | null;
  /** The event's detail-type. */
  readonly type: string | null;
  /** The event's time, as it was written. */
  readonly time: string | null;
  readonly route: string | null;
  /** Whether it was stored as the topic's last message before the subscription. */
  readonly retained: boolean;
  /** The JSON value; undefined where the payload is no JSON. */
  readonly payload: Payload;
  /** The payload where it is no JSON. */
  readonly bytes?: Uint8Array;
}

/** The last message that a subscription was given; nulls before the first. */
export interface Position {
  readonly id: string | null;
  readonly time: string | null;
}

/**
 * Cause of a load: `start` is the first one; `session` says that messages may be missing since the position, since the broker or
 * gateway does not have the session any more; `overflow` that too many came during a load.
 */
export type ResyncReason = 'start' | 'session' | 'overflow';

export interface SnapshotRequest {
  readonly channel: string;
  readonly position: Position;
  readonly reason: ResyncReason;
}

export interface Handler<Payload = unknown> {
  message?(message: Message<Payload>): void;
  /**
   * Loads the application's state. It is called once the subscription holds, and again at each resync. Messages wait for it. It may
   * return a function that says of a waiting message whether the state has it already; such messages are dropped. A load that fails
   * is tried again.
   */
  snapshot?(request: SnapshotRequest): Promise<void | ((message: Message<Payload>) => boolean)>;
}

export type SubscriptionState = 'pending' | 'live' | 'refused' | 'closed';

export interface Subscription<Payload = unknown> {
  readonly channel: string;
  readonly state: SubscriptionState;
  /** Why it is refused, or not established yet. */
  readonly error: EventcastError | null;
  readonly position: Position;
  /**
   * Resolves when the broker has granted the subscription; rejects with an EventcastError. One that is rejected for `network` or
   * `quota` goes on trying, and `state` becomes `live` later.
   */
  readonly established: Promise<Subscription<Payload>>;
  unsubscribe(): void;
}

/**
 * - `connecting`: nothing was received yet.
 * - `live`: messages come by WebSocket.
 * - `polling`: messages come by HTTP.
 * - `stale`: there was a connection; what the page shows may be old.
 * - `refused`: the token is refused. Nothing is tried before `reconnect()`.
 * - `closed`: by `close()`.
 */
export type State = 'connecting' | 'live' | 'polling' | 'stale' | 'refused' | 'closed';

export type Transport = 'websocket' | 'poll' | 'stream' | null;

/** Claims of the token, as far as it is a JSON Web Token. */
export interface Claims {
  readonly sub?: string;
  readonly [claim: string]: unknown;
}

export interface Options {
  /** MQTT over WebSocket: `wss://<endpoint>/mqtt`. Without it everything goes by the gateway. */
  url?: string;
  /** The gateway: `https://<host>/rt/v1`. Without it there is no fallback. */
  gateway?: string;
  /** Gives a valid token. It is asked at each attempt: return a new one when the last is about to expire. */
  token?: () => string | Promise<string>;
  /** Custom authorizer, where it is not the default of the endpoint. */
  authorizer?: string;
  /** How the WebSocket carries the token: as the MQTT password (default), or in the address, for authorizers that take it there. */
  tokenIn?: 'password' | 'query';
  /** Name of the query parameter (default `token`). */
  tokenKey?: string;
  /** `environment` of the configuration: the first level of all topics. */
  environment?: string;
  /**
   * MQTT client id. The default is the token's `sub`, a hyphen and random characters; where the role binds another claim:
   * `({ client_id }) => `${client_id}-${crypto.randomUUID()}``.
   */
  clientId?: string | ((claims: Claims) => string);
  /** The fallback: long polls (default), or a stream read by fetch. A stream that stays mute makes way for polls. */
  transport?: 'poll' | 'stream';
  /** Whether the tabs of one user share a connection (default true). A text keeps those apart that have another one. */
  share?: boolean | string;
  /** After that time the WebSocket is tried again while polling (default 300,000). */
  webSocketRetryMs?: number;
  /** Quiet time after which the WebSocket is pinged (default 30,000). Without an answer for 12 s it counts as failed. */
  heartbeatMs?: number;
  /** MQTT keep alive (default 120; IoT Core takes 30 to 1,200). */
  keepAliveSeconds?: number;
  /** For how long the broker keeps messages while there is no connection (default 300). */
  sessionExpirySeconds?: number;
  /** First and longest delay between attempts (default [500, 30000]); each is a random part of it. */
  backoffMs?: readonly [number, number];
  /** Time between the broker's grant and a snapshot (default 250): a subscription may begin a moment later. */
  settleMs?: number;
}

export interface ClientEvents {
  state: CustomEvent<{ readonly state: State; readonly previous?: State; readonly transport: Transport }>;
  /** The token is refused; `reconnect()` tries again. */
  refused: CustomEvent<EventcastError>;
  /** An attempt failed, or a connection was lost. */
  failure: CustomEvent<EventcastError>;
  /** Messages of the channel may be missing: load its state anew. Subscriptions with `snapshot` do so by themselves. */
  resync: CustomEvent<{ readonly channel: string; readonly reason: ResyncReason }>;
  /** Each message as it came, before repeats are dropped. */
  message: CustomEvent<Message>;
}

export interface Client extends EventTarget {
  readonly state: State;
  readonly transport: Transport;
  /** MQTT client id, the same on WebSocket and polls; null before the first attempt. */
  readonly clientId: string | null;
  /** Whether this tab holds the connection. */
  readonly leader: boolean;
  /** The subscriptions there are. */
  readonly subscriptions: readonly { readonly channel: string; readonly state: SubscriptionState; readonly error: EventcastError | null }[];
  subscribe<Payload = unknown>(channel: string, handler?: ((message: Message<Payload>) => void) | Handler<Payload>): Subscription<Payload>;
  /** Tries at once with a fresh token: after a refusal, or beside a connection that lives, for what was granted anew. */
  reconnect(): void;
  /** Ends it for good: a closed client does not come back. */
  close(): void;
  addEventListener<Type extends keyof ClientEvents>(type: Type, listener: (event: ClientEvents[Type]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** Connects with the options; it needs `url`, `gateway`, or both. */
export function connect(options: Options): Client;

/** The topic filter of a channel, without the environment: `order:17` is `order/17`. */
export function filterOf(channel: string): string;

/** Whether a topic filter matches a topic. */
export function matches(filter: string, topic: string): boolean;
