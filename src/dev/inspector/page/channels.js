// Channels: their rates, and the subscribers that may receive them.

import { ask, byId, clock, code, copier, draw, el, link, many, pretty, put, query, rate, say, sentence, spark, tailed } from './dom.js';
import { state } from './live.js';
import { LiveList, cell, empty } from './list.js';

const detail = byId('channel-detail');
const find = byId('channels-find');
let opened = '';

/** `order/<id>` as `order:<id>` where it is a channel of the configuration. */
export function name(topic) {
  const environment = state.platform?.environment;
  const rest = environment && topic.startsWith(`${environment}/`) ? topic.slice(environment.length + 1) : topic;
  const [kind, ...id] = rest.split('/');
  const known = state.platform?.channels.some((channel) => channel.name === kind);
  return known && id.length === 1 ? `${kind}:${id[0]}` : topic;
}

function row() {
  const title = el('a', { class: 'cover mono' });
  const chart = spark(60, 16);
  const messages = cell({ class: 'n' });
  const deliveries = cell({ class: 'n' });
  const node = el('tr', {}, cell({ class: 'name' }, title), cell({}, chart), messages, deliveries);
  const fill = (channel) => {
    tailed(title, name(channel.topic));
    title.href = `#channels/${encodeURIComponent(channel.topic)}`;
    draw(chart, channel.seconds);
    say(messages, rate(channel.published_per_second));
    say(deliveries, rate(channel.delivered_per_second));
    node.classList.toggle('current', channel.topic === opened);
  };
  return { node, fill };
}

const list = new LiveList({
  body: byId('channels-rows'),
  held: byId('channels-held'),
  places: 50,
  row,
  key: (channel) => channel.topic,
});

let found = null;
let asked = 0;

/** Says which limits hold the bridge's routes back, asked at most every two seconds. */
async function limits() {
  const now = Date.now();
  if (byId('view-channels').hidden || now - asked < 2000) return;
  asked = now;
  const { held_back: held } = await ask('/_dev/held-back');
  const place = byId('channels-limits');
  place.hidden = held.length === 0;
  const each = held.map(({ limit, route, count }) => `${route ?? 'receiving'} ${many(count, 'time')} (${limit})`);
  say(place, `Had to wait: ${each.join(', ')}.`);
}

export function update() {
  limits().catch(() => {});
  list.set(found ?? state.channels.channels);
  const none = state.link === 'live' && state.channels.count === 0 && state.pulse !== null;
  empty(byId('channels-empty'), none,
    el('p', {}, 'Nothing was published yet. A channel appears here with its first message: ', el('a', { href: '#try' }, 'put an event'), ' that a route takes.'));
}

find.addEventListener('input', async () => {
  const q = find.value.trim().replace(':', '/');
  found = q === '' ? null : (await ask(query('/_dev/channels', { q, count: 50 }))).channels;
  list.set(found ?? state.channels.channels, true);
});

export function open(topic) {
  const moved = topic !== opened;
  opened = topic;
  if (moved) list.show();
  if (!topic) put(detail, el('p', { class: 'hint' }, 'Choose a channel to see who has subscribed, and who may hear it.'));
  else if (moved) load();
}

export const leave = (topic) => list.focus(topic);

const back = () => el('a', { class: 'back', href: '#channels' }, '← Channels');

async function load() {
  const topic = opened;
  try {
    const channel = await ask(query('/_dev/channel', { topic }));
    if (topic === opened) show(channel);
  } catch (error) {
    if (topic === opened) put(detail, back(), el('p', { class: 'hint' }, sentence(error.message)));
  }
  detail.querySelector('h2')?.focus();
}

function subscriber(one) {
  const may = one.may_receive === null ? 'away' : one.may_receive ? 'hears it' : 'may not receive';
  return el('li', { 'data-kind': one.may_receive === false ? 'bad' : 'client' },
    link('clients', one.client), ' ', el('span', { class: 'quiet' }, `by ${one.filter}, QoS ${one.qos}: ${may}`), ' ',
    one.may_receive === false ? el('a', { href: `#clients/${encodeURIComponent(one.client)}?hear=${encodeURIComponent(opened)}` }, 'Why?') : null);
}

function show(channel) {
  const retained = channel.retained;
  const again = el('button', { type: 'button', class: 'small' }, 'Look again');
  again.addEventListener('click', load);
  put(detail, back(), el('h2', { tabIndex: -1, class: 'mono' }, channel.channel ?? channel.topic),
    el('p', { class: 'id' }, 'topic ', code(channel.topic), copier(channel.topic)),
    el('p', { class: 'says' }, `${many(channel.published, 'message')} published, ${many(channel.delivered, 'delivery', 'deliveries')}; ${rate(channel.published_per_second)} messages a second.`),
    el('div', { class: 'head' }, el('h3', {}, `Subscribers (${channel.subscriber_count})`), again),
    channel.subscribers.length
      ? el('ul', { class: 'routes' }, channel.subscribers.map(subscriber))
      : el('p', { class: 'quiet' }, 'Nobody has subscribed. ', el('a', { href: `#try?listen=${encodeURIComponent(channel.topic)}` }, 'Listen to it yourself')),
    el('h3', {}, 'Retained message'),
    retained
      ? [el('p', { class: 'quiet' }, `${retained.size_bytes} bytes, QoS ${retained.qos}, since ${clock(retained.at)}`), el('pre', { tabIndex: 0 }, retained.text === null ? '(not text)' : pretty(retained.text))]
      : el('p', { class: 'quiet' }, 'None is kept.'));
}
