// The browser module's parts, before a scripted broker and gateway: `node --test module.test.mjs`.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { SESSION, broker, gateway, message, packet, pause, publication, token, until } from './scripted.mjs';
import * as module from '../../browser/eventcast.js';

const { connect, filterOf, matches } = module;
const clients = [];
const USER = token({ sub: 'u1' });

/** A client that is closed after its test, with what it says. */
function client(options) {
  const self = connect({ share: false, token: () => USER, settleMs: 0, ...options });
  Object.assign(self, { states: [], resyncs: [], failures: [], refusals: [] });
  self.addEventListener('state', ({ detail }) => self.states.push(detail.state));
  self.addEventListener('resync', ({ detail }) => self.resyncs.push(detail));
  self.addEventListener('failure', ({ detail }) => self.failures.push(detail));
  self.addEventListener('refused', ({ detail }) => self.refusals.push(detail));
  clients.push(self);
  return self;
}

test.beforeEach(() => Object.assign(broker, { sockets: [], script: {} }));
test.afterEach(() => {
  for (const one of clients.splice(0)) one.close();
});

const reasonOf = (subscription) => subscription.established.then(() => 'granted', ({ reason }) => reason);
const URL = 'ws://broker.example/mqtt';

test('channels are filters', () => {
  for (const [channel, filter] of [['order:17', 'order/17'], ['user:eu-west-1:5b0c', 'user/eu-west-1:5b0c'],
    ['announcements', 'announcements'], ['tenant/+/alerts', 'tenant/+/alerts'], ['a/b:c', 'a/b:c'], ['order-line_2:x', 'order-line_2/x']]) {
    assert.equal(filterOf(channel), filter);
  }
});

test('filters match topics', () => {
  for (const [filter, topic, does] of [['a/b', 'a/b', true], ['a/b', 'a/c', false], ['a/+', 'a/b', true], ['a/+', 'a/b/c', false], ['a/#', 'a/b/c', true],
    ['#', 'a', true], ['+/b', 'a/b', true], ['a/+/c', 'a//c', true], ['a', 'a/b', false], ['a/b', 'a', false], ['a/+', 'a', false]]) {
    assert.equal(matches(filter, topic), does, `${filter} ${topic}`);
  }
});

test('the types name what there is', () => {
  const types = fs.readFileSync(new globalThis.URL('../../browser/eventcast.d.ts', import.meta.url), 'utf8');
  const exported = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(exported.sort(), Object.keys(module).sort());
  const declared = /interface Client extends EventTarget \{(.*?)^\}/ms.exec(types)[1];
  const members = new Set([...declared.matchAll(/^ {2}(?:readonly )?(\w+)/gm)].map(([, name]) => name));
  members.delete('addEventListener');
  const self = client({ url: URL });
  for (const name of members) assert.ok(name in self, name);
  const options = [.../interface Options \{(.*?)^\}/ms.exec(types)[1].matchAll(/^ {2}(\w+)\?/gm)].map(([, name]) => name);
  const source = fs.readFileSync(new globalThis.URL('../../browser/eventcast.js', import.meta.url), 'utf8');
  for (const name of options) assert.match(source, new RegExp(`\\b${name}\\b`), name);
});

test('options without an address are refused', () => {
  assert.throws(() => connect({}), /needs `url`/);
});

// The broker ------------------------------------------------------------------------------------------------------------------------

test('CONNECT carries the token as the password, and the authorizer in the user name', async () => {
  const self = client({ url: URL, authorizer: 'shop', clientId: ({ sub }) => `${sub}-web` });
  await until('it is live', () => self.state === 'live');
  const [socket] = broker.sockets;
  const said = Buffer.from(socket.packets[0]).toString();
  assert.equal(socket.packets[0][9 + (socket.packets[0][1] < 128 ? 0 : 1)] & 0xc2, 0xc0, 'user name, password, no clean start');
  for (const part of ['MQTT', 'u1-web', '?x-amz-customauthorizer-name=shop', USER]) assert.ok(said.includes(part), part);
  assert.deepEqual([socket.url, socket.protocols], [URL, ['mqtt']]);
});

test('the token may be in the address', async () => {
  const self = client({ url: `${URL}?a=b`, tokenIn: 'query', tokenKey: 'jwt' });
  await until('it is live', () => self.state === 'live');
  assert.equal(broker.sockets[0].url, `${URL}?a=b&jwt=${USER}`);
  assert.ok(!Buffer.from(broker.sockets[0].packets[0]).toString().includes(USER));
});

test('SUBSCRIBE has eight filters at most, at a reconnect too', async () => {
  const self = client({ url: URL, environment: 'prod' });
  const all = Array.from({ length: 19 }, (_, n) => self.subscribe(`order:${n}`));
  await Promise.all(all.map((one) => one.established));
  broker.script = { present: true };
  broker.sockets[0].cut();
  await until('it is live again', () => self.state === 'live' && broker.sockets[1]?.subscribes?.length >= 3);
  for (const { subscribes } of broker.sockets) {
    assert.ok(subscribes.every((filters) => filters.length <= 8), String(subscribes.map((filters) => filters.length)));
    assert.equal(new Set(subscribes.flat()).size, 19);
    assert.ok(subscribes.flat().includes('prod/order/18'));
  }
  assert.deepEqual(self.resyncs, []);
});

test('a lost session says resync for each channel that was live, once it is again', async () => {
  const self = client({ url: URL });
  const [one, two] = [self.subscribe('order:1'), self.subscribe('order:2')];
  await Promise.all([one.established, two.established]);
  broker.sockets[0].cut();
  await until('resync', () => self.resyncs.length === 2);
  assert.deepEqual(self.resyncs, [{ channel: 'order:1', reason: 'session' }, { channel: 'order:2', reason: 'session' }]);
});

test('a refused filter rejects with its class, and the others live', async () => {
  const codes = { 'order/1': 1, 'order/2': 0x87, 'order/3': 0x97, 'order/4': 0x8f, 'order/5': 0x80, 'order/6': 0x91, 'order/7': 0xa2, 'order/8': 0 };
  broker.script = { codes: (filter) => codes[filter] };
  const self = client({ url: URL });
  const all = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => self.subscribe(`order:${n}`));
  assert.deepEqual(await Promise.all(all.map(reasonOf)), ['granted', 'authorization', 'quota', 'limit', 'network', 'network', 'limit', 'granted']);
  assert.deepEqual(self.subscriptions.map(({ state }) => state).filter((state) => state === 'live').length, 2);
  assert.equal(all[1].error.channel, 'order:2');
});

test('refused CONNECTs have a class', async () => {
  for (const [connack, reason, refused] of [[0x86, 'authorization', true], [0x87, 'authorization', true], [0x8c, 'authorization', true], [0x97, 'quota', false],
    [0x9f, 'quota', false], [0x88, 'network', false], [0x89, 'network', false], [0x85, 'limit', true], [0x84, 'limit', true], [1, 'limit', true]]) {
    Object.assign(broker, { sockets: [], script: { connack, reason: connack > 0x80 ? 'why it is' : undefined } });
    const self = client({ url: URL });
    const order = self.subscribe('order:1');
    assert.equal(await reasonOf(order), reason, connack.toString(16));
    assert.equal(self.state === 'refused', refused, connack.toString(16));
    if (connack > 0x80) assert.equal(order.error.message, 'why it is');
    const tries = broker.sockets.length;
    if (refused) {
      await pause(100);
      assert.deepEqual([broker.sockets.length, tries], [1, 1], 'the same token is not tried again');
    } else assert.ok(tries >= 3);
    self.close();
  }
});

test('messages come in parts and several at once', async () => {
  const self = client({ url: URL });
  const got = [];
  await self.subscribe('order:1', (one) => got.push(one)).established;
  const [socket] = broker.sockets;
  const properties = [['eb-id', 'e1'], ['eb-source', 'shop'], ['eb-detail-type', 'Placed'], ['eb-time', 'noon'], ['eb-route', 'r']];
  const bytes = [...publication('order/1', '{"n":1}', { properties }), ...publication('order/1', 'no json', { id: 'e2', packetId: 300 }), ...packet(0xd0, []), ...publication('order/1', '3', { id: 'e3' })];
  for (const byte of bytes) socket.give([byte]);
  socket.give(bytes);
  await until('all are there', () => got.length >= 3);
  await pause(20);
  assert.equal(got.length, 3, 'repeats are dropped');
  const { payload, ...rest } = got[0];
  assert.deepEqual([payload, rest], [{ n: 1 }, { id: 'e1', topic: 'order/1', channel: 'order:1', source: 'shop', type: 'Placed', time: 'noon', route: 'r', retained: false }]);
  assert.equal(Buffer.from(got[1].bytes).toString(), 'no json');
  assert.equal(got[2].payload, 3);
  const acknowledged = socket.packets.filter(([head]) => head === 0x40).map((one) => (one[2] << 8) | one[3]);
  assert.deepEqual(acknowledged, [7, 300, 7, 7, 300, 7], 'each copy is acknowledged');
});

test('each property that a broker may send is read past (MQTT 5, 2.2.2.2)', async () => {
  const self = client({ url: URL });
  const got = [];
  await self.subscribe('order:1', (one) => got.push(one)).established;
  const [socket] = broker.sockets;
  const values = { 1: [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a], 2: [0x13, 0x21, 0x22, 0x23], 4: [0x02, 0x11, 0x18, 0x27] };
  const texts = [0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f];
  const all = [...Object.entries(values).flatMap(([width, ids]) => ids.map((id) => [id, ...Array(Number(width)).fill(0x26)])), ...texts.map((id) => [id, 0, 2, 0x26, 0x26]), [0x0b, 0x80, 0x01]];
  for (const [n, one] of all.entries()) {
    const properties = [...one, 0x26, 0, 5, ...Buffer.from('eb-id'), 0, 2, ...Buffer.from(String(n).padStart(2, '0'))];
    socket.give(packet(0x30, [0, 7, ...Buffer.from('order/1'), properties.length, ...properties, ...Buffer.from(String(n))]));
  }
  await until('all came', () => got.length === all.length);
  assert.deepEqual(got.map(({ id, payload }) => [Number(id), payload]), all.map((_, n) => [n, n]));
  assert.equal(broker.sockets.length, 1);
});

test('an event of two routes comes twice, messages without an id always', async () => {
  const self = client({ url: URL });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload)).established;
  const [socket] = broker.sockets;
  for (const route of ['a', 'b', 'a']) socket.give(publication('order/1', `"${route}"`, { properties: [['eb-id', 'e1'], ['eb-route', route]] }));
  for (let n = 0; n < 2; n += 1) socket.give(publication('order/1', '"none"', { properties: [] }));
  await until('they are there', () => got.length >= 4);
  assert.deepEqual(got, ['a', 'b', 'none', 'none']);
});

test('bytes that are no MQTT end the connection, not the page', async () => {
  for (const bytes of [[0x30, 0xff, 0xff, 0xff, 0xff], [0x30, 0xff, 0xff, 0xff, 0x7f], [0x32, 3, 0, 9, 1], [0x32, 6, 0, 1, 97, 0, 1, 9], [0x32, 8, 0, 1, 97, 0, 1, 2, 0x7e, 0], [0x90, 1, 0]]) {
    Object.assign(broker, { sockets: [], script: {} });
    const self = client({ url: URL });
    await until('it is live', () => self.state === 'live');
    broker.sockets[0].give(bytes);
    await until(`another connection after ${bytes}`, () => broker.sockets.length === 2);
    assert.equal(self.failures[0].reason, 'network');
    self.close();
  }
});

test('a quiet connection is pinged; without an answer it is given up', async () => {
  const self = client({ url: URL });
  await until('it is live', () => self.state === 'live');
  const pings = () => broker.sockets[0].packets.filter(([head]) => head === 0xc0).length;
  await until('two pings', () => pings() === 2);
  assert.equal(self.state, 'live');
  broker.sockets[0].script.ping = false;
  await until('it is given up', () => broker.sockets.length === 2);
  assert.equal(self.failures[0].message, 'the connection is mute');
  assert.ok(broker.sockets[0].closed);
});

test('the connection is renewed before the token ends, and the old one lives until then', async () => {
  let made = 0;
  const self = client({ url: URL, token: () => token({ sub: 'u1', exp: Date.now() / 1000 + 10, made: (made += 1) }) });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload)).established;
  broker.script = { present: true };
  await until('a second connection', () => broker.sockets.length === 2 && broker.sockets[1].subscribes);
  await until('the first is closed', () => broker.sockets[0].closed);
  assert.deepEqual([self.state, self.states, self.resyncs, self.failures], ['live', ['live'], [], []]);
  broker.sockets[1].give(publication('order/1', '1'));
  await until('it hears', () => got.length === 1);
  const id = (socket) => /u1-[0-9a-z]{16,}/.exec(Buffer.from(socket.packets[0]).toString())[0];
  assert.equal(id(broker.sockets[0]), id(broker.sockets[1]), 'with the same client id');
});

test('a session taken over by another client is not fought for', async () => {
  const self = client({ url: URL });
  await until('it is live', () => self.state === 'live');
  broker.sockets[0].give(packet(0xe0, [0x8e]));
  await until('it is stale or connecting', () => self.state !== 'live');
  await pause(300);
  assert.equal(broker.sockets.length, 1, 'not within 10 s');
  await until('later it connects', () => broker.sockets.length === 2);
});

test('a closed client stays closed', async () => {
  const self = client({ url: URL });
  const order = self.subscribe('order:1');
  await order.established;
  self.close();
  assert.deepEqual([...broker.sockets[0].packets.at(-1)], [0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0], 'the session ends');
  const late = self.subscribe('order:2');
  assert.equal(await reasonOf(late), 'closed');
  self.reconnect();
  // Longer than any delay at this pace.
  await pause(2000);
  assert.deepEqual([self.state, broker.sockets.length, order.state], ['closed', 1, 'closed']);
});

test('a token function that fails is asked again, and its failure said', async () => {
  let asked = 0;
  const self = client({ url: URL, token: async () => {
    asked += 1;
    if (asked < 3) throw new Error('the site is down');
    return USER;
  } });
  await until('it is live', () => self.state === 'live');
  assert.deepEqual(self.failures.map(({ reason, message: said }) => [reason, said.includes('the site is down')]), [['network', true], ['network', true]]);
});

// The gateway -----------------------------------------------------------------------------------------------------------------------

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
