// Controls for sorting the table, for windows in which not every column heading is visible.

import { COLUMNS } from './columns.js';
import { element } from './dom.js';
import { words } from './words.js';

export class Sorting {
  /** Calls `sort(key)` for another column and `turn()` for the other direction. */
  constructor(host, { sort, turn }) {
    this.name = element('span');
    this.chooser = element('select', {}, ...COLUMNS.map(({ key }) => element('option', { value: key })));
    this.button = element('button', { type: 'button' });
    this.chooser.addEventListener('change', () => sort(this.chooser.value));
    this.button.addEventListener('click', turn);
    host.append(element('label', {}, this.name, this.chooser), this.button);
  }

  /** Updates the texts after a change of language. */
  label() {
    this.name.textContent = words('sortBy');
    for (const option of this.chooser.options) option.textContent = words(option.value);
  }

  show(key, order) {
    this.chooser.value = key;
    this.button.textContent = order === 'ascending' ? '▴' : '▾';
    this.button.setAttribute('aria-label', words(order));
  }
}
