// A person with an application by AWS Amplify in headless Chromium: prints what the page shows, one line each. Lines of standard input
// are what the page publishes, "TOPIC JSON"; the browser closes when it ends.
//
//   node amplify.cjs NODE_MODULES BUNDLE KIND ENDPOINT CLIENT_ID TOPIC...
//
// BUNDLE is where the page's script is put together; KIND is signed or plain.
'use strict';
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');

const [modules, bundle, kind, endpoint, clientId, ...topics] = process.argv.slice(2);
const { chromium } = require(path.join(modules, 'playwright-core'));
const esbuild = require(path.join(modules, 'esbuild'));

const PAGE = '<!doctype html><meta charset="utf-8"><title>orders</title><ul id="messages"></ul>';

async function main() {
  await esbuild.build({
    entryPoints: [path.join(__dirname, 'amplify.mjs')],
    nodePaths: [modules],
    bundle: true,
    format: 'iife',
    outfile: bundle,
    logLevel: 'warning',
  });
  const server = http.createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end(PAGE);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const browser = await chromium.launch({
    executablePath: process.env.EVENTCAST_CHROMIUM || '/usr/bin/chromium',
    // Chromium has a list of authorities of its own: the test's is not on it.
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--ignore-certificate-errors'],
  });
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.log(`error ${error}`));
  await page.exposeFunction('shown', (text) => console.log(text));
  // Pages by https or on this machine alone have what signing needs.
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.addScriptTag({ path: bundle });
  await page.evaluate((what) => {
    // The output is read back from the page: it is what a person would see.
    new MutationObserver((changes) => {
      for (const change of changes) for (const item of change.addedNodes) window.shown(item.textContent);
    }).observe(document.getElementById('messages'), { childList: true });
    window.listen(what);
  }, { kind, endpoint, clientId, topics });
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => {
    const [topic, message] = line.split(/ (.*)/);
    page.evaluate(([to, text]) => window.say(to, JSON.parse(text)), [topic, message]);
  });
  input.on('close', async () => {
    await browser.close();
    process.exit(0);
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
