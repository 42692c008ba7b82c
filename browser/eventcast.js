// Live messages of eventcast's channels in a browser: MQTT 5 over WebSocket, the gateway's HTTP where that is blocked.
// Section numbers are of OASIS "MQTT Version 5.0".

/** IoT Core closes a connection on more. */
const FILTERS_PER_SUBSCRIBE = 8;
const MAX_PACKET_BYTES = 1 << 20;
/** IoT Core sends at most 100 messages again. */
const REMEMBERED_IDS = 1000;
const MAX_BUFFERED = 5000;
const CONNECT_MS = 10000;
/** For a ping; beyond a poll's time. */
const ANSWER_MS = 12000;
/** IoT Core: one CONNECT a second for a client id, in effect one in 10 s after a take-over. */
const CONNECT_INTERVAL_MS = 1100;
const TAKEN_OVER_MS = 10000;
/** Then earlier failures are forgotten. */
const STABLE_MS = 30000;
/** IoT Core ends a WebSocket after 24 h. */
const MAX_LIFE_MS = 23 * 3600e3;

const DEFAULTS = {
  share: true, tokenIn: 'password', tokenKey: 'token', transport: 'poll', webSocketRetryMs: 300000, heartbeatMs: 30000, keepAliveSeconds: 120,
  sessionExpirySeconds: 300, backoffMs: [500, 30000], settleMs: 250,
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const now = () => performance.now();
const random = () => [...crypto.getRandomValues(new Uint32Array(4))].map((word) => word.toString(36)).join('');
/** Full jitter. */
const delayOf = ([first, longest], failures) => Math.random() * Math.min(longest, first * 2 ** Math.min(failures, 20));
const report = globalThis.reportError ?? console.error;
const hidden = () => globalThis.document?.hidden;

export class EventcastError extends Error {
  constructor(reason, message, more) {
    super(message);
    Object.assign(this, more, { name: 'EventcastError', reason });
  }
}
const network = (message, more) => new EventcastError('network', message, more);
const asError = (error, before = '') => (error instanceof EventcastError ? error : network(`${before}${error?.message ?? error}`));
const malformed = () => network('a malformed packet');
const plain = (error) => error && { ...error, message: error.message };
const revived = (error, more) => error && new EventcastError(error.reason, error.message, { ...error, ...more });

/** Unchecked. */
function claimsOf(token) {
  try {
    return JSON.parse(decoder.decode(bytesOf(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))));
  } catch {
    return {};
  }
}
const bytesOf = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

export function filterOf(channel) {
  return channel.replace(/^([\w-]+):/, '$1/');
}

export function matches(filter, topic) {
  const [wanted, given] = [filter.split('/'), topic.split('/')];
  for (const [at, level] of wanted.entries()) {
    if (level === '#') return true;
    if (at >= given.length || (level !== '+' && level !== given[at])) return false;
  }
  return wanted.length === given.length;
}

/** Things to do later, by name, with one timer. */
class Alarm {
  #due = new Map();
  #timer;

  set(name, ms, run) {
    this.#due.set(name, { at: now() + ms, run });
    this.#arm();
  }

  clear(name) {
    this.#due.delete(name);
  }

  stop() {
    this.#due.clear();
    clearTimeout(this.#timer);
  }

  wait(name, ms) {
    return new Promise((done) => this.set(name, ms, done));
  }

  #arm() {
    clearTimeout(this.#timer);
    if (this.#due.size === 0) return;
    const next = Math.min(...[...this.#due.values()].map(({ at }) => at));
    this.#timer = setTimeout(() => {
      const time = now();
      for (const [name, one] of [...this.#due]) {
        if (one.at > time + 1 || this.#due.get(name) !== one) continue;
        this.#due.delete(name);
        one.run(time - one.at);
      }
      this.#arm();
    }, next - now());
  }
}

const CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, SUBACK = 0x90, UNSUBSCRIBE = 0xa2, UNSUBACK = 0xb0, PINGREQ = 0xc0, DISCONNECT = 0xe0;

/** Classes of reason codes (2.4); others are limits. */
const CLASSES = { authorization: [0x86, 0x87, 0x8a, 0x8c], quota: [0x93, 0x96, 0x97, 0x9f], network: [0x80, 0x83, 0x88, 0x89, 0x8b, 0x8d, 0x8e, 0x91, 0x98, 0x9c, 0x9d, 0xa0] };
function refusal(code, text, more) {
  const [reason] = Object.entries(CLASSES).find(([, codes]) => codes.includes(code)) ?? ['limit'];
  return new EventcastError(reason, text ?? `the broker refuses it (MQTT reason 0x${code.toString(16)})`, { code, ...more });
}

/** Properties by identifier (2.2.2.2): a number's bytes, s bytes, p two texts, v a variable integer. */
const FORMS = '-14s----ss-v-----4s2-ss141s-s--s-22211p4111';

class Reader {
  constructor(bytes) {
    Object.assign(this, { bytes, at: 0 });
  }

  take(length) {
    if (this.at + length > this.bytes.length) throw malformed();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  number(width) {
    return this.take(width).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  variable() {
    for (let value = 0, shift = 0; shift < 28; shift += 7) {
      const byte = this.number(1);
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed();
  }

  text() {
    return decoder.decode(this.take(this.number(2)));
  }

  properties() {
    const found = { user: {} };
    if (this.at === this.bytes.length) return found;
    const inner = new Reader(this.take(this.variable()));
    while (inner.at < inner.bytes.length) {
      const id = inner.number(1);
      const form = FORMS[id];
      if (form === 'p') found.user[inner.text()] = inner.text();
      else if (form === 's') {
        const bytes = inner.take(inner.number(2));
        if (id === 0x1f) found.why = decoder.decode(bytes);
      } else if (form === 'v') inner.variable();
      else if (form > 0) inner.number(Number(form));
      else throw malformed();
    }
    return found;
  }
}

const u16 = (value) => [value >> 8, value & 0xff];
const u32 = (value) => [...u16(value >>> 16), ...u16(value & 0xffff)];
const text = (value) => {
  const bytes = encoder.encode(value);
  return [...u16(bytes.length), ...bytes];
};
function packet(head, body = []) {
  const bytes = [head];
  let length = body.length;
  do {
    bytes.push((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    length >>= 7;
  } while (length > 0);
  return new Uint8Array([...bytes, ...body]);
}

function payloadOf(bytes) {
  try {
    return { payload: JSON.parse(decoder.decode(bytes)) };
  } catch {
    return { bytes };
  }
}

/** Subscribe only. `on` has connect, live(continuous), message, status(channel, error), end(error). */
class MqttConnection {
  transport = 'websocket';
  asked = new Set();
  #settings;
  #on;
  #socket;
  #alarm = new Alarm();
  #rest = new Uint8Array(0);
  #ids = 0;
  #waiting = new Map();
  #seen;
  #up = false;
  #syncing = false;

  constructor(settings, on) {
    this.#settings = settings;
    this.#on = on;
    const { token, tokenIn, tokenKey } = settings;
    const url = new URL(settings.url);
    if (token && tokenIn === 'query') url.searchParams.set(tokenKey, token);
    const socket = (this.#socket = new WebSocket(url, ['mqtt']));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#connect();
    socket.onmessage = ({ data }) => this.#read(new Uint8Array(data));
    socket.onclose = () => this.#end(this.#seen ? network('the connection was cut') : network('the WebSocket cannot be opened', { unsent: true }));
    this.#alarm.set('connect', CONNECT_MS, () => this.#end(network('the WebSocket does not answer')));
  }

  #connect() {
    const { token, tokenIn, authorizer, clientId, keepAliveSeconds, sessionExpirySeconds } = this.#settings;
    const password = tokenIn === 'query' ? null : token;
    const name = authorizer ? `?x-amz-customauthorizer-name=${encodeURIComponent(authorizer)}` : password && 'eventcast';
    this.#seen = now();
    this.#on.connect();
    // No clean start: the session has what came meanwhile.
    this.#send(CONNECT, [...text('MQTT'), 5, (name ? 0x80 : 0) | (password ? 0x40 : 0), ...u16(keepAliveSeconds), 5, 0x11, ...u32(sessionExpirySeconds),
      ...text(clientId), ...(name ? text(name) : []), ...(password ? text(password) : [])]);
  }

  #send(head, body) {
    if (this.#socket?.readyState === 1) this.#socket.send(packet(head, body));
  }

  #end(error) {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = socket.onopen = socket.onmessage = socket.onclose = null;
    this.#alarm.stop();
    socket.close();
    for (const { reject } of this.#waiting.values()) reject(network('the connection ended'));
    if (error) this.#on.end(error);
  }

  /** The broker keeps the session unless `endSession`. */
  close(endSession) {
    if (this.#socket && this.#up) this.#send(DISCONNECT, endSession ? [0, 5, 0x11, 0, 0, 0, 0] : []);
    this.#end();
  }

  #read(bytes) {
    this.#seen = now();
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    let at = 0;
    try {
      while (this.#socket && at < all.length) {
        const head = new Reader(all.subarray(at + 1, at + 5));
        if (head.bytes.length < 4 && head.bytes.every((byte) => byte > 0x7f)) break;
        const length = head.variable();
        if (length > MAX_PACKET_BYTES) throw malformed();
        const begin = at + 1 + head.at;
        if (begin + length > all.length) break;
        this.#take(all[at], new Reader(all.subarray(begin, begin + length)));
        at = begin + length;
      }
      this.#rest = all.slice(at);
    } catch (error) {
      this.#end(asError(error));
    }
  }

  #take(head, body) {
    const type = head & 0xf0;
    if (type === CONNACK) this.#connected(body);
    else if (!this.#up) throw malformed();
    else if (type === PUBLISH) this.#published(head, body);
    else if (type === SUBACK || type === UNSUBACK) {
      const id = body.number(2);
      const { why } = body.properties();
      this.#waiting.get(id)?.resolve({ codes: body.bytes.subarray(body.at), why });
      this.#waiting.delete(id);
    } else if (type === DISCONNECT) {
      const code = body.bytes.length ? body.number(1) : 0;
      throw code < 0x80 ? network('the broker ended the connection') : refusal(code, body.properties().why);
    }
  }

  #connected(body) {
    const present = body.number(1) === 1;
    const code = body.number(1);
    // MQTT 3.1.1 refuses with small numbers.
    if (code) throw refusal(code, code < 0x80 ? 'the broker does not speak MQTT 5' : body.properties().why, { atConnect: true });
    this.#up = true;
    this.#alarm.clear('connect');
    this.#watch();
    this.#on.live(present);
  }

  #watch() {
    const quiet = now() - this.#seen;
    if (quiet < this.#settings.heartbeatMs) this.#alarm.set('quiet', this.#settings.heartbeatMs - quiet, () => this.#watch());
    else this.ping();
  }

  /** Proxies may be mute. */
  ping(again) {
    if (!this.#up || !this.#socket) return;
    const sent = now();
    this.#send(PINGREQ);
    this.#alarm.set('quiet', ANSWER_MS, (late) => {
      if (this.#seen >= sent) this.#watch();
      // Hidden tabs delay timers.
      else if (late > 2000 && !again) this.ping(true);
      else this.#end(network('the connection is mute', { mute: true }));
    });
  }

  #published(head, body) {
    const topic = body.text();
    const packetId = head & 6 ? body.number(2) : 0;
    const { user } = body.properties();
    const of = (name) => user[name] ?? null;
    this.#on.message({ id: of('eb-id'), topic, source: of('eb-source'), type: of('eb-detail-type'), time: of('eb-time'), route: of('eb-route'), retained: (head & 1) === 1,
      ...payloadOf(body.bytes.slice(body.at)) });
    // What the tabs end before comes again.
    if (packetId) this.#settings.handed().then(() => this.#send(PUBACK, u16(packetId)));
  }

  async #ask(head, rest) {
    this.#ids = (this.#ids % 0xffff) + 1;
    const id = this.#ids;
    this.#alarm.set('answer', 2 * ANSWER_MS, () => this.#end(network('the broker does not answer')));
    this.#send(head, [...u16(id), 0, ...rest]);
    const answer = await new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#alarm.clear('answer');
    return answer;
  }

  /** Subscribes and leaves until what was asked for is what is wanted. */
  async sync() {
    if (this.#syncing || !this.#up) return;
    this.#syncing = true;
    const { wanted, held, prefix } = this.#settings;
    const filter = (channel) => text(prefix + filterOf(channel));
    try {
      while (this.#socket) {
        const add = [...wanted.keys()].filter((channel) => !this.asked.has(channel)).slice(0, FILTERS_PER_SUBSCRIBE);
        const remove = [...held].filter((channel) => !wanted.has(channel)).slice(0, FILTERS_PER_SUBSCRIBE);
        for (const channel of remove) held.delete(channel), this.asked.delete(channel);
        for (const channel of add) held.add(channel), this.asked.add(channel);
        if (remove.length) await this.#ask(UNSUBSCRIBE, remove.flatMap(filter));
        else if (add.length) {
          const { codes, why } = await this.#ask(SUBSCRIBE, add.flatMap((channel) => [...filter(channel), 1]));
          add.forEach((channel, at) => this.#on.status(channel, codes[at] < 0x80 ? null : refusal(codes[at] ?? 0x80, why)));
        } else break;
      }
    } catch (error) {
      this.#end(asError(error));
    }
    this.#syncing = false;
  }
}

function failure(status, { message = `the gateway answers ${status}` }, more) {
  const reason = { 401: 'authorization', 403: 'authorization', 409: 'network', 410: 'network', 429: 'quota' }[status] ?? (status < 500 ? 'limit' : 'network');
  return new EventcastError(reason, message, { status, ...more });
}

/** Polls, or a stream. `on` has place, gap and token(refused token), too. */
class GatewayConnection {
  asked = new Set();
  #settings;
  #on;
  #token;
  #place;
  #advice = {};
  #alarm = new Alarm();
  #calls = new Set();
  #count = 0;
  #closed = false;
  #patching = false;
  #up = false;
  #unconfirmed = 0;
  #confirmed = Promise.resolve();

  constructor(settings, on) {
    this.#settings = settings;
    this.#on = on;
    this.#token = settings.token;
    this.#place = { ...settings.place };
    this.transport = settings.transport;
    this.#run();
  }

  #fetch(method, path, body, more) {
    const headers = { 'content-type': 'application/json' };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    return fetch(`${this.#settings.gateway}/${path}`, { method, headers, body: JSON.stringify(body), cache: 'no-store', ...more });
  }

  /** Mute is a call of more than `ms`, or between a stream's bytes. */
  async #call(method, path, body, ms, read = (answer) => answer.json()) {
    const controller = new AbortController();
    const name = `call ${(this.#count += 1)}`;
    const rearm = () => this.#alarm.set(name, ms, () => controller.abort(network('the gateway is mute', { mute: true })));
    this.#calls.add(controller);
    rearm();
    try {
      const answer = await this.#fetch(method, path, body, { signal: controller.signal });
      if (answer.ok) return await read(answer, rearm);
      const said = await answer.json().catch(() => ({}));
      const { status } = answer;
      const after = answer.headers.get('retry-after');
      const seconds = Number(after) >= 0 ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
      throw failure(status, said, after && seconds >= 0 && { retryAfterMs: Math.min(seconds, 3600) * 1000 });
    } catch (error) {
      throw asError(error);
    } finally {
      this.#alarm.clear(name);
      this.#calls.delete(controller);
    }
  }

  async #run() {
    await null;
    let renewed = false;
    while (!this.#closed) {
      try {
        if (!this.#place.session) await this.#open();
        for (let seconds = 0; !this.#closed; seconds = this.#advice.timeout_s ?? 25) {
          await (this.transport === 'stream' ? this.#stream() : this.#poll(seconds));
          renewed = false;
        }
      } catch (error) {
        // A fresh token or session helps at once or never.
        const { status } = error;
        const { session } = this.#place;
        if (renewed || !(status === 401 || (session && [403, 410].includes(status)))) return this.#end(error);
        renewed = true;
        if (status === 401) {
          const token = await this.#on.token(this.#token).catch(asError);
          if (token instanceof Error) return this.#end(token);
          this.#token = token;
        } else this.#place = {};
        if (status === 410) this.#on.gap();
      }
    }
    return undefined;
  }

  async #open() {
    const { wanted, clientId } = this.#settings;
    const asked = [...wanted.keys()];
    this.asked = new Set(asked);
    const said = await this.#call('POST', 'session', { channels: asked, client_id: clientId }, CONNECT_MS + ANSWER_MS);
    this.#move(said);
    this.#announce(said.resumed);
    this.#tell(said, asked);
    this.sync();
  }

  #announce(continuous) {
    if (!this.#up && !this.#closed) this.#on.live(continuous);
    this.#up = true;
  }

  #move({ session = this.#place.session, cursor = this.#place.cursor, advice = this.#advice }) {
    this.#place = { session, cursor };
    this.#advice = advice;
    if (!this.#closed) this.#on.place(this.#place);
  }

  #tell({ granted = [], denied = [] }, asked) {
    for (const channel of asked) {
      const no = denied.find((one) => one.channel === channel);
      if (no) this.#on.status(channel, new EventcastError(no.reason, no.message ?? 'denied'));
      else if (granted.includes(channel)) this.#on.status(channel);
    }
  }

  #message({ payload, base64, ...rest }) {
    this.#on.message({ ...rest, ...(base64 === undefined ? { payload } : { bytes: bytesOf(base64) }) });
  }

  /** The next poll's cursor confirms what this one brings. */
  async #poll(seconds) {
    const said = await this.#call('POST', `poll?n=${this.#count}`, { ...this.#place, timeout_s: seconds, max: 100 }, seconds * 1000 + ANSWER_MS);
    if (this.#closed) return;
    this.#announce(true);
    for (const message of said.messages) this.#message(message);
    await this.#settings.handed();
    this.#move(said);
    if (this.#advice.min_interval_ms) await this.#alarm.wait('pause', this.#advice.min_interval_ms);
  }

  /** Server-sent events (WHATWG HTML, 9.2); two heartbeats may be missing. */
  #stream() {
    return this.#call('POST', 'stream', this.#place, 33000, async (answer, rearm) => {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = '', event = {}; !this.#closed;) {
        const { done, value } = await reader.read();
        if (done) return;
        rearm();
        this.#announce(true);
        const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
        rest = lines.pop();
        for (const line of lines) {
          const [, field, data] = /^(id|data|event):? ?(.*)$/.exec(line) ?? [];
          if (field) event[field] = data;
          else if (line === '') {
            await this.#event(event);
            event = {};
          }
        }
      }
    });
  }

  async #event({ event = 'message', id, data }) {
    if (data === undefined || this.#closed) return;
    const said = JSON.parse(data);
    if (event === 'error') throw failure({ unauthorized: 401, forbidden: 403, superseded: 409, gone: 410 }[said.error] ?? 503, said);
    if (event !== 'message') return;
    this.#message(said);
    await this.#settings.handed();
    this.#move({ cursor: id });
    const confirm = () => {
      this.#unconfirmed = 0;
      // One at a time. The next one, or the next stream's cursor, makes a failure good.
      this.#confirmed = this.#confirmed.then(() => this.#call('POST', 'ack', this.#place, ANSWER_MS, () => {})).catch(() => {});
    };
    this.#unconfirmed += 1;
    if (this.#unconfirmed === 20) confirm();
    this.#alarm.set('confirm', 500, confirm);
  }

  async sync() {
    if (this.#patching || !this.#place.session) return;
    const { wanted } = this.#settings;
    this.#patching = true;
    try {
      while (!this.#closed) {
        const add = [...wanted.keys()].filter((channel) => !this.asked.has(channel));
        const remove = [...this.asked].filter((channel) => !wanted.has(channel));
        if (add.length + remove.length === 0) break;
        const said = await this.#call('PATCH', 'session', { session: this.#place.session, add, remove }, CONNECT_MS + ANSWER_MS);
        for (const channel of add) this.asked.add(channel);
        for (const channel of remove) this.asked.delete(channel);
        this.#move({ session: said.session });
        this.#tell(said, add);
      }
    } catch (error) {
      // The polls find out what is wrong with the session.
      if (error.status) this.#alarm.set('sync', Math.max(2000, error.retryAfterMs ?? 0), () => this.sync());
      else this.#end(error);
    }
    this.#patching = false;
  }

  ping() {}

  #end(error) {
    if (this.#closed) return;
    this.#closed = true;
    this.#alarm.stop();
    for (const call of this.#calls) call.abort();
    if (error) this.#on.end(asError(error));
  }

  close(endSession) {
    const { session } = this.#place;
    if (endSession && session && !this.#closed) this.#fetch('DELETE', 'session', { session }, { keepalive: true }).catch(() => {});
    this.#end();
  }
}

/** WebSocket, or the gateway after two failures. `known` is what another tab's engine left. */
class Engine {
  transport = null;
  wanted = new Map();
  #settings;
  #known;
  #say;
  #alarm = new Alarm();
  #held = new Set();
  #connection = null;
  #next = null;
  #turn = 0;
  #token;
  #refused = null;
  #refusals = 0;
  #failures = 0;
  #socketFailures = 0;
  #gatewayFailures = 0;
  #socketDue = 0;
  #notBefore = 0;
  #connectedAt = -Infinity;
  #leave = new AbortController();

  constructor(settings, known, say) {
    this.state = known.lived.length ? 'stale' : 'connecting';
    this.#settings = settings;
    this.#known = known;
    this.#say = say;
    const { signal } = this.#leave;
    globalThis.addEventListener?.('online', () => {
      this.#socketDue = 0;
      this.kick();
    }, { signal });
    globalThis.document?.addEventListener('visibilitychange', () => hidden() || this.kick(), { signal });
    this.#attempt();
  }

  /** Tries at once, after a refusal if `anew`. */
  kick(anew) {
    if (anew) [this.#refused, this.#refusals] = [null, 0];
    this.#connection?.ping();
    if (this.#next) return;
    if (anew || (!this.#connection && this.state !== 'refused')) this.#alarm.set('attempt', anew ? 0 : this.#notBefore - now(), () => this.#attempt());
    else if (this.#connection) this.#plan();
  }

  /** `again`: retained messages are wanted once more. */
  want(channels, again = []) {
    for (const channel of this.wanted.keys()) {
      if (channels.has(channel)) continue;
      this.wanted.delete(channel);
      this.#known.lived = this.#known.lived.filter((one) => one !== channel);
    }
    for (const channel of channels) if (!this.wanted.has(channel)) this.wanted.set(channel, { state: 'pending' });
    for (const channel of again) this.#connection?.asked.delete(channel);
    this.#connection?.sync();
  }

  stop(endSession) {
    this.#turn += 1;
    this.#alarm.stop();
    this.#leave.abort();
    this.#next?.close();
    this.#connection?.close(endSession);
  }

  #enter(state, transport = null, error = null) {
    if (state === this.state && transport === this.transport && !error) return;
    Object.assign(this, { state, transport });
    this.#say({ kind: 'state', state, transport, error: plain(error) });
  }

  /** Connects with a fresh token, beside a connection that lives. */
  async #attempt() {
    const turn = (this.#turn += 1);
    this.#alarm.clear('attempt');
    try {
      const { token } = this.#settings;
      const fresh = (await token?.()) ?? null;
      if (turn !== this.#turn) return;
      if (token && !fresh) throw new EventcastError('authorization', 'token() gives no token');
      this.#token = fresh;
    } catch (error) {
      if (turn === this.#turn) this.#failed(asError(error, 'token() fails: '));
      return;
    }
    if (this.#refused && this.#refused.token === this.#token) this.#refuse(this.#refused.error);
    else this.#open(this.#token);
  }

  #open(token) {
    const claims = claimsOf(token);
    const known = this.#known;
    // Another user's session is not this one's.
    if (!known.clientId || known.sub !== claims.sub) Object.assign(known, { clientId: this.#settings.name(claims), sub: claims.sub, place: null });
    const socket = this.#bySocket() || (this.#connection && this.#settings.url);
    this.#connectedAt = now();
    const on = {
      // Another poll would take the client id back.
      connect: () => {
        if (this.#connection?.transport !== 'websocket') this.#connection = this.#connection?.close();
      },
      live: (continuous) => this.#live(connection, continuous),
      message: (message) => this.#say({ kind: 'message', message }),
      status: (channel, error) => this.#status(channel, error),
      gap: () => this.#gap(),
      place: (place) => this.#keep({ place }),
      token: async (refused) => {
        this.#token = await this.#settings.token?.();
        if (!this.#token || this.#token === refused) throw new EventcastError('authorization', 'the token is refused');
        return this.#token;
      },
      end: (error) => this.#ended(connection, error),
    };
    let connection;
    try {
      connection = new (socket ? MqttConnection : GatewayConnection)({ ...this.#settings, ...known, token, wanted: this.wanted, held: this.#held }, on);
      this.#next = connection;
    } catch (error) {
      this.#failed(new EventcastError('limit', String(error.message)));
    }
  }

  #bySocket() {
    const { url, gateway } = this.#settings;
    return !gateway || (url && (this.#socketFailures < 2 || !this.#socketDue));
  }

  #keep(more) {
    Object.assign(this.#known, more);
    this.#say({ kind: 'known', known: this.#known });
  }

  #live(connection, continuous) {
    const old = this.#connection;
    const { transport } = connection;
    const socket = transport === 'websocket';
    [this.#connection, this.#next, this.#refused, this.#refusals] = [connection, null, null, 0];
    // What the old connection did not confirm comes again.
    old?.close();
    if (socket) this.#keep({ place: null });
    if (!continuous) this.#gap();
    this.#alarm.set('stable', STABLE_MS, () => {
      this.#failures = 0;
      if (socket) this.#socketFailures = 0;
    });
    this.#enter(socket ? 'live' : 'polling', transport);
    this.#plan();
    connection.sync();
  }

  #plan() {
    const { exp } = claimsOf(this.#token);
    const part = 1 - Math.random() / 20;
    let ms = Math.max(0, this.#socketDue - now());
    if (this.#connection.transport === 'websocket') ms = Math.max(60000, Math.min(MAX_LIFE_MS, exp ? exp * 1000 - Date.now() - 30000 : Infinity) * part);
    else if (!this.#settings.url) return;
    this.#alarm.set('renew', ms, () => this.#next || this.#attempt());
  }

  #gap() {
    for (const channel of this.#known.lived) {
      const entry = this.wanted.get(channel);
      if (entry) entry.gap = true;
    }
  }

  #status(channel, error = null) {
    const entry = this.wanted.get(channel);
    if (!entry) return;
    Object.assign(entry, { state: error ? 'refused' : 'live', error: plain(error) });
    if (!error && !this.#known.lived.includes(channel)) this.#keep({ lived: [...this.#known.lived, channel] });
    this.#say({ kind: 'status', channel, ...entry });
    if (error || !entry.gap) return;
    entry.gap = false;
    this.#say({ kind: 'resync', channel, reason: 'session' });
  }

  #ended(connection, error) {
    if (connection === this.#next) this.#next = null;
    else if (connection === this.#connection) this.#connection = null;
    else return;
    if ([409, 410].includes(error.status)) this.#known.place = null;
    // It was taken over.
    if (this.#next) return;
    this.#failed(error, connection.transport);
  }

  #count({ mute }, transport) {
    if (transport === 'websocket') {
      this.#socketFailures += mute ? 2 : 1;
      this.#socketDue = now() + this.#settings.webSocketRetryMs * (0.9 + Math.random() / 5);
    } else if (transport) {
      this.#gatewayFailures += 1;
      if (this.#gatewayFailures % 2 === 0) this.#socketDue = 0;
      if (mute) this.#settings.transport = 'poll';
    }
  }

  #failed(error, transport) {
    this.#say({ kind: 'failure', error: plain(error) });
    if (this.#connection) {
      this.#count(error, 'websocket');
      this.#plan();
      return;
    }
    this.#alarm.clear('renew');
    this.#alarm.clear('stable');
    const { reason, atConnect, code, retryAfterMs, unsent } = error;
    if (reason === 'authorization') {
      this.#refusals += 1;
      this.#refused = { token: this.#token, error };
    }
    if (this.#refusals > (this.#settings.token ? 1 : 0) || (reason === 'limit' && (atConnect || !transport))) {
      this.#refuse(error);
      return;
    }
    const before = this.#bySocket();
    this.#count(error, transport);
    // The other transport starts without failures.
    const delay = delayOf(this.#settings.backoffMs, before === this.#bySocket() ? this.#failures : 0) * (hidden() ? 4 : 1);
    const least = Math.max(retryAfterMs ?? 0, unsent ? 0 : this.#connectedAt + (code === 0x8e ? TAKEN_OVER_MS : CONNECT_INTERVAL_MS) - now());
    this.#notBefore = now() + least;
    this.#failures += 1;
    if (retryAfterMs === undefined) this.#enter(this.#known.lived.length ? 'stale' : 'connecting');
    if (this.#failures > 2) this.#tell('pending', error);
    this.#alarm.set('attempt', least + delay, () => this.#attempt());
  }

  #refuse(error) {
    this.#tell('refused', error);
    this.#enter('refused', null, error);
  }

  #tell(state, error) {
    for (const [channel, entry] of this.wanted) {
      if (state === 'pending' && entry.state !== state) continue;
      Object.assign(entry, { state, error: plain(error) });
      this.#say({ kind: 'status', channel, ...entry });
    }
  }
}

class Subscription {
  state = 'pending';
  error = null;
  position = { id: null, time: null };
  #settle;
  #client;
  #handler;
  #filter;
  #seen = new Set();
  #buffer = null;
  /** The next load's cause; '' in the last load. */
  #again = null;
  #alarm = new Alarm();

  constructor(channel, handler, client) {
    this.channel = channel;
    this.#filter = client.prefix + filterOf(channel);
    this.#handler = typeof handler === 'function' ? { message: handler } : handler;
    this.#client = client;
    if (this.#handler.snapshot) this.#buffer = [];
    this.established = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.established.catch(() => {});
  }

  unsubscribe() {
    if (this.state === 'closed') return;
    this.take('closed', { reason: 'closed', message: 'unsubscribed' });
    this.#alarm.stop();
    this.#client.leave(this);
  }

  take(state, error) {
    if (this.state === 'closed' || (state === 'live' && this.state === 'live')) return;
    this.state = state;
    this.error = revived(error, { channel: this.channel }) ?? null;
    if (this.error) this.#settle.reject(this.error);
    else if (state === 'live') {
      this.#settle.resolve(this);
      if (this.#buffer && this.#again === null) this.load('start');
    }
  }

  deliver(message) {
    const { topic, id, route } = message;
    if (this.state === 'closed' || !matches(this.#filter, topic)) return;
    if (id !== null) {
      // Two routes may send an event to one topic.
      const key = JSON.stringify([topic, id, route]);
      if (this.#seen.has(key)) return;
      this.#seen.add(key);
      if (this.#seen.size > REMEMBERED_IDS) this.#seen.delete(this.#seen.values().next().value);
    }
    if (!this.#buffer) this.#give(message);
    else if (this.#buffer.push(message) > MAX_BUFFERED) {
      this.#buffer.shift();
      if (this.#again === '') this.#again = 'overflow';
    }
  }

  #give(message) {
    if (this.state === 'closed') return;
    this.position = { id: message.id, time: message.time };
    try {
      this.#handler.message?.({ ...message, channel: this.channel });
    } catch (error) {
      report(error);
    }
  }

  /** Messages wait while the application loads its state. */
  async load(reason) {
    const busy = this.#again !== null;
    this.#again = reason;
    if (busy || !this.#handler.snapshot) return;
    this.#buffer ??= [];
    let has;
    for (let failures = 0; this.#again;) {
      const why = this.#again;
      this.#again = '';
      try {
        // A subscription may begin after its SUBACK (AWS IoT developer guide, "MQTT").
        await this.#alarm.wait('settle', failures ? delayOf(DEFAULTS.backoffMs, failures) : this.#client.settleMs);
        has = await this.#handler.snapshot({ channel: this.channel, position: this.position, reason: why });
      } catch (error) {
        report(error);
        failures += 1;
        this.#again ||= why;
      }
    }
    const waiting = this.#buffer;
    [this.#again, this.#buffer] = [null, null];
    for (const message of waiting) if (!has?.(message)) this.#give(message);
  }
}

class Client extends EventTarget {
  state = 'connecting';
  transport = null;
  leader = false;
  #options;
  #subscriptions = new Set();
  #known = { clientId: null, place: null, lived: [] };
  #engine = null;
  #alarm = new Alarm();
  #closed = false;
  // Other tabs.
  #name;
  #room = null;
  #tab = random();
  #members = new Map();
  #posted = 0;
  #got = new Map();
  #rounds = [];
  #leave = new AbortController();
  #releases = [];
  #heard = now();

  constructor(options) {
    super();
    const { url, gateway, environment, settleMs } = (this.#options = { ...DEFAULTS, ...options, gateway: options.gateway?.replace(/\/$/, '') });
    if (!url && !gateway) throw new TypeError('connect() needs `url` or `gateway`');
    Object.assign(this, { prefix: environment ? `${environment}/` : '', settleMs });
    this.#start();
  }

  get clientId() {
    return this.#known.clientId;
  }

  get subscriptions() {
    return [...this.#subscriptions].map(({ channel, state, error }) => ({ channel, state, error }));
  }

  subscribe(channel, handler = {}) {
    const subscription = new Subscription(channel, handler, this);
    const again = this.#of(channel).length > 0;
    this.#subscriptions.add(subscription);
    if (this.#closed) subscription.unsubscribe();
    else this.#want([channel], again);
    return subscription;
  }

  reconnect() {
    if (this.#engine) this.#engine.kick(true);
    else this.#post({ kind: 'kick' });
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#engine?.stop(this.#members.size === 0);
    this.#post({ kind: 'bye', tab: this.#tab });
    this.#room?.close();
    this.#engine = this.#room = null;
    this.#alarm.stop();
    this.#leave.abort();
    for (const release of this.#releases) release();
    this.#enter('closed', null);
  }

  leave(subscription) {
    this.#subscriptions.delete(subscription);
    if (!this.#closed) this.#want([]);
  }

  #of(channel) {
    return [...this.#subscriptions].filter((one) => one.channel === channel);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #enter(state, transport) {
    const previous = this.state;
    if (state === previous && transport === this.transport) return;
    Object.assign(this, { state, transport });
    this.#emit('state', { state, previous, transport });
  }

  #post(word) {
    this.#room?.postMessage(word);
  }

  get #channels() {
    return [...this.#subscriptions].map(({ channel }) => channel);
  }

  #want(fresh, again) {
    if (this.#engine) this.#engine.want(this.#union, again ? fresh : []);
    else this.#post({ kind: 'want', tab: this.#tab, channels: this.#channels, fresh });
  }

  get #union() {
    return new Set([this.#channels, ...this.#members.values()].flat());
  }

  /** Leads alone, or joins the user's other tabs. */
  async #start() {
    const { share, url, gateway, environment, token } = this.#options;
    let first = null;
    if (share && globalThis.navigator?.locks) {
      for (let failures = 0; token && !first && !this.#closed; failures += 1) {
        if (failures) await this.#alarm.wait('token', delayOf(this.#options.backoffMs, failures));
        try {
          first = { token: await token(), at: now() };
        } catch (error) {
          this.#emit('failure', asError(error, 'token() fails: '));
        }
      }
      const { sub } = claimsOf(first?.token);
      if (!token || sub || share !== true) this.#name = `eventcast ${JSON.stringify([url, gateway, environment, sub, share])}`;
    }
    if (this.#closed) return;
    if (!this.#name) {
      this.#lead(first);
      return;
    }
    this.#room = new BroadcastChannel(this.#name);
    this.#room.onmessage = ({ data }) => {
      this.#heard = now();
      if (!this.#closed) this.#hear(data, true);
    };
    // Its release says that this tab has gone.
    const { signal } = this.#leave;
    await new Promise((held) => this.#hold(`${this.#name} ${this.#tab}`, { signal }, held).catch(held));
    if (!this.#closed) this.#elect({ signal }, first);
  }

  #hold(name, options, held) {
    return navigator.locks.request(name, options, () => {
      held();
      return new Promise((release) => this.#releases.push(release));
    });
  }

  /** Waits to lead, and follows until then. */
  #elect(options, first) {
    this.#want(this.#channels);
    const ask = () => {
      const heard = this.#heard;
      const quiet = now() - heard > 15000 && !hidden();
      if (quiet) this.#post({ kind: 'ask' });
      this.#alarm.set('leader', quiet ? 10000 : 5000, () => {
        if (!quiet || this.#heard !== heard) return ask();
        // The leader is frozen, and holds its lock.
        const waiting = this.#leave;
        this.#leave = new AbortController();
        waiting.abort();
        return this.#elect({ steal: true });
      });
    };
    ask();
    this.#hold(this.#name, options, () => {
      this.#alarm.clear('leader');
      if (this.#closed) return;
      this.#lead(first);
      this.#post({ kind: 'who' });
    }).catch(() => {
      if (this.#closed || !this.#engine) return;
      // Another tab took over.
      this.#engine.stop();
      [this.#engine, this.leader] = [null, false];
      this.#members.clear();
      this.#got.clear();
      this.#elect({ signal: this.#leave.signal });
    });
  }

  #lead(first) {
    const { token, clientId } = this.#options;
    const fresh = token && (() => {
      const early = first;
      first = null;
      return early && now() - early.at < 5000 ? early.token : token();
    });
    const name = (claims) => (typeof clientId === 'function' ? clientId(claims) : clientId) ?? `${claims.sub ?? 'eventcast'}-${random()}`;
    this.leader = true;
    this.#engine = new Engine({ ...this.#options, prefix: this.prefix, token: fresh, name, handed: () => this.#handed() }, this.#known, (event) => {
      this.#post({ ...event, seq: (this.#posted += 1) });
      this.#hear(event);
    });
    this.#engine.want(this.#union);
  }

  #hear(event, distant) {
    const { kind, channel, state, transport, message, known, reason } = event;
    const error = revived(event.error);
    if (event.seq && !this.#engine) this.#post({ kind: 'got', tab: this.#tab, n: event.seq });
    if (kind === 'message') {
      for (const subscription of this.#subscriptions) subscription.deliver(message);
      this.#emit(kind, message);
    } else if (kind === 'state') {
      this.#enter(state, transport);
      if (error) this.#emit('refused', error);
    } else if (kind === 'status') {
      for (const one of this.#of(channel)) one.take(state, error);
    } else if (kind === 'resync') {
      const ours = this.#of(channel);
      for (const one of ours) one.load(reason);
      if (ours.length) this.#emit(kind, { channel, reason });
    } else if (kind === 'failure') this.#emit(kind, error);
    else if (!this.#engine) {
      if (known) this.#known = known;
      if (kind === 'who') this.#want([]);
      if (kind === 'all') {
        this.#enter(state, transport);
        for (const [name, entry] of event.statuses) if (entry.state !== 'pending') for (const one of this.#of(name)) one.take(entry.state, entry.error);
      }
    } else if (distant) this.#host(event);
  }

  /** Settles when the tabs have what was posted; one that is silent for 2 s is frozen. */
  #handed() {
    return new Promise((done) => {
      this.#rounds.push({ n: this.#posted, done });
      this.#settle();
    });
  }

  #settle() {
    const [first] = this.#rounds;
    if (!first) return;
    const late = () => [...this.#got].filter(([, got]) => got < first.n);
    if (!late().length) {
      this.#rounds.shift().done();
      this.#settle();
    } else if (!first.timed) {
      first.timed = true;
      this.#alarm.set('handed', 2000, () => {
        for (const [tab] of late()) this.#got.delete(tab);
        this.#settle();
      });
    }
  }

  #host({ kind, tab, channels, fresh, n }) {
    const engine = this.#engine;
    if (kind === 'kick') engine.kick(true);
    if (kind === 'got' && this.#members.has(tab)) {
      this.#got.set(tab, n);
      this.#settle();
    }
    if (kind === 'want') {
      if (!this.#members.has(tab)) {
        this.#got.set(tab, this.#posted);
        const gone = () => {
          this.#members.delete(tab);
          this.#got.delete(tab);
          this.#settle();
          this.#engine?.want(this.#union);
        };
        navigator.locks.request(`${this.#name} ${tab}`, { signal: this.#leave.signal }, gone).catch(() => {});
      }
      this.#members.set(tab, channels);
      engine.want(this.#union, fresh);
    }
    if (kind === 'bye' && this.#members.delete(tab)) engine.want(this.#union);
    const { state, transport, wanted } = engine;
    if (kind === 'want' || kind === 'ask') this.#post({ kind: 'all', state, transport, statuses: [...wanted], known: this.#known });
  }
}

export function connect(options) {
  return new Client(options);
}
