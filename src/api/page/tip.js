// The tooltip beside the pointer or the focused tile.

import { byId, direction, element, nameOf } from './dom.js';
import { large, length, rate, whole, difference } from './numbers.js';
import { isIdle, standingWords } from './standing.js';
import { sectorName, spoken, words } from './words.js';

const box = byId('tip');
const GAP = 14;

/** What the tip shows beside a point; `lines()` is called for each update. */
let held;

/** Describes a stock for the tip and for screen readers. */
export function sentence(stock) {
  const sector = sectorName(stock.sector);
  if (stock.price === undefined) return `${stock.name}, ${words('noPrice')}, ${sector}`;
  const state = stock.state === 'stale' ? `, ${words('stale')}` : '';
  const mark = standingWords(stock);
  const moved = isIdle(stock) ? mark : [rate(stock.rate), mark].filter(Boolean).join(', ');
  return `${stock.name}, ${whole(stock.price)}, ${moved}${state}, ${sector}`;
}

function row(key, value) {
  return element('div', {}, element('dt', { text: words(key) }), element('dd', { text: value }));
}

function stockLines(stock, age) {
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
  const mark = standingWords(stock);
  if (mark) lines.push(element('small', { class: 'warn', text: mark }));
  return lines;
}

/** Shows a stock's figures near a point of the window; `ageOf()` returns its current age. */
export function showStock(stock, ageOf, x, y) {
  held = { stock, lines: () => stockLines(stock, ageOf()), x, y };
  show();
}

/** Shows a line of text near a point of the window. */
export function showText(textOf, x, y) {
  held = { lines: () => [element('small', { text: textOf() })], x, y };
  show();
}

/** Updates the tip if its stock is among `changed` or, without `changed`, as time passes. */
export function refresh(changed) {
  if (held && (!changed || changed.has(held.stock))) show();
}

function show() {
  const { x, y } = held;
  box.replaceChildren(...held.lines());
  box.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = x + GAP + width > innerWidth ? Math.max(4, x - GAP - width) : x + GAP;
  const top = y + GAP + height > innerHeight ? Math.max(4, y - GAP - height) : y + GAP;
  box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}

export function hide() {
  held = undefined;
  box.hidden = true;
}
