// Tabs that share a connection, before a scripted broker and gateway: the browser's locks and channels are fakes here, so that a test
// can hold a tab's messages back.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SESSION, URL, broker, client, gateway, message, pause, publication, until } from './scripted.mjs';

// Web Locks, exclusive ones -----------------------------------------------------------------------------------------------------------

const queues = new Map();

function next(name) {
  const queue = queues.get(name);
  if (queue.length === 0 || queue[0].held) return;
  const [first] = queue;
  first.held = true;
  const free = () => {
    queue.splice(queue.indexOf(first), 1);
    next(name);
  };
  Promise.resolve(first.run()).then((value) => {
    free();
    first.resolve(value);
  });
}

const locks = {
  request(name, options, run) {
    if (!queues.has(name)) queues.set(name, []);
    return new Promise((resolve, reject) => {
      const request = { run, resolve };
      queues.get(name).push(request);
      options.signal?.addEventListener('abort', () => {
        if (request.held) return;
        const queue = queues.get(name);
        queue.splice(queue.indexOf(request), 1);
        reject(new DOMException('aborted', 'AbortError'));
      });
      queueMicrotask(() => next(name));
    });
  },
};
Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });

// Broadcast channels ------------------------------------------------------------------------------------------------------------------

const rooms = [];

class FakeChannel {
  /** What a tab that is held back has not received yet. */
  late = null;

  constructor(name) {
    this.name = name;
    rooms.push(this);
  }

  postMessage(word) {
    for (const room of rooms) if (room !== this && room.name === this.name) room.receive(structuredClone(word));
  }

  receive(word) {
    if (this.late) this.late.push(word);
    else queueMicrotask(() => this.onmessage?.({ data: word }));
  }

  /** Nothing reaches this tab until it is let go. */
  hold() {
    this.late = [];
  }

  release() {
    const words = this.late;
    this.late = null;
    for (const word of words) this.receive(word);
  }

  close() {
    rooms.splice(rooms.indexOf(this), 1);
  }
}
globalThis.BroadcastChannel = FakeChannel;

/** A tab with what it hears, and its room. */
async function tab(options) {
  const self = client({ share: true, ...options });
  self.got = [];
  await self.subscribe('order:1', ({ payload }) => self.got.push(payload.n)).established;
  self.room = rooms.at(-1);
  return self;
}

const acknowledged = (socket) => socket.packets.filter(([head]) => head === 0x40).map((bytes) => bytes[3]);
const send = (socket, n) => socket.give(publication('order/1', JSON.stringify({ n }), { id: `e${n}`, packetId: n }));

test('the broker hears of a message when each tab has it, in order', async () => {
  const leader = await tab({ url: URL });
  const follower = await tab({ url: URL });
  const [socket] = broker.sockets;
  assert.deepEqual([broker.sockets.length, leader.leader, follower.leader], [1, true, false]);
  send(socket, 1);
  await until('the first is acknowledged', () => acknowledged(socket).length === 1);
  follower.room.hold();
  for (const n of [2, 3, 4]) send(socket, n);
  await until('the leader has them', () => leader.got.length === 4);
  await pause(20);
  assert.deepEqual([acknowledged(socket), follower.got], [[1], [1]]);
  follower.room.release();
  await until('all are acknowledged', () => acknowledged(socket).length === 4);
  assert.deepEqual([acknowledged(socket), follower.got], [[1, 2, 3, 4], [1, 2, 3, 4]]);
});

test('a tab that has gone or does not answer holds nothing up', async () => {
  const leader = await tab({ url: URL });
  const [frozen, closed] = [await tab({ url: URL }), await tab({ url: URL })];
  const [socket] = broker.sockets;
  closed.room.hold();
  frozen.room.hold();
  send(socket, 1);
  await until('the leader has it', () => leader.got.length === 1);
  closed.close();
  await until('it is acknowledged in spite of the frozen one', () => acknowledged(socket).length === 1);
  // From now on the frozen one does not count.
  const begun = performance.now();
  send(socket, 2);
  await until('the second is acknowledged', () => acknowledged(socket).length === 2);
  assert.ok(performance.now() - begun < 2000);
  frozen.room.release();
  await until('the frozen one has both', () => frozen.got.length === 2);
  frozen.room.hold();
  send(socket, 3);
  await until('the leader has the third', () => leader.got.length === 3);
  await pause(20);
  assert.deepEqual(acknowledged(socket), [1, 2], 'it counts again');
  frozen.room.release();
  await until('the third is acknowledged', () => acknowledged(socket).length === 3);
});

test('the next poll and its cursor wait for each tab', async () => {
  let answer = () => {};
  const host = await gateway((call) => {
    if (call.method === 'DELETE') return [204];
    if (call.path === 'session') return [201, SESSION];
    if (call.number > 2) return null;
    return call.number === 1 ? [200, { messages: [], cursor: 'c1', more: false }] : new Promise((done) => (answer = done));
  });
  const leader = await tab({ gateway: host.url });
  const follower = await tab({ gateway: host.url });
  await until('it polls', () => host.of('poll').length === 2);
  follower.room.hold();
  answer([200, { messages: [message(1)], cursor: 'c2', more: false }]);
  await until('the leader has it', () => leader.got.length === 1);
  await pause(20);
  assert.equal(host.of('poll').length, 2);
  follower.room.release();
  await until('it polls again', () => host.of('poll').length === 3);
  assert.deepEqual([host.of('poll')[2].body.cursor, follower.got], ['c2', [1]]);
});

test('a stream confirms what each tab has, one confirmation at a time', async () => {
  let stream = null;
  const waiting = [];
  const host = await gateway((call) => {
    if (call.method === 'DELETE') return [204];
    if (call.path === 'session') return [201, SESSION];
    if (call.path === 'ack') return new Promise((done) => waiting.push(done));
    stream = call.response;
    stream.writeHead(200, { 'content-type': 'text/event-stream' });
    stream.write(': heartbeat\n\n');
    return null;
  });
  const write = (n) => stream.write(`id: c${n}\ndata: ${JSON.stringify(message(n))}\n\n`);
  const leader = await tab({ gateway: host.url, transport: 'stream' });
  const follower = await tab({ gateway: host.url, transport: 'stream' });
  await until('it streams', () => stream);
  follower.room.hold();
  write(1);
  await until('the leader has it', () => leader.got.length === 1);
  await pause(40);
  assert.equal(host.of('ack').length, 0);
  follower.room.release();
  await until('it is confirmed', () => host.of('ack').length === 1);
  for (let n = 2; n < 50; n += 1) write(n);
  await until('the follower has all', () => follower.got.length === 49);
  await pause(60);
  assert.deepEqual(host.of('ack').map(({ body }) => body.cursor), ['c1'], 'the second waits for the first');
  waiting.shift()([204]);
  await until('another one', () => host.of('ack').length === 2);
  waiting.shift()([204]);
  await until('the last', () => host.of('ack').some(({ body }) => body.cursor === 'c49'));
});
