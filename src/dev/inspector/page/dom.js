// Elements and words. Everything that comes from events, topics or clients becomes text here, never HTML.

/** Makes an element: properties, `data-` and `aria-` attributes, then children (text or nodes; null is left out). */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'class') node.className = value;
    else if (key.includes('-') || key === 'role' || key === 'scope' || key === 'for') node.setAttribute(key, value);
    else node[key] = value;
  }
  put(node, ...children);
  return node;
}

/** Replaces what is in a node. */
export function put(node, ...children) {
  node.replaceChildren(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets text where it has changed. */
export function say(node, text) {
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

export const byId = (id) => document.getElementById(id);

const SVG = 'http://www.w3.org/2000/svg';

/** A small chart; `draw` fills it. */
export function spark(width, height) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', 'spark');
  svg.append(document.createElementNS(SVG, 'path'));
  return svg;
}

/** Draws counts as bars that stand on the chart's floor. */
export function draw(svg, counts) {
  const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  const most = Math.max(4, ...counts);
  const step = width / counts.length;
  let path = '';
  counts.forEach((count, at) => {
    if (count === 0) return;
    const tall = Math.max(1, (count / most) * height);
    path += `M${(at * step).toFixed(2)} ${height}v${-tall.toFixed(2)}h${(step * 0.78).toFixed(2)}v${tall.toFixed(2)}z`;
  });
  svg.firstElementChild.setAttribute('d', path);
}

const two = (number) => String(number).padStart(2, '0');

/** The time of day of microseconds since 1970. */
export function clock(micros) {
  const date = new Date(micros / 1000);
  const millis = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

/** A time span of microseconds. */
export function span(micros) {
  const millis = micros / 1000;
  if (millis < 10) return `${millis.toFixed(1)} ms`;
  if (millis < 1000) return `${Math.round(millis)} ms`;
  if (millis < 60000) return `${(millis / 1000).toFixed(1)} s`;
  return `${Math.round(millis / 60000)} min`;
}

/** A rate with at most one decimal. */
export function rate(number) {
  if (number >= 10000) return `${(number / 1000).toFixed(1)}k`;
  return number >= 100 || number === 0 ? String(Math.round(number)) : number.toFixed(1);
}

export const many = (count, one, more = `${one}s`) => `${count.toLocaleString('en')} ${count === 1 ? one : more}`;

/** JSON as a person reads it; text that is no JSON stays as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Calls the API; an error has the API's own words. */
export async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error('The server is not reachable: is `eventcast dev` running?');
  });
  const text = await answer.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Reported below.
  }
  if (!answer.ok) throw new Error(body?.error ?? body?.message ?? (text || `HTTP ${answer.status}`));
  return body;
}

export const query = (path, values) => `${path}?${new URLSearchParams(values)}`;

/** A link into the page. */
export function link(view, id, text = id, properties = {}) {
  return el('a', { href: `#${view}/${encodeURIComponent(id)}`, ...properties }, text);
}

/** A button that copies text. */
export function copier(text) {
  const button = el('button', { type: 'button', class: 'small' }, 'Copy');
  copies(button, () => text);
  return button;
}

/** Lets a button copy what `text` returns. */
export function copies(button, text) {
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(button, 'Copied');
    } catch {
      say(button, 'Select it');
    }
    setTimeout(() => say(button, 'Copy'), 1500);
  });
}

/** A name of which the end stays visible where there is no room: ids differ at their ends. */
export function tailed(node, text) {
  if (node.title === text) return;
  node.title = text;
  const cut = text.length > 20 ? text.length - 10 : text.length;
  put(node, el('span', { class: 'start' }, text.slice(0, cut)), text.slice(cut) ? el('span', { class: 'end' }, text.slice(cut)) : null);
}

/** Text in the form of code. */
export const code = (text) => el('code', {}, text);

/** A sentence whose values stand in backticks. */
export const sentence = (text) => text.split('`').map((part, at) => (at % 2 ? code(part) : part));
