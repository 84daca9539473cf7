// By what the table is sorted, for where not every column, and so not every heading, is in sight.

import { COLUMNS } from './columns.js';
import { element } from './dom.js';
import { words } from './words.js';

export class Sorting {
  /** `sort(key)` for another column, `turn()` for the other direction. */
  constructor(host, { sort, turn }) {
    this.name = element('span');
    this.chooser = element('select', {}, ...COLUMNS.map(({ key }) => element('option', { value: key })));
    this.button = element('button', { type: 'button' });
    this.chooser.addEventListener('change', () => sort(this.chooser.value));
    this.button.addEventListener('click', turn);
    host.append(element('label', {}, this.name, this.chooser), this.button);
  }

  /** New words. */
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
