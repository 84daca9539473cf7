// What a person must know of a price beside the number: that nothing trades, or that it can go no
// further. It is told wherever a price is shown.

import { rate } from './numbers.js';
import { words } from './words.js';

/** `halted`, `untraded`, `upper`, `lower`, or undefined for a usual price. */
export function standing(stock) {
  // The price is newer than the list; where there is none, the list has the word.
  const status = stock.status ?? (stock.halted ? 'halted' : undefined);
  if (status === 'halted' || status === 'untraded') return status;
  return stock.price === undefined ? undefined : stock.limit;
}

/** Whether a price stands because nothing trades: it counts neither as risen, fallen nor unchanged. */
export const isIdle = (stock) => ['halted', 'untraded'].includes(standing(stock));

/** The same in words, empty for a usual price. */
export function standingWords(stock) {
  const held = standing(stock);
  return held ? words(`standing.${held}`) : '';
}

const ARROWS = { upper: '▲', lower: '▼' };

/** A change rate; what does not trade says so instead, and at a limit an arrow stands for the sign. */
export function moved(stock) {
  if (isIdle(stock)) return standingWords(stock);
  const arrow = ARROWS[standing(stock)];
  const text = rate(stock.rate);
  return arrow && /^[+−]/.test(text) ? arrow + text.slice(1) : text;
}
