// The table: order, keyboard, what a click does, and that no number is cut.

import assert from 'node:assert/strict';

import { initialsOf, until } from '../support.mjs';
import { held, isThere, openCode, quiet } from '../window.mjs';

async function rowsAndOrder({ open }) {
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

/** The widest that is usual, in every number column of the rows in sight. */
async function nothingIsCut({ open }) {
  const seen = [];
  for (const [width, locale] of [390, 768, 1024, 1100, 1200, 1280, 1440].flatMap((one) => [[one, 'ko-KR'], [one, 'en-US']])) {
    const page = await open({ viewport: { width, height: 900 }, locale, prepare: quiet });
    await isThere(page);
    await page.click('#table-tab');
    await page.locator('#table tbody tr[data-place]').first().waitFor();
    await page.evaluate(async () => {
      const { frame, market } = await import('./main.js');
      for (const stock of market.list) {
        Object.assign(stock, { price: 1_234_000, change: -123_500, rate: -29.99, volume: 1_234_567_890, value: 999_900_000_000, cap: 999_900_000_000 });
        stock.born = market.now() - 118_000;
        market.changed.add(stock);
      }
      frame.ask();
    });
    await until('the widest numbers are there', async () => (await page.locator('#table tbody .of-price').first().textContent()) === '1,234,000');
    // The age and the mark of the order too.
    for (const key of ['volume', 'cap', 'age']) {
      const head = page.locator(`#table th.of-${key} button`);
      if (!(await head.isVisible())) continue;
      await head.click();
      const cut = await page.evaluate(async (wanted) => {
        await new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });
        const isCut = (one) => one.offsetParent !== null && one.scrollWidth > one.clientWidth;
        const cells = [...document.querySelectorAll('#table td.number'), ...document.querySelectorAll('#table th button')];
        return [...new Set(cells.filter(isCut).map((one) => `${wanted}: ${one.closest('td, th').className} ${one.textContent}`))];
      }, key);
      assert.deepEqual(cut, [], `at ${width} in ${locale}`);
    }
    const name = await page.evaluate(() => document.querySelector('#table td.of-name').clientWidth);
    assert.ok(name >= 110, `${name} px for the names at ${width}`);
    seen.push(`${width}: ${await page.evaluate(() => [...document.querySelectorAll('#table thead th')].filter((one) => one.offsetParent).length)}`);
    await page.close();
  }
  return `columns at ${[...new Set(seen)].join(', ')}`;
}

async function click({ open }) {
  const page = await open();
  await isThere(page);
  await page.click('#table-tab');
  const row = page.locator('#table tbody tr[data-place]').nth(2);
  const name = await row.locator('.of-name').textContent();
  await row.click();
  await until('it is open', async () => (await page.locator('.detail h2').textContent()) === name);
  const active = () => page.evaluate(() => document.activeElement.tagName + (document.activeElement.closest('#detail') ? ' of the details' : ''));
  assert.equal(await active(), 'H2 of the details');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement?.closest('#table') !== null), true, 'and back');
  // With the keyboard a frame shows it, clear of what stands around it.
  await page.keyboard.press('Enter');
  await until('it is open again', () => page.isVisible('#detail'));
  const clear = await page.evaluate(() => {
    const title = document.querySelector('.detail h2');
    const { outlineStyle, outlineWidth, outlineOffset } = getComputedStyle(title);
    const frame = title.getBoundingClientRect().bottom + Number.parseFloat(outlineWidth) + Number.parseFloat(outlineOffset);
    return [outlineStyle, document.querySelector('.detail .place').getBoundingClientRect().top - frame];
  });
  assert.equal(clear[0], 'solid');
  assert.ok(clear[1] >= 0, `the frame lies ${-clear[1]} px over the next line`);
}

/** By a column that a phone does not show one can sort all the same. */
async function phoneOrder({ open }) {
  const page = await open({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await isThere(page);
  const codes = (await held(page)).map(({ code }) => code).sort();
  await page.click('#table-tab');
  assert.equal(await page.locator('#table th.of-code').isVisible(), false);
  const first = () => page.evaluate(() => document.querySelector('#table tbody tr[data-place] .of-code').textContent);
  await page.selectOption('#sorting select', 'code');
  await until('the first code is first', async () => (await first()) === codes[0]);
  await page.click('#sorting button');
  await until('the last code is first', async () => (await first()) === codes.at(-1));
  assert.equal(await page.getAttribute('#sorting button', 'aria-label'), '내림차순');
}

export const checks = [
  ['table', rowsAndOrder],
  ['nothing is cut', nothingIsCut],
  ['a click on a row', click],
  ['order on a phone', phoneOrder],
];
