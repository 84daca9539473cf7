// The box beside the pointer, or beside the tile that has the focus.

import { byId, direction, element, nameOf } from './dom.js';
import { large, length, rate, whole, difference } from './numbers.js';
import { sectorName, spoken, words } from './words.js';

const box = byId('tip');
const GAP = 14;

/** What the tip, and a screen reader, say of a stock. */
export function sentence(stock) {
  const sector = sectorName(stock.sector);
  if (stock.price === undefined) return `${stock.name}, ${words('noPrice')}, ${sector}`;
  const state = stock.state === 'stale' ? `, ${words('stale')}` : '';
  return `${stock.name}, ${whole(stock.price)}, ${rate(stock.rate)}${state}, ${sector}`;
}

function row(key, value) {
  return element('div', {}, element('dt', { text: words(key) }), element('dd', { text: value }));
}

/** Shows a stock's figures near a point of the window. */
export function showStock(stock, age, x, y) {
  const language = spoken();
  const place = `${stock.code} · ${words(stock.market)} · ${sectorName(stock.sector)}`;
  const lines = [element('b', {}, nameOf(stock)), element('small', { text: place })];
  if (stock.price === undefined) {
    lines.push(element('p', { text: words('noPrice') }));
  } else {
    const kind = direction(stock.change);
    lines.push(
      element('p', { class: `price ${kind}` },
        element('strong', { text: whole(stock.price) }),
        ` ${difference(stock.change)} (${rate(stock.rate)})`),
      element('dl', {},
        row('volume', large(stock.volume, language)),
        row('value', large(stock.value, language)),
        row('cap', large(stock.cap, language)),
        row('age', `${length(age, language)}${stock.state === 'stale' ? ` · ${words('stale')}` : ''}`)),
    );
  }
  if (stock.halted || stock.status === 'halted') lines.push(element('small', { class: 'warn', text: words('status.halted') }));
  show(lines, x, y);
}

/** Shows a line of text near a point of the window. */
export function showText(text, x, y) {
  show([element('small', { text })], x, y);
}

function show(lines, x, y) {
  box.replaceChildren(...lines);
  box.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = x + GAP + width > innerWidth ? Math.max(4, x - GAP - width) : x + GAP;
  const top = y + GAP + height > innerHeight ? Math.max(4, y - GAP - height) : y + GAP;
  box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}

export function hide() {
  box.hidden = true;
}
