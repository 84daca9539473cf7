// The part of the market in view: all of it, one market, or one sector.

import { byId, element } from './dom.js';
import { sectorName, words } from './words.js';

const keyOf = ({ market, sector }) => {
  if (!market) return '';
  return sector === undefined ? market : `${market}/${sector}`;
};

export class Scope {
  #chooser = byId('scope');
  #back = byId('zoom-out');
  #market;
  #changed;

  /** Calls `changed()` on every change. */
  constructor(market, changed) {
    this.#market = market;
    this.#changed = changed;
    this.value = {};
    this.#back.disabled = true;
    this.#back.addEventListener('click', () => this.widen());
    this.#chooser.addEventListener('change', () => {
      const [one, sector] = this.#chooser.value.split(/\/(.*)/s);
      this.set(one ? { market: one, sector } : {});
    });
  }

  set(value) {
    this.value = value;
    this.#chooser.value = keyOf(value);
    this.#back.disabled = !value.market;
    this.#changed();
  }

  /** Widens from a sector to its market, or from a market to all. */
  widen() {
    this.set(this.value.sector === undefined ? {} : { market: this.value.market });
  }

  /** Lists the available parts in the current language. */
  label() {
    const options = [element('option', { value: '', text: words('all') })];
    for (const one of ['KOSPI', 'KOSDAQ']) {
      const sectors = [...new Set(this.#market.within({ market: one }).map((stock) => stock.sector))];
      if (sectors.length === 0) continue;
      // Stocks without a sector come last.
      sectors.sort((a, b) => (a === '') - (b === '') || sectorName(a).localeCompare(sectorName(b)));
      const parts = sectors.map((sector) =>
        element('option', { value: `${one}/${sector}`, text: `${words(one)} · ${sectorName(sector)}` }));
      options.push(element('optgroup', { label: words(one) }, element('option', { value: one, text: words(one) }), ...parts));
    }
    this.#chooser.replaceChildren(...options);
    this.#chooser.value = keyOf(this.value);
  }
}
