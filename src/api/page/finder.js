// The search box and its list of matches.

import { byId, colourBy, element, nameOf } from './dom.js';
import { moved as movedWords } from './standing.js';
import { find } from './search.js';
import { words } from './words.js';

const MOST = 10;

export class Finder {
  /** Calls `open(stock)` for a chosen stock and `typed(text)` for every change. */
  constructor({ market, open, typed }) {
    this.market = market;
    this.open = open;
    this.typed = typed;
    this.input = byId('search');
    this.list = byId('found');
    this.count = byId('found-count');
    this.found = [];
    this.active = 0;
    this.input.addEventListener('input', () => this.look());
    this.input.addEventListener('focus', () => this.look());
    this.input.addEventListener('blur', () => this.hide());
    this.input.addEventListener('keydown', (event) => this.#key(event));
    // The press must not take the focus away before the click arrives.
    this.list.addEventListener('pointerdown', (event) => event.preventDefault());
    this.list.addEventListener('click', (event) => {
      const option = event.target.closest('[role=option]');
      if (option) this.#choose(Number(option.dataset.place));
    });
    document.addEventListener('keydown', (event) => {
      const isTyping = event.target.closest?.('input, select, textarea, dialog');
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.input.focus();
    });
  }

  look() {
    const text = this.input.value;
    this.typed(text);
    this.found = find(this.market.list, text, MOST);
    this.active = 0;
    if (text.trim() === '') {
      this.hide();
      this.count.textContent = '';
      return;
    }
    this.count.textContent = this.found.length > 0 ? words('found', this.found.length) : words('notFound');
    this.list.replaceChildren(...this.found.map((stock, place) => {
      const moved = element('span', { class: 'number', text: movedWords(stock) });
      colourBy(moved, stock.rate);
      const code = element('span', { class: 'code', text: stock.code });
      return element('li', { role: 'option', id: `found-${place}`, 'data-place': place }, nameOf(stock), code, moved);
    }));
    if (this.found.length === 0) this.list.append(element('li', { class: 'nothing', role: 'presentation', text: words('notFound') }));
    this.list.hidden = false;
    this.input.setAttribute('aria-expanded', 'true');
    this.#point();
  }

  hide() {
    this.list.hidden = true;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  #point() {
    this.found.forEach((_, place) => {
      this.list.children[place].setAttribute('aria-selected', place === this.active);
    });
    if (this.found.length > 0) {
      this.input.setAttribute('aria-activedescendant', `found-${this.active}`);
      this.list.children[this.active].scrollIntoView({ block: 'nearest' });
    } else this.input.removeAttribute('aria-activedescendant');
  }

  #choose(place) {
    const stock = this.found[place];
    if (!stock) return;
    this.input.value = '';
    this.typed('');
    this.hide();
    this.count.textContent = '';
    this.open(stock, this.input);
  }

  #key(event) {
    // While a syllable is being composed, keys belong to the input method.
    if (event.isComposing) return;
    const count = this.found.length;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (this.list.hidden) this.look();
      else if (count > 0) {
        this.active = (this.active + (event.key === 'ArrowDown' ? 1 : count - 1)) % count;
        this.#point();
      }
    } else if (event.key === 'Enter') this.#choose(this.active);
    else if (event.key === 'Escape') {
      if (this.list.hidden) this.input.blur();
      this.input.value = '';
      this.look();
    } else return;
    event.preventDefault();
  }
}
