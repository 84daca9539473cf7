// The standing of a price: that the stock does not trade, or that the price is at its limit of the
// day. It is shown next to every price.

import { rate } from './numbers.js';
import { words } from './words.js';

/** Returns `halted`, `untraded`, `upper`, `lower`, or undefined for an ordinary price. */
export function standing(stock) {
  // The price is newer than the list; without a price, the list decides.
  const status = stock.status ?? (stock.halted ? 'halted' : undefined);
  if (status === 'halted' || status === 'untraded') return status;
  return stock.price === undefined ? undefined : stock.limit;
}

/** Whether a stock does not trade: it counts as neither risen, fallen nor unchanged. */
export const isIdle = (stock) => ['halted', 'untraded'].includes(standing(stock));

/** Returns the standing in words, empty for an ordinary price. */
export function standingWords(stock) {
  const held = standing(stock);
  return held ? words(`standing.${held}`) : '';
}

const ARROWS = { upper: '▲', lower: '▼' };

/**
 * Returns a change rate with an arrow as sign at a limit, or says that the stock does not trade.
 */
export function moved(stock) {
  if (isIdle(stock)) return standingWords(stock);
  const arrow = ARROWS[standing(stock)];
  const text = rate(stock.rate);
  return arrow && /^[+−]/.test(text) ? arrow + text.slice(1) : text;
}
