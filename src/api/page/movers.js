// The stocks that moved most, by the prices on the page.

import { byId, colourBy, element, say } from './dom.js';
import { large, whole } from './numbers.js';
import { ranked } from './ranks.js';
import { choose, setting } from './settings.js';
import { moved as movedWords } from './standing.js';
import { spoken, words } from './words.js';

export class Movers {
  constructor({ open }) {
    this.host = byId('movers');
    this.buttons = [...byId('movers-tabs').children];
    for (const button of this.buttons) button.addEventListener('click', () => choose('movers', button.value));
    this.host.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (button) open(this.shown[Number(button.dataset.place)], button);
    });
    this.rows = [];
    this.shown = [];
  }

  fill(stocks) {
    const kind = setting('movers');
    for (const button of this.buttons) button.setAttribute('aria-pressed', button.value === kind);
    this.shown = ranked(stocks, kind);
    if (this.shown.length === 0) {
      this.rows = [];
      this.host.replaceChildren(element('li', { class: 'nothing', text: words('noMovers') }));
      return;
    }
    if (this.rows.length === 0) this.host.replaceChildren();
    while (this.rows.length < this.shown.length) this.#add();
    while (this.rows.length > this.shown.length) this.rows.pop().item.remove();
    const language = spoken();
    this.shown.forEach((stock, place) => {
      const { name, price, moved } = this.rows[place];
      say(name, stock.name);
      say(price, whole(stock.price));
      const isAmount = kind === 'value' || kind === 'volume';
      say(moved, isAmount ? large(stock[kind], language) : movedWords(stock));
      colourBy(moved, stock.rate);
    });
  }

  #add() {
    const name = element('span', { class: 'name', lang: 'ko' });
    const price = element('span', { class: 'number' });
    const moved = element('span', { class: 'number moved' });
    const button = element('button', { type: 'button', 'data-place': this.rows.length }, name, price, moved);
    const item = element('li', {}, button);
    this.rows.push({ item, name, price, moved });
    this.host.append(item);
  }
}
