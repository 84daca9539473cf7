// What the held prices say together: who moved most, how many rise, how a group moved.

import { isIdle } from './standing.js';

const PLACES = 10;

const MEASURES = {
  gainers: { value: (stock) => stock.rate, isIn: (value) => value > 0, sign: -1 },
  losers: { value: (stock) => stock.rate, isIn: (value) => value < 0, sign: 1 },
  value: { value: (stock) => stock.value, isIn: (value) => value > 0, sign: -1 },
  volume: { value: (stock) => stock.volume, isIn: (value) => value > 0, sign: -1 },
};

/** The first of some stocks by a measure; old prices do not count. */
export function ranked(stocks, kind, most = PLACES) {
  const { value, isIn, sign } = MEASURES[kind];
  const found = stocks.filter((stock) => (stock.state === 'live' || stock.state === 'close') && isIn(value(stock)));
  found.sort((a, b) => sign * (value(a) - value(b)) || (a.code < b.code ? -1 : 1));
  return found.slice(0, most);
}

/** How many rise, stand and fall, and how many do not trade. */
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

/** A group's change rate in percent, each stock by its market cap. */
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
