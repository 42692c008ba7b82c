// A list that changes while one looks at it. Its rows are places that never move: what they say changes. While the pointer or the focus
// is inside, or the list is held, it stays as it is and says how much is new.

import { el, put, say } from './dom.js';

export class LiveList {
  /**
   * @param body     the table's body
   * @param held     where it says that it is held
   * @param places   how many rows
   * @param row      makes a row: gives its element and how to fill it
   * @param key      what tells items apart
   */
  constructor({ body, held, places, row, key, hold = null }) {
    Object.assign(this, { body, held, key, items: [], shown: [], inside: false, holding: false });
    this.rows = Array.from({ length: places }, () => row());
    for (const { node } of this.rows) node.hidden = true;
    body.append(...this.rows.map(({ node }) => node));
    const area = body.closest('.scroll');
    const enter = () => { this.inside = true; };
    const leave = () => {
      this.inside = area.matches(':focus-within') || area.matches(':hover');
      this.show();
    };
    area.addEventListener('pointerenter', enter);
    area.addEventListener('focusin', enter);
    area.addEventListener('pointerleave', leave);
    area.addEventListener('focusout', () => setTimeout(leave, 0));
    body.addEventListener('keydown', (event) => this.move(event));
    body.addEventListener('focusin', (event) => this.stop(event.target));
    this.stop(this.links()[0]);
    hold?.addEventListener('click', () => {
      this.holding = !this.holding;
      hold.setAttribute('aria-pressed', String(this.holding));
      say(hold, this.holding ? 'Resume' : 'Pause');
      this.show();
    });
  }

  links() {
    return this.rows.map(({ node }) => node.querySelector('.cover'));
  }

  /** One row is a stop of the Tab key; arrows go on from there. */
  stop(link) {
    for (const other of this.links()) other.tabIndex = other === link ? 0 : -1;
  }

  /** Arrow keys, Home and End move the focus from row to row. */
  move(event) {
    const links = this.links().filter((link) => !link.closest('tr').hidden);
    const at = links.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    links[Math.min(Math.max(to, 0), links.length - 1)].focus();
  }

  /** Focuses the row of an item, or else the first one. */
  focus(key) {
    const at = Math.max(0, this.shown.findIndex((item) => this.key(item) === key));
    this.rows[at]?.node.querySelector('.cover')?.focus();
  }

  /** Other items to show, as soon as nobody looks at the ones that are there. */
  set(items, now = false) {
    this.items = items;
    this.show(now);
  }

  show(now = false) {
    const stays = !now && this.shown.length > 0 && (this.inside || this.holding);
    if (!stays) {
      this.shown = this.items.slice(0, this.rows.length);
    } else {
      // The same items with what is new of them.
      const fresh = new Map(this.items.map((item) => [this.key(item), item]));
      this.shown = this.shown.map((item) => fresh.get(this.key(item)) ?? item);
    }
    const there = new Set(this.shown.map(this.key));
    const first = this.shown.length > 0 ? this.items.findIndex((item) => there.has(this.key(item))) : 0;
    this.tell(stays, first < 0 ? this.items.length : first);
    this.rows.forEach(({ node, fill }, at) => {
      const item = this.shown[at];
      node.hidden = item === undefined;
      if (item !== undefined) fill(item);
    });
  }

  tell(stays, fresh) {
    const why = this.holding ? 'paused' : 'paused while you read';
    say(this.held, stays ? (fresh > 0 ? `${why}; ${fresh} new` : why) : '');
  }
}

/** What an empty list says: a sentence, and what to do next. */
export function empty(node, is, ...children) {
  if (is && node.hidden) put(node, ...children);
  node.hidden = !is;
}

/** A cell. */
export const cell = (properties, ...children) => el('td', properties, ...children);
