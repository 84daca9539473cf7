// Stocks are found: by search, by address.

import assert from 'node:assert/strict';

import { api, grouped, initialsOf, until } from '../support.mjs';
import { bigPrice, isThere, openCode, shown } from '../window.mjs';

async function search({ open, base }) {
  const page = await open();
  await isThere(page);
  const all = await shown(page);
  const [largest] = all.filter(({ name }) => /^[가-힣]{3,}$/.test(name));
  const initials = initialsOf(largest.name);
  const mixed = largest.name[0] + initials.slice(1);
  for (const typed of [initials, mixed, largest.name, largest.code]) {
    await page.fill('#search', typed);
    const first = page.locator('#found [role=option]').first();
    await until(`${typed} finds ${largest.name}`, async () => (await first.count()) > 0 && (await first.textContent()).startsWith(largest.name));
    assert.equal(await page.getAttribute('#search', 'aria-expanded'), 'true');
    assert.equal(await page.getAttribute('#search', 'aria-activedescendant'), 'found-0');
  }
  await page.press('#search', 'Enter');
  assert.equal(await openCode(page), largest.code);
  assert.equal(await page.locator('.detail h2').textContent(), largest.name);
  await page.keyboard.press('Escape');
  assert.equal(await openCode(page), '');
  assert.equal(await page.locator('#detail').isVisible(), false);
  await page.fill('#search', '없는종목이름');
  assert.equal(await page.locator('#found [role=option]').count(), 0);
  return `${initials}, ${mixed} (${new URL(base).host})`;
}

async function detail({ open, server }) {
  const first = await open();
  await isThere(first);
  const [{ code, name }] = await shown(first);
  const page = await open({ hash: `#${code}` });
  await isThere(page);
  await page.locator('.detail h2').waitFor();
  assert.equal(await page.locator('.detail h2').textContent(), name);
  await until('the price of the details is the API’s', async () => {
    const before = await api(server, `/v1/prices/${code}`);
    const text = await bigPrice(page);
    const after = await api(server, `/v1/prices/${code}`);
    return before.price === after.price && text === grouped(after.price);
  });
  const { points } = await api(server, `/v1/lines/${code}`);
  if (points.length > 0) {
    await page.locator('.detail .chart canvas').waitFor();
    const told = await page.getAttribute('.detail .chart', 'aria-label');
    assert.ok(told.includes(points[0][0]), told);
  }
  const other = (await shown(page))[1];
  await page.evaluate((hash) => { location.hash = hash; }, other.code);
  await until('the address opens another stock', async () => (await page.locator('.detail h2').textContent()) === other.name);
  await page.goBack();
  await until('the way back opens the first', async () => (await page.locator('.detail h2').textContent()) === name);
  return `${points.length} points of today`;
}

export const checks = [
  ['search', search],
  ['details', detail],
];
