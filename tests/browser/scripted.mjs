// The surroundings of the module in its tests in Node.js: a clock that runs faster, a broker behind a
// fake WebSocket, a gateway whose answers are written down beforehand.

import http from 'node:http';
import test from 'node:test';

/** How much faster time goes for the module. */
export const WARP = 20;

const real = { setTimeout: globalThis.setTimeout, now: performance.now.bind(performance) };
globalThis.setTimeout = (run, ms, ...more) => real.setTimeout(run, (ms ?? 0) / WARP, ...more);
performance.now = () => real.now() * WARP;

/** The page's window and document, as far as the module listens to them. */
export const view = new EventTarget();
globalThis.addEventListener = view.addEventListener.bind(view);
globalThis.document = Object.assign(new EventTarget(), { hidden: false });
export function show(hidden) {
  document.hidden = hidden;
  document.dispatchEvent(new Event('visibilitychange'));
}

export const pause = (ms) => new Promise((done) => real.setTimeout(done, ms));

/** Waits for something to hold. */
export async function until(what, holds) {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (await holds()) return;
    await pause(5);
  }
  throw new Error(`never: ${what}`);
}

export const token = (claims, signature = 'AAAA') => `eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;

export const URL = 'ws://broker.example/mqtt';
export const USER = token({ sub: 'u1' });

// The clock above has to be there before the module.
export const { connect } = await import('../../browser/eventcast.js');
const clients = [];
const servers = [];

/** A client that is closed after its test, with what it says. */
export function client(options) {
  const self = connect({ share: false, token: () => USER, settleMs: 0, ...options });
  Object.assign(self, { states: [], resyncs: [], failures: [], refusals: [] });
  self.addEventListener('state', ({ detail }) => self.states.push(detail.state));
  self.addEventListener('resync', ({ detail }) => self.resyncs.push(detail));
  self.addEventListener('failure', ({ detail }) => self.failures.push(detail));
  self.addEventListener('refused', ({ detail }) => self.refusals.push(detail));
  clients.push(self);
  return self;
}

export const reasonOf = (subscription) => subscription.established.then(() => 'granted', ({ reason }) => reason);

test.beforeEach(() => Object.assign(broker, { sockets: [], script: {} }));
test.afterEach(() => {
  for (const one of clients.splice(0)) one.close();
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

// The broker ------------------------------------------------------------------------------------------------------------------------

const text = (value) => [value.length >> 8, value.length & 0xff, ...Buffer.from(value)];

export function packet(head, body) {
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
  return Uint8Array.from([head, ...length, ...body]);
}

export function publication(topic, payload, { id = 'e1', packetId = 7, properties = [['eb-id', id]] } = {}) {
  const user = properties.flatMap(([name, value]) => [0x26, ...text(name), ...text(value)]);
  return packet(0x32, [...text(topic), packetId >> 8, packetId & 0xff, user.length, ...user, ...Buffer.from(payload)]);
}

/** WebSockets that the module opens; `broker.script` says what one does. */
export const broker = { sockets: [], script: null };

class FakeSocket {
  readyState = 0;
  packets = [];

  constructor(url, protocols) {
    Object.assign(this, { url: String(url), protocols, script: { present: false, connack: 0, codes: () => 1, ping: true, ...broker.script } });
    broker.sockets.push(this);
    queueMicrotask(() => {
      if (this.script.down) return this.onclose?.({});
      this.readyState = 1;
      return this.onopen?.();
    });
  }

  /** Bytes from the broker. */
  give(bytes) {
    queueMicrotask(() => this.onmessage?.({ data: Uint8Array.from(bytes).buffer }));
  }

  send(bytes) {
    this.packets.push([...bytes]);
    const { present, connack, reason, codes, ping } = this.script;
    const why = reason ? [0x1f, ...text(reason)] : [];
    const body = bytes.subarray(bytes[1] < 128 ? 2 : 3);
    if (bytes[0] === 0x10 && connack !== null) this.give(packet(0x20, [present ? 1 : 0, connack, why.length, ...why]));
    if (bytes[0] === 0x82) {
      const filters = [];
      for (let at = 3; at < body.length; ) {
        const length = (body[at] << 8) | body[at + 1];
        filters.push(Buffer.from(body.subarray(at + 2, at + 2 + length)).toString());
        at += length + 3;
      }
      (this.subscribes ??= []).push(filters);
      this.give(packet(0x90, [body[0], body[1], 0, ...filters.map(codes)]));
    }
    if (bytes[0] === 0xa2) this.give(packet(0xb0, [body[0], body[1], 0, 0]));
    if (bytes[0] === 0xc0 && ping) this.give(packet(0xd0, []));
  }

  /** The connection is cut. */
  cut() {
    this.readyState = 3;
    this.onclose?.({});
  }

  close() {
    this.readyState = 3;
    this.closed = true;
  }
}
globalThis.WebSocket = FakeSocket;

// The gateway -----------------------------------------------------------------------------------------------------------------------

export const SESSION = { session: 's1', cursor: 'c0', granted: ['order:1'], denied: [], advice: { timeout_s: 25, min_interval_ms: 0, expires_in_s: 300 }, resumed: false };
export const message = (n, more) => ({ id: `e${n}`, channel: 'order:1', topic: 'order/1', source: 'shop', type: 'T', time: null, route: 'r', payload: { n }, retained: false, ...more });

/**
 * A gateway. `answer(call)` gives [status, body, headers], or null to leave the call waiting, or 'cut'; a call is { method, path, body,
 * token, number }, the number counting calls of its method and path.
 */
export async function gateway(answer) {
  const self = { calls: [] };
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', async () => {
      const path = request.url.replace('/rt/v1/', '').replace(/\?.*/, '');
      const same = self.calls.filter((one) => one.method === request.method && one.path === path);
      const call = { method: request.method, path, url: request.url, body: body && JSON.parse(body), token: request.headers.authorization, number: same.length + 1, response };
      self.calls.push(call);
      const said = await answer(call);
      if (said === 'cut') response.destroy();
      else if (said) response.writeHead(said[0], { 'content-type': 'application/json', ...said[2] }).end(said[1] && JSON.stringify(said[1]));
    });
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  servers.push(server);
  return Object.assign(self, { url: `http://127.0.0.1:${server.address().port}/rt/v1`, of: (path) => self.calls.filter((call) => call.path === path) });
}
