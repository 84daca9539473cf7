// The health strip: what is wrong and why, what is not known, and that it heals.

import assert from 'node:assert/strict';

import { grouped, until } from '../support.mjs';
import { changing, held, isThere } from '../window.mjs';

const text = (page, place) => page.locator(place).textContent();

/** Asks for the status at once. */
const look = (page) => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));

const isBad = (page, place) => page.evaluate((one) => document.querySelector(one).classList.contains('bad'), place);

async function nobodyLeads({ open }) {
  let change = () => {};
  const page = await open({ prepare: (one) => changing(one, '**/v1/status', (body) => change(body)) });
  await isThere(page);
  await until('the figures are there', async () => (await page.locator('#figure-live strong').count()) > 0);
  const count = grouped((await held(page)).length);
  assert.match(await text(page, '#figure-live strong'), new RegExp(`^[\\d,]+ / ${count}$`));
  change = (body) => {
    Object.assign(body, { open: true, leader: null, next_run: null, ages_ms: null, last_skip: null });
    body.idle = { reason: 'no_leader', why: 'no process leads' };
    body.at = `${body.at.slice(0, 11)}14:30:40${body.at.slice(19)}`;
    body.coverage.minutes = [{ minute: '14:19', live: 10, codes: 10, share: 1 }];
  };
  await look(page);
  await until('the reason is told', async () => (await text(page, '#figure-nextRun')).includes('조회하는 프로세스가 없음'));
  for (const key of ['nextRun', 'leader', 'ages']) assert.equal(await isBad(page, `#figure-${key}`), true, key);
  assert.equal(await text(page, '#figure-ages strong'), '유효한 시세 없음');
  // What was counted ten minutes ago is not what is now.
  assert.equal(await text(page, '#coverage-now'), '14:20부터 세지 못함');
  assert.match(await page.getAttribute('#coverage', 'aria-label'), /14:20부터 세지 못함/);
  change = (body) => Object.assign(body, { leader: null, idle: null, processes: [] });
  await look(page);
  await until('one alone sweeps alone', async () => (await text(page, '#figure-leader strong')) === '혼자 조회함');
  assert.equal(await isBad(page, '#figure-leader'), false);
}

/** Prices that outlive themselves are counted out without a status that says so. */
async function liveCount({ open }) {
  const page = await open();
  await isThere(page);
  await until('the figures are there', async () => (await page.locator('#figure-live strong').count()) > 0);
  await page.evaluate(async () => { (await import('./main.js')).market.life = -1; });
  await until('none is live', async () => (await text(page, '#figure-live strong')).startsWith('0 / '));
}

async function statusAway({ open, conduct }) {
  conduct.isCut = true;
  let isAway = false;
  const problem = { type: '/problems/store-away', title: 'The store does not answer', status: 503, detail: 'Redis is away.' };
  const page = await open({
    prepare: (one) => one.route('**/v1/status', (route) => isAway
      ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify(problem) })
      : route.continue()),
  });
  await isThere(page);
  await page.locator('#figure-live').waitFor();
  const trouble = page.locator('#health-trouble');
  assert.equal(await trouble.isVisible(), false);
  isAway = true;
  await look(page);
  await until('it is said in words', () => trouble.isVisible());
  assert.match(await trouble.textContent(), /^\d\d:\d\d:\d\d부터 상태를 알 수 없습니다: 저장소\(Redis\)가 답하지 않습니다/);
  assert.equal(await trouble.getAttribute('role'), 'status');
  assert.equal(await trouble.evaluate((one) => getComputedStyle(one).opacity), '1');
  isAway = false;
  await look(page);
  await until('it heals', async () => !(await trouble.isVisible()));
}

export const checks = [
  ['nobody leads', nobodyLeads],
  ['live prices are counted', liveCount],
  ['the status is away', statusAway],
];
