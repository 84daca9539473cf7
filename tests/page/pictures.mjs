// The README's pictures.

import fs from 'node:fs/promises';
import path from 'node:path';

import { api, until } from './support.mjs';

const PICTURES = [
  { name: 'page-light', width: 1440, height: 900, colorScheme: 'light', locale: 'ko-KR', detail: true },
  { name: 'page-dark', width: 1440, height: 900, colorScheme: 'dark', locale: 'en-US', detail: true },
  { name: 'page-phone', width: 390, height: 844, colorScheme: 'light', locale: 'ko-KR', phone: true },
];

export async function takePictures(browser, base, folder) {
  await fs.mkdir(folder, { recursive: true });
  const { columns, rows } = await api(base, '/v1/market');
  const cap = columns.indexOf('market_cap');
  const largest = rows.toSorted((a, b) => (b[cap] ?? 0) - (a[cap] ?? 0))[0][columns.indexOf('code')];
  for (const { name, width, height, detail, phone, ...options } of PICTURES) {
    const context = await browser.newContext({ viewport: { width, height }, hasTouch: phone, isMobile: phone, deviceScaleFactor: phone ? 1.5 : 1, ...options });
    const page = await context.newPage();
    // What the machine is called that took them is nobody's business.
    await page.route('**/v1/status', async (route) => {
      const response = await route.fetch();
      const status = await response.json();
      if (status.leader) status.leader.process = 'market-1-ce81';
      await route.fulfill({ response, json: status });
    });
    await page.goto(new URL(detail ? `/#${largest}` : '/', base).href);
    await until('the map is drawn', () => page.evaluate(async () => (await import('./main.js')).map.tiles.length > 0));
    if (detail) await page.locator('.detail canvas').waitFor();
    await page.locator('#figures strong').first().waitFor();
    // One second, so that headings and movers follow the prices.
    await page.waitForTimeout(1_500);
    const file = path.join(folder, `${name}.png`);
    await page.screenshot({ path: file });
    console.log(`${file}  ${Math.round((await fs.stat(file)).size / 1000)} kB`);
    await context.close();
  }
}
