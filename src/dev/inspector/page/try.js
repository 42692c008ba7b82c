// Try it: a token for a role, a connection with it, and an event to see arrive.

import { ask, byId, clock, code, copies, el, link, many, pretty, put, query, say, sentence } from './dom.js';
import { state } from './live.js';
import { name as channelName } from './channels.js';
import { hearing } from './clients.js';
import { Mqtt, readable } from './mqtt.js';
import { snippet } from './snippet.js';

const INBOX = 100;

/** IoT Core takes eight filters in one SUBSCRIBE. */
const AT_ONCE = 8;

/** IoT Core takes one CONNECT a second for a client id. */
const BETWEEN = 1100;

let issued = null;
let last = 0;
let client = null;
let count = 0;
let filled = null;

const show = (node, text, kind = '') => {
  put(node, sentence(text));
  node.className = `answer ${kind}`;
};

/** Fills the forms once it is known what there is. */
export function update() {
  const { platform } = state;
  if (!platform || filled === platform) return;
  filled = platform;
  const option = (value, text) => el('option', { value }, text);
  put(byId('mint-role'), platform.roles.map((role) => option(role.name, role.name)));
  put(byId('put-route'), platform.routes.map((route) => option(route.name, `route ${route.name}`)), option('', 'an event of your own'));
  for (const part of byId('mint').elements) part.disabled = !platform.tokens;
  if (!platform.tokens) {
    say(byId('mint-grants'), 'There are no roles: every client may do everything, and needs no token.');
    byId('listen-client').value ||= 'page-1';
    byId('listen-filters').value ||= '#';
  } else {
    byId('listen-connect').disabled = issued === null;
    if (issued === null) show(byId('listen-answer'), 'mint a token first');
    chooseRole();
  }
  chooseRoute();
  sketch();
}

export function open(_, asked) {
  const topic = asked.get('listen');
  if (topic) byId('listen-filters').value = topic;
  sketch();
}

function chooseRole() {
  const role = state.platform.roles.find((one) => one.name === byId('mint-role').value);
  if (!role) return;
  byId('mint-claims').value = JSON.stringify(role.example, null, 2);
  put(byId('mint-grants'), 'hears ', role.subscribe.map((entry, at) => [at ? ', ' : '', code(entry)]),
    role.publish.length ? ['; publishes to ', role.publish.map((entry, at) => [at ? ', ' : '', code(entry)])] : null);
}

function chooseRoute() {
  const route = state.platform.routes.find((one) => one.name === byId('put-route').value);
  if (!route) return;
  const { source, detail, 'detail-type': type } = route.example;
  byId('put-source').value = source ?? 'shop.orders';
  byId('put-type').value = type ?? 'Something';
  byId('put-detail').value = JSON.stringify(detail ?? {}, null, 2);
}

byId('mint-role').addEventListener('change', chooseRole);
byId('put-route').addEventListener('change', chooseRoute);

/** JSON of a form's field; an error says which. */
function json(id, what) {
  try {
    return JSON.parse(byId(id).value);
  } catch (error) {
    byId(id).focus();
    throw new Error(`${what} is not JSON: ${error.message}`);
  }
}

async function mint() {
  forget();
  const body = JSON.stringify({ role: byId('mint-role').value, claims: json('mint-claims', 'the text in Claims') });
  issued = await ask('/_dev/tokens', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  show(byId('mint-answer'), `it is ${issued.principal}, and may subscribe to ${many(issued.subscribe.length, 'filter')}`, 'good');
  byId('mint-token').value = issued.token;
  byId('mint-token-label').hidden = false;
  byId('listen-client').value = `${issued.principal}-page`;
  byId('listen-filters').value = issued.subscribe.map((filter) => filter.replace(/\*$/, '#')).join('\n');
  byId('listen-connect').disabled = false;
  if (!client) show(byId('listen-answer'), 'not connected');
  sketch();
}

/** No token, as before the first one. */
function forget() {
  issued = null;
  byId('mint-token').value = '';
  byId('mint-token-label').hidden = true;
  byId('listen-connect').disabled = true;
  sketch();
}

byId('mint').addEventListener('submit', (event) => {
  event.preventDefault();
  mint().catch((error) => show(byId('mint-answer'), error.message, 'bad'));
});

/** The broker's address, at the host that this page came from, with the token in the query as a custom authorizer has it. */
function address() {
  const url = new URL(state.platform.addresses.mqtt.ws);
  url.hostname = location.hostname;
  if (issued) url.searchParams.set(issued.key, issued.token);
  return url.href;
}

function connected(is) {
  // Another client id or other filters take another connection.
  byId('listen-connect').disabled = issued === null && state.platform.tokens;
  say(byId('listen-connect'), is ? 'Connect again' : 'Connect and subscribe');
  byId('listen-end').disabled = !is;
}

const filters = () => byId('listen-filters').value.split('\n').map((line) => line.trim()).filter(Boolean);

/** Writes the code for MQTT.js with the form's values. */
function sketch() {
  const needsToken = state.platform?.tokens && issued === null;
  byId('snippet').hidden = !state.platform || needsToken;
  if (byId('snippet').hidden) return;
  say(byId('snippet-code'), snippet({ address: address(), principal: issued?.principal ?? null, filters: filters() }));
}

byId('listen-filters').addEventListener('input', sketch);
copies(byId('snippet-copy'), () => byId('snippet-code').textContent);
copies(byId('mint-copy'), () => byId('mint-token').value);

async function connect() {
  const id = byId('listen-client').value.trim();
  const wanted = filters();
  const qos = byId('listen-qos').checked ? 1 : 0;
  put(byId('listen-why'));
  show(byId('listen-answer'), 'connecting');
  byId('listen-connect').disabled = true;
  client?.leave();
  await new Promise((soon) => setTimeout(soon, Math.max(0, last + BETWEEN - Date.now())));
  last = Date.now();
  const mine = new Mqtt(address(), id, { message: arrived, end: (why) => ended(mine, why) });
  client = mine;
  await mine.ready;
  connected(true);
  let refused = [];
  for (let at = 0; at < wanted.length; at += AT_ONCE) {
    const some = wanted.slice(at, at + AT_ONCE);
    mine.asked = some;
    const answers = await mine.subscribe(some, qos);
    refused = refused.concat(some.filter((_, place) => answers[place] >= 0x80));
  }
  mine.asked = [];
  if (refused.length) await explain(id, refused);
  show(byId('listen-answer'), `connected as ${id}; ${many(wanted.length - refused.length, 'subscription')}`, refused.length ? 'bad' : 'good');
}

function ended(mine, why) {
  if (mine !== client) return;
  const asked = mine.asked ?? [];
  connected(false);
  const left = why === 'disconnected';
  // With MQTT 3.1.1 IoT Core closes the connection on a subscription that is not allowed, and says nothing.
  const word = asked.length ? 'the broker closed the connection at the subscription, as IoT Core does where it is not allowed' : why;
  show(byId('listen-answer'), word, left ? '' : 'bad');
  if (!left) explain(byId('listen-client').value.trim(), asked);
}

/** Why: what the platform saw of this client, and for each filter that is a topic the checks. */
async function explain(id, filters) {
  const where = byId('listen-why');
  const parts = [];
  const seen = await ask(query('/_dev/client', { id })).catch(() => null);
  const denial = seen?.denials.find((one) => filters.length === 0 || filters.includes(one.filter));
  // A client that is refused at the WebSocket has no client id yet.
  const stranger = seen ? null : state.denials.find((one) => one.event === 'refused' && !one.client && Date.now() - one.at / 1000 < 5000);
  if (stranger) parts.push(el('p', { class: 'says bad' }, sentence(stranger.why)));
  if (denial) parts.push(el('p', { class: 'says bad' }, sentence(denial.filter ? `\`${denial.filter}\`: ${denial.why}` : denial.why)));
  for (const filter of filters.filter((one) => one === denial?.filter || !denial)) {
    if (/[+#]/.test(filter)) continue;
    try {
      const told = await ask(query('/_dev/hear', { client: id, topic: filter }));
      parts.push(el('div', { class: 'hearing' }, hearing(told)));
    } catch (error) {
      parts.push(el('p', { class: 'says bad' }, error.message));
    }
  }
  put(where, parts);
}

byId('listen').addEventListener('submit', (event) => {
  event.preventDefault();
  // The end is already reported.
  connect().catch(() => connected(client?.connected === true && !client.ended));
});
byId('listen-end').addEventListener('click', () => {
  client?.leave();
  byId('listen-connect').focus();
});

function arrived(topic, bytes, qos, retained) {
  count += 1;
  const payload = readable(bytes);
  const node = el('li', {},
    el('div', { class: 'from' }, el('span', { class: 'mono quiet' }, clock(Date.now() * 1000)), ' ', link('channels', topic, channelName(topic), { class: 'mono' }),
      el('span', { class: 'quiet' }, ` QoS ${qos}${retained ? ', retained' : ''}, ${many(bytes.length, 'byte')}`)),
    el('pre', {}, pretty(payload)));
  const inbox = byId('inbox');
  inbox.prepend(node);
  while (inbox.children.length > INBOX) inbox.lastElementChild.remove();
  byId('inbox-empty').hidden = true;
  say(byId('inbox-count'), many(count, 'message'));
}

byId('inbox-clear').addEventListener('click', () => {
  put(byId('inbox'));
  count = 0;
  say(byId('inbox-count'), '0 messages');
  byId('inbox-empty').hidden = false;
});

async function putEvent() {
  const entry = {
    Source: byId('put-source').value,
    DetailType: byId('put-type').value,
    Detail: JSON.stringify(json('put-detail', 'the text in Detail')),
  };
  const answer = await ask('/', {
    method: 'POST',
    headers: { 'x-amz-target': 'AWSEvents.PutEvents', 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify({ Entries: [entry] }),
  });
  const [outcome] = answer.Entries;
  if (!outcome.EventId) throw new Error(`${outcome.ErrorCode}: ${outcome.ErrorMessage}`);
  const where = byId('put-answer');
  show(where, '', 'good');
  put(where, 'taken by the bus: ', link('events', outcome.EventId, 'see its path'));
}

byId('put').addEventListener('submit', (event) => {
  event.preventDefault();
  putEvent().catch((error) => show(byId('put-answer'), error.message, 'bad'));
});
