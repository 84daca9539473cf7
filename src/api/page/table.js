// All codes as a table. Only the visible rows exist; they are refilled on scrolling.

import { COLUMNS, sorted } from './columns.js';
import { byId, colourBy, element, say } from './dom.js';
import * as frame from './frame.js';
import { Sorting } from './sorting.js';
import { counted, spoken, words } from './words.js';

const ROW = 32;
/** Extra rows beyond the edge, so that none is missing until the next frame. */
const SPARE = 6;
/**
 * Interval at which a changing column is sorted again, milliseconds, so that rows do not jump
 * around.
 */
const SORT_AGAIN = 3_000;

const calm = matchMedia('(prefers-reduced-motion: reduce)');

export class Table {
  constructor({ host, market, open }) {
    this.host = host;
    this.market = market;
    this.open = open;
    this.rows = [];
    this.pool = [];
    this.column = COLUMNS.find(({ key }) => key === 'cap');
    this.order = 'descending';
    this.stocks = [];
    this.active = 0;
    this.first = 0;
    this.sortedAt = 0;
    this.mustSort = true;
    this.mustFill = true;
    this.#build();
  }

  #build() {
    this.heads = COLUMNS.map((column, place) => {
      const button = element('button', { type: 'button' });
      const head = element('th', { scope: 'col', class: `of-${column.key}${column.isNumber ? ' number' : ''}`, 'aria-colindex': place + 1 }, button);
      button.addEventListener('click', () => this.sortBy(column));
      return { column, head, button };
    });
    this.above = element('tr', { 'aria-hidden': 'true', class: 'spacer' }, element('td'));
    this.below = this.above.cloneNode(true);
    this.body = element('tbody', {}, this.above, this.below);
    this.grid = element('table', { role: 'grid', tabindex: '0', 'aria-colcount': COLUMNS.length },
      element('thead', {}, element('tr', { 'aria-rowindex': 1 }, ...this.heads.map(({ head }) => head))),
      this.body);
    this.nothing = element('p', { class: 'nothing', hidden: '' });
    this.host.replaceChildren(this.grid, this.nothing);
    this.sorting = new Sorting(byId('sorting'), { sort: (key) => this.sortBy(COLUMNS.find((column) => column.key === key)), turn: () => this.sortBy(this.column) });
    this.host.addEventListener('scroll', () => frame.ask(), { passive: true });
    this.grid.addEventListener('keydown', (event) => this.#key(event));
    this.grid.addEventListener('focus', () => this.redraw());
    this.body.addEventListener('click', (event) => {
      const row = event.target.closest('tr[data-place]');
      if (!row) return;
      this.active = Number(row.dataset.place);
      this.redraw();
      if (this.rows[this.active]) this.open(this.rows[this.active], this.grid);
    });
  }

  redraw() {
    this.mustFill = true;
    frame.ask();
  }

  /** Updates the texts after a change of language. */
  label() {
    for (const { column, button } of this.heads) button.textContent = words(column.key);
    this.sorting.label();
    this.mustSort = true;
  }

  /** Shows these stocks. */
  show(stocks) {
    this.stocks = stocks;
    this.mustSort = true;
  }

  sortBy(column) {
    if (this.column === column) this.order = this.order === 'ascending' ? 'descending' : 'ascending';
    else this.order = column.first;
    this.column = column;
    this.mustSort = true;
    this.host.scrollTop = 0;
    this.active = 0;
    frame.ask();
  }

  #sort(now) {
    const held = this.rows[this.active];
    this.rows = sorted(this.stocks, this.column, this.order, this.market);
    // The row being read stays selected, wherever it moved.
    const place = held && document.activeElement === this.grid ? this.rows.indexOf(held) : -1;
    this.active = place >= 0 ? place : Math.min(this.active, Math.max(0, this.rows.length - 1));
    this.mustSort = false;
    this.mustFill = true;
    this.sortedAt = now;
    for (const { column, head } of this.heads) {
      if (column === this.column) head.setAttribute('aria-sort', this.order);
      else head.removeAttribute('aria-sort');
    }
    this.sorting.show(this.column.key, this.order);
    this.grid.setAttribute('aria-rowcount', this.rows.length + 1);
    this.grid.setAttribute('aria-label', counted('tableLabel', this.rows.length));
    this.nothing.hidden = this.rows.length > 0;
    say(this.nothing, words('tableEmpty'));
  }

  /** Draws pending changes, unless hidden. */
  draw(changed, now) {
    if (this.host.clientHeight === 0) return;
    if (!this.mustSort && changed.size > 0 && this.column.isNumber && now - this.sortedAt > SORT_AGAIN) this.mustSort = true;
    if (this.mustSort) this.#sort(now);
    const room = Math.ceil(this.host.clientHeight / ROW) + 2 * SPARE;
    const most = Math.max(0, this.rows.length - room);
    const first = Math.min(most, Math.max(0, Math.floor(this.host.scrollTop / ROW) - SPARE));
    const count = Math.min(room, this.rows.length);
    if (first !== this.first || count !== this.pool.length) this.mustFill = true;
    if (this.mustFill) {
      this.#fit(first, count);
      this.mustFill = false;
      for (let place = 0; place < count; place += 1) this.#fill(this.pool[place], first + place, false);
      this.#pointAtActive();
      return;
    }
    for (let place = 0; place < count; place += 1) {
      if (changed.has(this.rows[first + place])) this.#fill(this.pool[place], first + place, true);
    }
  }

  /** Updates the ages as time passes. */
  grow() {
    for (const row of this.pool) {
      if (row.stock) say(row.cells.at(-1), COLUMNS.at(-1).show(row.stock, spoken(), this.market));
    }
  }

  #fit(first, count) {
    this.first = first;
    while (this.pool.length < count) {
      const cells = COLUMNS.map((column, place) => element('td', { class: `of-${column.key}${column.isNumber ? ' number' : ''}`, 'aria-colindex': place + 1 }));
      cells[0].lang = 'ko';
      const row = { element: element('tr', {}, ...cells), cells, stock: undefined };
      this.pool.push(row);
      this.below.before(row.element);
    }
    while (this.pool.length > count) this.pool.pop().element.remove();
    this.above.firstChild.style.height = `${first * ROW}px`;
    this.below.firstChild.style.height = `${(this.rows.length - first - count) * ROW}px`;
  }

  #fill(row, place, isMove) {
    const stock = this.rows[place];
    const language = spoken();
    const isSame = row.stock === stock;
    row.stock = stock;
    row.element.dataset.place = place;
    row.element.id = `row-${stock.code}`;
    row.element.setAttribute('aria-rowindex', place + 2);
    row.element.classList.toggle('stale', stock.state === 'stale');
    row.element.classList.toggle('odd', place % 2 === 1);
    row.element.setAttribute('aria-selected', place === this.active ? 'true' : 'false');
    COLUMNS.forEach((column, index) => {
      const cell = row.cells[index];
      const text = column.show(stock, language, this.market);
      if (cell.textContent === text) return;
      cell.textContent = text;
      if (isMove && isSame && column.key === 'price' && !calm.matches) {
        cell.animate([{ backgroundColor: 'var(--flash)' }, { backgroundColor: 'transparent' }], 700);
      }
    });
    COLUMNS.forEach((column, index) => {
      if (column.isColoured) colourBy(row.cells[index], stock.state === 'none' ? 0 : stock.change);
    });
  }

  #pointAtActive() {
    const row = this.pool[this.active - this.first];
    if (row) this.grid.setAttribute('aria-activedescendant', row.element.id);
    else this.grid.removeAttribute('aria-activedescendant');
  }

  #key(event) {
    if (event.target !== this.grid) return;
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      this.active = Math.min(this.rows.length - 1, Math.max(0, this.active + steps[event.key]));
      this.#reveal();
      this.redraw();
    } else if (event.key === 'Enter' && this.rows[this.active]) {
      this.open(this.rows[this.active], this.grid);
    } else return;
    event.preventDefault();
  }

  #reveal() {
    const head = this.grid.tHead.offsetHeight;
    const top = this.active * ROW;
    const { scrollTop, clientHeight } = this.host;
    if (top < scrollTop) this.host.scrollTop = top;
    else if (top + ROW + head > scrollTop + clientHeight) this.host.scrollTop = top + ROW + head - clientHeight;
  }
}
