// The map: zoom, keyboard, pointer.

import assert from 'node:assert/strict';

import { until } from '../support.mjs';
import { isThere, middleOf, quiet, shown } from '../window.mjs';

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
  await page.hover('#map', { position: await middleOf(page, code) });
  await until('the tip is there', () => page.isVisible('#tip'));
  assert.ok((await page.locator('#tip').textContent()).startsWith(name));
  await page.mouse.move(2, 2);
  await until('the tip is gone', async () => !(await page.isVisible('#tip')));
}

/** What is shown in the tip goes on while the pointer rests. */
async function restingTip({ open }) {
  const page = await open({ prepare: quiet });
  await isThere(page);
  const [{ code }] = await shown(page);
  const place = await middleOf(page, code);
  await page.hover('#map', { position: place });
  await until('the tip is there', () => page.isVisible('#tip'));
  await page.evaluate(async (wanted) => {
    const { market, frame } = await import('./main.js');
    market.takePrices([{ stock_code: wanted, price: 7_654_321, change: 1, change_rate: 0.1, source: 'kis.multi', fetched_at: new Date(market.now() - 71_000).toISOString() }]);
    frame.ask();
  }, code);
  await until('the tip shows the new price', async () => (await page.locator('#tip').textContent()).includes('7,654,321'));
  const age = async () => Number(/(\d+)초/.exec(await page.locator('#tip dl div:last-child dd').textContent())[1]);
  const before = await age();
  assert.ok(before >= 71, 'seconds are told beyond a minute');
  await until('its age goes on', async () => (await age()) > before);
}

export const checks = [
  ['zoom', zoom],
  ['keyboard', keyboard],
  ['hover', hover],
  ['a resting tip', restingTip],
];
