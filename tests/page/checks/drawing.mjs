// How the map is drawn: how large the tiles are, what is grey, and what it takes.

import assert from 'node:assert/strict';

import { until } from '../support.mjs';
import { isThere, middleOf, quiet, shown } from '../window.mjs';

/** What there is for a frame where sixty are drawn in a second, milliseconds. */
const FRAME = 1000 / 60;

/** Pixels to the won, over both markets of the real list. */
async function areas({ open }) {
  const page = await open({ viewport: { width: 1440, height: 900 } });
  await isThere(page);
  const laid = await page.evaluate(async () => {
    const { map, market } = await import('./main.js');
    // As they are laid out now: caps that moved since are another matter.
    map.mustLayOut = true;
    map.draw(new Set(), performance.now());
    return { codes: market.list.length, headings: map.headings.length, tiles: map.tiles.filter(({ stock }) => stock.cap > 0).map(({ stock, x0, y0, x1, y1 }) => [stock.code, (x1 - x0) * (y1 - y0), stock.cap]) };
  });
  const perWon = laid.tiles.map(([, area, cap]) => area / cap).sort((a, b) => a - b);
  const middle = perWon[Math.floor(perWon.length / 2)];
  const near = perWon.filter((one) => Math.abs(one / middle - 1) <= 0.1).length / perWon.length;
  const small = laid.tiles.filter(([, area, cap]) => area > 4 && area / cap < middle / 2);
  assert.ok(near >= 0.9, `${near} of the tiles are within a tenth`);
  assert.deepEqual(small, [], 'none has less than half of its place');
  return `${(near * 100).toFixed(1)} % of ${laid.tiles.length} tiles within a tenth, ${laid.headings} headings, from ${(perWon[0] / middle).toFixed(2)} to ${(perWon.at(-1) / middle).toFixed(2)} of the median px² to the won`;
}

/** Areas follow the caps, once a minute, but not beneath the pointer. */
async function laidOutAnew({ open }) {
  const page = await open({ prepare: quiet });
  await isThere(page);
  const [{ code }] = await shown(page);
  await page.hover('#map', { position: await middleOf(page, code) });
  const width = () => page.evaluate(async (wanted) => {
    const { map, market } = await import('./main.js');
    const { x0, x1, y0, y1 } = map.boxOf(market.stocks.get(wanted));
    return (x1 - x0) * (y1 - y0);
  }, code);
  const before = await width();
  const asked = await page.evaluate(async (wanted) => {
    const { map, market } = await import('./main.js');
    for (const stock of market.list) if (stock.code !== wanted && stock.cap) stock.cap *= 1 + Math.random();
    const soon = map.grow(performance.now());
    return [soon, map.grow(performance.now() + 61_000)];
  }, code);
  assert.deepEqual(asked, [false, false], 'not beneath the pointer');
  await page.mouse.move(2, 2);
  assert.equal(await page.evaluate(async () => {
    const { map, frame } = await import('./main.js');
    const soon = map.grow(map.laidAt + 59_000);
    const later = map.grow(map.laidAt + 61_000);
    frame.ask();
    return !soon && later;
  }), true, 'once a minute');
  await until('the largest gave way', async () => (await width()) < before * 0.95);
}

async function staleIndices({ open }) {
  const page = await open({ prepare: quiet });
  await isThere(page);
  const index = page.locator('#index-KOSPI');
  await until('the indices are there', () => index.isVisible());
  const look = () => page.evaluate(async () => {
    const { map } = await import('./main.js');
    const { x0, y0, x1, y1 } = map.headings.find(({ group }) => group.kind === 'market');
    const { density } = map;
    return [...map.ink.getImageData(x0 * density, y0 * density, (x1 - x0) * density, (y1 - y0) * density).data].join();
  });
  await page.evaluate(async () => {
    const { market } = await import('./main.js');
    market.isOpen = true;
    market.life = 3_600_000;
    market.grow();
  });
  await until('they are fresh', async () => !(await index.textContent()).includes('지연'));
  await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
  const fresh = await look();
  await page.evaluate(async () => {
    const { market } = await import('./main.js');
    for (const one of market.indices.values()) one.born -= 7_200_000;
  });
  await until('the head of the page shows that they are stale', async () => (await index.textContent()).includes('지연'));
  assert.ok(await index.evaluate((one) => one.classList.contains('stale') && !one.querySelector('.up, .down')));
  await until('the heading of the market shows it too', async () => (await look()) !== fresh);
}

async function frames({ open }) {
  const page = await open();
  await isThere(page);
  const measure = (change) => page.evaluate(async (isWhole) => {
    const { market, frame } = await import('./main.js');
    frame.frames.length = 0;
    const intervals = [];
    let last;
    for (let count = 0; count < 240; count += 1) {
      const at = await new Promise((resolve) => requestAnimationFrame(resolve));
      if (last !== undefined) intervals.push(at - last);
      last = at;
      if (isWhole) {
        // Every price moves in every frame: more than any market does.
        const sign = count % 2 === 0 ? 1 : -1;
        market.takePrices(market.list.filter(({ price }) => price !== undefined).map((stock) => ({
          stock_code: stock.code, price: stock.price + sign, change: (stock.change ?? 0) + sign, change_rate: (stock.rate ?? 0) + sign * 0.5,
          volume: stock.volume, value: stock.value, base_price: stock.previous, status: stock.status, source: 'kis.multi', fetched_at: new Date().toISOString(),
        })));
        frame.ask();
      }
    }
    const sorted = (numbers) => numbers.sort((a, b) => a - b);
    const at = (numbers, share) => numbers[Math.min(numbers.length - 1, Math.floor(numbers.length * share))] ?? 0;
    const took = sorted(frame.frames.map((one) => one.took));
    const spans = sorted(intervals);
    return {
      frames: took.length, tiles: Math.max(0, ...frame.frames.map(({ tiles }) => tiles)),
      draw: [at(took, 0.5), at(took, 0.95), at(took, 1)],
      interval: [at(spans, 0.5), at(spans, 0.95)],
    };
  }, change);
  const say = ({ frames: count, tiles, draw, interval }) =>
    `${count} frames of up to ${tiles} tiles, drawing ${draw.map((one) => one.toFixed(2)).join(', ')} ms (p50, p95, max), a frame every ${interval.map((one) => one.toFixed(1)).join(', ')} ms (p50, p95)`;
  // The page's own drawing alone: half of the frames within half of what there is for one, and of
  // twenty nineteen within it. A machine that others use may spoil a round; a slow page spoils all.
  const isQuick = ({ draw: [half, most] }) => half <= FRAME / 2 && most <= FRAME;
  let usual;
  let whole;
  for (let round = 0; round < 3 && !(usual && isQuick(usual) && isQuick(whole)); round += 1) {
    usual = await measure(false);
    whole = await measure(true);
  }
  assert.ok(whole.tiles > 0 && whole.frames > 100, say(whole));
  assert.ok(isQuick(usual), say(usual));
  assert.ok(isQuick(whole), say(whole));
  return `as it comes ${say(usual)}; all at once ${say(whole)}`;
}

export const checks = [
  ['areas', areas],
  ['laid out anew', laidOutAnew],
  ['stale indices', staleIndices],
  ['frames', frames],
];
