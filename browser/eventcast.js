// eventcast in a browser: live messages of channels, by MQTT 5 over WebSocket or, where that is blocked, by HTTP from the gateway.
//
// One ES module without dependencies. From the bottom up: a timer, the MQTT connection, the gateway's connection, the engine that
// chooses between the two and tries again, the sharing of one engine by all tabs, subscriptions, the client.
// MQTT: OASIS "MQTT Version 5.0" (section numbers are its). Limits: AWS IoT Core endpoints and quotas.

/** IoT Core closes a connection on a SUBSCRIBE with more filters. */
const FILTERS_PER_SUBSCRIBE = 8;
/** Larger packets than IoT Core sends (146 KB) are no MQTT. */
const MAX_PACKET_BYTES = 1 << 20;
/** Ids remembered for each subscription; IoT Core sends at most 100 messages again. */
const REMEMBERED_IDS = 1000;
const MAX_BUFFERED = 5000;
/** Time for an answer to a ping, and on top of a poll's own time. With a quiet time of 30 s it makes 42 s. */
const ANSWER_MS = 12000;
const CONNECT_MS = 10000;
const BACKOFF_MS = [500, 30000];
const BACKOFF_HIDDEN_MS = 120000;
/** IoT Core takes one CONNECT a second for a client id, and in effect one in 10 s after a take-over. */
const CONNECT_INTERVAL_MS = 1100;
const TAKEN_OVER_MS = 10000;
/** A connection that lived for this long forgives earlier failures. */
const STABLE_MS = 30000;
/** IoT Core ends a WebSocket after 24 h. */
const MAX_LIFE_MS = 23 * 3600e3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const now = () => performance.now();
const random = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const backoff = (failures, cap = BACKOFF_MS[1]) => Math.random() * Math.min(cap, BACKOFF_MS[0] * 2 ** Math.min(failures, 20));
const hidden = () => globalThis.document?.visibilityState === 'hidden';
const report = (error) => (globalThis.reportError ?? console.error)(error);

/** A failure with its class: authorization, quota, network, limit or closed. */
export class EventcastError extends Error {
  constructor(reason, message, more = {}) {
    super(message);
    Object.assign(this, { name: 'EventcastError', reason, ...more });
  }
}
const network = (message, more) => new EventcastError('network', message, more);
const asError = (error) => (error instanceof EventcastError ? error : network(String(error?.message ?? error)));

/** Claims of a JSON Web Token, not checked: the broker does that. */
function claimsOf(token) {
  try {
    const text = atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'));
    return JSON.parse(decoder.decode(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** The topic filter of a channel: `order:17` is `order/17`, `order:*` is `order/+`; others are filters already. */
export function filterOf(channel) {
  return channel.replace(/^([A-Za-z0-9_-]+):(.*)$/s, (_, kind, id) => `${kind}/${id === '*' ? '+' : id}`);
}

/** Whether a topic filter matches a topic (4.7). */
export function matches(filter, topic) {
  if (filter === topic) return true;
  const [wanted, given] = [filter.split('/'), topic.split('/')];
  for (const [at, level] of wanted.entries()) {
    if (level === '#') return true;
    if (at >= given.length || (level !== '+' && level !== given[at])) return false;
  }
  return wanted.length === given.length;
}

/** Things to do at some time, each under a name, by one timer. `run` is given how late it is. */
class Alarm {
  #due = new Map();
  #timer;

  set(name, ms, run) {
    this.#due.set(name, { at: now() + ms, run });
    this.#arm();
  }

  clear(name) {
    if (this.#due.delete(name)) this.#arm();
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
    this.#timer = setTimeout(() => this.#ring(), Math.max(0, next - now()));
  }

  #ring() {
    const time = now();
    for (const [name, { at, run }] of [...this.#due]) {
      // One that ran may have removed another.
      if (at > time + 1 || this.#due.get(name)?.at !== at) continue;
      this.#due.delete(name);
      run(time - at);
    }
    this.#arm();
  }
}

// The MQTT connection ---------------------------------------------------------------------------------------------------------------

const CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, SUBACK = 0x90, UNSUBSCRIBE = 0xa2, PINGREQ = 0xc0, DISCONNECT = 0xe0;

/** Classes of reason codes (2.4); others of 0x80 and above are `limit`. */
const REASONS = [
  ['authorization', 'not authorized', 0x86, 0x87, 0x8a, 0x8c],
  ['quota', 'over a quota', 0x93, 0x96, 0x97, 0x9f],
  ['network', 'the broker failed', 0x80, 0x83, 0x88, 0x89, 0x8b, 0x8d, 0x8e, 0x91, 0x98, 0x9c, 0x9d, 0xa0],
];
function refusal(code, text, more) {
  const [reason, words] = REASONS.find((one) => one.includes(code)) ?? ['limit', 'not accepted'];
  return new EventcastError(reason, text || `${words} (MQTT reason 0x${code.toString(16)})`, { code, ...more });
}

/** Widths of properties by identifier (2.2.2.2): bytes, or v (variable integer), s (text or bytes), p (pair of texts). */
const WIDTHS = {};
for (const [width, ids] of [[1, [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a]], [2, [0x13, 0x21, 0x22, 0x23]], [4, [0x02, 0x11, 0x18, 0x27]],
  ['v', [0x0b]], ['s', [0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f]], ['p', [0x26]]]) for (const id of ids) WIDTHS[id] = width;

/** Reads the parts of a packet; a part beyond its end is an error. */
class Reader {
  constructor(bytes) {
    Object.assign(this, { bytes, at: 0 });
  }

  take(length) {
    if (this.at + length > this.bytes.length) throw network('a packet ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  number(width) {
    return this.take(width).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  variable() {
    for (let value = 0, scale = 1; scale <= 128 ** 3; scale *= 128) {
      const byte = this.number(1);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw network('a length has more than four bytes');
  }

  text() {
    return decoder.decode(this.take(this.number(2)));
  }

  /** Properties by identifier; user properties under `user`. */
  properties() {
    const found = { user: {} };
    if (this.at === this.bytes.length) return found;
    const inner = new Reader(this.take(this.variable()));
    while (inner.at < inner.bytes.length) {
      const id = inner.variable();
      const width = WIDTHS[id];
      if (!width) throw network(`unknown property ${id}`);
      if (width === 'p') found.user[inner.text()] ??= inner.text();
      else found[id] = width === 's' ? inner.text() : width === 'v' ? inner.variable() : inner.number(width);
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

/** JSON where the payload is some, else its bytes. */
function payloadOf(bytes) {
  try {
    return { payload: JSON.parse(decoder.decode(bytes)) };
  } catch {
    return { bytes };
  }
}

/** One MQTT connection, subscribe only. `on` has live(sessionPresent), message(message), status(channel, error?), end(error). */
class MqttConnection {
  transport = 'websocket';
  #on;
  #settings;
  #socket;
  #alarm = new Alarm();
  #rest = new Uint8Array(0);
  #ids = 0;
  #waiting = new Map();
  #seen = now();
  #up = false;
  #syncing = false;
  asked = new Set();

  constructor(settings, on) {
    this.#on = on;
    this.#settings = settings;
    const { token, tokenIn, tokenKey } = settings;
    const url = new URL(settings.url);
    if (token && tokenIn === 'query') url.searchParams.set(tokenKey, token);
    this.#alarm.set('connect', CONNECT_MS, () => this.#end(network('the WebSocket does not answer')));
    this.#socket = new WebSocket(url, ['mqtt']);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => this.#connect();
    this.#socket.onmessage = ({ data }) => this.#read(new Uint8Array(data));
    this.#socket.onclose = () => this.#end(network(this.#up ? 'the connection was cut' : 'the WebSocket cannot be opened'));
  }

  #connect() {
    const { token, tokenIn, authorizer, clientId, cleanStart, keepAlive, sessionExpiry } = this.#settings;
    const inPassword = token && tokenIn !== 'query';
    const name = authorizer ? `?x-amz-customauthorizer-name=${encodeURIComponent(authorizer)}` : inPassword ? 'eventcast' : null;
    const flags = (name ? 0x80 : 0) | (inPassword ? 0x40 : 0) | (cleanStart ? 0x02 : 0);
    this.#send(CONNECT, [...text('MQTT'), 5, flags, ...u16(keepAlive), 5, 0x11, ...u32(sessionExpiry), ...text(clientId),
      ...(name ? text(name) : []), ...(inPassword ? text(token) : [])]);
  }

  #send(head, body) {
    if (this.#socket.readyState === 1) this.#socket.send(packet(head, body));
  }

  /** Ends it once: nothing is heard of it afterwards. */
  #end(error) {
    if (!this.#socket) return;
    this.#tearDown();
    this.#on.end(error);
  }

  #tearDown() {
    const socket = this.#socket;
    this.#socket = null;
    this.#alarm.stop();
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    for (const { reject } of this.#waiting.values()) reject(network('the connection ended'));
    this.#waiting.clear();
  }

  /** Says goodbye; the broker keeps the session unless `endSession`. */
  close(endSession) {
    if (!this.#socket) return;
    if (this.#up) this.#send(DISCONNECT, endSession ? [0, 5, 0x11, ...u32(0)] : []);
    this.#tearDown();
  }

  /** Packets come in parts, or several at once. */
  #read(bytes) {
    this.#seen = now();
    let all = bytes;
    if (this.#rest.length) {
      all = new Uint8Array(this.#rest.length + bytes.length);
      all.set(this.#rest);
      all.set(bytes, this.#rest.length);
    }
    try {
      let at = 0;
      while (this.#socket && at < all.length) {
        let [length, place, byte] = [0, 0, 0x80];
        while (byte & 0x80 && place < 4 && at + 1 + place < all.length) {
          byte = all[at + 1 + place];
          length += (byte & 0x7f) << (7 * place);
          place += 1;
        }
        if (byte & 0x80 && place === 4) throw network('a length has more than four bytes');
        if (length > MAX_PACKET_BYTES) throw network('a packet is too large');
        const begin = at + 1 + place;
        if (byte & 0x80 || begin + length > all.length) break;
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
    if (type === CONNACK) return this.#connected(body);
    if (!this.#up) throw network('the broker speaks before CONNACK');
    if (type === PUBLISH) return this.#published(head, body);
    if (type === SUBACK || type === (UNSUBSCRIBE & 0xf0) + 0x10) {
      const id = body.number(2);
      const { 0x1f: why } = body.properties();
      this.#waiting.get(id)?.resolve({ codes: [...body.bytes.subarray(body.at)], why });
      this.#waiting.delete(id);
    } else if (type === DISCONNECT) {
      const code = body.bytes.length ? body.number(1) : 0;
      const { 0x1f: why } = body.properties();
      this.#end(code < 0x80 ? network('the broker ended the connection') : refusal(code, why));
    }
    return undefined;
  }

  #connected(body) {
    const present = (body.number(1) & 1) === 1;
    const code = body.number(1);
    // A broker of 3.1.1 refuses with a small number, and without properties (its section 3.2.2.3).
    if (code > 0 && code < 0x80) return this.#end(new EventcastError('limit', `the broker does not speak MQTT 5 (CONNACK ${code})`, { code }));
    const { 0x1f: why } = body.properties();
    if (code >= 0x80) return this.#end(refusal(code, why, { atConnect: true }));
    this.#up = true;
    this.#alarm.clear('connect');
    this.#watch();
    return this.#on.live(present);
  }

  /** Pings after a quiet time, and gives up when that brings nothing: proxies may be mute without closing. */
  #watch() {
    const quiet = now() - this.#seen;
    const { heartbeat } = this.#settings;
    if (quiet < heartbeat) this.#alarm.set('quiet', heartbeat - quiet, () => this.#watch());
    else this.ping();
  }

  ping(again = false) {
    if (!this.#up) return;
    const sent = now();
    this.#send(PINGREQ);
    this.#alarm.set('quiet', ANSWER_MS, (late) => {
      if (this.#seen >= sent) this.#watch();
      // A timer that comes late was held back, and perhaps the answer too: asked again once.
      else if (late > 2000 && !again) this.ping(true);
      else this.#end(network('the connection is mute', { mute: true }));
    });
  }

  #published(head, body) {
    const topic = body.text();
    const id = head & 6 ? body.number(2) : 0;
    const { user } = body.properties();
    const get = (name) => user[name] ?? null;
    this.#on.message({
      id: get('eb-id'), topic, source: get('eb-source'), type: get('eb-detail-type'), time: get('eb-time'), route: get('eb-route'),
      retained: (head & 1) === 1, ...payloadOf(body.bytes.slice(body.at)),
    });
    // After it was handed on: a page that ends in between gets it again.
    if (id) this.#send(PUBACK, u16(id));
  }

  #request(head, rest) {
    this.#ids = (this.#ids % 0xffff) + 1;
    const id = this.#ids;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#alarm.set('suback', 2 * ANSWER_MS, () => this.#end(network('SUBSCRIBE is not answered')));
      this.#send(head, [...u16(id), 0, ...rest]);
    }).finally(() => this.#alarm.clear('suback'));
  }

  /** Subscribes to what is wanted and not asked for yet, and leaves what is no longer wanted; a packet after the other. */
  async sync() {
    if (this.#syncing || !this.#up) return;
    this.#syncing = true;
    const { wanted, held, prefix } = this.#settings;
    const filter = (channel) => text(prefix + filterOf(channel));
    try {
      for (;;) {
        const add = [...wanted.keys()].filter((channel) => !this.asked.has(channel)).slice(0, FILTERS_PER_SUBSCRIBE);
        const remove = [...held].filter((channel) => !wanted.has(channel)).slice(0, FILTERS_PER_SUBSCRIBE);
        if (!this.#socket || (add.length === 0 && remove.length === 0)) break;
        if (remove.length) {
          for (const channel of remove) held.delete(channel) && this.asked.delete(channel);
          await this.#request(UNSUBSCRIBE, remove.flatMap(filter));
        }
        if (add.length) {
          for (const channel of add) this.asked.add(channel) && held.add(channel);
          const { codes, why } = await this.#request(SUBSCRIBE, add.flatMap((channel) => [...filter(channel), 1]));
          add.forEach((channel, at) => {
            if (codes[at] < 0x80) return this.#on.status(channel);
            held.delete(channel);
            return this.#on.status(channel, refusal(codes[at] ?? 0x80, why));
          });
        }
      }
    } catch (error) {
      this.#end(asError(error));
    }
    this.#syncing = false;
  }
}

// The gateway's connection ----------------------------------------------------------------------------------------------------------

/** Polls of the gateway, or a stream of it. `on` as for MQTT, with place(session, cursor) and token(refused) besides. */
class GatewayConnection {
  #on;
  #settings;
  #alarm = new Alarm();
  #calls = new Set();
  #count = 0;
  #closed = false;
  #patching = false;
  #up = false;
  #unconfirmed = 0;
  asked = new Set();

  constructor(settings, on) {
    this.#on = on;
    this.#settings = settings;
    this.transport = settings.stream ? 'stream' : 'poll';
    this.token = settings.token;
    ({ session: this.session, cursor: this.cursor } = settings.place ?? {});
    this.#run();
  }

  get #headers() {
    return { 'content-type': 'application/json', ...(this.token ? { authorization: `Bearer ${this.token}` } : {}) };
  }

  /** One call. What takes longer than `ms` without an end is mute; so is a stream without a byte for that long. */
  async #call(method, path, body, ms, read = (answer) => answer.text()) {
    const controller = new AbortController();
    const name = `call ${(this.#count += 1)}`;
    const rearm = () => this.#alarm.set(name, ms, () => controller.abort(network('the gateway is mute', { mute: true })));
    this.#calls.add(controller);
    rearm();
    try {
      const answer = await fetch(`${this.#settings.gateway}/${path}`, {
        method, headers: this.#headers, body: JSON.stringify(body), cache: 'no-store', signal: controller.signal,
      });
      if (answer.ok) return await read(answer, rearm);
      return this.#refused(answer.status, answer.headers.get('retry-after'), await answer.text());
    } catch (error) {
      throw controller.signal.aborted && controller.signal.reason instanceof EventcastError ? controller.signal.reason : asError(error);
    } finally {
      this.#alarm.clear(name);
      this.#calls.delete(controller);
    }
  }

  #refused(status, retryAfter, body) {
    let said = {};
    try {
      said = JSON.parse(body);
    } catch {
      // A proxy's own page.
    }
    const reason = status === 401 || status === 403 ? 'authorization' : status === 429 ? 'quota' : status >= 500 || status === 408 || status === 409 || status === 410 ? 'network' : 'limit';
    const seconds = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) : retryAfter ? (Date.parse(retryAfter) - Date.now()) / 1000 : NaN;
    throw new EventcastError(reason, said.message ?? `the gateway answers ${status}`, { status, resync: said.resync === true,
      ...(seconds >= 0 ? { retryAfterMs: Math.min(seconds, 3600) * 1000 } : {}) });
  }

  async #run() {
    await null;
    try {
      for (let renewed = 0; !this.#closed;) {
        try {
          if (!this.session) await this.#open();
          this.sync();
          for (let first = true; !this.#closed; first = false) {
            await (this.transport === 'stream' ? this.#stream() : this.#poll(first));
            renewed = 0;
          }
        } catch (error) {
          if (this.#closed || (renewed += 1) > 1) throw error;
          if (error.status === 401) this.token = await this.#on.token(this.token);
          else if ((error.status === 403 || error.status === 410) && this.session) {
            this.session = undefined;
            if (error.status === 410) this.#on.gap('session');
          } else throw error;
        }
      }
    } catch (error) {
      if (this.#closed) return;
      this.#tearDown();
      this.#on.end(asError(error));
    }
  }

  async #open() {
    const { wanted, clientId } = this.#settings;
    const channels = [...wanted.keys()].map(named);
    this.asked = new Set(wanted.keys());
    const said = JSON.parse(await this.#call('POST', 'session', { channels, client_id: clientId }, CONNECT_MS + ANSWER_MS));
    this.#move(said);
    this.#announce(said.resumed);
    this.#tell(said, this.asked);
  }

  /** Says that it is up: after the session was opened, or after the first answer to one that there was. */
  #announce(resumed) {
    if (this.#up) return;
    this.#up = true;
    this.#on.live(resumed);
  }

  #move({ session = this.session, cursor = this.cursor, advice }) {
    Object.assign(this, { session, cursor, advice: advice ?? this.advice });
    this.#on.place({ session, cursor });
  }

  #tell({ granted = [], denied = [] }, asked) {
    for (const channel of asked) {
      const no = denied.find((one) => one.channel === named(channel));
      if (no) this.#on.status(channel, new EventcastError(no.reason, no.message ?? `the gateway denies it: ${no.reason}`));
      else if (granted.includes(named(channel))) this.#on.status(channel);
    }
  }

  #message({ payload, base64, ...rest }) {
    const data = base64 === undefined ? { payload } : { bytes: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)) };
    this.#on.message({ source: null, route: null, retained: false, ...rest, ...data });
  }

  /** What a poll returned is confirmed by the cursor of the next one. */
  async #poll(first) {
    const { min_interval_ms: pause = 0, timeout_s: advised = 25 } = this.advice ?? {};
    const seconds = first ? 0 : advised;
    const said = JSON.parse(await this.#call('POST', `poll?n=${(this.#count += 1)}`, { session: this.session, cursor: this.cursor, timeout_s: seconds, max: 100 },
      seconds * 1000 + ANSWER_MS));
    if (this.#closed) return;
    this.#announce(true);
    said.messages.forEach((message) => this.#message(message));
    this.#move(said);
    if (pause) await this.#alarm.wait('pause', pause);
  }

  /** Server-sent events (WHATWG HTML, 9.2) read by fetch; two heartbeats without a byte are a failure. */
  async #stream() {
    await this.#call('POST', 'stream', { session: this.session, cursor: this.cursor }, 2 * 15000 + 3000, async (answer, rearm) => {
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
            this.#event(event);
            event = {};
          }
        }
      }
    });
  }

  #event({ event = 'message', id, data }) {
    if (data === undefined || this.#closed) return;
    const said = JSON.parse(data);
    if (event === 'error') throw network(said.message ?? said.error, { status: said.resync ? 410 : 503 });
    if (event !== 'message') return;
    this.#message(said);
    this.#move({ cursor: id });
    this.#unconfirmed += 1;
    if (this.#unconfirmed < 20) this.#alarm.set('ack', 500, () => this.#acknowledge());
    else this.#acknowledge();
  }

  #acknowledge() {
    this.#unconfirmed = 0;
    this.#alarm.clear('ack');
    // One that fails is made good by the next, or by the next stream's cursor.
    this.#call('POST', 'ack', { session: this.session, cursor: this.cursor }, ANSWER_MS).catch(() => {});
  }

  async sync() {
    if (this.#patching || !this.session) return;
    const { wanted } = this.#settings;
    this.#patching = true;
    try {
      for (;;) {
        const add = [...wanted.keys()].filter((channel) => !this.asked.has(channel));
        const remove = [...this.asked].filter((channel) => !wanted.has(channel));
        if (this.#closed || !this.session || (add.length === 0 && remove.length === 0)) break;
        for (const channel of add) this.asked.add(channel);
        for (const channel of remove) this.asked.delete(channel);
        const said = JSON.parse(await this.#call('PATCH', 'session', { session: this.session, add: add.map(named), remove: remove.map(named) }, CONNECT_MS + ANSWER_MS));
        this.#move({ session: said.session });
        this.#tell(said, add);
      }
    } catch (error) {
      // The polls find out about the session themselves.
      if (!this.#closed && !error.status) {
        this.#tearDown();
        this.#on.end(error);
      }
    }
    this.#patching = false;
  }

  ping() {}

  #tearDown() {
    this.#closed = true;
    this.#alarm.stop();
    for (const call of this.#calls) call.abort();
  }

  close(endSession) {
    if (this.#closed) return;
    this.#tearDown();
    if (endSession && this.session) {
      fetch(`${this.#settings.gateway}/session`, { method: 'DELETE', headers: this.#headers, body: JSON.stringify({ session: this.session }), keepalive: true }).catch(() => {});
    }
  }
}

/** A channel as the gateway is given it. */
const named = (channel) => (channel.endsWith(':*') ? filterOf(channel) : channel);

// The engine ------------------------------------------------------------------------------------------------------------------------

/** Keeps a connection: WebSocket first, the gateway after two failures, and WebSocket again later. `on` is given plain objects. */
class Engine {
  state = 'connecting';
  transport = null;
  wanted = new Map();
  #settings;
  #say;
  #known;
  #alarm = new Alarm();
  #held = new Set();
  #connection = null;
  #next = null;
  #turn = 0;
  #stopped = false;
  #token;
  #refused = null;
  #refusals = 0;
  #failures = 0;
  #socketFailures = 0;
  #gatewayFailures = 0;
  #socketDue = 0;
  #streamMute = false;
  #connectedAt = -Infinity;

  /** `known` is what another engine left: clientId, place (session and cursor of the gateway), lived (channels). */
  constructor(settings, known, say) {
    Object.assign(this, { transport: null });
    this.#settings = settings;
    this.#known = known;
    this.#say = say;
    if (known.lived.length) this.state = 'stale';
    globalThis.addEventListener?.('online', this.#online);
    globalThis.document?.addEventListener('visibilitychange', this.#visible);
    this.#attempt();
  }

  #online = () => {
    this.#socketDue = 0;
    this.kick();
  };

  #visible = () => {
    if (!hidden()) this.kick();
  };

  /** Tries at once what waits; asks a connection whether it still answers. */
  kick(anew = false) {
    if (this.#stopped) return;
    if (anew) Object.assign(this, { state: this.#known.lived.length ? 'stale' : 'connecting' });
    if (anew) [this.#refused, this.#refusals] = [null, 0];
    this.#connection?.ping();
    if (this.#connection) this.#plan();
    else if (!this.#next && (anew || this.state !== 'refused')) this.#attempt();
  }

  /** The channels that are wanted from now on; those in `again` are subscribed to once more, for their retained messages. */
  want(channels, again = []) {
    for (const channel of this.wanted.keys()) if (!channels.has(channel)) this.wanted.delete(channel);
    for (const channel of channels) if (!this.wanted.has(channel)) this.wanted.set(channel, { state: 'pending', gap: null });
    for (const one of [this.#connection, this.#next]) {
      for (const channel of again) one?.asked.delete(channel);
      one?.sync();
    }
  }

  stop(endSession) {
    this.#stopped = true;
    this.#turn += 1;
    this.#alarm.stop();
    globalThis.removeEventListener?.('online', this.#online);
    globalThis.document?.removeEventListener('visibilitychange', this.#visible);
    this.#next?.close(false);
    this.#connection?.close(endSession);
  }

  #enter(state, transport = null, error) {
    if (state === this.state && transport === this.transport && !error) return;
    Object.assign(this, { state, transport });
    this.#say({ kind: 'state', state, transport, error: plain(error) });
  }

  /** Opens a connection, with a fresh token; beside one that lives it takes that one's place once it is up. */
  async #attempt() {
    const turn = (this.#turn += 1);
    this.#alarm.clear('attempt');
    let token = null;
    try {
      token = (await this.#settings.token?.()) ?? null;
      if (this.#settings.token && !token) throw new EventcastError('authorization', 'token() gives no token');
    } catch (error) {
      if (turn === this.#turn) this.#failed(error instanceof EventcastError ? error : network(`token() fails: ${error?.message ?? error}`));
      return;
    }
    if (turn !== this.#turn) return;
    if (token && token === this.#refused?.token) {
      this.#refuse(this.#refused.error);
      return;
    }
    this.#token = token;
    this.#open(token);
  }

  #open(token) {
    const { url, gateway, transport, heartbeat, prefix, ...rest } = this.#settings;
    const socket = this.#socketNext() || this.#connection !== null;
    const clientId = (this.#known.clientId ??= this.#settings.name(claimsOf(token ?? '')));
    if (socket) this.#gatewayFailures = 0;
    this.#connectedAt = now();
    let connection;
    const on = {
      live: (continuous) => this.#live(connection, continuous),
      message: (message) => this.#say({ kind: 'message', message }),
      status: (channel, error) => this.#status(channel, error),
      gap: (reason) => this.#gap(reason),
      place: (place) => this.#keep({ place }),
      token: (refused) => this.#anotherToken(refused),
      end: (error) => this.#ended(connection, error),
    };
    try {
      connection = socket
        ? new MqttConnection({ ...rest, url, token, clientId, heartbeat, prefix, wanted: this.wanted, held: this.#held }, on)
        : new GatewayConnection({ gateway, token, clientId, stream: transport === 'stream' && !this.#streamMute, place: this.#known.place, wanted: this.wanted }, on);
    } catch (error) {
      this.#failed(new EventcastError('limit', String(error.message)));
      return;
    }
    this.#next = connection;
  }

  #socketNext() {
    const { url, gateway } = this.#settings;
    return !gateway || (!!url && (this.#socketFailures < 2 || now() >= this.#socketDue || this.#gatewayFailures >= 2));
  }

  /** A token that a call was not refused with. */
  async #anotherToken(refused) {
    const token = await this.#settings.token?.();
    if (!token || token === refused) throw new EventcastError('authorization', 'the gateway does not accept the token');
    this.#token = token;
    return token;
  }

  #keep(more) {
    Object.assign(this.#known, more);
    this.#say({ kind: 'known', known: this.#known });
  }

  #live(connection, continuous) {
    if (connection !== this.#next) return;
    const old = this.#connection;
    [this.#connection, this.#next] = [connection, null];
    const socket = connection.transport === 'websocket';
    if (socket) this.#keep({ place: null });
    // The broker has handed the session over with the client id; what the old connection left unconfirmed comes again here.
    old?.close(false);
    if (!continuous) this.#gap('session');
    [this.#refused, this.#refusals] = [null, 0];
    this.#alarm.set('stable', STABLE_MS, () => {
      this.#failures = this.#gatewayFailures = 0;
      if (socket) this.#socketFailures = 0;
    });
    this.#enter(socket ? 'live' : 'polling', connection.transport);
    this.#plan();
    connection.sync();
  }

  /** When the next connection takes over: WebSocket from polls, or a new one before 24 h or the token's end. */
  #plan() {
    const { url, retryWebSocket } = this.#settings;
    const probe = () => {
      if (!this.#next && this.#connection) this.#attempt();
    };
    if (this.#connection.transport === 'websocket') {
      const { exp } = claimsOf(this.#token ?? '');
      const left = (exp ? exp * 1000 - Date.now() - 30000 : Infinity) * (1 - Math.random() / 20);
      this.#alarm.set('renew', Math.max(60000, Math.min(left, MAX_LIFE_MS * (1 - Math.random() / 20))), probe);
    } else if (url) {
      if (this.#socketDue > now() + retryWebSocket) this.#socketDue = 0;
      this.#alarm.set('renew', Math.max(0, this.#socketDue - now()), probe);
    }
  }

  #gap(reason) {
    for (const channel of this.#known.lived) {
      const entry = this.wanted.get(channel);
      if (entry) entry.gap = reason;
    }
  }

  #status(channel, error) {
    const entry = this.wanted.get(channel);
    if (!entry) return;
    Object.assign(entry, { state: error ? 'refused' : 'live', error: plain(error) });
    if (!error && !this.#known.lived.includes(channel)) this.#keep({ lived: [...this.#known.lived, channel] });
    this.#say({ kind: 'status', channel, ...entry });
    // Said once the subscription holds, so that a snapshot loaded from here on misses nothing.
    if (!error && entry.gap) this.#say({ kind: 'resync', channel, reason: entry.gap });
    if (!error) entry.gap = null;
  }

  #ended(connection, error) {
    const probed = connection === this.#next;
    if (!probed && connection !== this.#connection) return;
    if (probed) this.#next = null;
    else this.#connection = null;
    // The other one takes over (then its end was to be expected), or goes on.
    if (this.#next) return;
    if (this.#connection) {
      this.#count(connection.transport, error);
      this.#say({ kind: 'failure', error: plain(error) });
      this.#plan();
      return;
    }
    this.#failed(error, connection.transport);
  }

  #count(transport, error) {
    const { retryWebSocket } = this.#settings;
    if (transport === 'websocket') {
      this.#socketFailures += error.mute ? 2 : 1;
      this.#socketDue = now() + retryWebSocket * (0.9 + Math.random() / 5);
    } else if (transport) {
      this.#gatewayFailures += 1;
      if (transport === 'stream' && error.mute) this.#streamMute = true;
      if (error.status) this.#known.place = error.status === 409 || error.status === 410 ? null : this.#known.place;
    }
  }

  #failed(error, transport) {
    this.#say({ kind: 'failure', error: plain(error) });
    this.#alarm.clear('renew');
    this.#alarm.clear('stable');
    if (error.reason === 'authorization') {
      this.#refusals += 1;
      this.#refused = { token: this.#token, error };
      if (this.#refusals > 1 || !this.#settings.token) return this.#refuse(error);
    } else if (error.reason === 'limit' && (error.atConnect || !transport)) return this.#refuse(error);
    const before = this.#socketNext();
    this.#count(transport, error);
    this.#failures += 1;
    const { backoff: [first, cap] } = this.#settings;
    // The first attempt by the other transport does not pay for the failures of this one.
    const row = before === this.#socketNext() ? this.#failures - 1 : 0;
    let delay = Math.random() * Math.min(hidden() ? Math.max(cap, BACKOFF_HIDDEN_MS) : cap, first * 2 ** Math.min(row, 20));
    if (error.retryAfterMs !== undefined) delay += error.retryAfterMs;
    else this.#enter(this.#known.lived.length ? 'stale' : 'connecting');
    delay = Math.max(delay, this.#connectedAt + (error.code === 0x8e ? TAKEN_OVER_MS : CONNECT_INTERVAL_MS) - now());
    if (this.#failures >= 3) {
      for (const [channel, entry] of this.wanted) {
        if (entry.state === 'pending') this.#say({ kind: 'status', channel, state: 'pending', error: plain(error) });
      }
    }
    this.#alarm.set('attempt', delay, () => this.#attempt());
    return undefined;
  }

  /** Nothing is tried again before `reconnect()`. */
  #refuse(error) {
    for (const [channel, entry] of this.wanted) {
      Object.assign(entry, { state: 'refused', error: plain(error) });
      this.#say({ kind: 'status', channel, ...entry });
    }
    this.#enter('refused', null, error);
  }
}

/** An error as it can be sent to other tabs, and back. */
const plain = (error) => error && { reason: error.reason, message: error.message, code: error.code, status: error.status };
const revived = (error, more) => error && new EventcastError(error.reason, error.message, { ...error, ...more });

// Subscriptions ---------------------------------------------------------------------------------------------------------------------

/** A subscription of this page to a channel. */
class Subscription {
  state = 'pending';
  error = null;
  position = { id: null, time: null };
  established;
  #settle;
  #client;
  #handler;
  #snapshot;
  #seen = new Set();
  #buffer = null;
  #again = null;
  #alarm = new Alarm();

  constructor(channel, handler, client) {
    const { message, snapshot } = typeof handler === 'function' ? { message: handler } : handler;
    Object.assign(this, { channel, filter: client.prefix + filterOf(channel) });
    [this.#handler, this.#snapshot, this.#client] = [message, snapshot, client];
    if (snapshot) this.#buffer = [];
    this.established = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Who does not ask is not bothered with an unhandled rejection.
    this.established.catch(() => {});
  }

  unsubscribe() {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#alarm.stop();
    this.#settle.reject(new EventcastError('closed', 'the subscription was ended', { channel: this.channel }));
    this.#client.leave(this);
  }

  /** Takes what the engine says of the channel. */
  take(state, error) {
    if (this.state === 'closed' || (state === 'live' && this.state === 'live')) return;
    const began = state === 'live' && this.#buffer && this.state !== 'live' && !this.#again;
    this.state = state;
    this.error = revived(error, { channel: this.channel }) ?? null;
    if (this.error) this.#settle.reject(this.error);
    else if (state === 'live') this.#settle.resolve(this);
    if (began) this.load('start');
  }

  deliver(message) {
    if (this.state === 'closed' || !matches(this.filter, message.topic)) return;
    if (message.id !== null) {
      // The same event may come to a topic by two routes, with two payloads.
      const key = `${message.topic}\n${message.id}\n${message.route ?? ''}`;
      if (this.#seen.has(key)) return;
      this.#seen.add(key);
      if (this.#seen.size > REMEMBERED_IDS) this.#seen.delete(this.#seen.values().next().value);
    }
    if (!this.#buffer) this.#give(message);
    else if (this.#buffer.push(message) > MAX_BUFFERED) {
      this.#buffer.shift();
      this.#again ??= 'overflow';
    }
  }

  #give(message) {
    if (this.state === 'closed') return;
    this.position = { id: message.id, time: message.time };
    try {
      this.#handler?.({ ...message, channel: this.channel });
    } catch (error) {
      report(error);
    }
  }

  /** Has the application load its state, while messages wait; gives those that the state does not have. */
  async load(reason) {
    if (!this.#snapshot) return;
    if (this.#again !== null) {
      this.#again = reason;
      return;
    }
    this.#buffer ??= [];
    let has;
    for (let failures = 0, why = reason; why; why = this.#again || null) {
      this.#again = '';
      try {
        // A subscription may begin a moment after its SUBACK (AWS IoT developer guide, "MQTT").
        await this.#alarm.wait('settle', failures ? backoff(failures) : this.#client.settle);
        has = await this.#snapshot({ channel: this.channel, position: this.position, reason: why });
      } catch (error) {
        report(error);
        failures += 1;
        this.#again ||= why;
      }
    }
    this.#again = null;
    const waiting = this.#buffer;
    this.#buffer = null;
    for (const message of waiting) if (!(typeof has === 'function' && has(message))) this.#give(message);
  }
}

// The client ------------------------------------------------------------------------------------------------------------------------

/** A client of this page; the pages of a browser that are the same user's share one connection. */
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
  // Other tabs: their room, this tab's name in it, who is in it (as its leader), how to leave.
  #room = null;
  #tab = random(8);
  #members = new Map();
  #leave = new AbortController();
  #releases = [];
  #heard = now();
  #name;

  constructor(options) {
    super();
    const { url, gateway, environment, settleMs = 250 } = options;
    if (!url && !gateway) throw new TypeError('connect() needs `url` (wss://…/mqtt), `gateway` (https://…/rt/v1), or both');
    this.#options = { ...options, gateway: gateway?.replace(/\/$/, '') };
    Object.assign(this, { prefix: environment ? `${environment}/` : '', settle: settleMs });
    this.#start();
  }

  /** Copies of the subscriptions there are: channel, state, error. */
  get subscriptions() {
    return [...this.#subscriptions].map(({ channel, state, error }) => ({ channel, state, error }));
  }

  /** Subscribes to a channel. `handler` is a function for messages, or { message, snapshot }. */
  subscribe(channel, handler = {}) {
    const subscription = new Subscription(channel, handler, this);
    if (this.#closed) {
      subscription.take('refused', { reason: 'closed', message: 'the client is closed' });
      return subscription;
    }
    const again = [...this.#subscriptions].some((one) => one.channel === channel);
    this.#subscriptions.add(subscription);
    this.#want([channel], again);
    return subscription;
  }

  /** Tries again at once, after a refusal too. */
  reconnect() {
    if (this.#engine) this.#engine.kick(true);
    else this.#room?.postMessage({ kind: 'kick' });
  }

  /** Ends it for good. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) subscription.unsubscribe();
    this.#engine?.stop(this.#members.size === 0);
    this.#room?.postMessage({ kind: 'bye', tab: this.#tab });
    this.#room?.close();
    this.#alarm.stop();
    this.#leave.abort();
    for (const release of this.#releases) release();
    this.#emit('state', { state: (this.state = 'closed'), transport: (this.transport = null) });
  }

  leave(subscription) {
    this.#subscriptions.delete(subscription);
    if (!this.#closed) this.#want([], false);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  get #channels() {
    return [...new Set([...this.#subscriptions].map(({ channel }) => channel))];
  }

  #want(fresh, again) {
    if (this.#engine) this.#engine.want(this.#union(), again ? fresh : []);
    else this.#room?.postMessage({ kind: 'want', tab: this.#tab, channels: this.#channels, fresh });
  }

  #union() {
    return new Set([this.#channels, ...this.#members.values()].flat());
  }

  async #start() {
    const { share = true, url, gateway, environment, token } = this.#options;
    let first = null;
    if (share && globalThis.navigator?.locks && globalThis.BroadcastChannel) {
      for (let failures = 0; token && !first && !this.#closed; failures += 1) {
        if (failures) await this.#alarm.wait('token', backoff(failures));
        try {
          first = { token: await token(), at: now() };
        } catch (error) {
          this.#hear({ kind: 'failure', error: plain(network(`token() fails: ${error?.message ?? error}`)) });
        }
      }
      const { sub } = claimsOf(first?.token ?? '');
      // Users are kept apart; without a name for the user there is nothing to share by.
      if (!token || sub || typeof share === 'string') this.#name = `eventcast ${JSON.stringify([url, gateway, environment, sub, share])}`;
    }
    if (this.#closed) return;
    if (!this.#name) this.#lead(first);
    else await this.#join(first);
  }

  /** Holds a lock until the tab ends, or `close`. */
  #hold(name, options, held) {
    return navigator.locks.request(name, options, () => {
      const end = new Promise((release) => this.#releases.push(release));
      held();
      return end;
    });
  }

  async #join(first) {
    const { signal } = this.#leave;
    this.#room = new BroadcastChannel(this.#name);
    this.#room.onmessage = ({ data }) => {
      this.#heard = now();
      if (!this.#closed) this.#hear(data, true);
    };
    // Its end says that this tab has gone.
    await new Promise((held) => this.#hold(`${this.#name} ${this.#tab}`, { signal }, held).catch(() => {}));
    if (!this.#closed) this.#elect({ signal }, first);
  }

  #elect(options, first) {
    this.#follow();
    this.#hold(this.#name, options, () => {
      if (this.#closed) return;
      this.#alarm.clear('leader');
      this.#lead(first);
      this.#room.postMessage({ kind: 'who' });
    }).catch(() => {
      if (this.#closed || !this.#engine) return;
      // Another tab took over from this one, which had not answered.
      this.#engine.stop(false);
      [this.#engine, this.leader] = [null, false];
      this.#members.clear();
      this.#elect({ signal: this.#leave.signal }, null);
    });
  }

  #follow() {
    this.#want(this.#channels, true);
    const ask = () => {
      const heard = this.#heard;
      if (hidden() || now() - heard < 15000) return this.#alarm.set('leader', 15000, ask);
      this.#room.postMessage({ kind: 'ask' });
      return this.#alarm.set('leader', 10000, (late) => {
        if (this.#heard !== heard || late > 2000) return ask();
        // A frozen tab still holds the lock.
        const waiting = this.#leave;
        this.#leave = new AbortController();
        waiting.abort();
        return this.#elect({ steal: true }, null);
      });
    };
    ask();
  }

  #lead(first) {
    const { token, clientId, webSocketRetryMs = 300000, heartbeatMs = 30000, keepAliveSeconds = 120, sessionExpirySeconds = 300, backoffMs = BACKOFF_MS,
      tokenIn = 'password', tokenKey = 'token', transport = 'poll', url, gateway, authorizer } = this.#options;
    let unused = first;
    const fresh = token && (async () => {
      const early = unused;
      unused = null;
      return early && now() - early.at < 5000 ? early.token : token();
    });
    const name = (claims) => (typeof clientId === 'function' ? clientId(claims) : clientId) ?? `${claims.sub ?? 'eventcast'}-${random(12)}`;
    this.leader = true;
    this.#engine = new Engine({
      url, gateway, transport, authorizer, tokenIn, tokenKey, prefix: this.prefix, token: fresh, name, retryWebSocket: webSocketRetryMs, heartbeat: heartbeatMs,
      keepAlive: keepAliveSeconds, sessionExpiry: sessionExpirySeconds, backoff: backoffMs, cleanStart: false,
    }, this.#known, (event) => {
      this.#room?.postMessage(event);
      this.#hear(event);
    });
    this.#engine.want(this.#union());
  }

  /** What a leader knows, for tabs that have just come. */
  #tell() {
    const { state, transport, wanted } = this.#engine;
    this.#room.postMessage({ kind: 'all', state, transport, statuses: [...wanted], known: this.#known });
  }

  /** Takes an event of the engine, here or in the leader's tab, or a word of another tab. */
  #hear(event, distant = false) {
    const { kind, channel, state, transport } = event;
    const of = (name) => [...this.#subscriptions].filter((one) => one.channel === name);
    const error = revived(event.error);
    if (kind === 'message') {
      for (const subscription of this.#subscriptions) subscription.deliver(event.message);
      this.#emit('message', event.message);
    } else if (kind === 'state' || kind === 'all') {
      if (kind === 'all') {
        if (this.#engine) return;
        this.#known = event.known;
        for (const [name, entry] of event.statuses) for (const one of of(name)) if (entry.state !== 'pending') one.take(entry.state, entry.error);
      }
      if (state !== this.state || transport !== this.transport) {
        const previous = this.state;
        Object.assign(this, { state, transport });
        this.#emit('state', { state, previous, transport });
      }
      if (state === 'refused' && error) this.#emit('refused', error);
    } else if (kind === 'status') {
      for (const one of of(channel)) one.take(state, event.error);
    } else if (kind === 'resync') {
      const ours = of(channel);
      for (const one of ours) one.load(event.reason);
      if (ours.length) this.#emit('resync', { channel, reason: event.reason });
    } else if (kind === 'failure') {
      this.#emit('failure', error);
    } else if (kind === 'known') {
      if (distant) this.#known = event.known;
    } else if (kind === 'who' && !this.#engine) {
      this.#want([], false);
    } else if (this.#engine && distant) {
      this.#host(event);
    }
  }

  /** Answers other tabs, as their leader. */
  #host({ kind, tab, channels, fresh }) {
    if (kind === 'kick') this.#engine.kick(true);
    if (kind === 'want') {
      if (!this.#members.has(tab)) {
        navigator.locks.request(`${this.#name} ${tab}`, { signal: this.#leave.signal }, () => this.#host({ kind: 'bye', tab })).catch(() => {});
      }
      this.#members.set(tab, channels);
      this.#engine.want(this.#union(), fresh.filter((channel) => this.#engine.wanted.has(channel)));
    }
    if (kind === 'bye' && this.#members.delete(tab)) this.#engine?.want(this.#union());
    if (kind === 'want' || kind === 'ask') this.#tell();
  }
}

/** Connects; see eventcast.d.ts for the options. */
export function connect(options) {
  return new Client(options);
}
