// A person with a browser: opens a page in headless Chromium that subscribes over WebSocket with MQTT.js, and prints what the
// page shows, one line a message. The first line is "subscribed".
//
//   node watch.cjs NODE_MODULES WEBSOCKET_PORT TOPIC...
'use strict';
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');

const [modules, port, ...topics] = process.argv.slice(2);
const { chromium } = require(path.join(modules, 'playwright-core'));
const library = path.join(modules, 'mqtt', 'dist', 'mqtt.min.js');

const PAGE = '<!doctype html><meta charset="utf-8"><title>orders</title><ul id="messages"></ul>';

async function main() {
  const server = http.createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end(PAGE);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const browser = await chromium.launch({
    executablePath: process.env.EVENTCAST_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(String(error)));
  await page.exposeFunction('shown', (text) => console.log(text));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.addScriptTag({ path: library });
  await page.evaluate(({ port, topics }) => {
    const list = document.getElementById('messages');
    // The output is read back from the page: it is what a person would see.
    new MutationObserver((changes) => {
      for (const change of changes) for (const item of change.addedNodes) window.shown(item.textContent);
    }).observe(list, { childList: true });
    const client = mqtt.connect(`ws://127.0.0.1:${port}/mqtt`, { protocolVersion: 5 });
    client.on('message', (topic, payload) => {
      const item = document.createElement('li');
      item.textContent = `${topic} ${payload}`;
      list.append(item);
    });
    return new Promise((ready, failed) => {
      client.on('error', failed);
      client.subscribe(topics, { qos: 1 }, (error) => (error ? failed(error) : ready()));
    });
  }, { port, topics });
  console.log('subscribed');
  // The process that started this ends it by closing standard input.
  readline.createInterface({ input: process.stdin }).on('close', async () => {
    await browser.close();
    process.exit(0);
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
