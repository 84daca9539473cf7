// Drives the page that sise serves in a headless Chromium.
//
//   SISE_URL=http://127.0.0.1:8787 node page.mjs
//   SISE_URL=... node page.mjs table zoom          these checks alone
//   SISE_URL=... node page.mjs --pictures DIR      writes the README's pictures and nothing else
//
// SISE_EXPECT=005930=72000,000660=...  prices that are known to stand
// SISE_MOVES=0                         the prices stand still
// SISE_TOKEN=...                       the API wants a token
// CHROMIUM=...                         another browser than /usr/bin/chromium

import { checks as connection } from './checks/connection.mjs';
import { checks as drawing } from './checks/drawing.mjs';
import { checks as finding } from './checks/finding.mjs';
import { checks as health } from './checks/health.mjs';
import { checks as looks } from './checks/looks.mjs';
import { checks as map } from './checks/map.mjs';
import { checks as numbers } from './checks/numbers.mjs';
import { checks as states } from './checks/states.mjs';
import { checks as table } from './checks/table.mjs';
import { takePictures } from './pictures.mjs';
import { Proxy } from './proxy.mjs';
import { Conduct, launch } from './support.mjs';

const ALL = [...numbers, ...finding, ...map, ...drawing, ...table, ...health, ...looks, ...connection, ...states];

const server = process.env.SISE_URL;
if (!server) {
  console.error('SISE_URL names no server: SISE_URL=http://127.0.0.1:8787 node page.mjs');
  process.exit(2);
}

const { browser, close } = await launch();
try {
  const place = process.argv.indexOf('--pictures');
  if (place > 0) await takePictures(browser, server, process.argv[place + 1] ?? '.');
  else await run();
} finally {
  await close();
}

async function run() {
  const proxy = new Proxy(server);
  const base = await proxy.open();
  const conduct = new Conduct(base);
  let failed = 0;
  const chosen = process.argv.slice(2);
  const checks = ALL.filter(([name]) => chosen.length === 0 || chosen.includes(name));
  for (const [name, check] of checks) {
    const contexts = [];
    const open = async ({ hash = '', prepare, ...options } = {}) => {
      const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, locale: 'ko-KR', ...options });
      contexts.push(context);
      const page = await context.newPage();
      await conduct.watch(page);
      if (process.env.SISE_TOKEN) {
        await page.addInitScript((token) => sessionStorage.setItem('sise.token', token), process.env.SISE_TOKEN);
      }
      await prepare?.(page);
      await page.goto(`${base}/${hash}`);
      return page;
    };
    try {
      const figures = await check({ open, base, server, proxy, conduct });
      if (conduct.faults.length > 0) throw new Error(conduct.faults.splice(0).join('\n'));
      console.log(`ok      ${name}${figures ? `: ${figures}` : ''}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    } finally {
      for (const context of contexts) {
        // An answer that is changed on the way may still be on it.
        for (const page of context.pages()) await page.unrouteAll({ behavior: 'ignoreErrors' });
        await context.close();
      }
      conduct.faults.length = 0;
      conduct.isCut = false;
    }
  }
  await proxy.cut();
  console.log(failed === 0 ? `${checks.length} checks passed` : `${failed} of ${checks.length} checks failed`);
  if (failed > 0) process.exitCode = 1;
}
