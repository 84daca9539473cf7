// The map: zoom, keyboard, pointer, and what it takes to draw it.

import assert from 'node:assert/strict';

import { until } from '../support.mjs';
import { isThere, shown } from '../window.mjs';

async function zoom({ open }) {
  const page = await open();
  await isThere(page);
  const all = await shown(page);
  const markets = [...new Set(all.map(({ market }) => market))];
  const [part] = markets.slice(-1);
  await page.selectOption('#scope', part);
  await until('one market alone', async () => (await shown(page)).every(({ market }) => market === part));
  const place = await page.evaluate(async () => {
    const { map } = await import('./main.js');
    const [heading] = map.headings;
    return { x: (heading.x0 + heading.x1) / 2, y: (heading.y0 + heading.y1) / 2, sector: heading.group.sector };
  });
  await page.click('#map', { position: place });
  await until('one sector alone', async () => (await shown(page)).every(({ sector }) => sector === place.sector));
  await page.click('#zoom-out');
  await until('the market again', async () => new Set((await shown(page)).map(({ sector }) => sector)).size > 1);
  await page.click('#zoom-out');
  await until('everything again', async () => (await shown(page)).length === all.length);
  assert.equal(await page.isDisabled('#zoom-out'), true);
}

async function keyboard({ open }) {
  const page = await open();
  await isThere(page);
  const all = await shown(page);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
  await page.focus('#map-tab');
  await page.keyboard.press('Tab');
  for (let steps = 0; steps < 10 && (await page.evaluate(() => document.activeElement.id)) !== 'map'; steps += 1) await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'map');
  const said = () => page.locator('#map-words').textContent();
  assert.ok((await said()).startsWith(all[0].name), await said());
  await page.keyboard.press('ArrowRight');
  await until('another tile is told', async () => !(await said()).startsWith(`${all[0].name},`));
  const second = (await said()).split(',')[0];
  await page.keyboard.press('+');
  await until('its sector alone', async () => new Set((await shown(page)).map(({ sector }) => sector)).size === 1);
  assert.ok((await said()).startsWith(second));
  await page.keyboard.press('-');
  await page.keyboard.press('-');
  await until('everything again', async () => (await shown(page)).length === all.length);
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('.detail h2').textContent(), second);
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'map');
}

async function hover({ open }) {
  const page = await open();
  await isThere(page);
  const [{ name, code }] = await shown(page);
  const box = await page.evaluate(async (wanted) => {
    const { map, market } = await import('./main.js');
    const { x0, y0, x1, y1 } = map.boxOf(market.stocks.get(wanted));
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
  }, code);
  await page.hover('#map', { position: box });
  await until('the tip is there', () => page.isVisible('#tip'));
  assert.ok((await page.locator('#tip').textContent()).startsWith(name));
  await page.mouse.move(2, 2);
  await until('the tip is gone', async () => !(await page.isVisible('#tip')));
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
          volume: stock.volume, value: stock.value, prev_close: stock.previous, status: stock.status, source: 'kis.multi', fetched_at: new Date().toISOString(),
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
      draw: [at(took, 0.5), at(took, 0.95), at(took, 1)], long: took.filter((one) => one > 1000 / 60).length,
      interval: [at(spans, 0.5), at(spans, 0.95)],
    };
  }, change);
  const say = ({ frames: count, tiles, draw, long, interval }) =>
    `${count} frames of up to ${tiles} tiles, drawing ${draw.map((one) => one.toFixed(2)).join(', ')} ms (p50, p95, max), ${long} beyond 16.7 ms, a frame every ${interval.map((one) => one.toFixed(1)).join(', ')} ms (p50, p95)`;
  const usual = await measure(false);
  const whole = await measure(true);
  // The page's own time alone, and generously: a machine under load is no failure.
  assert.ok(whole.tiles > 0 && whole.frames > 100, say(whole));
  assert.ok(usual.long <= usual.frames / 4, say(usual));
  assert.ok(whole.long <= whole.frames / 2, say(whole));
  return `as it comes ${say(usual)}; all at once ${say(whole)}`;
}

export const checks = [
  ['zoom', zoom],
  ['keyboard', keyboard],
  ['hover', hover],
  ['frames', frames],
];
