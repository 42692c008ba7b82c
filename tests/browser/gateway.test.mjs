// The browser module's polls and streams, before a scripted gateway, and its changes between the transports.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SESSION, URL, USER, broker, client, gateway, message, pause, publication, reasonOf, show, token, until, view } from './scripted.mjs';

/** A gateway with one session; `polls` answers polls by number. */
const simple = (polls) => gateway((call) => {
  if (call.method === 'DELETE') return [204];
  if (call.path === 'session') return [201, SESSION];
  return polls(call);
});

test('polls confirm what came by the next cursor', async () => {
  const host = await simple(({ number }) => (number <= 3 ? [200, { messages: [message(number)], cursor: `c${number}`, more: false }] : null));
  const self = client({ gateway: host.url });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload.n)).established;
  await until('four polls', () => host.of('poll').length === 4);
  assert.deepEqual([got, self.state, self.transport], [[1, 2, 3], 'polling', 'poll']);
  assert.deepEqual(host.of('poll').map(({ body }) => [body.session, body.cursor, body.timeout_s]), [['s1', 'c0', 0], ['s1', 'c1', 25], ['s1', 'c2', 25], ['s1', 'c3', 25]]);
  assert.equal(new Set(host.of('poll').map(({ url }) => url)).size, 4, 'each has an address of its own');
  assert.ok(host.calls.every(({ url, token: bearer }) => bearer === `Bearer ${USER}` && !url.includes(USER)));
  assert.match(host.of('session')[0].body.client_id, /^u1-[0-9a-z]{16,}$/);
});

test('a lost answer is asked for again, and nothing doubles', async () => {
  const host = await simple(({ number, response, body }) => {
    if (number === 2) {
      // The answer breaks off.
      response.writeHead(200, { 'content-length': '1000' }).write('{"messages":[');
      setTimeout(() => response.destroy(), 20);
      return null;
    }
    if (number > 4) return null;
    return [200, { messages: number === 4 ? [message(2), message(3)] : [message(1), message(2)].slice(0, number), cursor: `${body.cursor}+`, more: false }];
  });
  const self = client({ gateway: host.url });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload.n)).established;
  await until('all came', () => got.length === 3);
  const cursors = host.of('poll').map(({ body }) => body.cursor);
  assert.equal(cursors[1], cursors[2], 'the same cursor again');
  assert.deepEqual([got, self.resyncs], [[1, 2, 3], []]);
  assert.equal(host.calls.filter(({ path, method }) => path === 'session' && method === 'POST').length, 1, 'in the same session');
});

test('an expired token makes way for a fresh one, once', async () => {
  let n = 0;
  const host = await simple(({ number, token: bearer }) => (bearer.endsWith('.A1') ? [401, { error: 'unauthorized', message: 'expired' }] : number < 4 ? [200, { messages: [message(number)], cursor: 'c', more: false }] : null));
  const self = client({ gateway: host.url, token: () => token({ sub: 'u1' }, `A${(n += 1)}`) });
  const got = [];
  self.subscribe('order:1', ({ payload }) => got.push(payload.n));
  await until('it hears', () => got.length >= 1);
  assert.equal(self.failures.length, 0);
});

test('a refused token ends it, and is not tried again', async () => {
  const host = await gateway(() => [401, { error: 'unauthorized', message: 'the token has expired' }]);
  const self = client({ gateway: host.url });
  assert.equal(await reasonOf(self.subscribe('order:1')), 'authorization');
  const calls = host.calls.length;
  await pause(200);
  assert.deepEqual([self.state, host.calls.length, self.refusals.length], ['refused', calls, 1]);
});

test('Retry-After is kept to, without a change of state at a drain', async () => {
  const times = [];
  const host = await simple(({ number }) => {
    times.push(performance.now());
    if (number === 2) return [503, { error: 'draining', message: 'poll again' }, { 'retry-after': '0' }];
    if (number === 4) return [429, { error: 'quota', message: 'too many' }, { 'retry-after': '8' }];
    return number < 7 ? [200, { messages: [], cursor: 'c', more: false }] : null;
  });
  const self = client({ gateway: host.url });
  self.subscribe('order:1');
  await until('it goes on', () => host.of('poll').length >= 7);
  assert.deepEqual(self.states, ['polling']);
  assert.ok(times[4] - times[3] >= 8000, `${times[4] - times[3]} ms`);
  assert.equal(self.failures.find(({ status }) => status === 429).reason, 'quota');
});

test('a lost session is opened anew, with a resync', async () => {
  const host = await gateway(({ path, number, method }) => {
    if (path === 'session' && method === 'POST') return [201, { ...SESSION, session: `s${number}` }];
    if (path === 'poll' && number === 2) return [410, { error: 'gone', message: 'gone', resync: true }];
    return path === 'poll' && number < 5 ? [200, { messages: [], cursor: 'c', more: false }] : null;
  });
  const self = client({ gateway: host.url });
  self.subscribe('order:1');
  await until('resync', () => self.resyncs.length === 1);
  await until('polls go on', () => host.of('poll').at(-1).body.session === 's2');
  assert.deepEqual(self.resyncs, [{ channel: 'order:1', reason: 'session' }]);
});

test('denied channels reject with their class; a grant that was removed too', async () => {
  let denied = [{ channel: 'order:2', reason: 'authorization' }, { channel: 'order:3', reason: 'quota' }, { channel: 'order:4', reason: 'limit' }, { channel: 'order:5', reason: 'network' }];
  let gone = false;
  const host = await gateway(({ path, method, number }) => {
    if (path === 'session' && method === 'POST') return [201, { ...SESSION, granted: gone ? [] : ['order:1'], denied, session: `s${number}` }];
    if (path === 'poll' && gone && number === 2) return [403, { error: 'forbidden', message: 'the grant was removed' }];
    if (path === 'poll' && number === 1) {
      gone = true;
      denied = [{ channel: 'order:1', reason: 'authorization' }, ...denied];
      return [200, { messages: [], cursor: 'c', more: false }];
    }
    return null;
  });
  const self = client({ gateway: host.url });
  const all = [1, 2, 3, 4, 5].map((n) => self.subscribe(`order:${n}`));
  assert.deepEqual(await Promise.all(all.map(reasonOf)), ['granted', 'authorization', 'quota', 'limit', 'network']);
  await until('the first is refused later', () => all[0].state === 'refused');
  assert.equal(self.state, 'polling');
});

test('a superseded poll is not repeated at once', async () => {
  const host = await simple(({ number }) => (number === 2 ? [409, { error: 'superseded', message: 'a newer poll' }] : number < 5 ? [200, { messages: [], cursor: 'c', more: false }] : null));
  const self = client({ gateway: host.url });
  self.subscribe('order:1');
  await until('it goes on', () => host.of('poll').length >= 4);
  assert.equal(host.calls.filter(({ path, method }) => path === 'session' && method === 'POST').length, 2, 'in a session of its own');
});

test('channels come and go in a session', async () => {
  const host = await gateway(({ path, method, body }) => {
    if (method === 'POST' && path === 'session') return [201, SESSION];
    if (method === 'PATCH') return [200, { session: 's2', granted: body.add.filter((one) => one !== 'order:9'), denied: body.add.filter((one) => one === 'order:9').map((channel) => ({ channel, reason: 'authorization' })) }];
    return null;
  });
  const self = client({ gateway: host.url });
  const first = self.subscribe('order:1');
  await first.established;
  assert.equal(await reasonOf(self.subscribe('order:2')), 'granted');
  assert.equal(await reasonOf(self.subscribe('order:9')), 'authorization');
  first.unsubscribe();
  await until('it is removed', () => host.calls.some(({ method, body }) => method === 'PATCH' && body.remove.includes('order:1')));
});

test('a mute poll is given up', async () => {
  const host = await simple(({ number }) => (number === 1 ? [200, { messages: [], cursor: 'c', more: false }] : number === 3 ? [200, { messages: [message(1)], cursor: 'c', more: false }] : null));
  const self = client({ gateway: host.url });
  const got = [];
  self.subscribe('order:1', ({ payload }) => got.push(payload.n));
  await until('it hears', () => got.length === 1);
  assert.equal(self.failures[0].message, 'the gateway is mute');
});

test('after two failures it polls; later the WebSocket takes over', async () => {
  broker.script = { down: true };
  let taken = false;
  const host = await simple(({ number }) => (taken ? [409, { error: 'superseded', message: 'taken over' }] : number === 1 ? [200, { messages: [], cursor: 'c', more: false }] : null));
  const self = client({ url: URL, gateway: host.url, webSocketRetryMs: 4000 });
  const got = [];
  const order = self.subscribe('order:1', ({ payload }) => got.push(payload));
  await order.established;
  assert.deepEqual([self.state, broker.sockets.length], ['polling', 2]);
  await until('it tries the WebSocket', () => broker.sockets.length === 3);
  assert.equal(self.state, 'polling', 'and polls on where that fails');
  await until('a poll waits', () => host.of('poll').length === 2);
  broker.script = { present: true };
  taken = true;
  await until('it is live', () => self.state === 'live');
  await until('it has subscribed', () => broker.sockets.at(-1).subscribes);
  broker.sockets.at(-1).give(publication('order/1', '1'));
  await until('it hears', () => got.length === 1);
  assert.deepEqual([self.states, self.resyncs], [['polling', 'live'], []]);
  const id = /u1-[0-9a-z]{16,}/.exec(Buffer.from(broker.sockets.at(-1).packets[0]).toString())[0];
  assert.equal(host.of('session')[0].body.client_id, id, 'one session for both');
  assert.ok(!host.calls.some(({ method }) => method === 'DELETE'), 'which is not ended');
});

test('a gateway that fails makes it try the WebSocket again', async () => {
  broker.script = { down: true };
  const host = await gateway(() => [502, { error: 'broker', message: 'down' }]);
  const self = client({ url: URL, gateway: host.url });
  const order = self.subscribe('order:1');
  assert.equal(await reasonOf(order), 'network');
  await until('three attempts by WebSocket', () => broker.sockets.length >= 3);
  broker.script = {};
  await until('it is live', () => self.state === 'live');
  await until('the channel lives after all', () => order.state === 'live');
});

test('a browser that comes online tries the WebSocket at once', async () => {
  broker.script = { down: true };
  const host = await simple(({ number }) => (number < 3 ? [200, { messages: [], cursor: 'c', more: false }] : null));
  const self = client({ url: URL, gateway: host.url });
  await until('it polls', () => self.state === 'polling');
  broker.script = { present: true };
  view.dispatchEvent(new Event('online'));
  await until('it is live', () => self.state === 'live');
  self.close();
  view.dispatchEvent(new Event('online'));
  show(false);
  await pause(100);
  assert.equal(broker.sockets.length, 3, 'a closed client listens no more');
});

// The stream ------------------------------------------------------------------------------------------------------------------------

const stream = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' });

test('a stream is read, confirmed, and opened again at its end', async () => {
  const host = await simple(({ path, number, response }) => {
    if (path === 'ack') return [204];
    stream(response).write(':\n\nretry: 2000\n\n');
    const event = (n) => `id: c${n}\ndata: ${JSON.stringify(message(n))}\n\n`;
    if (number === 1) {
      const all = `event: message\n${event(1)}${event(2).replaceAll('\n', '\r\n')}`;
      for (const part of all.match(/.{1,7}/gs)) response.write(part);
      setTimeout(() => response.end('event: advice\ndata: {"reconnect": true}\n\n'), 2000);
    } else if (number === 2) response.write(event(3));
    return null;
  });
  const self = client({ gateway: host.url, transport: 'stream' });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload.n)).established;
  await until('all came', () => got.length === 3);
  assert.deepEqual([got, self.transport, self.states, self.failures], [[1, 2, 3], 'stream', ['polling'], []]);
  assert.equal(host.of('stream')[1].body.cursor, 'c2');
  await until('it is confirmed', () => host.of('ack').some(({ body }) => body.cursor === 'c3'));
});

test('a stream that a proxy holds back makes way for polls', async () => {
  const host = await simple(({ path, number, response }) => {
    if (path === 'poll') return number === 1 ? [200, { messages: [message(1)], cursor: 'c', more: false }] : null;
    stream(response).flushHeaders();
    return null;
  });
  const self = client({ gateway: host.url, transport: 'stream' });
  const got = [];
  self.subscribe('order:1', ({ payload }) => got.push(payload.n));
  await until('it hears', () => got.length === 1);
  assert.deepEqual([self.transport, host.of('stream').length], ['poll', 1]);
});

test('an error on a stream is that of a poll', async () => {
  const host = await gateway(({ path, number, method, response }) => {
    if (path === 'session') return method === 'POST' ? [201, { ...SESSION, session: `s${number}` }] : [204];
    stream(response).write(':\n\n');
    if (number === 1) response.end('event: error\ndata: {"error":"gone","resync":true}\n\n');
    return null;
  });
  const self = client({ gateway: host.url, transport: 'stream' });
  self.subscribe('order:1');
  await until('resync', () => self.resyncs.length === 1);
  await until('another stream', () => host.of('stream').at(-1).body.session === 's2');
});

test('a token that ends during a stream makes way for a fresh one', async () => {
  let n = 0;
  const host = await simple(({ number, response }) => {
    stream(response).write(':\n\n');
    if (number === 1) response.end('event: error\ndata: {"error":"unauthorized","message":"expired"}\n\n');
    else response.write(`id: c\ndata: ${JSON.stringify(message(1))}\n\n`);
    return null;
  });
  const self = client({ gateway: host.url, transport: 'stream', token: () => token({ sub: 'u1' }, `A${(n += 1)}`) });
  const got = [];
  self.subscribe('order:1', ({ payload }) => got.push(payload.n));
  await until('it hears', () => got.length === 1);
  assert.deepEqual([self.failures, self.states], [[], ['polling']]);
  assert.deepEqual(host.of('stream').map(({ token: bearer }) => bearer.slice(-2)), ['A1', 'A2']);
});
