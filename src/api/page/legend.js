// The legend of the map's colours, and how many stocks rise and fall.

import { STRONGEST, palette, step } from './colours.js';
import { byId, element, say } from './dom.js';
import { whole } from './numbers.js';
import { breadth } from './ranks.js';
import { ground, setting } from './settings.js';
import { words } from './words.js';

const RATES = [-STRONGEST, -3, -1, 0, 1, 3, STRONGEST];

function chip(text, background, colour, kind) {
  const made = element('li', { text, class: kind });
  made.style.background = background;
  made.style.color = colour;
  return made;
}

const hatched = ([one, other]) => `repeating-linear-gradient(135deg, ${one} 0 3px, ${other} 3px 5px)`;

export function fillLegend() {
  const colours = palette(setting('colours'), ground());
  const rates = RATES.map((rate) => {
    const sign = rate > 0 ? '+' : rate < 0 ? '\u2212' : '';
    const text = rate === 0 ? '0%' : sign + Math.abs(rate);
    return chip(text, colours.fills[step(rate)], colours.inks[step(rate)]);
  });
  byId('legend').replaceChildren(
    ...rates,
    chip(words('idle'), colours.idle, colours.idleInk, 'wide'),
    chip(words('stale'), hatched(colours.stale), colours.staleInk, 'wide'),
    chip(words('none'), hatched(colours.none), colours.noneInk, 'wide'),
  );
}

export function fillBreadth(stocks) {
  const { up, flat, down, idle } = breadth(stocks);
  const host = byId('breadth');
  if (host.children.length === 0) {
    host.append(...['up', 'flat', 'down', 'idle'].map((kind) => element('span', { class: kind })));
  }
  host.hidden = up + flat + down + idle === 0;
  const texts = [[words('rising'), up], [words('unchanged'), flat], [words('falling'), down], [words('idle'), idle]];
  host.children[3].hidden = idle === 0;
  texts.forEach(([word, count], place) => say(host.children[place], `${word} ${whole(count)}`));
}
