// Clients: identity, permissions, and reasons why they do not receive a topic.

import { ask, byId, clock, code, copier, el, link, pretty, put, query, say, sentence, tailed } from './dom.js';
import { state } from './live.js';
import { LiveList, cell, empty } from './list.js';
import { name as channelName } from './channels.js';

const detail = byId('client-detail');
const find = byId('clients-find');
let opened = '';

function row() {
  const title = el('a', { class: 'cover mono' });
  const role = cell({});
  const filters = cell({ class: 'n' });
  const node = el('tr', {}, cell({ class: 'name' }, title), role, filters);
  const fill = (client) => {
    tailed(title, client.id);
    title.href = `#clients/${encodeURIComponent(client.id)}`;
    say(role, client.role ?? '–');
    const count = Array.isArray(client.subscriptions) ? client.subscriptions.length : client.subscriptions;
    say(filters, count);
    node.dataset.state = client.connected ? 'done' : 'away';
    node.classList.toggle('current', client.id === opened);
  };
  return { node, fill };
}

const list = new LiveList({
  body: byId('clients-rows'),
  held: byId('clients-held'),
  places: 100,
  row,
  key: (client) => client.id,
});

let found = null;

/** What was denied, in words: the act, and what it was about. */
export function denied(doing) {
  switch (doing.event) {
    case 'refused': return ['may not connect', ''];
    case 'subscribe_denied': return ['may not subscribe to', doing.filter];
    case 'publish_denied': return ['may not publish to', doing.topic];
    case 'dropped': return ['did not get', doing.topic];
    default: return [doing.event, ''];
  }
}

function denial(doing) {
  const [act, what] = denied(doing);
  const hears = what && !/[+#]/.test(what) && doing.client && doing.event !== 'publish_denied';
  return el('li', {},
    el('span', { class: 'mono quiet' }, clock(doing.at)), ' ',
    doing.client ? link('clients', doing.client) : 'somebody', ` ${act} `, what ? code(channelName(what)) : null,
    el('span', { class: 'why' }, sentence(doing.why), ' ',
      hears ? el('a', { href: `#clients/${encodeURIComponent(doing.client)}?hear=${encodeURIComponent(what)}` }, 'Explain') : null));
}

let told = '';

export function update() {
  list.set(found ?? state.clients.clients);
  const none = state.link === 'live' && state.clients.count === 0 && state.pulse !== null;
  const address = state.platform?.addresses.mqtt.ws ?? state.platform?.addresses.mqtt.mqtt ?? '';
  empty(byId('clients-empty'), none,
    el('p', {}, 'Nobody is connected. Connect any MQTT client to ', code(address), ', or ', el('a', { href: '#try' }, 'be one yourself'), '.'));
  const latest = state.denials.slice(0, 5);
  const key = latest.map((doing) => `${doing.at}${doing.client}`).join();
  byId('denials-empty').hidden = latest.length > 0;
  if (key !== told && !byId('denials').matches(':hover, :focus-within')) {
    told = key;
    put(byId('denials'), latest.map(denial));
  }
}

find.addEventListener('input', async () => {
  const q = find.value.trim();
  found = q === '' ? null : (await ask(query('/_dev/clients', { q, count: 100 }))).clients;
  list.set(found ?? state.clients.clients, true);
});

export function open(id, asked) {
  const topic = asked.get('hear');
  const moved = id !== opened;
  opened = id;
  if (moved) list.show();
  if (!id) put(detail, el('p', { class: 'hint' }, 'Choose a client to see its role, filters and policies, and why it does not hear something.'));
  else load(topic);
}

export const leave = (id) => list.focus(id);

const back = () => el('a', { class: 'back', href: '#clients' }, '← Clients');

async function load(topic) {
  const id = opened;
  try {
    const client = await ask(query('/_dev/client', { id }));
    if (id !== opened) return;
    show(client, topic);
  } catch (error) {
    if (id === opened) put(detail, back(), el('p', { class: 'hint' }, sentence(error.message)));
  }
  if (!topic) detail.querySelector('h2')?.focus();
}

const fact = (name, value) => (value === null || value === undefined || value === '' ? null : el('div', {}, el('dt', {}, name), el('dd', {}, value)));

function facts(client) {
  const since = client.since ? clock(client.since) : null;
  return el('dl', { class: 'facts' },
    fact('Role', client.role), fact('Principal', client.principal), fact('From', client.source),
    fact(client.connected ? 'Connected since' : 'Away since', since), fact('Why it left', client.disconnect_reason),
    fact('Keep alive', client.keep_alive ? `${client.keep_alive} s` : null),
    fact('Session', client.clean === null ? null : client.clean ? 'ends with the connection' : `outlives it by ${client.session_expiry} s`),
    fact('Messages waiting', client.queued || null));
}

function doing(one) {
  const words = {
    connected: () => 'connected', disconnected: () => `left: ${one.why || one.reason}`,
    subscribed: () => `subscribed to ${one.filter}`, unsubscribed: () => `unsubscribed from ${one.filter}`,
  }[one.event];
  return el('li', { 'data-kind': words ? 'quiet' : 'bad' }, el('span', { class: 'mono quiet' }, clock(one.at)), ' ',
    words ? words() : [denied(one).join(' '), el('span', { class: 'why' }, sentence(one.why))]);
}

function show(client, topic) {
  const lately = [...client.doings, ...client.denials].sort((a, b) => b.at - a.at).slice(0, 20);
  put(detail, back(), el('h2', { tabIndex: -1, class: 'mono' }, client.id),
    el('p', { class: 'says' }, client.connected ? 'It is connected.' : 'It is not connected.', ' ', copier(client.id)),
    facts(client),
    el('h3', {}, 'Why can’t it hear this?'), hearForm(client.id, topic),
    el('h3', {}, `Filters (${client.subscriptions.length})`),
    client.subscriptions.length
      ? el('ul', { class: 'routes' }, client.subscriptions.map((one) => el('li', { 'data-kind': 'topic' },
        /[+#]/.test(one.filter) ? code(one.filter) : link('channels', one.filter, channelName(one.filter), { class: 'mono' }), el('span', { class: 'quiet' }, ` QoS ${one.qos}`))))
      : el('p', { class: 'quiet' }, 'It has subscribed to nothing.'),
    el('h3', {}, 'Policies'),
    client.policies.length
      ? client.policies.map((policy) => el('details', {}, el('summary', {}, policy.name), el('pre', { tabIndex: 0 }, pretty(policy.text))))
      : el('p', { class: 'quiet' }, client.free ? 'None: it may do everything.' : client.connected ? 'None: it may do nothing.' : 'Policies come with a connection’s token or certificate.'),
    el('h3', {}, 'Recent activity'),
    lately.length ? el('ul', { class: 'routes' }, lately.map(doing)) : el('p', { class: 'quiet' }, 'No recent activity.'));
  if (topic) detail.querySelector('form').requestSubmit();
}

function hearForm(client, topic) {
  const input = el('input', { value: topic ?? '', required: true, autocomplete: 'off', spellcheck: false, placeholder: 'order:… or a topic' });
  input.setAttribute('list', 'live-topics');
  const options = el('datalist', { id: 'live-topics' }, state.channels.channels.map((channel) => el('option', { value: channelName(channel.topic) })));
  const answer = el('div', { class: 'hearing', role: 'status' });
  const form = el('form', { class: 'hear' }, el('label', { class: 'grow' }, 'Channel or topic ', input), options, el('button', { type: 'submit' }, 'Explain'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      put(answer, hearing(await ask(query('/_dev/hear', { client, topic: input.value.trim() }))));
    } catch (error) {
      put(answer, el('p', { class: 'says bad' }, sentence(error.message)));
    }
  });
  return [form, answer];
}

/** The explanation: what to change, and each check behind it. */
export function hearing(told) {
  const mark = { true: 'yes', false: 'no', null: 'not known' };
  return [
    el('p', { class: told.heard ? 'says good' : 'says bad' }, sentence(told.says)),
    told.advice.length ? el('div', { class: 'advice' }, el('b', {}, 'What to change'), el('ul', {}, told.advice.map((line) => el('li', {}, sentence(line))))) : null,
    el('ol', { class: 'checks' }, told.checks.map((check) => el('li', { 'data-holds': String(check.holds) },
      el('b', {}, check.what), ' ', el('span', { class: 'mark' }, mark[check.holds]), check.words.map((line) => el('div', { class: 'why' }, sentence(line)))))),
  ];
}
