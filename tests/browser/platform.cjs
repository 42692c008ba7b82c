// The surroundings of a running `eventcast dev` in the module's browser tests: a site with a page, the
// module, tokens and the gateway at one origin; a gate before the broker's WebSocket port that can be
// cut, muted and opened again; a publisher.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { randomUUID } = require('node:crypto');

const USER = '5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11';
const PAGE = '<!doctype html><meta charset="utf-8"><title>orders</title><link rel="icon" href="data:,">';
const MODULE = path.join(__dirname, '..', '..', 'browser', 'eventcast.js');

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

/** One request of the platform's HTTP port; its status and JSON. */
function ask(endpoint, method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(new URL(target, endpoint), { method, headers, agent }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += part));
      answer.on('end', () => (answer.statusCode < 300 ? resolve(text && JSON.parse(text)) : reject(new Error(`${target}: ${answer.statusCode} ${text}`))));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** A token of the platform. */
async function mint(endpoint, role, claims) {
  return (await ask(endpoint, 'POST', '/_dev/tokens', JSON.stringify({ role, claims }))).token;
}

/** Publishes as the bridge does, with the event's id. */
function publish(endpoint, topic, payload, { id = randomUUID(), retain = false, route = 'order-updates' } = {}) {
  const properties = [{ 'eb-id': id }, { 'eb-source': 'shop.orders' }, { 'eb-detail-type': 'OrderUpdated' }, { 'eb-route': route }];
  return ask(endpoint, 'POST', `/topics/${encodeURIComponent(topic)}?qos=1${retain ? '&retain=true' : ''}`, JSON.stringify(payload), {
    'x-amz-mqtt5-user-properties': Buffer.from(JSON.stringify(properties)).toString('base64'),
  });
}

/** A TCP port before another one. Its connections can be cut, and what comes later be refused or left without an answer. */
async function gate(port) {
  const pairs = new Set();
  const self = { mode: 'open', connections: 0 };
  const server = net.createServer((near) => {
    near.on('error', () => {});
    self.connections += 1;
    if (self.mode === 'closed') return near.resetAndDestroy();
    const far = net.connect(port, '127.0.0.1');
    far.on('error', () => near.destroy());
    const pair = { near, far };
    pairs.add(pair);
    const over = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    near.on('close', over);
    far.on('close', over);
    near.on('data', (data) => self.mode !== 'mute' && far.write(data));
    far.on('data', (data) => self.mode !== 'mute' && near.write(data));
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const cut = () => {
    for (const { near, far } of pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
  };
  return Object.assign(self, {
    port: server.address().port,
    cut,
    close: () => {
      self.mode = 'closed';
      cut();
    },
    mute: () => (self.mode = 'mute'),
    open: () => (self.mode = 'open'),
  });
}

/** The site: a page, the module, `/realtime-token`, and `/rt/` of the platform; what `files` has besides. `site.tokens` counts; `site.token` may be set to give another. */
async function site(endpoint, claims, files = {}) {
  const self = { tokens: 0, polls: 0, blocked: false, calls: [] };
  self.token = () => mint(endpoint, 'customer', claims);
  const server = http.createServer(async (request, answer) => {
    if (request.url === '/realtime-token') {
      self.tokens += 1;
      try {
        answer.end(await self.token());
      } catch (error) {
        answer.writeHead(500).end(String(error));
      }
    } else if (request.url.startsWith('/rt/') || request.url === '/_dev/tokens') {
      self.calls.push(`${request.method} ${request.url.replace(/\?.*/, '')}`);
      if (self.blocked) return answer.destroy();
      const far = http.request(new URL(request.url, endpoint), { method: request.method, headers: { ...request.headers, host: new URL(endpoint).host } }, (back) => {
        answer.writeHead(back.statusCode, back.headers);
        back.pipe(answer);
      });
      far.on('error', () => answer.destroy());
      answer.on('close', () => far.destroy());
      request.pipe(far);
    } else if (request.url === '/eventcast.js') {
      answer.writeHead(200, { 'content-type': 'text/javascript' }).end(fs.readFileSync(MODULE));
    } else if (files[request.url]) {
      answer.writeHead(200, { 'content-type': 'text/javascript' }).end(files[request.url]);
    } else {
      answer.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    }
    return undefined;
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return Object.assign(self, { origin: `http://127.0.0.1:${server.address().port}` });
}

module.exports = { USER, ask, gate, mint, publish, site };
