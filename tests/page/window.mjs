// What a check sees of the page, through the page's own modules and through what it shows.

import { prices, until } from './support.mjs';

/** What the page holds. */
export const held = (page) => page.evaluate(async () => {
  const { market } = await import('./main.js');
  return market.list.map(({ code, price, market: of, state }) => ({ code, price: price ?? null, of, state }));
});

/** The stocks that the map shows, the largest company first. */
export const shown = (page) => page.evaluate(async () => {
  const { map } = await import('./main.js');
  const stocks = map.tiles.map(({ stock }) => stock);
  stocks.sort((a, b) => (b.cap ?? 0) - (a.cap ?? 0));
  return stocks.map(({ code, name, market, sector }) => ({ code, name, market, sector }));
});

export async function isThere(page) {
  await until('the map is drawn', async () => (await shown(page)).length > 0);
  await until('the page is connected', () => page.evaluate(() => document.querySelector('#connection').dataset.state === 'connected'));
}

/** Prices that did not change while the page was looked at are those of the API. */
export async function isRight(page, server) {
  await until('the page’s prices are the API’s', async () => {
    const before = await prices(server);
    const now = await held(page);
    const after = await prices(server);
    const settled = now.filter(({ code }) => before.get(code) === after.get(code));
    return now.length === after.size && settled.length > 0 && settled.every(({ code, price }) => price === after.get(code));
  });
}

export const openCode = (page) => page.evaluate(() => location.hash.slice(1));

export const bigPrice = (page) => page.locator('.detail .big strong').textContent();

export const fits = (page) => page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth);

/** The colour of a tile near its corner, and the one that its change rate asks for. */
export const tileColour = (page, code) => page.evaluate(async (wanted) => {
  const { map, market } = await import('./main.js');
  const { step } = await import('./colours.js');
  const { isIdle } = await import('./standing.js');
  const stock = market.stocks.get(wanted);
  const { left, top } = map.tileOf.get(stock);
  const at = 3 * map.density;
  const [red, green, blue] = map.ink.getImageData(left + at, top + at, 1, 1).data;
  const seen = `#${[red, green, blue].map((value) => value.toString(16).padStart(2, '0')).join('')}`;
  const { fills, idle } = map.colours;
  const asked = isIdle(stock) ? idle : stock.rate === undefined ? undefined : fills[step(stock.rate)];
  return { seen, asked, state: stock.state };
}, code);

/** Where a stock's tile lies on the map. */
export const middleOf = (page, code) => page.evaluate(async (wanted) => {
  const { map, market } = await import('./main.js');
  const { x0, y0, x1, y1 } = map.boxOf(market.stocks.get(wanted));
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
}, code);

/** The real answers of a route, changed on the way. */
export const changing = (page, route, change) => page.route(route, async (one) => {
  const response = await one.fetch();
  const body = await response.json();
  change(body);
  await one.fulfill({ response, json: body });
});

/** A stream that says nothing but hello. */
export const quiet = (page) => page.routeWebSocket(/v1\/stream/, (near) => {
  near.send(JSON.stringify({ v: 1, type: 'hello', seq: 1, connection: 'quiet', heartbeat_ms: 60_000 }));
});

/** Codes whose tile is drawn in another colour than its price asks for. */
export const wrongTiles = (page) => page.evaluate(async () => {
  const { map, market } = await import('./main.js');
  const { step } = await import('./colours.js');
  const { isIdle } = await import('./standing.js');
  const { width, height } = map.base;
  const { data } = map.ink.getImageData(0, 0, width, height);
  const wrong = [];
  for (const { stock, left, top, wide, high } of map.tiles) {
    const isColoured = (stock.state === 'live' || stock.state === 'close') && stock.rate !== undefined;
    // What changed since the last frame is not drawn yet.
    if (!isColoured || market.changed.has(stock) || wide < 8 || high < 8) continue;
    const at = 4 * ((top + 2) * width + left + 2);
    const seen = `#${[...data.slice(at, at + 3)].map((value) => value.toString(16).padStart(2, '0')).join('')}`;
    const { fills, idle } = map.colours;
    if (seen !== (isIdle(stock) ? idle : fills[step(stock.rate)])) wrong.push(stock.code);
  }
  return wrong;
});
