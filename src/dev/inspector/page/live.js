// Live reports of the platform, kept as far as the page shows them.

/** A pulse comes each second: after this many milliseconds without one the numbers are old. */
const SILENCE = 5000;

const EVENTS = 500;
const DENIALS = 50;

export const state = {
  platform: null,
  pulse: null,
  /** The latest events, newest first. */
  events: [],
  denials: [],
  channels: { count: 0, channels: [] },
  clients: { count: 0, clients: [] },
  link: 'connecting',
};

const watchers = new Set();
let asked = false;
let heard = 0;

/** Calls `watcher` after changes, at most once a frame. */
export function watch(watcher) {
  watchers.add(watcher);
}

function changed() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const watcher of watchers) watcher(state);
  });
}

function linked(how) {
  state.link = how;
  changed();
}

/** Merges events that have gone on: known ones keep their place, new ones come first. */
function merge(news) {
  const known = new Map(state.events.map((event, at) => [event.id, at]));
  const fresh = [];
  for (const event of news) {
    const at = known.get(event.id);
    if (at === undefined) fresh.push(event);
    else state.events[at] = event;
  }
  state.events = fresh.concat(state.events).slice(0, EVENTS);
}

function begin(platform) {
  state.platform = platform;
  state.events = [];
  state.denials = [];
  changed();
}

async function platform() {
  const answer = await fetch('/_dev/platform');
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

/** Begins to listen. The browser comes back by itself when the stream breaks off. */
export async function listen() {
  try {
    begin(await platform());
  } catch {
    linked('lost');
    setTimeout(listen, 1000);
    return;
  }
  const stream = new EventSource('/_dev/live');
  stream.onopen = () => {
    heard = Date.now();
    linked('live');
  };
  stream.onerror = () => linked('lost');
  // A process that is stopped, or a network that is gone, ends no stream.
  setInterval(() => {
    if (state.link === 'live' && Date.now() - heard > SILENCE) linked('lost');
  }, 1000);
  stream.addEventListener('pulse', async (message) => {
    const told = JSON.parse(message.data);
    heard = Date.now();
    state.link = 'live';
    if (told.started !== state.platform.started) {
      // Another process: what was seen before is forgotten there.
      begin(await platform());
    }
    state.pulse = told.pulse;
    state.channels = told.channels;
    state.clients = told.clients;
    changed();
  });
  stream.addEventListener('news', (message) => {
    const news = JSON.parse(message.data);
    merge(news.events);
    state.denials = news.denials.concat(state.denials).slice(0, DENIALS);
    changed();
  });
}
