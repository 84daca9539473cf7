// Stocks are found: by search, by address, in the table.

import assert from 'node:assert/strict';

import { api, grouped, initialsOf, until } from '../support.mjs';
import { bigPrice, held, isThere, openCode, shown } from '../window.mjs';

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

async function table({ open }) {
  const page = await open();
  await isThere(page);
  const count = (await held(page)).length;
  await page.click('#table-tab');
  const grid = page.locator('#table table');
  await until('the table has its rows', async () => (await grid.getAttribute('aria-rowcount')) === String(count + 1));
  const rows = () => page.evaluate(() => [...document.querySelectorAll('#table tbody tr[data-place]')].map((row) => ({
    index: Number(row.getAttribute('aria-rowindex')), code: row.querySelector('.of-code').textContent, name: row.querySelector('.of-name').textContent,
  })));
  assert.ok((await rows()).length < 100, 'only the rows in sight exist');
  const order = (key) => page.getAttribute(`#table th.of-${key}`, 'aria-sort');
  await page.click('#table th.of-code button');
  await until('sorted by code', async () => (await order('code')) === 'ascending');
  const codes = (await held(page)).map(({ code }) => code).sort();
  await until('the first code is first', async () => (await rows())[0].code === codes[0]);
  await page.click('#table th.of-code button');
  await until('the other way round', async () => (await order('code')) === 'descending');
  await until('the last code is first', async () => (await rows())[0].code === codes.at(-1));
  await page.evaluate(() => { document.querySelector('#table').scrollTop = 1e9; });
  await until('the last row is there', async () => {
    const last = (await rows()).at(-1);
    return last.index === count + 1 && last.code === codes[0];
  });
  await page.click('#table th.of-price button');
  await until('sorted by price', async () => (await order('price')) === 'descending');
  assert.equal(await order('code'), null);
  // With the keyboard alone.
  await page.focus('#table table');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await until('the third row is the active one', async () => {
    const active = await grid.getAttribute('aria-activedescendant');
    return active && (await page.getAttribute(`#${active}`, 'aria-rowindex')) === '4';
  });
  const active = await grid.getAttribute('aria-activedescendant');
  await page.keyboard.press('Enter');
  await until('Enter opens it', async () => `row-${await openCode(page)}` === active);
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement?.closest('#table') !== null), true);
  await page.fill('#search', initialsOf('가'));
  await until('what is typed narrows the table', async () => Number(await grid.getAttribute('aria-rowcount')) < count);
  return `${count} rows`;
}

export const checks = [
  ['search', search],
  ['details', detail],
  ['table', table],
];
