// Statistics of the prices: movers, breadth, and change rates of groups.

import { isIdle } from './standing.js';

const PLACES = 10;

const MEASURES = {
  gainers: { value: (stock) => stock.rate, isIn: (value) => value > 0, sign: -1 },
  losers: { value: (stock) => stock.rate, isIn: (value) => value < 0, sign: 1 },
  value: { value: (stock) => stock.value, isIn: (value) => value > 0, sign: -1 },
  volume: { value: (stock) => stock.volume, isIn: (value) => value > 0, sign: -1 },
};

/** Returns the top stocks by a measure, ignoring old prices. */
export function ranked(stocks, kind, most = PLACES) {
  const { value, isIn, sign } = MEASURES[kind];
  const found = stocks.filter((stock) => (stock.state === 'live' || stock.state === 'close') && isIn(value(stock)));
  found.sort((a, b) => sign * (value(a) - value(b)) || (a.code < b.code ? -1 : 1));
  return found.slice(0, most);
}

/** Counts how many stocks rise, are unchanged, fall, or do not trade. */
export function breadth(stocks) {
  const counts = { up: 0, flat: 0, down: 0, idle: 0 };
  for (const stock of stocks) {
    const { state, rate: moved } = stock;
    if (state !== 'live' && state !== 'close') continue;
    if (isIdle(stock)) counts.idle += 1;
    else if (moved !== undefined) counts[moved > 0 ? 'up' : moved < 0 ? 'down' : 'flat'] += 1;
  }
  return counts;
}

/** Returns a group's change rate in percent, weighted by market cap. */
export function groupRate(stocks) {
  let now = 0;
  let before = 0;
  for (const { cap, rate, state } of stocks) {
    if ((state !== 'live' && state !== 'close') || !(cap > 0) || rate === undefined) continue;
    now += cap;
    before += cap / (1 + rate / 100);
  }
  return before > 0 ? Math.round((now / before - 1) * 10_000) / 100 : undefined;
}
