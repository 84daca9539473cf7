// The layout of tiles: squarified by market cap, within sectors, within markets.

import { balance } from './balance.js';
import { hierarchy, treemap, treemapSquarify } from './d3-hierarchy.js';

/** Heights of the headings, CSS pixels. */
export const MARKET_HEADING = 24;
export const SECTOR_HEADING = 16;
/** Smallest height of a sector with a heading. */
const LEAST_SECTOR = 42;
/** Gaps between markets, and between sectors. */
const MARKET_GAP = 8;
const SECTOR_GAP = 2;

/** Returns the area of codes without a known market cap: that of a small company. */
function usual(stocks) {
  const caps = stocks.map((stock) => stock.cap).filter((cap) => cap > 0);
  caps.sort((a, b) => a - b);
  return caps[Math.floor(caps.length / 4)] ?? 1;
}

function grouped(stocks, key) {
  const groups = new Map();
  for (const stock of stocks) {
    const name = key(stock);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(stock);
  }
  return groups;
}

/** Builds the tree of groups: markets and sectors, if the scope has more than one of them. */
function tree(stocks, scope) {
  const sectors = (some, market) =>
    [...grouped(some, (stock) => stock.sector)].map(([sector, members]) => ({ kind: 'sector', market, sector, stocks: members }));
  if (scope.sector !== undefined) return { children: [{ stocks }] };
  if (scope.market) return { children: sectors(stocks, scope.market) };
  const markets = [...grouped(stocks, (stock) => stock.market)].map(([market, members]) => ({
    kind: 'market', market, stocks: members, children: sectors(members, market),
  }));
  return { children: markets };
}

const squarify = treemapSquarify.ratio(1.3);

/**
 * Computes tiles and headings in CSS pixels. `headingWidth(group)` returns how wide a group must be
 * for its heading.
 */
export function layOut(stocks, scope, width, height, headingWidth) {
  const small = usual(stocks);
  const valueOf = (stock) => Math.max(1, stock.cap ?? small);
  const root = hierarchy(tree(stocks, scope))
    .sum(({ stocks: members, children }) => (children ? 0 : members.reduce((all, stock) => all + valueOf(stock), 0)))
    .sort((a, b) => b.value - a.value);
  root.each((node) => {
    node.heading = node.data.kind === 'market' ? MARKET_HEADING : 0;
  });
  // Markets are further apart than sectors; tiles of a sector touch.
  const inner = ({ data }) => (data.kind === 'market' || scope.market ? SECTOR_GAP : MARKET_GAP);
  const place = treemap().tile(squarify).size([width, height]).paddingInner(inner).paddingTop(({ heading }) => heading);
  const headingFor = (node) => {
    if (node.data.kind !== 'sector') return 0;
    const isRoomy = node.y1 - node.y0 >= LEAST_SECTOR && node.x1 - node.x0 >= headingWidth(node.data);
    return isRoomy ? SECTOR_HEADING : 0;
  };
  balance(root, place, headingFor);
  const tiles = [];
  const headings = [];
  root.each((node) => {
    const { x0, y0, x1, y1, data, heading } = node;
    if (heading > 0) headings.push({ group: data, x0, y0, x1, y1: y0 + heading });
    if (node.children) return;
    const group = hierarchy({ children: data.stocks.map((stock) => ({ stock })) })
      .sum(({ stock }) => (stock ? valueOf(stock) : 0))
      .sort((one, other) => other.value - one.value);
    squarify(group, x0, y0 + heading, x1, y1);
    for (const tile of group.children) tiles.push({ stock: tile.data.stock, x0: tile.x0, y0: tile.y0, x1: tile.x1, y1: tile.y1 });
  });
  return { tiles, headings };
}

/**
 * Returns the share of tiles whose area differs by more than a tenth from their present market cap.
 */
export function drift(tiles) {
  const shares = tiles
    .filter(({ stock }) => stock.cap > 0)
    .map(({ stock, x0, y0, x1, y1 }) => ((x1 - x0) * (y1 - y0)) / stock.cap)
    .sort((a, b) => a - b);
  const middle = shares[Math.floor(shares.length / 2)];
  const off = shares.filter((share) => Math.abs(share / middle - 1) > 0.1);
  return shares.length > 0 ? off.length / shares.length : 0;
}

/** Returns the nearest tile in a direction; `dx` and `dy` are -1, 0 or 1. */
export function nearest(tiles, from, dx, dy) {
  const x = (from.x0 + from.x1) / 2;
  const y = (from.y0 + from.y1) / 2;
  const aheadOf = (tile) => {
    if (dx !== 0) return dx > 0 ? tile.x0 - from.x1 : from.x0 - tile.x1;
    return dy > 0 ? tile.y0 - from.y1 : from.y0 - tile.y1;
  };
  let best;
  let least = Infinity;
  for (const tile of tiles) {
    const ahead = aheadOf(tile);
    if (tile === from || ahead < -0.5) continue;
    // Tiles straight ahead are preferred to nearer ones off to the side.
    const [low, high, across] = dx === 0 ? [tile.x0, tile.x1, x] : [tile.y0, tile.y1, y];
    const askew = Math.max(0, low - across, across - high);
    const distance = Math.max(0, ahead) + askew * 3;
    if (distance < least) {
      least = distance;
      best = tile;
    }
  }
  return best;
}
