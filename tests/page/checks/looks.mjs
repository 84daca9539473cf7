// Language, colours, widths.

import assert from 'node:assert/strict';

import { fits, isThere, shown } from '../window.mjs';

async function settings({ open }) {
  const page = await open({ locale: 'en-US', colorScheme: 'light' });
  await isThere(page);
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  assert.equal(await page.locator('#map-tab').textContent(), 'Map');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'light');
  await page.click('#settings summary');
  await page.selectOption('[data-setting=language]', 'ko');
  await page.selectOption('[data-setting=theme]', 'dark');
  await page.selectOption('[data-setting=colours]', 'orange-blue');
  await page.click('#table-tab');
  const isAsChosen = async () => {
    assert.equal(await page.getAttribute('html', 'lang'), 'ko');
    assert.equal(await page.locator('#map-tab').textContent(), '지도');
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
    assert.equal(await page.getAttribute('html', 'data-colours'), 'orange-blue');
    assert.equal(await page.getAttribute('#table-tab', 'aria-selected'), 'true');
  };
  await isAsChosen();
  await page.reload();
  await page.locator('#table tbody tr[data-place]').first().waitFor();
  await isAsChosen();
  const empty = await page.evaluate(() => [...document.querySelectorAll('button, select, input, [role]')]
    .filter((one) => one.offsetParent !== null && one.matches('button, select, input'))
    .filter((one) => !one.textContent.trim() && !one.getAttribute('aria-label') && !one.closest('label'))
    .map((one) => one.outerHTML));
  assert.deepEqual(empty, [], 'every control has a name');
}

async function withoutStorage({ open }) {
  const prepare = (page) => page.addInitScript(() => {
    Object.defineProperty(globalThis, 'localStorage', { get: () => { throw new Error('forbidden'); } });
  });
  await isThere(await open({ prepare }));
}

async function phone({ open }) {
  for (const [width, height] of [[360, 740], [390, 844], [768, 1024], [1100, 800], [1280, 720]]) {
    const page = await open({ viewport: { width, height }, hasTouch: width < 768, isMobile: width < 768 });
    await isThere(page);
    assert.ok(await fits(page), `the map at ${width}`);
    const [{ code }] = await shown(page);
    await page.evaluate((hash) => { location.hash = hash; }, code);
    await page.locator('.detail h2').waitFor();
    assert.ok(await fits(page), `the details at ${width}`);
    await page.click('.detail .close');
    await page.click('#table-tab');
    await page.locator('#table tbody tr[data-place]').first().waitFor();
    assert.ok(await fits(page), `the table at ${width}`);
    const cut = await page.evaluate(() => [...document.querySelectorAll('#table .of-price')].filter((cell) => cell.offsetParent && cell.scrollWidth > cell.clientWidth + 1).length);
    assert.equal(cut, 0, `prices that are cut off at ${width}`);
  }
}

export const checks = [
  ['settings', settings],
  ['without storage', withoutStorage],
  ['phone width', phone],
];
