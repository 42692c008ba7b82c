// Events: the latest ones, and the way of each from the bus to clients.

import { ask, byId, clock, code, copier, el, link, many, pretty, put, query, say, sentence, span } from './dom.js';
import { state } from './live.js';
import { LiveList, cell, empty } from './list.js';
import { name as channelName } from './channels.js';

const detail = byId('event-detail');
const find = byId('events-find');
const outcome = byId('events-outcome');
let opened = '';
let shown = null;

/** Outcomes that a row names in words, since colours alone say little. */
const WORDS = { dead: 'dead letter', denied: 'denied', unrouted: 'unrouted' };

/** What has become of an event: the colour of its row, and what the list can be narrowed to. */
function outcomeOf(event) {
  if (event.dead) return 'dead';
  if (event.withheld) return 'denied';
  if (!event.done) return 'under-way';
  return event.published ? 'done' : 'unrouted';
}

function row() {
  const time = cell({ class: 'mono' });
  const title = el('a', { class: 'cover' });
  const at = el('span', { class: 'at mono' });
  const outcome = el('b', { class: 'outcome' });
  const from = el('span');
  const source = el('small', {}, at, outcome, from);
  const messages = cell({ class: 'n' });
  const clients = cell({ class: 'n' });
  const first = cell({ class: 'n' });
  const node = el('tr', {}, time, cell({ class: 'name' }, title, source), messages, clients, first);
  const fill = (event) => {
    say(time, clock(event.began));
    say(title, event.detail_type ?? '(no detail-type)');
    title.title = `${event.detail_type ?? ''} ${event.source ?? ''} ${event.id}`.trim();
    title.href = `#events/${encodeURIComponent(event.id)}`;
    const state = outcomeOf(event);
    say(at, clock(event.began).slice(0, 8));
    say(outcome, WORDS[state] ?? '');
    say(from, event.source ?? event.id);
    say(messages, event.published || (event.done ? 'none' : '…'));
    say(clients, event.withheld ? `${event.delivered} (${event.withheld} denied)` : event.delivered);
    say(first, event.first_after === null ? '–' : span(event.first_after));
    node.dataset.state = state;
    node.classList.toggle('current', event.id === opened);
  };
  return { node, fill };
}

const list = new LiveList({
  body: byId('events-rows'),
  held: byId('events-held'),
  hold: byId('events-hold'),
  places: 60,
  row,
  key: (event) => event.id,
});

function wanted(event) {
  if (outcome.value !== '' && outcomeOf(event) !== outcome.value) return false;
  const word = find.value.trim().toLowerCase();
  const text = `${event.detail_type ?? ''} ${event.source ?? ''} ${event.id}`;
  return word === '' || text.toLowerCase().includes(word);
}

export function update() {
  choose();
  const none = state.link === 'live' && state.events.length === 0;
  empty(byId('events-empty'), none,
    el('p', {}, 'No event has come yet. Put one ', el('a', { href: '#try' }, 'with the form'), ', or from a shell:'),
    el('pre', { tabIndex: 0 }, putEvents()));
  const latest = state.events.find((event) => event.id === opened);
  if (latest && shown && latest.ended !== shown.ended) load();
}

for (const control of [find, outcome]) {
  control.addEventListener('input', () => choose(true));
}

function choose(now = false) {
  const events = state.events.filter(wanted);
  list.set(events, now);
  byId('events-none').hidden = events.length > 0 || state.events.length === 0;
}

/** A command that puts an event which a route publishes. */
function putEvents() {
  const example = state.platform?.routes.find((route) => route.example_matches)?.example ?? {};
  const entry = {
    Source: example.source ?? 'shop.orders',
    DetailType: example['detail-type'] ?? 'OrderPlaced',
    Detail: JSON.stringify(example.detail ?? {}),
  };
  // A quote inside of quotes, as shells have it.
  const entries = JSON.stringify([entry]).replaceAll("'", "'\\''");
  return `aws --endpoint-url ${state.platform?.addresses.endpoint ?? ''} events put-events --entries \\\n  '${entries}'`;
}

/** The focus goes back to the list. */
export function leave(id) {
  list.focus(id);
}

export function open(id) {
  const moved = id !== opened;
  opened = id;
  if (moved) list.show();
  if (!id) {
    shown = null;
    put(detail, hint());
  } else if (moved) {
    shown = null;
    load(true);
  }
}

const hint = () => el('p', { class: 'hint' }, 'Choose an event to see its path: bus, rule, queue, route, topic, client, with the time of each hop.');

async function load(focus = false) {
  const id = opened;
  let inside = focus;
  try {
    const event = await ask(query('/_dev/event', { id }));
    if (id !== opened) return;
    shown = event;
    // An event that goes on is drawn anew: the focus stays in it.
    inside ||= detail.contains(document.activeElement);
    draw(event);
  } catch (error) {
    if (id === opened) put(detail, back(), el('p', { class: 'hint' }, sentence(error.message)));
  }
  if (inside) detail.querySelector('h2')?.focus();
}

const back = () => el('a', { class: 'back', href: '#events' }, '← Events');

/** One sentence on what became of it. */
function summary(event) {
  if (event.not_an_event) return `This is no event: ${event.not_an_event}`;
  const unsent = event.hops.find((hop) => hop.step === 'unsent');
  if (unsent) return `Rule ${unsent.rule} took it, but could not send it: ${unsent.why}`;
  const put = event.hops.find((hop) => hop.step === 'put');
  if (put && put.rules === null) return 'It was put on a bus that does not exist: EventBridge takes such events and drops them.';
  if (put && put.rules === 0) return 'No rule of the bus takes it, so it went nowhere.';
  if (event.published === 0) {
    if (event.dead) return 'Nothing was published: it went to the dead-letter queue.';
    return event.done ? 'No route publishes it; each says why below.' : 'It waits for the bridge.';
  }
  const took = event.first_after === null ? '' : `, the first after ${span(event.first_after)}`;
  const denied = event.withheld ? `; ${many(event.withheld, 'delivery', 'deliveries')} denied` : '';
  return `${many(event.published, 'message')}, ${many(event.delivered, 'delivery', 'deliveries')}${took}${denied}.`;
}

const KIND = { put: 'bus', unsent: 'bad', queued: 'queue', received: 'queue', hidden: 'queue', deleted: 'queue', redriven: 'bad', published: 'topic', delivered: 'client', withheld: 'bad' };

/** What a hop is called, what it says, and what there is to say beside that. */
function words(hop) {
  switch (hop.step) {
    case 'put': return ['Bus', `put on ${hop.bus}`, hop.rules === null ? 'there is no such bus' : many(hop.rules, 'rule takes it', 'rules take it')];
    case 'unsent': return ['Rule', `${hop.rule} could not send it`, `to ${hop.target}: ${hop.why}`];
    case 'queued': return hop.dead_letter
      ? ['Dead letter', hop.queue, sentence(hop.dead_letter)]
      : ['Queue', hop.queue, hop.rule ? `by rule ${hop.rule}` : 'sent there directly'];
    case 'received': return ['Bridge', 'took it', hop.attempt > 1 ? `attempt ${hop.attempt}` : ''];
    case 'hidden': return ['Bridge', hop.seconds === 0 ? 'gave it back' : `keeps it for ${hop.seconds} s more`, ''];
    case 'deleted': return ['Bridge', 'done', `deleted from ${hop.queue}`];
    case 'redriven': return ['Queue', `moved to ${hop.to}`, 'handed out too often'];
    case 'published': return ['Topic', link('channels', hop.topic, channelName(hop.topic), { class: 'mono' }),
      `by ${hop.route ? `route ${hop.route}` : hop.client || 'HTTPS'}, QoS ${hop.qos}${hop.retain ? ', retained' : ''}; ${many(hop.sessions, 'subscriber')}`];
    case 'delivered': return ['Client', link('clients', hop.client, hop.client, { class: 'mono' }), hop.retained ? 'got it later, as the retained message' : ''];
    case 'withheld': return ['Denied', link('clients', hop.client, hop.client, { class: 'mono' }),
      ['did not get it: ', sentence(hop.why), ' ', el('a', { href: `#clients/${encodeURIComponent(hop.client)}?hear=${encodeURIComponent(hop.topic)}` }, 'Why?')]];
    default: return [hop.step, '', ''];
  }
}

/** Hops in the order of time, but for clients: they stand below their topic. */
function ordered(hops) {
  const isClient = (hop) => hop.step === 'delivered' || hop.step === 'withheld';
  const topics = new Set(hops.filter((hop) => hop.step === 'published').map((hop) => hop.topic));
  return hops.flatMap((hop) => {
    if (isClient(hop) && topics.has(hop.topic)) return [];
    if (hop.step !== 'published') return [hop];
    const first = hops.find((other) => other.step === 'published' && other.topic === hop.topic) === hop;
    return [hop, ...(first ? hops.filter((other) => isClient(other) && other.topic === hop.topic) : [])];
  });
}

function way(event) {
  // A retained message for a later subscriber would make the time unreadably long.
  const live = event.hops.filter((hop) => !hop.retained);
  const whole = Math.max(1, Math.max(...live.map((hop) => hop.at)) - event.began);
  const before = new Map(live.map((hop, at) => [hop, at === 0 ? event.began : live[at - 1].at]));
  const steps = ordered(event.hops).map((hop) => {
    const [name, text, beside] = words(hop);
    const bar = el('i', { class: 'bar', 'aria-hidden': 'true' });
    const begin = before.get(hop) ?? hop.at;
    bar.style.setProperty('--from', `${Math.min(99, ((begin - event.began) / whole) * 100)}%`);
    bar.style.setProperty('--wide', `${Math.max(0.8, ((hop.at - begin) / whole) * 100)}%`);
    return el('li', { 'data-kind': KIND[hop.step], class: name === 'Client' || name === 'Denied' ? 'below' : null },
      el('b', {}, name), el('span', { class: 'what' }, text, beside ? el('small', {}, beside) : null),
      el('span', { class: 'when mono' }, `+${span(hop.at - event.began)}`), el('span', { class: 'track' }, hop.retained ? null : bar));
  });
  const more = event.more_hops > 0 ? el('p', { class: 'quiet' }, `and ${many(event.more_hops, 'more step')} like these`) : null;
  return [el('ol', { class: 'way' }, steps), more];
}

function routes(event) {
  if (event.routes.length === 0) return el('p', { class: 'quiet' }, 'There is no configuration with routes, or the body is not kept.');
  return el('ul', { class: 'routes' }, event.routes.map((route) => el('li', { 'data-kind': route.topics.length ? 'topic' : route.matches ? 'bad' : 'quiet' },
    el('b', {}, route.route), ' ', el('span', { class: 'quiet' }, route.matches ? (route.topics.length ? 'publishes' : 'matches, but publishes nothing') : 'no match'),
    route.topics.length ? el('div', {}, route.topics.map((topic) => el('div', {}, '→ ', link('channels', topic, channelName(topic), { class: 'mono' })))) : null,
    route.lines.map((line) => el('div', { class: 'why' }, sentence(line))))));
}

function draw(event) {
  const title = el('h2', { tabIndex: -1 }, event.detail_type ?? 'Event');
  put(detail, back(), title,
    el('p', { class: 'id' }, code(event.id), copier(event.id)),
    el('p', { class: 'says' }, summary(event)),
    el('h3', {}, 'Path'), way(event),
    el('h3', {}, 'Routes'), routes(event),
    el('h3', {}, 'The event'),
    event.body === null ? el('p', { class: 'quiet' }, 'Its body is not kept.') : el('pre', { tabIndex: 0 }, pretty(event.body)));
}
