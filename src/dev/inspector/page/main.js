// The page's frame: which view is shown, and the numbers at the top.

import { byId, clock, draw, rate, say } from './dom.js';
import { listen, state, watch } from './live.js';
import * as channels from './channels.js';
import * as clients from './clients.js';
import * as events from './events.js';
import * as tryIt from './try.js';

const views = { events, channels, clients, try: tryIt };
const LINKS = { connecting: 'connecting', live: 'live' };

/** The view, what it is to show, and what else is asked: `#clients/ID?hear=TOPIC`. */
function place() {
  const [path, ...asked] = location.hash.slice(1).split('?');
  const [name, ...rest] = path.split('/');
  let id = rest.join('/');
  try {
    id = decodeURIComponent(id);
  } catch {
    // A person typed the address: it is used unchanged.
  }
  return [views[name] ? name : 'events', id, new URLSearchParams(asked.join('?'))];
}

function go() {
  const [name, id, asked] = place();
  for (const other of Object.keys(views)) {
    byId(`view-${other}`).hidden = other !== name;
  }
  for (const anchor of document.querySelectorAll('nav a')) {
    if (anchor.hash === `#${name}`) anchor.setAttribute('aria-current', 'page');
    else anchor.removeAttribute('aria-current');
  }
  document.body.dataset.open = id ? 'yes' : 'no';
  views[name].open(id, asked);
}

function flow(name, told) {
  const tile = document.querySelector(`[data-stat="${name}"]`);
  say(tile.querySelector('b'), rate(told.per_second));
  say(tile.querySelector('.total'), `${told.total.toLocaleString('en')} in all`);
  draw(tile.querySelector('svg'), told.seconds);
}

/** What the connection to the server is like; numbers that are no longer current say of when they are. */
function linked(link, pulse) {
  const lost = pulse ? `not reachable since ${clock(pulse.at).slice(0, 8)}: numbers are of then` : 'not reachable; trying again';
  say(byId('link'), LINKS[link] ?? lost);
  byId('link-dot').dataset.link = link;
  byId('stats').classList.toggle('stale', link === 'lost' && pulse !== null);
}

function numbers({ pulse, clients: there, link }) {
  linked(link, pulse);
  if (!pulse) return;
  for (const name of ['events', 'messages', 'deliveries', 'denied']) flow(name, pulse[name]);
  const latency = document.querySelector('[data-stat="latency"]');
  const shown = (millis) => (millis >= 100 ? Math.round(millis) : millis.toFixed(1));
  say(latency.querySelector('b'), pulse.latency ? shown(pulse.latency.p50_ms) : '–');
  say(latency.querySelector('.total'), pulse.latency ? `p99 ${shown(pulse.latency.p99_ms)} ms` : 'p99 – ms');
  const tile = document.querySelector('[data-stat="clients"]');
  say(tile.querySelector('b'), there.count.toLocaleString('en'));
  say(tile.querySelector('.total'), pulse.missed > 0 ? `${pulse.missed.toLocaleString('en')} sights missed` : 'sessions');
}

byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('main').focus();
});
/** Escape leaves a detail; the focus goes back to where it came from. */
addEventListener('keydown', (event) => {
  const [name, id] = place();
  const isUsed = event.target.matches?.('select') || (event.target.matches?.('input, textarea') && event.target.value !== '');
  if (event.key !== 'Escape' || event.defaultPrevented || !id || isUsed) return;
  event.preventDefault();
  location.hash = `#${name}`;
  views[name].leave?.(id);
});

addEventListener('hashchange', go);
watch(numbers);
for (const view of Object.values(views)) watch(view.update);
go();
numbers(state);
listen();
