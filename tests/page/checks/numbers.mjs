// The numbers are right, they move, and their colours fit.

import assert from 'node:assert/strict';

import { api, grouped, until } from '../support.mjs';
import { bigPrice, held, isRight, isThere, openCode, shown, tileColour, wrongTiles } from '../window.mjs';

const MOVES = process.env.SISE_MOVES !== '0';
const EXPECTED = (process.env.SISE_EXPECT ?? '').split(',').filter(Boolean).map((pair) => pair.split('='));

async function rightNumbers({ open, base, server }) {
  const page = await open();
  const policy = (await fetch(base)).headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src '(none|self)'/);
  await isThere(page);
  await isRight(page, server);
  const { count } = await api(server, '/v1/universe');
  assert.equal((await shown(page)).length, count);
  const { indices } = await api(server, '/v1/indices');
  for (const { index } of indices) assert.ok(await page.locator(`#index-${index} strong`).textContent());
  assert.ok((await page.locator('#session').textContent()).length > 0);
  assert.ok((await page.locator('#figures dt').count()) >= 2);
  return `${count} codes`;
}

async function knownPrices({ open }) {
  const page = await open();
  await isThere(page);
  for (const [code, price] of EXPECTED) {
    await page.fill('#search', code);
    await page.press('#search', 'Enter');
    assert.equal(await openCode(page), code);
    await until(`${code} is ${price}`, async () => (await bigPrice(page)) === grouped(Number(price)));
  }
  return EXPECTED.length > 0 ? `${EXPECTED.length} prices` : 'none was given';
}

async function theyMove({ open, server }) {
  const page = await open();
  await isThere(page);
  if (!MOVES) return 'the prices stand still';
  const before = await held(page);
  await until('thirty prices move', async () => {
    const now = await held(page);
    return now.filter(({ price }, place) => price !== before[place].price).length >= 30;
  });
  // Without a second look: a tile that changed is drawn in the next frame.
  assert.deepEqual(await wrongTiles(page), []);
  await isRight(page, server);
  return undefined;
}

async function colours({ open }) {
  const page = await open();
  await isThere(page);
  const alive = new Set((await held(page)).filter(({ state }) => state === 'live' || state === 'close').map(({ code }) => code));
  const [{ code }] = (await shown(page)).filter((stock) => alive.has(stock.code));
  for (const scale of ['red-blue', 'green-red', 'orange-blue']) {
    await page.evaluate(async (wanted) => (await import('./settings.js')).choose('colours', wanted), scale);
    await until(`a tile of the scale ${scale}`, async () => {
      const { seen, asked } = await tileColour(page, code);
      return seen === asked;
    });
  }
}

export const checks = [
  ['the right numbers', rightNumbers],
  ['known prices', knownPrices],
  ['they move', theyMove],
  ['colours', colours],
];
