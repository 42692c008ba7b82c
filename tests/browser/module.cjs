// A page that uses the browser module, in headless Chromium, before a running `eventcast dev`: goes through one scenario, and exits
// with 1 when the page does not do what it should.
//
//   node module.cjs NODE_MODULES TOLD SCENARIO [SEED]
//
// TOLD is the line of JSON that `eventcast dev --format json` writes.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { USER, ask, gate, mint, publish, site } = require('./platform.cjs');

const [modules, told, scenario, seed = '1'] = process.argv.slice(2);
const { chromium } = require(path.join(modules, 'playwright-core'));
const { endpoint, mqtt, ws } = JSON.parse(told);

const PATIENCE = 20000;
const ORDERS = Array.from({ length: 12 }, (_, at) => `${String(at).padStart(8, '0')}-4f0b-4d3e-9f51-6a4f0c6c2a11`);
const CLAIMS = { sub: USER, orders: ORDERS.map((id) => ({ id, courier: id })) };
/** Short times, so that tests are. */
const QUICK = { backoffMs: [50, 400], webSocketRetryMs: 1000, heartbeatMs: 1000 };

function check(holds, what) {
  if (!holds) throw new Error(`the page does not do this: ${what}`);
  console.log(`ok: ${what}`);
}

/** Numbers from a seed (mulberry32). */
function numbers(from) {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A page with a client, which keeps what it hears in `window.got`, by channel. */
async function open(context, place, options = {}, channels = [ORDERS[0]], snapshot = false) {
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => process.env.TRACE && console.log('page:', message.text()));
  await page.goto(place.site.origin);
  await page.evaluate(async ({ options, channels, snapshot }) => {
    const { connect } = await import('/eventcast.js');
    Object.assign(window, { got: [], states: [], resyncs: [], failures: [], refusals: [], loads: [] });
    const token = async () => {
      const answer = await fetch('/realtime-token');
      if (!answer.ok) throw new Error('no token');
      return answer.text();
    };
    window.client = connect({ token, ...options });
    client.addEventListener('state', ({ detail }) => { states.push(detail.state); console.log('state', detail.state, detail.transport); });
    client.addEventListener('resync', ({ detail }) => resyncs.push(detail));
    client.addEventListener('failure', ({ detail }) => { failures.push({ reason: detail.reason, message: detail.message }); console.log('failure', detail.reason, detail.message); });
    client.addEventListener('refused', ({ detail }) => refusals.push(detail.reason));
    const message = ({ payload, channel }) => got.push({ payload, channel });
    window.listen = (id, more = {}) => client.subscribe(`order:${id}`, { message, ...more });
    window.subs = channels.map((id) => listen(id, snapshot ? { snapshot: async (asked) => { loads.push(asked); } } : {}));
  }, { options: { url: place.url, gateway: `${place.site.origin}/rt/v1`, environment: place.environment, ...QUICK, ...options }, channels, snapshot });
  return page;
}

async function until(page, what, holds, argument, timeout = PATIENCE) {
  try {
    await page.waitForFunction(holds, argument, { timeout, polling: 25 });
  } catch (error) {
    const seen = await page.evaluate(() => ({ state: client.state, transport: client.transport, states, failures: failures.slice(-5), refusals, got: got.length, last: got.slice(-3), subscriptions: client.subscriptions, resyncs })).catch(() => null);
    throw new Error(`the page does not do this: ${what} (${error.message.split('\n')[0]}) ${JSON.stringify(seen)}`);
  }
  console.log(`ok: ${what}`);
}

const isState = (page, state) => until(page, `it is ${state}`, (wanted) => client.state === wanted, state);
const heard = (page, count) => until(page, `it has heard ${count}`, (wanted) => got.length >= wanted, count);
const established = (page) => page.evaluate(() => Promise.all(subs.map((one) => one.established)).then(() => undefined));

/** Each number once. */
async function exactly(page, from, to) {
  const numbers = await page.evaluate(() => got.map(({ payload }) => payload.n));
  const missing = [];
  const all = new Set(numbers);
  for (let n = from; n <= to; n += 1) if (!all.has(n)) missing.push(n);
  check(missing.length === 0 && numbers.length === to - from + 1, `it sees ${from} to ${to}, each exactly once (missing: ${missing.slice(0, 10)}; ${numbers.length} in all)`);
}

/** Ends the session at the broker, as after a long time without a connection. */
async function endSession(page) {
  const id = await page.evaluate(() => client.clientId);
  await ask(endpoint, 'DELETE', `/connections/${encodeURIComponent(id)}?cleanSession=true`);
}

const say = (n, order = ORDERS[0], more) => publish(endpoint, `order/${order}`, { n }, more);
const quiet = (page) => check(page.complaints.length === 0, `nothing goes wrong in the page ${page.complaints.join('; ')}`);

/** Two tabs, then a third, of which the leader ends twice; `opened` counts connections. */
async function twoTabs(browser, place, { options, state, opened, end = (page) => page.close() }) {
  const context = await browser.newContext();
  const first = await open(context, place, options);
  await established(first);
  const second = await open(context, place, options, [ORDERS[0], ORDERS[1]]);
  await established(second);
  check(opened() === 1, `one connection for both (${opened()})`);
  check(await first.evaluate(() => client.leader) && !(await second.evaluate(() => client.leader)), 'the first leads');
  await say(1);
  await heard(first, 1);
  await heard(second, 1);
  await say(2, ORDERS[1]);
  await heard(second, 2);
  check((await first.evaluate(() => got.length)) === 1, 'each tab hears its own channels');
  let n = 2;
  let going = true;
  const publishing = (async () => {
    while (going) await say((n += 1));
  })();
  await heard(second, 20);
  await end(first);
  await until(second, 'the second leads', (wanted) => client.leader && client.state === wanted, state);
  const third = await open(context, place, options, [ORDERS[1]]);
  await established(third);
  await pause(200);
  going = false;
  await publishing;
  await heard(second, n);
  await exactly(second, 1, n);
  check((await second.evaluate(() => resyncs.length)) === 0, 'without a resync');
  // Closed by the application, with another one there.
  await second.evaluate(() => client.close());
  await until(third, 'the third leads', (wanted) => client.leader && client.state === wanted, state);
  await say(n + 1, ORDERS[1]);
  await heard(third, 1);
  quiet(second);
  quiet(third);
}

const scenarios = {
  /** It lives on WebSocket, with a fresh token, subscribes by eights, and says what is refused. */
  async websocket(browser, place) {
    const page = await open(await browser.newContext(), place, {}, ORDERS.slice(0, 10));
    await established(page);
    await isState(page, 'live');
    for (let n = 1; n <= 20; n += 1) await say(n, ORDERS[n % 10]);
    await heard(page, 20);
    await exactly(page, 1, 20);
    const refused = await page.evaluate(() => listen('99999999-4f0b-4d3e-9f51-6a4f0c6c2a11').established.then(() => 'granted', ({ reason, channel }) => `${reason} ${channel}`));
    check(refused === 'authorization order:99999999-4f0b-4d3e-9f51-6a4f0c6c2a11', `a channel that is not granted is refused: ${refused}`);
    const states = await page.evaluate(() => client.subscriptions.map(({ state }) => state));
    check(states.filter((state) => state === 'live').length === 10 && states.length === 11, `the list says it: ${states}`);
    await page.evaluate(() => subs[3].unsubscribe());
    await say(21, ORDERS[3]);
    await say(22, ORDERS[4]);
    await until(page, 'the other is heard', () => got.some(({ payload }) => payload.n === 22));
    check(!(await page.evaluate(() => got.some(({ payload }) => payload.n === 21))), 'a channel that was left is not heard');
    await page.evaluate(() => client.close());
    await say(23);
    await pause(200);
    check((await page.evaluate(() => client.state)) === 'closed', 'a closed client stays closed');
    check(place.gate.connections === 1, 'one connection was opened');
    quiet(page);
  },

  /** A cut is mended by the same session: nothing is missed, nothing comes twice. */
  async cuts(browser, place) {
    const page = await open(await browser.newContext(), place, { gateway: undefined });
    await established(page);
    await say(1);
    await heard(page, 1);
    place.gate.close();
    await isState(page, 'stale');
    for (let n = 2; n <= 10; n += 1) await say(n);
    place.gate.open();
    await isState(page, 'live');
    await heard(page, 10);
    await exactly(page, 1, 10);
    check((await page.evaluate(() => resyncs.length)) === 0, 'the session was kept: no resync');
    check(place.site.tokens >= place.gate.connections, `each attempt has a token of its own (${place.site.tokens} for ${place.gate.connections})`);
    // Without its session the broker cannot know what was missed.
    await endSession(page);
    await until(page, 'it says resync', () => resyncs.length === 1 && resyncs[0].reason === 'session');
    quiet(page);
  },

  /** A connection that is mute without being closed is given up. */
  async mute(browser, place) {
    const page = await open(await browser.newContext(), place, { gateway: undefined, heartbeatMs: 500 });
    await established(page);
    place.gate.mute();
    await isState(page, 'stale');
    check((await page.evaluate(() => failures[0].message)) === 'the connection is mute', 'it says so');
    place.gate.open();
    await isState(page, 'live');
    await say(1);
    await heard(page, 1);
  },

  /** A refused token is not tried for ever; another one after `reconnect()` is. */
  async refused(browser, place) {
    const good = place.site.token;
    place.site.token = async () => 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJub2JvZHkifQ.AAAA';
    const page = await open(await browser.newContext(), place, { gateway: undefined, share: false });
    const rejected = await page.evaluate(() => subs[0].established.then(() => 'granted', ({ reason }) => reason));
    check(rejected === 'authorization', `the channel's promise rejects: ${rejected}`);
    await isState(page, 'refused');
    const [connections, refusals] = [place.gate.connections, await page.evaluate(() => refusals)];
    check(refusals.length === 1 && refusals[0] === 'authorization', `an event says it, once: ${refusals}`);
    await pause(2000);
    check(place.gate.connections === connections && connections === 1, `the token was tried once (${place.gate.connections})`);
    // Tokens that differ, but are all refused.
    let n = 0;
    place.site.token = async () => `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJub2JvZHkifQ.AAA${(n += 1)}`;
    await page.evaluate(() => client.reconnect());
    await until(page, 'it is refused again', () => refusals.length === 2);
    check(place.gate.connections === 3, `two tokens were tried (${place.gate.connections - 1})`);
    place.site.token = good;
    await page.evaluate(() => client.reconnect());
    await isState(page, 'live');
    await until(page, 'the channel is live after all', () => subs[0].state === 'live');
    await say(1);
    await heard(page, 1);
    quiet(page);
  },

  /** Nothing is heard before the snapshot, all of it afterwards, but what the snapshot has. */
  async snapshot(browser, place) {
    const page = await open(await browser.newContext(), place, { gateway: undefined }, []);
    await page.evaluate((id) => {
      window.log = [];
      window.loaded = new Promise((load) => (window.load = load));
      window.subs = [listen(id, {
        message: ({ payload }) => log.push(payload.n),
        snapshot: async (asked) => {
          loads.push(asked);
          if (loads.length === 1) throw new Error('the first load fails');
          const to = await loaded;
          log.push(`state ${to}`);
          return ({ payload }) => payload.n <= to;
        },
      })];
    }, ORDERS[0]);
    await established(page);
    for (let n = 1; n <= 5; n += 1) await say(n);
    await until(page, 'the load is tried again', () => loads.length === 2);
    check((await page.evaluate(() => log.length)) === 0, 'messages wait for the load');
    await page.evaluate(() => load(3));
    await until(page, 'what the state does not have follows', () => log.join() === 'state 3,4,5');
    await say(6);
    await until(page, 'messages come at once then', () => log.join() === 'state 3,4,5,6');
    const position = await page.evaluate(() => subs[0].position);
    check(position.id !== null, 'the position is known');
    await endSession(page);
    await until(page, 'it is loaded again from there', (id) => loads.length === 3 && loads[2].reason === 'session' && loads[2].position.id === id, position.id);
  },

  /** Two tabs have one connection; the second takes over when the first closes, and misses nothing. */
  tabs: (browser, place) => twoTabs(browser, place, { options: {}, state: 'live', opened: () => place.gate.connections }),

  /** The same when the first does not close but crashes. */
  crashedTab: (browser, place) => twoTabs(browser, place, { options: {}, state: 'live', opened: () => place.gate.connections, end: (page) => page.goto('chrome://crash').catch(() => {}) }),

  /** The same without a WebSocket: the second goes on in the first one's session. */
  pollingTabs: (browser, place) => twoTabs(browser, place, {
    options: { url: undefined },
    state: 'polling',
    opened: () => place.site.calls.filter((call) => call === 'POST /rt/v1/session').length,
  }),

  /** A tab that is frozen loses the connection to one that is shown, and follows it when it is thawed. */
  async frozen(browser, place) {
    const context = await browser.newContext();
    const first = await open(context, place);
    await established(first);
    const second = await open(context, place);
    await established(second);
    await say(1);
    await heard(second, 1);
    // As frozen as a page can be made here: nothing of it runs.
    const thawed = first.evaluate(() => new Promise((done) => {
      const end = Date.now() + 33000;
      while (Date.now() < end);
      done();
    }));
    await say(2);
    await until(second, 'the second leads', () => client.leader && client.state === 'live', null, 40000);
    await say(3);
    await heard(second, 3);
    await exactly(second, 1, 3);
    await thawed;
    await until(first, 'the first follows', () => !client.leader && client.state === 'live');
    await say(4);
    await heard(first, 4);
    await exactly(first, 1, 4);
    check(place.gate.connections === 2, `no connection is fought for (${place.gate.connections})`);
  },

  /** The WebSocket port is cut: it polls. The port returns: it goes back. Each message comes once. */
  async fallback(browser, place) {
    const page = await open(await browser.newContext(), place);
    await established(page);
    let n = 0;
    let going = true;
    const publishing = (async () => {
      while (going) await say((n += 1));
    })();
    await heard(page, 10);
    place.gate.close();
    await isState(page, 'polling');
    const before = await page.evaluate(() => got.length);
    await heard(page, before + 20);
    const tries = place.gate.connections;
    await until(page, 'it hears on', (more) => got.length >= more, before + 40);
    place.gate.open();
    await isState(page, 'live');
    const after = await page.evaluate(() => got.length);
    await heard(page, after + 20);
    going = false;
    await publishing;
    await heard(page, n);
    await pause(300);
    await exactly(page, 1, n);
    check((await page.evaluate(() => resyncs.length)) === 0, 'without a resync');
    check(place.gate.connections > tries, 'it tried the WebSocket while it polled');
    // From the start, without a WebSocket.
    place.gate.close();
    const late = await open(await browser.newContext(), place, { share: false, webSocketRetryMs: 300000 });
    await established(late);
    await isState(late, 'polling');
    await say(n + 1);
    await heard(late, 1);
    place.gate.open();
    // It does not wait for the next attempt when the browser says that it is online again.
    await late.evaluate(() => window.dispatchEvent(new Event('online')));
    await isState(late, 'live');
    await say(n + 2);
    await heard(late, 2);
    check((await late.evaluate(() => resyncs.length)) === 0, 'without a resync');
    quiet(page);
    quiet(late);
  },

  /** The examples of README and the guide, as printed but for the addresses; the platform has their environment. */
  async examples(browser, place) {
    const library = fs.readFileSync(path.join(modules, 'mqtt', 'dist', 'mqtt.esm.js'));
    place.site = await site(endpoint, CLAIMS, { '/mqtt.js': library, [`/orders/${ORDERS[0]}`]: '{"version": 3}' });
    const blocks = ['README.md', 'docs/clients.md', 'docs/dev.md'].flatMap((page) => {
      const text = fs.readFileSync(path.join(__dirname, '..', '..', page), 'utf8');
      return [...text.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => ({ page, code }));
    }).filter(({ code }) => /eventcast\.js|from 'mqtt'/.test(code));
    check(blocks.length >= 5, `there are examples: ${blocks.length}`);
    const topic = `prod/order/${ORDERS[0]}`;
    const put = (version, to = topic) => publish(endpoint, to, { version });
    for (const { page: from, code } of blocks) {
      const page = await (await browser.newContext()).newPage();
      await page.goto(place.site.origin);
      await page.evaluate((names) => Object.assign(window, { ...names, shown: [], show: (...what) => shown.push(what) }),
        { orderId: ORDERS[0], topics: [topic], sub: USER, orders: CLAIMS.orders });
      const here = code.replaceAll('wss://realtime.example.com/mqtt', place.url)
        .replaceAll('https://realtime.example.com', place.site.origin)
        // Another origin than the platform's would need `--allow-origin`.
        .replaceAll('http://127.0.0.1:4566', place.site.origin)
        .replaceAll('ws://127.0.0.1:9001/mqtt', place.url)
        .replaceAll("token: async () => {", "environment: 'prod', token: async () => {")
        .replaceAll("from 'mqtt'", "from '/mqtt.js'");
      await page.addScriptTag({ type: 'module', content: here });
      const wait = (what, holds, argument) => page.waitForFunction(holds, argument, { timeout: PATIENCE, polling: 25 })
        .catch(async () => { throw new Error(`${from}: ${what}: ${JSON.stringify(await page.evaluate(() => shown))}\n${here}`); });
      if (code.includes('snapshot')) {
        await wait('the state', () => shown.some(([what, version]) => what === 'state' && version === 3));
        for (let version = 2; version <= 5; version += 1) await put(version);
        await wait('the messages', () => shown.some(([what, version]) => what === 'message' && version === 5));
      } else {
        await wait('subscribed', () => shown.some(([what]) => what === 'subscribed'));
        const to = code.includes('user:') ? `prod/user/${USER}` : topic;
        await put(1, to);
        await wait('a message', () => shown.some((what) => what.some((one) => one?.version === 1)));
        place.gate.cut();
        await put(2, to);
        await wait('a message after a cut', () => shown.some((what) => what.some((one) => one?.version === 2)));
      }
      console.log(`ok: an example of ${from} works`);
      await page.close();
    }
  },

  /** 10,000 events, about 1,000 a second, with cuts at random. */
  async flood(browser, place) {
    const page = await open(await browser.newContext(), place, {}, []);
    const courier = ORDERS[0];
    await page.evaluate((id) => {
      window.subs = [client.subscribe(`position:${id}`, { message: ({ payload }) => got.push({ payload }) })];
    }, courier);
    await established(page);
    const random = numbers(Number(seed));
    const publisher = require(path.join(modules, 'mqtt')).connect(mqtt, { protocolVersion: 5, clientId: `${courier}-flood`, username: 'flood', password: await mint(endpoint, 'courier', { sub: courier, tour: [] }) });
    await new Promise((ready, failed) => publisher.on('connect', ready).on('error', failed));
    let published = 0;
    const publishing = (async () => {
      while (published < 10000) {
        const batch = Array.from({ length: 50 }, () => {
          published += 1;
          return publisher.publishAsync(`position/${courier}`, JSON.stringify({ n: published }), { qos: 1, properties: { userProperties: { 'eb-id': `event-${published}` } } });
        });
        await Promise.all([...batch, pause(50)]);
      }
    })();
    let cuts = 0;
    while (published < 10000) {
      await pause(100 + random() * 500);
      cuts += 1;
      if (random() < 0.5) place.gate.cut();
      else {
        place.gate.close();
        await pause(random() * 1500);
        place.gate.open();
      }
    }
    await publishing;
    await until(page, `it has heard all (${cuts} cuts, seed ${seed})`, () => got.length >= 10000, null, 40000);
    await pause(300);
    await exactly(page, 1, 10000);
    console.log(`states: ${await page.evaluate(() => Object.entries(states.reduce((sum, one) => ({ ...sum, [one]: (sum[one] ?? 0) + 1 }), {})).join(' '))}`);
    check((await page.evaluate(() => resyncs.length)) === 0, 'without a resync');
    publisher.end(true);
    quiet(page);
  },

  /** Through proxies: says where its servers are, is given the proxies' addresses, and uses all at once. */
  async proxied(browser, place) {
    console.log(JSON.stringify({ http: Number(new URL(place.site.origin).port), websocket: place.gate.port }));
    const proxies = JSON.parse(await new Promise((line) => readline.createInterface({ input: process.stdin }).once('line', line)));
    const began = Date.now();
    const pages = await Promise.all(proxies.map(async ({ name, url }) => {
      const there = { ...place, site: { ...place.site, origin: url }, url: `${url.replace('http', 'ws')}/mqtt` };
      const page = await open(await browser.newContext(), there, { heartbeatMs: 30000, webSocketRetryMs: 300000 });
      await until(page, `${name}: it works or falls back within 45 s`, () => client.state === 'live' || client.state === 'polling', null, 45000);
      await established(page);
      return { name, page, state: await page.evaluate(() => client.state), ms: Date.now() - began };
    }));
    let n = 0;
    const some = async (count) => {
      for (let at = 0; at < count; at += 1) {
        await say((n += 1));
        await pause(100);
      }
    };
    await some(20);
    // Longer than the proxies let anything be idle.
    await pause(6000);
    await some(20);
    for (const { name, page, state, ms } of pages) {
      await heard(page, n);
      await exactly(page, 1, n);
      const after = await page.evaluate(() => client.transport ?? client.state);
      check((await page.evaluate(() => resyncs.length)) === 0, `${name}: ${state} after ${ms} ms, then ${after}, without a resync`);
    }
  },
};

async function main() {
  const run = scenarios[scenario];
  if (!run) throw new Error(`no scenario ${scenario}: ${Object.keys(scenarios)}`);
  const port = Number(new URL(ws).port);
  const place = { gate: await gate(port), site: await site(endpoint, CLAIMS) };
  place.url = `ws://127.0.0.1:${place.gate.port}/mqtt`;
  const browser = await chromium.launch({
    executablePath: process.env.EVENTCAST_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  try {
    await run(browser, place);
  } finally {
    await browser.close();
  }
  console.log('done');
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
