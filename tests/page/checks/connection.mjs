// The connection: cut and healed, silent, gaps, alerts, and a page that nobody looks at.

import assert from 'node:assert/strict';

import { until } from '../support.mjs';
import { isRight, isThere, openCode, shown, tileColour } from '../window.mjs';

async function cutAndHealed({ open, server, proxy, conduct }) {
  const page = await open();
  await isThere(page);
  await isRight(page, server);
  conduct.isCut = true;
  await proxy.cut();
  await until('the cut is shown', () => page.evaluate(() => document.querySelector('#connection').dataset.state === 'lost'));
  assert.equal(await page.locator('#connection').textContent(), '연결 끊김');
  assert.equal(await page.locator('#notice').isVisible(), true);
  // Lives run out meanwhile; here they end at once.
  const greyed = await page.evaluate(async () => {
    const { market } = await import('./main.js');
    market.isOpen = true;
    market.life = -1;
    market.grow();
    return market.list.every(({ state }) => state === 'stale' || state === 'none');
  });
  assert.ok(greyed);
  const [{ code }] = await shown(page);
  await until('stale tiles are grey', async () => {
    const { seen, asked } = await tileColour(page, code);
    return seen !== asked;
  });
  await proxy.open();
  await until('the page heals', () => page.evaluate(() => document.querySelector('#connection').dataset.state === 'connected'));
  conduct.isCut = false;
  assert.equal(await page.locator('#notice').isVisible(), false);
  await isRight(page, server);
}

async function hidden({ open }) {
  const page = await open();
  await isThere(page);
  const drawn = () => page.evaluate(async () => (await import('./main.js')).frame.frames.at(-1)?.at);
  const hide = (isHidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await hide(true);
  const before = await drawn();
  const change = () => page.evaluate(async () => {
    const { market, frame } = await import('./main.js');
    market.changed.add(market.list[0]);
    frame.ask();
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  });
  await change();
  assert.equal(await drawn(), before, 'nothing is drawn while hidden');
  await hide(false);
  await until('it is drawn again', async () => (await drawn()) !== before);
}

/** Messages that a server cannot be made to send at will, put between the real ones. */
async function messages({ open }) {
  let say;
  const asked = [];
  const page = await open({
    prepare: async (one) => {
      one.on('request', (request) => asked.push(new URL(request.url()).pathname + new URL(request.url()).search));
      const early = { id: 'early', rule: 'r', kind: 'price', text: 'told before', at: '2026-01-02T10:00:00+09:00' };
      await one.route('**/v1/alerts/fired*', (route) => route.fulfill({ json: { fired: [early] } }));
      await one.routeWebSocket(/v1\/stream/, (near) => {
        const far = near.connectToServer();
        let number = 0;
        say = (message, skip = 0) => {
          number += 1 + skip;
          near.send(JSON.stringify({ v: 1, ...message, seq: number }));
        };
        far.onMessage((text) => {
          const { seq, ...message } = JSON.parse(text);
          say(message);
        });
      });
    },
  });
  await isThere(page);
  const [{ code, name }] = await shown(page);
  const count = (route) => asked.filter((one) => one.startsWith(route)).length;

  const told = async () => (await page.locator('#alerts li').allTextContents()).map((text) => text.replace(/^[\d:]+/, ''));
  await until('what was told before is listed', async () => (await told()).includes('told before'));
  assert.equal(await page.locator('#toasts > div').count(), 0, 'what is old is not said again');

  say({ type: 'alert', alert: { id: 'one', rule: 'r', kind: 'price', code, name, text: `${name} <b>72,000</b>`, at: new Date().toISOString() } });
  await page.locator('#toasts > div').first().waitFor();
  assert.ok((await page.locator('#toasts').textContent()).includes('<b>72,000</b>'), 'text is text');
  assert.equal(await page.getAttribute('#toasts', 'aria-live'), 'polite');
  assert.deepEqual((await told()).slice(1), ['told before'], 'the newest first');
  await page.locator('#alerts button').first().click();
  assert.equal(await openCode(page), code);

  say({ type: 'gap', reason: 'feed', dropped: 2, codes: [code] });
  await until('the codes of a gap are asked for', () => count(`/v1/prices?codes=${code}`) === 1);

  const before = count('/v1/market');
  say({ type: 'heartbeat', at: new Date().toISOString() }, 5);
  await until('a jump of the numbers asks for the market', () => count('/v1/market') === before + 1);

  say({ type: 'error', problem: { type: '/problems/x', title: 'Too much', status: 429, detail: 'Ask for less.' } });
  await until('a problem is shown in words', async () => (await page.locator('#toasts').textContent()).includes('Too much: Ask for less.'));
}

/** A connection that says nothing is lost too, and another one is made. */
async function silence({ open }) {
  let connections = 0;
  const page = await open({
    prepare: (one) => one.routeWebSocket(/v1\/stream/, (near) => {
      connections += 1;
      near.send(JSON.stringify({ v: 1, type: 'hello', seq: 1, connection: String(connections), heartbeat_ms: 200 }));
    }),
  });
  await until('the silence is shown', () => page.evaluate(() => document.querySelector('#connection').dataset.state === 'lost'));
  await until('another connection is made', () => connections >= 2);
}

export const checks = [
  ['cut and healed', cutAndHealed],
  ['hidden', hidden],
  ['messages', messages],
  ['silence', silence],
];
