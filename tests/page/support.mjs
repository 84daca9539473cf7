// What the checks of the page share: the browser, the API, and patience.

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

/** Longest wait for something to come about. Generous: a machine under load is no failure. */
const PATIENCE = 60_000;

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** Looks until there is something to see, and returns it. */
export async function until(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > deadline) throw new Error(`never came about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A browser with a profile of its own, which goes with it. */
export async function launch() {
  const profile = await fs.mkdtemp(path.join(os.tmpdir(), 'sise-page-'));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...FLAGS, `--crash-dumps-dir=${profile}`],
  });
  return {
    browser,
    close: async () => {
      await browser.close();
      await fs.rm(profile, { recursive: true, force: true });
    },
  };
}

/** Asks the API past the page. */
export async function api(base, route) {
  const token = process.env.SISE_TOKEN;
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(new URL(route, base), { headers });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Prices of `/v1/market` by code. */
export async function prices(base) {
  const { columns, rows } = await api(base, '/v1/market');
  const [code, price] = [columns.indexOf('code'), columns.indexOf('price')];
  return new Map(rows.map((row) => [row[code], row[price]]));
}

export const grouped = (number) => number.toLocaleString('en-US');

/** The initial consonants of a name, told in another way than the page's. */
export function initialsOf(name) {
  const initials = 'ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ';
  return name.replace(/[가-힣]/g, (one) => initials[Math.floor((one.charCodeAt(0) - 0xac00) / 588)]);
}

/** What a page did that it must not do. */
export class Conduct {
  #base;
  #isCut = false;

  constructor(base) {
    this.#base = new URL(base);
    this.faults = [];
  }

  /** While the way is cut, failed requests are no faults. */
  set isCut(isCut) {
    this.#isCut = isCut;
  }

  async watch(page) {
    page.on('console', (message) => {
      const isOfCut = this.#isCut && /Failed to load resource|WebSocket connection/.test(message.text());
      const isRefused = /status of 401/.test(message.text());
      if (message.type() === 'error' && !isOfCut && !isRefused) this.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.faults.push(`error: ${error.stack}`));
    const stays = (url) => new URL(url).host === this.#base.host;
    page.on('request', (request) => {
      if (!stays(request.url())) this.faults.push(`request to ${request.url()}`);
    });
    page.on('websocket', (socket) => {
      if (!stays(socket.url())) this.faults.push(`connection to ${socket.url()}`);
    });
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
  }
}
