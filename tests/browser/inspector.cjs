// A person with a browser before the page of `eventcast dev`: headless Chromium goes through one scenario and says what it saw.
// Exits with 1, and says what was missing, when the page does not do what it should.
//
//   node inspector.cjs NODE_MODULES PAGE FOLDER SCENARIO [PROCESS]
//
// FOLDER is where screenshots go, PROCESS the id of the platform for the scenario that ends it.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const [modules, address, folder, scenario, platform] = process.argv.slice(2);
const { chromium } = require(path.join(modules, 'playwright-core'));

/** How long anything may take. */
const PATIENCE = 15000;

const NOBODY = '11111111-4f0b-4d3e-9f51-6a4f0c6c2a11';

function check(holds, what) {
  if (!holds) throw new Error(`the page does not do this: ${what}`);
  console.log(`ok: ${what}`);
}

async function until(page, what, holds, argument) {
  try {
    await page.waitForFunction(holds, argument, { timeout: PATIENCE, polling: 50 });
  } catch (error) {
    await page.screenshot({ path: path.join(folder, `failed-${scenario}.png`), fullPage: true });
    throw new Error(`the page does not do this: ${what} (${error.message})`);
  }
  console.log(`ok: ${what}`);
}

const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) });

/** Opens the page; whatever it complains of fails the scenario. */
async function open(browser, { width = 1360, height = 900, colorScheme = 'light', view = 'events' } = {}) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  page.on('dialog', (dialog) => {
    page.complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(`${address}#${view}`);
  await until(page, 'it says that it is live', () => document.getElementById('link').textContent === 'live');
  return page;
}

/** Complaints that a scenario does not expect. */
const quiet = (page, expected = []) => {
  const others = page.complaints.filter((text) => !expected.some((part) => text.includes(part)));
  check(others.length === 0, `nothing goes wrong in the page ${others.join('; ')}`);
};

const number = (page, stat) => page.evaluate((name) => {
  const text = document.querySelector(`[data-stat="${name}"] .total`).textContent;
  return Number(text.replace(/[^0-9]/g, ''));
}, stat);

const scenarios = {
  /** The demo runs: numbers grow, an event's way is shown, nothing moves while it does. */
  async demo(browser) {
    const page = await open(browser);
    await until(page, 'deliveries are shown', () => {
      const text = document.querySelector('[data-stat="deliveries"] .total').textContent;
      return Number(text.replace(/[^0-9]/g, '')) > 100;
    });
    await until(page, 'events stand in the list', () => document.querySelectorAll('#events-rows tr:not([hidden])').length > 20);
    await page.evaluate(() => {
      window.moved = 0;
      new PerformanceObserver((list) => {
        for (const shift of list.getEntries()) window.moved += shift.value;
      }).observe({ type: 'layout-shift', buffered: false });
    });
    const before = await number(page, 'deliveries');
    await until(page, 'the numbers go on', (known) => {
      const text = document.querySelector('[data-stat="deliveries"] .total').textContent;
      return Number(text.replace(/[^0-9]/g, '')) > known + 150;
    }, before);
    const moved = await page.evaluate(() => window.moved);
    check(moved < 0.001, `nothing moves while numbers and events come (${moved})`);
    await page.click('#events-rows tr:not([hidden]) a');
    await until(page, 'an event’s way ends at clients', () => {
      const kinds = [...document.querySelectorAll('#event-detail .way li')].map((step) => step.dataset.kind);
      return ['bus', 'queue', 'topic', 'client'].every((kind) => kinds.includes(kind));
    });
    check(await page.evaluate(() => document.activeElement.tagName === 'H2'), 'the focus is at the event’s name');
    await until(page, 'the list stays while one looks at it', () => document.getElementById('events-held').textContent.includes('paused'));
    await shot(page, 'inspector-events');
    await page.goto(`${address}#channels`);
    await page.click('#channels-rows tr:not([hidden]) a');
    await until(page, 'a channel tells its subscribers', () => document.querySelector('#channel-detail h3')?.textContent.startsWith('Subscribers'));
    await page.goto(`${address}#try?listen=order%2F${NOBODY}`);
    await until(page, 'a link fills in what to listen to', (id) => document.getElementById('listen-filters').value === `order/${id}`, NOBODY);
    await page.goto(`${address}#clients/%E0%A4%A`);
    await until(page, 'an address that is no text is told', () => document.getElementById('client-detail').textContent.includes('no client'));
    await page.goto(`${address}#clients`);
    await until(page, 'somebody was denied', () => document.querySelectorAll('#denials li').length > 0);
    await page.click('#denials li a:text("Explain")');
    await until(page, 'the denial is explained', () => document.querySelectorAll('#client-detail .checks li').length === 4);
    await shot(page, 'inspector-clients');
    quiet(page, ['404 (Not Found)']);
    const dark = await open(browser, { colorScheme: 'dark' });
    await until(dark, 'events stand in the dark list', () => document.querySelectorAll('#events-rows tr:not([hidden])').length > 20);
    await dark.click('#events-rows tr:not([hidden]) a');
    await until(dark, 'an event’s way is shown in the dark', () => document.querySelectorAll('#event-detail .way li').length > 3);
    await shot(dark, 'inspector-dark');
    quiet(dark);
  },

  /** An event put by the form arrives in the page's own subscription, as a role. */
  async form(browser) {
    const page = await open(browser);
    await until(page, 'an empty list says what to do', () => document.getElementById('events-empty').textContent.includes('put-events'));
    await page.goto(`${address}#try`);
    await listen(page, 'customer');
    await page.click('#put button[type="submit"]');
    await until(page, 'the event arrives', () => document.querySelectorAll('#inbox li').length >= 2);
    const shown = await page.textContent('#inbox li');
    check(shown.includes('OrderPlaced'), 'the message is the event');
    await shot(page, 'inspector-try');
    await page.click('#put-answer a');
    await until(page, 'its way ends at the page’s own client', () => {
      const own = [...document.querySelectorAll('#event-detail .way li[data-kind="client"]')];
      return own.length >= 2 && own.every((step) => step.textContent.includes('-page'));
    });
    check((await page.textContent('#event-detail .says')).includes('deliveries'), 'a sentence says what became of it');
    check((await page.textContent('#event-detail .routes')).includes('no match'), 'routes that do not match say so');
    await page.goto(`${address}#try`);
    const first = await page.getAttribute('#put-answer a', 'href');
    await page.fill('#put-source', 'somebody.else');
    await page.click('#put button[type="submit"]');
    await until(page, 'another event is taken', (known) => {
      const link = document.querySelector('#put-answer a');
      return link !== null && link.getAttribute('href') !== known;
    }, first);
    await page.click('#put-answer a');
    await until(page, 'it says that no route publishes it, and why', () => {
      const text = document.getElementById('event-detail').textContent;
      return text.includes('No route publishes it') && text.includes('wanted ["shop.orders"]');
    });
    await page.goto(`${address}#try`);
    await page.click('#listen-end');
    await until(page, 'it disconnects', () => document.getElementById('listen-answer').textContent === 'disconnected');
    quiet(page);
  },

  /** A subscription that is not allowed: the connection is closed, as IoT Core does it, and the page says why. */
  async denied(browser) {
    const page = await open(browser, { view: 'try' });
    await listen(page, 'customer');
    await page.click('#listen-end');
    await page.fill('#listen-filters', `order/${NOBODY}`);
    await page.click('#listen-connect');
    await until(page, 'the broker closes the connection', () => document.getElementById('listen-answer').textContent.includes('closed the connection'));
    await until(page, 'the explanation has each check, and what to change', () => {
      const why = document.getElementById('listen-why');
      return why.querySelectorAll('.checks li').length === 4 && why.textContent.includes('What to change');
    });
    const why = await page.textContent('#listen-why');
    check(why.includes('no statement allows iot:Subscribe'), 'it says which permission is missing');
    check(why.includes('order:{claims.orders[*].id}'), 'it names the role’s entry');
    await page.goto(`${address}#clients`);
    await until(page, 'the denial stands in the list', (order) => document.getElementById('denials').textContent.includes(order), NOBODY);
    await page.goto(`${address}#try`);
    await page.fill('#mint-claims', '{"sub": "not a uuid", "orders": []}');
    await page.click('#mint button[type="submit"]');
    await until(page, 'claims that do not fit are told', () => document.getElementById('mint-answer').textContent.includes('not a uuid'));
    await page.fill('#mint-claims', '{');
    await page.click('#mint button[type="submit"]');
    await until(page, 'text that is no JSON is told', () => document.getElementById('mint-answer').textContent.includes('not JSON'));
    quiet(page, ['400 (Bad Request)']);
  },

  /** Everything by the keyboard alone, with the focus always to be seen. */
  async keyboard(browser) {
    const page = await open(browser);
    const focused = () => page.evaluate(() => {
      const node = document.activeElement;
      const row = node.closest('tr');
      const outlined = (one) => one && getComputedStyle(one).outlineStyle !== 'none';
      return { id: node.id, text: (node.textContent || node.value || '').trim().slice(0, 80), tag: node.tagName, seen: outlined(node) || outlined(row) };
    });
    const tabTo = async (what, fits) => {
      for (let times = 0; times < 60; times += 1) {
        await page.keyboard.press('Tab');
        const at = await focused();
        check(at.tag === 'BODY' || at.seen, `the focus is seen at ${at.tag} ${at.id || at.text}`);
        if (fits(at)) return;
      }
      throw new Error(`the keyboard does not come to ${what}`);
    };
    await page.keyboard.press('Tab');
    check((await focused()).id === 'skip', 'the first stop is the way past the navigation');
    await tabTo('Try it', (at) => at.text === 'Try it');
    await page.keyboard.press('Enter');
    await tabTo('the role', (at) => at.id === 'mint-role');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    await tabTo('Mint a token', (at) => at.text === 'Mint a token');
    await page.keyboard.press('Enter');
    await until(page, 'a token is minted', () => document.getElementById('mint-token').value.length > 100);
    await tabTo('Connect', (at) => at.id === 'listen-connect');
    await page.keyboard.press('Enter');
    await until(page, 'it is connected', () => document.getElementById('listen-answer').textContent.startsWith('connected'));
    await tabTo('Put the event', (at) => at.text === 'Put the event');
    await page.keyboard.press('Enter');
    await until(page, 'the event arrives', () => document.querySelectorAll('#inbox li').length >= 2);
    await tabTo('its way', (at) => at.text === 'see its path');
    await page.keyboard.press('Enter');
    await until(page, 'its way is shown, with the focus at its name', () => document.activeElement.tagName === 'H2');
    await tabTo('a client', (at) => at.tag === 'A' && at.text.endsWith('-page'));
    await page.keyboard.press('Enter');
    await tabTo('the question', (at) => at.tag === 'INPUT' && at.id === '');
    await page.keyboard.type(`order:${NOBODY}`);
    await page.keyboard.press('Enter');
    await until(page, 'the answer is there', () => document.querySelectorAll('#client-detail .checks li').length === 4);
    quiet(page);
  },

  /** On a phone: nothing is wider than the screen. */
  async phone(browser) {
    const page = await open(browser, { width: 360, height: 740 });
    const fits = async (what) => {
      const width = await page.evaluate(() => document.scrollingElement.scrollWidth);
      check(width <= 360, `${what} fits (${width})`);
    };
    await until(page, 'events stand in the list', () => document.querySelectorAll('#events-rows tr:not([hidden])').length > 10);
    await fits('the list of events');
    await shot(page, 'inspector-phone');
    await page.click('#events-rows tr:not([hidden]) a');
    await until(page, 'an event takes the place of the list', () => {
      const list = document.querySelector('#view-events .master');
      return getComputedStyle(list).display === 'none' && document.querySelectorAll('#event-detail .way li').length > 3;
    });
    await fits('an event');
    await shot(page, 'inspector-phone-event');
    await page.click('#event-detail .back');
    await until(page, 'one comes back to the list', () => getComputedStyle(document.querySelector('#view-events .master')).display !== 'none');
    for (const view of ['channels', 'clients', 'try']) {
      await page.click(`nav a[href="#${view}"]`);
      await until(page, `${view} are shown`, (name) => !document.getElementById(`view-${name}`).hidden, view);
      await fits(view);
      await shot(page, `inspector-phone-${view}`);
    }
    quiet(page);
  },

  /** What events bring is text. */
  async text(browser) {
    const page = await open(browser, { view: 'try' });
    const evil = '<img src=x onerror=alert(1)><b>bold</b>';
    await page.fill('#put-source', evil);
    await page.fill('#put-type', evil);
    await page.fill('#put-detail', JSON.stringify({ [evil]: evil, orderId: evil }));
    await page.click('#put button[type="submit"]');
    await until(page, 'the event is taken', () => document.querySelector('#put-answer a') !== null);
    await page.click('#put-answer a');
    await until(page, 'its name is shown as it was written', (text) => document.querySelector('#event-detail h2')?.textContent === text, evil);
    await until(page, 'the list shows it as it was written', (text) => document.querySelector('#events-rows a').textContent === text, evil);
    const made = await page.evaluate(() => document.querySelectorAll('main img, main b b, script:not([src])').length);
    check(made === 0, 'nothing of it became an element');
    const policy = await page.evaluate(async () => (await fetch('/')).headers.get('content-security-policy'));
    check(policy.includes("script-src 'self'") && !policy.includes('unsafe'), 'the page allows no script but its own');
    const inline = await page.evaluate(() => {
      const script = document.createElement('script');
      try {
        script.textContent = 'window.broken = true';
        document.body.append(script);
      } catch {
        // Trusted types refuse it already.
      }
      return window.broken === true;
    });
    check(!inline, 'a script that slips in does not run');
    check(page.complaints.every((text) => /Content Security Policy|TrustedScript/.test(text)), 'and nothing else goes wrong');
  },

  /** At each usual width, light and dark: nothing is wider than the window, and an event's name can be read. */
  async widths(browser) {
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [320, 390, 768, 1024, 1280, 1600]) {
        const page = await open(browser, { width, height: 800, colorScheme });
        await until(page, 'events stand in the list', () => document.querySelectorAll('#events-rows tr:not([hidden])').length > 5);
        const seen = await page.evaluate(() => {
          const cut = (node) => node.scrollWidth > node.clientWidth + 1;
          const cells = [...document.querySelectorAll('#events-rows tr:not([hidden]) td.name')];
          const text = [...document.querySelectorAll('.tile:has(svg) dd')];
          const covered = text.filter((node) => {
            const chart = node.parentNode.querySelector('svg').getBoundingClientRect();
            const range = document.createRange();
            range.selectNodeContents(node);
            return chart.width > 0 && range.getBoundingClientRect().right > chart.left;
          });
          return { page: document.scrollingElement.scrollWidth, name: cells[0].clientWidth, cut: cells.filter(cut).length, covered: covered.length };
        });
        const where = `${width} ${colorScheme}`;
        check(seen.page <= width, `the page fits into ${where} (${seen.page})`);
        check(seen.name >= 160 && seen.cut === 0, `names of events are whole at ${where} (${seen.name} px, ${seen.cut} cut)`);
        check(seen.covered === 0, `no chart lies under numbers at ${where}`);
        await shot(page, `inspector-${width}-${colorScheme}`);
        for (const view of ['channels', 'clients', 'try']) {
          await page.click(`nav a[href="#${view}"]`);
          await until(page, `${view} are shown`, (name) => !document.getElementById(`view-${name}`).hidden, view);
          const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
          check(wide <= width, `${view} fits into ${where} (${wide})`);
        }
        await page.goto(`${address}#events`);
        await page.click('#events-rows tr:not([hidden]) a');
        await until(page, 'an event is shown', () => document.querySelectorAll('#event-detail .way li').length > 1);
        const levels = await page.evaluate(() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
          .filter((node) => node.checkVisibility()).map((node) => Number(node.tagName[1])));
        check(levels.every((level, at) => at === 0 ? level === 1 : level <= levels[at - 1] + 1), `no level of headings is left out at ${where} (${levels})`);
        quiet(page);
        await page.close();
      }
    }
  },

  /** Arrow keys, Home, End, Enter and Escape in the list; one stop of the Tab key for all rows. */
  async keys(browser) {
    const page = await open(browser, { width: 1024 });
    await page.evaluate(() => fetch('/', {
      method: 'POST',
      headers: { 'x-amz-target': 'AWSEvents.PutEvents', 'content-type': 'application/x-amz-json-1.1' },
      body: JSON.stringify({ Entries: Array.from({ length: 6 }, (_, at) => ({ Source: 'shop.office', DetailType: `Announced${at}`, Detail: '{}' })) }),
    }));
    await until(page, 'events stand in the list', () => document.querySelectorAll('#events-rows tr:not([hidden])').length > 5);
    const stops = await page.evaluate(() => [...document.querySelectorAll('#events-rows .cover')].filter((link) => link.tabIndex === 0).length);
    check(stops === 1, `the list is one stop of the Tab key (${stops})`);
    await page.focus('#events-rows .cover[tabindex="0"]');
    const at = () => page.evaluate(() => [...document.querySelectorAll('#events-rows tr')].indexOf(document.activeElement.closest('tr')));
    for (const [key, place] of [['ArrowDown', 1], ['ArrowDown', 2], ['ArrowUp', 1], ['Home', 0], ['ArrowUp', 0]]) {
      await page.keyboard.press(key);
      check(await at() === place, `${key} comes to row ${place}`);
    }
    await page.keyboard.press('End');
    check(await at() > 4, 'End comes to the last row');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await until(page, 'the event is shown, with the focus at its name', () => document.activeElement.tagName === 'H2' && location.hash.startsWith('#events/'));
    await page.keyboard.press('Escape');
    await until(page, 'Escape leaves it, and the focus is at its row', () => location.hash === '#events' && document.activeElement.classList.contains('cover'));
    check(await at() === 1, 'the row is the one that was opened');
    quiet(page);
  },

  /** Events by what became of them. */
  async outcomes(browser) {
    const page = await open(browser, { view: 'try' });
    const put = async (source, type, detail) => {
      await page.fill('#put-source', source);
      await page.fill('#put-type', type);
      await page.fill('#put-detail', JSON.stringify(detail));
      await page.click('#put button[type="submit"]');
      await until(page, `${type} is taken`, () => document.querySelector('#put-answer a') !== null);
      await page.evaluate(() => document.getElementById('put-answer').replaceChildren());
    };
    await until(page, 'routes can be chosen', () => document.querySelectorAll('#put-route option').length > 1);
    await put('shop.office', 'Announced', {});
    await put('shop.orders', 'OrderPlaced', {});
    await put('nobody', 'Something', {});
    await page.goto(`${address}#events`);
    for (const [outcome, type, word] of [['done', 'Announced', ''], ['dead', 'OrderPlaced', 'dead letter'], ['unrouted', 'Something', 'unrouted']]) {
      await page.selectOption('#events-outcome', outcome);
      await until(page, `only ${type} is ${outcome}`, ([name, label]) => {
        const rows = [...document.querySelectorAll('#events-rows tr:not([hidden])')];
        return rows.length === 1 && rows[0].querySelector('.cover').textContent === name && rows[0].querySelector('.outcome').textContent === label;
      }, [type, word]);
    }
    await page.selectOption('#events-outcome', 'denied');
    await until(page, 'an empty list says so', () => !document.getElementById('events-none').hidden);
    const colours = await page.evaluate(() => [...document.querySelectorAll('.legend li')].map((item) => getComputedStyle(item, '::before').backgroundColor));
    check(colours.length === 4 && new Set(colours).size === 4, `the legend has four colours (${colours})`);
    quiet(page);
  },

  /** The code for MQTT.js works as it is pasted. */
  async snippet(browser) {
    const page = await open(browser, { view: 'try' });
    check(await page.evaluate(() => document.getElementById('snippet').hidden), 'without a token there is no code');
    await listen(page, 'customer');
    await page.click('#snippet summary');
    const code = await page.textContent('#snippet-code');
    const place = fs.mkdtempSync(path.join(os.tmpdir(), 'eventcast-snippet-'));
    fs.symlinkSync(path.resolve(modules), path.join(place, 'node_modules'));
    fs.writeFileSync(path.join(place, 'snippet.mjs'), code);
    const child = spawn(process.execPath, ['snippet.mjs'], { cwd: place });
    let said = '';
    child.stdout.on('data', (part) => { said += part; });
    child.stderr.on('data', (part) => { said += part; });
    try {
      const client = await page.inputValue('#listen-client');
      await page.goto(`${address}#clients`);
      await until(page, 'the code connects and subscribes', (own) => [...document.querySelectorAll('#clients-rows tr:not([hidden])')]
        .some((row) => row.querySelector('.cover').textContent !== own && row.querySelector('.n').textContent === '4'), client);
      await page.goto(`${address}#try`);
      await page.click('#put button[type="submit"]');
      const end = Date.now() + PATIENCE;
      while (!said.includes('OrderPlaced') && Date.now() < end) await new Promise((soon) => setTimeout(soon, 20));
      check(/^order\/\S+ [0-9a-f-]{36} \{.*OrderPlaced/m.test(said), `it prints channel, eb-id and payload: ${said}`);
      check(!said.includes('not '), `nothing is refused: ${said}`);
    } finally {
      child.kill();
      fs.rmSync(place, { recursive: true });
    }
    await page.fill('#mint-claims', '{"sub": "x"}');
    await page.click('#mint button[type="submit"]');
    await until(page, 'a token that was not made takes the old one away', () => document.getElementById('mint-token').value === ''
      && document.getElementById('mint-token-label').hidden && document.getElementById('snippet').hidden && document.querySelector('#mint-answer code') !== null);
    quiet(page, ['400 (Bad Request)']);
  },

  /** When the platform is gone, its numbers are marked. */
  async stale(browser) {
    const page = await open(browser);
    await until(page, 'there are numbers', () => document.querySelector('[data-stat="events"] .total').textContent !== '0 in all');
    process.kill(Number(platform));
    await until(page, 'numbers are marked as old', () => /^not reachable since \d\d:\d\d:\d\d/.test(document.getElementById('link').textContent)
      && document.getElementById('stats').classList.contains('stale'));
    await page.evaluate(() => { location.hash = '#try'; });
    await page.click('#put button[type="submit"]');
    await until(page, 'the form says why nothing is put', () => document.getElementById('put-answer').textContent.includes('eventcast dev'));
  },
};

/** Mints a token for a role and connects with it. */
async function listen(page, role) {
  await until(page, 'roles can be chosen', (name) => [...document.querySelectorAll('#mint-role option')].some((one) => one.value === name), role);
  await page.selectOption('#mint-role', role);
  await page.click('#mint button[type="submit"]');
  await until(page, 'a token is minted', () => document.getElementById('mint-token').value.length > 100);
  await page.click('#listen-connect');
  await until(page, 'it is connected and subscribed', () => /^connected as .*; [1-9]/.test(document.getElementById('listen-answer').textContent));
}

async function main() {
  fs.mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.EVENTCAST_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  try {
    await scenarios[scenario](browser);
    console.log('done');
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
