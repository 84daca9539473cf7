// The page: its parts, user actions, and drawing.

import { Alerts } from './alerts.js';
import { Detail } from './detail.js';
import { byId } from './dom.js';
import { Feed } from './feed.js';
import { Finder } from './finder.js';
import * as frame from './frame.js';
import { Health } from './health.js';
import * as headline from './headline.js';
import * as indices from './indices.js';
import { fillBreadth, fillLegend } from './legend.js';
import { handle } from './map.js';
import { Market } from './market.js';
import { Movers } from './movers.js';
import { timeOfDay } from './numbers.js';
import { Scope } from './scope.js';
import { find } from './search.js';
import { choose, follow, ground, setting } from './settings.js';
import { Table } from './table.js';
import { showTab } from './tabs.js';
import * as tip from './tip.js';
import { Treemap } from './treemap.js';
import { counted, label, speak, words } from './words.js';

/** Interval at which movers and breadth are updated, milliseconds. */
const RANK_AGAIN = 1_000;

const market = new Market();
const health = new Health(market);
let typed = '';
let status;
let calendar;
let hadPrices = false;
let rankedAt = -Infinity;
let mustRank = false;

const map = new Treemap({ host: byId('map'), tiles: byId('tiles'), marks: byId('marks'), market });
const detail = new Detail({ market, closed: () => select(undefined) });
const table = new Table({ host: byId('table'), market, open: select });
const movers = new Movers({ open: select });
const alerts = new Alerts({ open: (code, opener) => select(market.stocks.get(code), opener) });
const scope = new Scope(market, showScope);
const mapHand = handle(map, {
  market,
  open: select,
  zoom: (wanted, focused) => zoom(() => scope.set(wanted), focused),
  zoomOut: (focused) => zoom(() => scope.widen(), focused),
});
new Finder({
  market,
  open: select,
  typed: (text) => {
    if (text === typed) return;
    typed = text;
    fillTable();
  },
});
const feed = new Feed(market, {
  listed: () => {
    map.mustLayOut = true;
    scope.label();
    fillTable();
  },
  settled: settle,
  moved: () => {
    if (hadPrices || !market.hasPrices) frame.ask();
    else settle();
  },
  alert: (alert) => alerts.take(alert),
  alerts: (told) => alerts.list(told),
  trouble: (text) => alerts.say(text),
  status: (newStatus, newCalendar, problem) => {
    status = newStatus ?? status;
    if (newStatus) market.takePhase({ ...newStatus, isFresh: newStatus.open || newStatus.always_open === true });
    calendar = newCalendar ?? calendar;
    health.show(newStatus, newCalendar, problem);
    showState();
    frame.ask();
  },
  changed: showState,
});

/** For tests. */
export { frame, map, market };

// ---- user actions

/** Opens a stock, or closes the open one; the address keeps it. */
function select(stock, opener) {
  showStock(stock, opener);
  const wanted = stock ? `#${stock.code}` : '';
  if (location.hash !== wanted) history.pushState(null, '', wanted || location.pathname + location.search);
}

function showStock(stock, opener) {
  if (stock) void detail.open(stock, opener);
  else detail.close();
  map.choose(stock);
  frame.ask();
}

/** Follows the code in the address, after a link or a step back. */
function followHash() {
  const code = location.hash.slice(1).toUpperCase();
  const stock = market.stocks.get(code);
  showStock(stock);
  if (!stock && /^[0-9A-Z]{6}$/.test(code)) alerts.say(words('unknownCode', code));
}

function zoom(change, focused) {
  change();
  if (focused) requestAnimationFrame(() => mapHand.focusOn(focused));
}

function showScope() {
  map.show(scope.value);
  fillTable();
  rankedAt = -Infinity;
  frame.ask();
}

function fillTable() {
  if (setting('view') !== 'table') return;
  const stocks = market.within(scope.value);
  const isIn = new Set(stocks);
  table.show(typed.trim() === '' ? stocks : find(market.list, typed).filter((stock) => isIn.has(stock)));
  frame.ask();
}

function showView() {
  const view = setting('view');
  showTab(view);
  document.documentElement.dataset.view = view;
  map.mustLayOut = true;
  fillTable();
  frame.ask();
}

byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  choose('view', 'table');
  table.grid.focus();
});
for (const place of ['notice', 'cover']) {
  byId(place).querySelector('button').addEventListener('click', () => feed.retry());
}
addEventListener('popstate', followHash);
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open]')) return;
  if (byId('settings').open) byId('settings').open = false;
  else if (detail.stock) select(undefined);
});
document.addEventListener('pointerdown', (event) => {
  if (!byId('settings').contains(event.target)) byId('settings').open = false;
});
for (const chooser of document.querySelectorAll('[data-setting]')) {
  chooser.addEventListener('change', () => choose(chooser.dataset.setting, chooser.value));
}

// ---- appearance

function applyLooks() {
  const root = document.documentElement;
  root.dataset.theme = ground();
  root.dataset.colours = setting('colours');
  map.use(setting('colours'), ground());
  fillLegend();
  detail.redraw();
  health.redraw();
  frame.ask();
}

function applyLanguage() {
  speak(setting('language'));
  document.documentElement.lang = setting('language');
  document.title = `sise 시세 · ${words('title')}`;
  label(document);
  for (const chooser of document.querySelectorAll('[data-setting]')) chooser.value = setting(chooser.dataset.setting);
  table.label();
  detail.label();
  alerts.fill();
  health.fill();
  scope.label();
  fillLegend();
  indices.fill(market.indices);
  map.mustLayOut = true;
  rankedAt = -Infinity;
  showState();
  frame.ask();
}

follow((name) => {
  if (name === 'language') applyLanguage();
  if (name === 'theme' || name === 'colours') applyLooks();
  if (name === 'view') showView();
  if (name === 'movers') {
    rankedAt = -Infinity;
    frame.ask();
  }
});

// ---- content

/** Called when the market has been fetched, or fetched again. */
function settle() {
  // Areas depend on prices: without prices all tiles are equal.
  if (!hadPrices) map.mustLayOut = true;
  hadPrices = market.hasPrices;
  market.indicesChanged = true;
  rankedAt = -Infinity;
  if (location.hash && !detail.stock) followHash();
  fillTable();
  showState();
  frame.ask();
}

/** Updates everything that depends on whether there are prices, and whether they are fresh. */
function showState() {
  const { connection, isSettled, failure, lastHeard } = feed;
  headline.showConnection(connection);
  if (isSettled) {
    const { hasLive, phase, shown } = market;
    headline.showSession({ phase, calendar, now: market.now(), shown: hasLive ? undefined : shown });
  }
  if (connection === 'lost' && isSettled) {
    headline.showNotice(lastHeard ? words('lostAt', timeOfDay(lastHeard)) : words('lostNow'));
  } else headline.hideNotice();
  headline.showSimulated(market.isSimulated || status?.broker?.simulated === true);
  headline.showCover({ isSettled, failure, isEmpty: isSettled && !market.hasPrices, idle: status?.idle });
}

function fillRanks() {
  const stocks = market.within(scope.value);
  movers.fill(stocks);
  fillBreadth(stocks);
  map.host.setAttribute('aria-label', counted('mapLabel', stocks.length));
}

frame.drawWith(() => {
  const now = performance.now();
  const changed = market.takeChanged();
  map.mustHead ||= market.indicesChanged;
  let drawn = 0;
  if (setting('view') === 'map') drawn = map.draw(changed, now);
  else {
    table.draw(changed, now);
    // Changes are painted when the map is shown again.
    map.mustPaint = true;
  }
  detail.draw(changed);
  tip.refresh(changed);
  if (market.indicesChanged) {
    market.indicesChanged = false;
    indices.fill(market.indices);
  }
  mustRank ||= changed.size > 0;
  if (now - rankedAt > RANK_AGAIN) {
    rankedAt = now;
    mustRank = false;
    fillRanks();
  }
  return drawn;
});

function grow() {
  if (document.hidden) return;
  market.grow();
  table.grow();
  detail.grow();
  health.grow();
  tip.refresh();
  const mustLayOut = setting('view') === 'map' && map.grow(performance.now());
  if (mustLayOut || mustRank || market.indicesChanged || market.changed.size > 0) frame.ask();
}
setInterval(grow, 1_000);
document.addEventListener('visibilitychange', grow);

const sizes = new ResizeObserver(() => {
  map.mustLayOut = true;
  table.mustFill = true;
  frame.ask();
});
sizes.observe(map.host);
sizes.observe(table.host);
new ResizeObserver(() => health.redraw()).observe(byId('coverage').parentElement);
let chartWidth = 0;
new ResizeObserver(([entry]) => {
  if (Math.abs(entry.contentRect.width - chartWidth) < 2) return;
  chartWidth = entry.contentRect.width;
  detail.redraw();
}).observe(detail.chart);

applyLooks();
applyLanguage();
showView();
feed.retry();
