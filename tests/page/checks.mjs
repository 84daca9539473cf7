// What the page promises, each with a browser window of its own.

import assert from 'node:assert/strict';

import { api, grouped, initialsOf, prices, until } from './support.mjs';

const MOVES = process.env.SISE_MOVES !== '0';
const EXPECTED = (process.env.SISE_EXPECT ?? '').split(',').filter(Boolean).map((pair) => pair.split('='));

/** What the page holds. */
const held = (page) => page.evaluate(async () => {
  const { market } = await import('./main.js');
  return market.list.map(({ code, price, market: of, state }) => ({ code, price: price ?? null, of, state }));
});

/** The stocks that the map shows, the largest company first. */
const shown = (page) => page.evaluate(async () => {
  const { map } = await import('./main.js');
  const stocks = map.tiles.map(({ stock }) => stock);
  stocks.sort((a, b) => (b.cap ?? 0) - (a.cap ?? 0));
  return stocks.map(({ code, name, market, sector }) => ({ code, name, market, sector }));
});

async function isThere(page) {
  await until('the map is drawn', async () => (await shown(page)).length > 0);
  await until('the page is connected', () => page.evaluate(() => document.querySelector('#connection').dataset.state === 'connected'));
}

/** Prices that did not change while the page was looked at are those of the API. */
async function isRight(page, server) {
  await until('the page’s prices are the API’s', async () => {
    const before = await prices(server);
    const now = await held(page);
    const after = await prices(server);
    const settled = now.filter(({ code }) => before.get(code) === after.get(code));
    return now.length === after.size && settled.length > 0 && settled.every(({ code, price }) => price === after.get(code));
  });
}

const openCode = (page) => page.evaluate(() => location.hash.slice(1));
const bigPrice = (page) => page.locator('.detail .big strong').textContent();
const fits = (page) => page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth);

/** The colour of a tile near its corner, and the one that its change rate asks for. */
const tileColour = (page, code) => page.evaluate(async (wanted) => {
  const { map, market } = await import('./main.js');
  const { step } = await import('./colours.js');
  const stock = market.stocks.get(wanted);
  const { left, top } = map.tileOf.get(stock);
  const at = 3 * map.density;
  const [red, green, blue] = map.ink.getImageData(left + at, top + at, 1, 1).data;
  const seen = `#${[red, green, blue].map((value) => value.toString(16).padStart(2, '0')).join('')}`;
  return { seen, asked: stock.rate === undefined ? undefined : map.colours.fills[step(stock.rate)], state: stock.state };
}, code);

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
  const picture = () => page.evaluate(() => document.querySelector('#tiles').toDataURL());
  const [before, pictured] = [await held(page), await picture()];
  await until('thirty prices move', async () => {
    const now = await held(page);
    return now.filter(({ price }, place) => price !== before[place].price).length >= 30;
  });
  await until('the map moves', async () => (await picture()) !== pictured);
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

  say({ type: 'alert', alert: { id: 'one', rule: 'r', kind: 'price', code, name, text: `${name} <b>72,000</b>`, at: new Date().toISOString() } });
  await page.locator('#toasts > div').first().waitFor();
  assert.ok((await page.locator('#toasts').textContent()).includes('<b>72,000</b>'), 'text is text');
  assert.equal(await page.getAttribute('#toasts', 'aria-live'), 'polite');
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
  conduct.isCut = false;
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
      await one.routeWebSocket(/v1\/stream/, (near) => near.send(JSON.stringify({ v: 1, type: 'hello', seq: 1, connection: 'x', heartbeat_ms: 15000 })));
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
  ['the right numbers', rightNumbers], ['known prices', knownPrices], ['they move', theyMove], ['colours', colours],
  ['search', search], ['details', detail], ['table', table], ['zoom', zoom], ['keyboard', keyboard], ['hover', hover],
  ['settings', settings], ['without storage', withoutStorage], ['phone width', phone], ['cut and healed', cutAndHealed],
  ['hidden', hidden], ['messages', messages], ['a failing server', failing], ['a token', token], ['frames', frames],
];
