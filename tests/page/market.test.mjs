import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { COLUMNS, sorted } from '../../src/api/page/columns.js';
import { drift, layOut, nearest } from '../../src/api/page/layout.js';
import { Market } from '../../src/api/page/market.js';
import { breadth, groupRate, ranked } from '../../src/api/page/ranks.js';
import { moved, standingWords } from '../../src/api/page/standing.js';
import { speak } from '../../src/api/page/words.js';

const NOW = Date.parse('2026-03-10T10:00:00+09:00');
const at = (seconds) => new Date(NOW + seconds * 1000).toISOString();
const listing = (code, market = 'KOSPI', sector = '전기·전자') => ({ code, name: `이름${code}`, market, sector, halted: false, shares: 100 });
const COLUMN_NAMES = ['code', 'price', 'change', 'change_rate', 'volume', 'value', 'market_cap', 'open', 'high', 'low', 'base_price', 'status', 'age_ms', 'live'];
const row = (code, price, age, live = true) => [code, price, 10, 1, 5, 6, price * 100, 1, 2, 3, price - 10, 'trading', age, live];
const answer = (rows, more = {}) => ({ v: 1, at: at(0), session: 'regular', open: true, ttl_ms: 120_000, columns: COLUMN_NAMES, rows, ...more });
const price = (code, won, seconds) => ({ stock_code: code, price: won, change: 20, change_rate: 2, fetched_at: at(seconds), source: 'kis.multi' });

function market(rows, more) {
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date'], now: NOW });
  const held = new Market();
  held.takeList({ date: '2026-03-10', listings: [listing('000001'), listing('000002', 'KOSDAQ', '제약'), listing('000003')] });
  held.takeMarket(answer(rows, more), true);
  return held;
}

const state = (held, code) => held.stocks.get(code).state;

test('prices, last closes and codes without a price', () => {
  const held = market([row('000001', 100, 1_000), row('000002', 200, 500_000, false), ['000003', ...Array(13).fill(null)]]);
  assert.deepEqual(['000001', '000002', '000003'].map((code) => state(held, code)), ['live', 'stale', 'none']);
  assert.equal(held.stocks.get('000003').price, undefined);
  assert.equal(held.age(held.stocks.get('000001')), 1_000);
});

test('the prices of a simulated broker are told from the market’s', () => {
  const held = market([row('000001', 100, 1_000)], { simulated: true });
  assert.equal(held.isSimulated, true);
  held.takePrices([price('000001', 110, 1)]);
  assert.equal(held.isSimulated, false);
  held.takePrices([{ ...price('000001', 120, 2), simulated: true }]);
  assert.equal(held.isSimulated, true);
  assert.equal(market([row('000001', 100, 1_000)]).isSimulated, false);
  const index = { index: 'KOSPI', level: 2_800, fetched_at: at(0), simulated: true };
  const levels = market([row('000001', 100, 1_000)]);
  levels.takeIndices([index]);
  assert.equal(levels.isSimulated, true);
});

test('a life runs out while nothing comes', () => {
  const held = market([row('000001', 100, 60_000)]);
  held.takeChanged();
  mock.timers.tick(59_000);
  held.grow();
  assert.equal(held.takeChanged().size, 0);
  mock.timers.tick(2_000);
  held.grow();
  assert.equal(state(held, '000001'), 'stale');
  assert.equal(held.takeChanged().size, 1);
});

test('closed, a last close is no stale price', () => {
  const held = market([row('000001', 100, 50_000_000, false)], { open: false });
  assert.equal(state(held, '000001'), 'close');
  held.takeMarket(answer([row('000001', 100, 50_000_000, false)]), false);
  assert.equal(state(held, '000001'), 'stale');
});

test('the market fetched again does not overwrite what overtook it', () => {
  const held = market([row('000001', 100, 5_000), row('000002', 200, 5_000)]);
  held.takePrices([price('000001', 130, -1)]);
  held.takeMarket(answer([row('000001', 110, 3_000), row('000002', 220, 3_000)]), false);
  assert.equal(held.stocks.get('000001').price, 130);
  assert.equal(held.stocks.get('000002').price, 220);
  // A new connection may be another server with another clock: then what it says counts.
  held.takeMarket(answer([row('000001', 110, 3_000)]), true);
  assert.equal(held.stocks.get('000001').price, 110);
});

test('a price of the stream is whole: what it lacks is not known any more', () => {
  const held = market([row('000001', 100, 5_000)]);
  held.takePrices([price('000001', 130, 0)]);
  const stock = held.stocks.get('000001');
  assert.equal(stock.volume, undefined);
  assert.equal(stock.cap, 13_000);
  assert.deepEqual([...held.takeChanged()].map(({ code }) => code).includes('000001'), true);
});

test('codes that the list lacks are remembered until the list is new', () => {
  const held = market([row('000001', 100, 0), row('999999', 100, 0)]);
  held.takePrices([price('888888', 1, 0)]);
  assert.deepEqual([...held.strangers], ['999999', '888888']);
  assert.equal(held.takeList({ date: '2026-03-11', listings: [listing('000001'), listing('999999')] }), true);
  assert.equal(held.strangers.size, 0);
  assert.equal(held.stocks.get('000001').price, 100);
});

test('ranks, breadth and a group’s rate leave stale prices out', () => {
  const held = market([row('000001', 100, 0), row('000002', 200, 0, false)]);
  assert.deepEqual(ranked(held.list, 'gainers').map(({ code }) => code), ['000001']);
  assert.deepEqual(ranked(held.list, 'losers'), []);
  assert.deepEqual(breadth(held.list), { up: 1, flat: 0, down: 0, idle: 0 });
  assert.equal(groupRate(held.list), 1);
  assert.equal(groupRate([]), undefined);
});

test('what does not trade, or stands at a limit, says so and is not counted as unchanged', () => {
  const told = (changes) => {
    const held = market([row('000001', 100, 0)]);
    const stock = held.stocks.get('000001');
    Object.assign(stock, { rate: 0, ...changes });
    return ['ko', 'en'].map((language) => {
      speak(language);
      return `${moved(stock)} ${standingWords(stock)}`.trim();
    });
  };
  assert.deepEqual(told({ status: 'halted' }), ['거래정지 거래정지', 'Halted Halted']);
  assert.deepEqual(told({ status: 'untraded' }), ['거래 없음 거래 없음', 'Untraded Untraded']);
  assert.deepEqual(told({ rate: 30, status: 'trading', limit: 'upper' }), ['▲30.00% 상한가', '▲30.00% Limit up']);
  assert.deepEqual(told({ rate: -30, status: 'trading', limit: 'lower' }), ['▼30.00% 하한가', '▼30.00% Limit down']);
  // A halt outweighs a limit, and a newer price the list.
  assert.equal(told({ rate: 30, status: 'halted', limit: 'upper' })[1], 'Halted Halted');
  assert.equal(told({ status: 'trading', halted: true })[0], '0.00%');
  const held = market([row('000001', 100, 0), row('000002', 200, 0)]);
  held.takePrices([{ ...price('000001', 100, 0), status: 'halted', change_rate: 0 }, { ...price('000002', 100, 0), status: 'trading', change_rate: 0, limit: 'upper' }]);
  assert.deepEqual(breadth(held.list), { up: 0, flat: 1, down: 0, idle: 1 });
  assert.equal(held.stocks.get('000002').limit, 'upper');
});

test('what has no value is last in both directions', () => {
  const held = market([row('000001', 100, 0), row('000002', 200, 0)]);
  const column = COLUMNS.find(({ key }) => key === 'price');
  const order = (direction) => sorted(held.list, column, direction, held).map(({ code }) => code);
  assert.deepEqual(order('ascending'), ['000001', '000002', '000003']);
  assert.deepEqual(order('descending'), ['000002', '000001', '000003']);
});

test('tiles fill the map, have areas by market cap, and neighbours', () => {
  const held = market([row('000001', 300, 0), row('000002', 200, 0), row('000003', 100, 0)]);
  const { tiles } = layOut(held.within({ market: 'KOSPI', sector: '전기·전자' }), { market: 'KOSPI', sector: '전기·전자' }, 400, 100, () => 0);
  const area = ({ x0, x1, y0, y1 }) => (x1 - x0) * (y1 - y0);
  assert.equal(tiles.length, 2);
  assert.ok(Math.abs(area(tiles[0]) / area(tiles[1]) - 3) < 1e-9);
  assert.equal(nearest(tiles, tiles[0], 1, 0), tiles[1]);
  assert.equal(nearest(tiles, tiles[0], -1, 0), undefined);
  const whole = layOut(held.list, {}, 400, 300, () => 0);
  assert.deepEqual(whole.headings.filter(({ group }) => group.kind === 'market').map(({ group }) => group.market), ['KOSPI', 'KOSDAQ']);
});

test('headings and gaps take from all alike: equal value, equal area', () => {
  const sectors = Array.from({ length: 25 }, (_, place) => `업종${place}`);
  const stocks = [];
  for (const market of ['KOSPI', 'KOSDAQ']) {
    sectors.forEach((sector, rank) => {
      // A few large sectors, many small ones, the second market a tenth of the first.
      const size = (market === 'KOSPI' ? 1e13 : 1e12) / (rank + 1) ** 2;
      for (let place = 0; place < 40; place += 1) stocks.push({ code: `${market}${rank}-${place}`, market, sector, cap: size / (place + 1) });
    });
  }
  for (const [width, height] of [[1032, 667], [700, 500], [374, 590]]) {
    const { tiles, headings } = layOut(stocks, {}, width, height, () => 60);
    assert.equal(tiles.length, stocks.length);
    assert.ok(headings.some(({ group }) => group.kind === 'sector'));
    const shares = tiles.map(({ stock, x0, y0, x1, y1 }) => ((x1 - x0) * (y1 - y0)) / stock.cap).sort((a, b) => a - b);
    const middle = shares[shares.length / 2];
    assert.ok(drift(tiles) < 0.1, `${width}: ${drift(tiles)}`);
    const visible = tiles.filter(({ x0, y0, x1, y1 }) => (x1 - x0) * (y1 - y0) > 4);
    for (const { stock, x0, y0, x1, y1 } of visible) assert.ok(((x1 - x0) * (y1 - y0)) / stock.cap > middle / 2, stock.code);
    for (const { x0, x1, y0, y1, group } of headings) {
      if (group.kind === 'sector') assert.ok(x1 - x0 >= 60, `a heading of ${x1 - x0} px`);
      assert.ok(y1 > y0);
    }
  }
});

test('areas become untrue as market caps move', () => {
  const held = market([row('000001', 300, 0), row('000002', 200, 0), row('000003', 100, 0)]);
  const { tiles } = layOut(held.list, {}, 400, 300, () => 0);
  assert.equal(drift(tiles), 0);
  held.stocks.get('000001').cap *= 1.3;
  assert.ok(drift(tiles) > 0.3);
  assert.equal(drift([]), 0);
});

test('an index lives as long as a price, and one that is not told any more is stale', () => {
  const held = market([row('000001', 100, 0)]);
  const level = (index, seconds) => ({ index, level: 2_700, change: 1, change_rate: 0.1, fetched_at: at(seconds) });
  held.takeIndices([level('KOSPI', -10), level('KOSDAQ', -130)]);
  const states = () => ['KOSPI', 'KOSDAQ'].map((index) => held.indices.get(index).state);
  assert.deepEqual(states(), ['live', 'stale']);
  held.indicesChanged = false;
  mock.timers.tick(111_000);
  held.takeIndices([]);
  assert.deepEqual([states(), held.indicesChanged], [['stale', 'stale'], true]);
  held.takeMarket(answer([], { open: false }), false);
  held.grow();
  assert.deepEqual(states(), ['close', 'close']);
  held.takeIndices([level('KOSPI', 111)]);
  assert.equal(states()[0], 'live');
});

test('the phase is that of the newer answer, for prices and headline alike', () => {
  const market = new Market();
  market.takeMarket(answer([], { reason: null }), true);
  assert.deepEqual([market.isOpen, market.phase.isOpen, market.phase.name], [true, true, 'regular']);
  market.takePhase({ at: at(60_000), phase: 'closed', reason: 'after the close', isFresh: false });
  assert.deepEqual([market.isOpen, market.phase.isOpen, market.phase.reason], [false, false, 'after the close']);
  market.takeMarket(answer([], { reason: null }), false);
  assert.equal(market.isOpen, false, 'an older answer changes nothing');
});
