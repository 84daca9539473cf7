// The closed market, and what stands in the map's place when there is nothing to show.

import assert from 'node:assert/strict';

import { until } from '../support.mjs';
import { changing, held, isThere, middleOf, quiet, shown, tileColour } from '../window.mjs';

async function closed({ open, conduct }) {
  // The status, which may say otherwise, is left out: that request fails on purpose.
  conduct.isCut = true;
  const page = await open({
    prepare: async (one) => {
      await changing(one, '**/v1/market', (body) => {
        Object.assign(body, { open: false, reason: 'after the close', shown: { kind: 'closes', of: '2026-11-20' } });
        const [live, age] = [body.columns.indexOf('live'), body.columns.indexOf('age_ms')];
        for (const row of body.rows) {
          if (row[1] === null) continue;
          row[live] = false;
          row[age] = 60_000_000;
        }
      });
      await one.route('**/v1/status', (route) => route.fulfill({ status: 404, contentType: 'application/problem+json', body: '{"title":"none","status":404}' }));
      await quiet(one);
    },
  });
  await isThere(page);
  assert.match(await page.locator('#session').textContent(), /장 마감.*2026-11-20 종가/);
  const states = new Set((await held(page)).map(({ state }) => state));
  assert.ok(states.has('close') && !states.has('stale') && !states.has('live'), [...states].join());
  await until('the closes are ranked', async () => (await page.locator('#movers li button').count()) > 0);
}

/** A trial that asks no calendar: the exchange is closed, the prices are fresh all the same. */
async function trial({ open }) {
  let markets = 0;
  const page = await open({
    prepare: async (one) => {
      await changing(one, '**/v1/market', (body) => {
        markets += 1;
        body.open = true;
        body.session = 'closed';
        body.reason = 'weekend';
      });
      await changing(one, '**/v1/status', (body) => Object.assign(body, { open: false, always_open: true, phase: 'closed', reason: 'weekend', idle: null, last_skip: null }));
      await quiet(one);
    },
  });
  await isThere(page);
  await page.locator('#figure-nextRun').waitFor();
  await until('the exchange is closed', async () => (await page.locator('#session').textContent()).includes('장 마감 (주말)'));
  assert.equal(await page.evaluate(() => document.querySelector('#session').classList.contains('open')), false);
  assert.ok(!(await page.locator('#session').textContent()).includes('종가를'), 'these are no closes');
  assert.ok(!(await page.locator('#figure-nextRun').textContent()).includes('주말'), 'the weekend keeps nobody');
  for (let turn = 0; turn < 3; turn += 1) {
    const answered = page.waitForResponse('**/v1/status');
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await answered;
  }
  assert.equal(markets, 1, 'the status does not make it fetch the market again and again');
  assert.equal(await page.evaluate(async () => (await import('./main.js')).market.isOpen), true);
}

/** What does not trade, or stands at a limit, says so wherever its price is shown. */
async function standing({ open }) {
  const wanted = { '005930': ['halted', null, 0], '000660': ['trading', 'upper', 29.95], '035420': ['untraded', null, 0], '005380': ['trading', 'lower', -30] };
  const page = await open({
    prepare: async (one) => {
      const change = (price, [status, limit, rate]) => Object.assign(price, { status, limit, change_rate: rate });
      await changing(one, '**/v1/market', (body) => {
        const place = (name) => body.columns.indexOf(name);
        for (const row of body.rows) {
          const [status, limit, rate] = wanted[row[0]] ?? ['trading', null, 1];
          row[place('status')] = status;
          row[place('limit')] = limit;
          row[place('change_rate')] = rate;
        }
      });
      await changing(one, '**/v1/prices/*', (body) => wanted[body.stock_code] && change(body, wanted[body.stock_code]));
      await quiet(one);
    },
  });
  await isThere(page);
  await until('what does not trade is counted apart', async () => (await page.locator('#breadth').textContent()).endsWith('거래 없음·정지 2'));
  assert.match(await page.locator('#breadth').textContent(), /보합 0/);
  const told = { '005930': '거래정지', '000660': '상한가', '035420': '거래 없음', '005380': '하한가' };
  for (const [code, word] of Object.entries(told)) {
    const { x, y } = await middleOf(page, code);
    await page.mouse.move(0, 0);
    await page.locator('#map').hover({ position: { x, y } });
    await until(`the tip says ${word}`, async () => (await page.locator('#tip').textContent()).includes(word));
    const { seen, asked } = await tileColour(page, code);
    assert.equal(seen, asked, code);
    await page.evaluate((hash) => { location.hash = hash; }, code);
    await until(`the detail says ${word}`, async () => (await page.locator('#detail .flags').textContent()).includes(word));
  }
  await page.click('#table-tab');
  const rate = (code) => page.evaluate((one) => [...document.querySelectorAll('#table tbody tr[data-place]')]
    .find((row) => row.querySelector('.of-code').textContent === one)?.querySelector('td.of-rate').textContent, code);
  for (const [code, text] of [['005930', '거래정지'], ['000660', '▲29.95%'], ['005380', '▼30.00%']]) {
    await until(`the table says ${text}`, async () => (await rate(code)) === text);
  }
}

async function noPrices({ open }) {
  const page = await open({
    prepare: async (one) => {
      await changing(one, '**/v1/market', (body) => {
        body.rows = body.rows.map(([code]) => [code, ...body.columns.slice(1).map(() => null)]);
      });
      await quiet(one);
    },
  });
  await isThere(page);
  await until('it says that there are none', async () => (await page.locator('#cover').textContent()).includes('아직 시세가 없습니다'));
  assert.ok((await held(page)).every(({ price, state }) => price === null && state === 'none'), 'never a zero');
}

async function failing({ open, conduct }) {
  conduct.isCut = true;
  let isFailing = true;
  const page = await open({
    prepare: (one) => one.route('**/v1/**', (route) => isFailing
      ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ title: 'The store is away', status: 503, detail: 'Redis does not answer.' }) })
      : route.continue()),
  });
  await until('the problem is shown in words', async () => (await page.locator('#cover').textContent()).includes('The store is away: Redis does not answer.'));
  isFailing = false;
  await page.locator('#cover button').click();
  await isThere(page);
  assert.equal(await page.locator('#cover').isVisible(), false);
}

/** A simulated broker gave the prices: the page says so, and no more once they are the market's. */
async function simulated({ open }) {
  let isReal = false;
  const page = await open({
    prepare: async (one) => {
      await changing(one, '**/v1/market', (body) => {
        assert.equal(body.simulated, true, 'the API says so');
        body.simulated = !isReal;
      });
      await changing(one, '**/v1/indices', (body) => {
        for (const index of body.indices ?? []) delete index.simulated;
      });
      await changing(one, '**/v1/status', (body) => { body.broker = isReal ? null : body.broker; });
      await quiet(one);
    },
  });
  await isThere(page);
  assert.equal(await page.locator('#simulated').isVisible(), true);
  assert.match(await page.locator('#simulated').textContent(), /실제 시세가 아닙니다/);
  isReal = true;
  await page.reload();
  await isThere(page);
  assert.equal(await page.locator('#simulated').isVisible(), false);
}

async function token({ open }) {
  let seen;
  const page = await open({
    prepare: async (one) => {
      await one.addInitScript(() => sessionStorage.removeItem('sise.token'));
      await one.route('**/v1/**', (route) => {
        seen = route.request().headers().authorization;
        if (seen === 'Bearer right') {
          const headers = { ...route.request().headers() };
          delete headers.authorization;
          if (process.env.SISE_TOKEN) headers.authorization = `Bearer ${process.env.SISE_TOKEN}`;
          return route.continue({ headers });
        }
        return route.fulfill({ status: 401, contentType: 'application/problem+json', body: JSON.stringify({ title: 'A token is needed', status: 401 }) });
      });
      await quiet(one);
    },
  });
  await page.locator('#token').waitFor();
  await page.fill('#token input', 'wrong');
  await page.click('#token button');
  await until('a wrong token is refused in words', async () => (await page.locator('#token .refused').textContent()).length > 0);
  assert.equal(seen, 'Bearer wrong');
  await page.fill('#token input', 'right');
  await page.click('#token button');
  await until('the map is drawn', async () => (await shown(page)).length > 0);
  const kept = await page.evaluate(() => [JSON.stringify(localStorage), JSON.stringify(sessionStorage)]);
  assert.ok(!kept[0].includes('right') && kept[1].includes('right'), 'kept for the tab alone');
}

export const checks = [
  ['a closed market', closed],
  ['a trial out of session', trial],
  ['halted, untraded, at a limit', standing],
  ['no prices yet', noPrices],
  ['a failing server', failing],
  ['simulated prices', simulated],
  ['a token', token],
];
