// The three indices in the head of the page.

import { byId, colourBy, element, say } from './dom.js';
import { level, levelDifference, rate } from './numbers.js';
import { words } from './words.js';

const SHOWN = ['KOSPI', 'KOSDAQ', 'KOSPI200'];

const host = byId('indices');
const rows = new Map(
  SHOWN.map((key) => {
    const name = element('span', { class: 'name' });
    const value = element('strong', { class: 'number' });
    const change = element('span', { class: 'number change' });
    const moved = element('span', { class: 'number' });
    const late = element('span', { class: 'late' });
    const item = element('li', { id: `index-${key}`, hidden: '' }, name, value, change, moved, late);
    host.append(item);
    return [key, { item, name, value, change, moved, late }];
  }),
);

export function fill(indices) {
  for (const [key, row] of rows) {
    const index = indices.get(key);
    row.item.hidden = index?.level === undefined;
    if (row.item.hidden) continue;
    say(row.name, words(key));
    say(row.value, level(index.level));
    say(row.change, levelDifference(index.change));
    say(row.moved, rate(index.change_rate));
    const isStale = index.state === 'stale';
    row.item.classList.toggle('stale', isStale);
    say(row.late, isStale ? words('stale') : index.state === 'close' ? words('lastLevel') : '');
    for (const part of [row.change, row.moved]) colourBy(part, isStale ? 0 : index.change);
  }
}
