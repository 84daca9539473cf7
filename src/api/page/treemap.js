// The map: tiles on one canvas, and the hovered and selected ones marked on another above it.

import { palette, step } from './colours.js';
import { fitWords, font } from './fit.js';
import { hatch } from './hatch.js';
import { drift, layOut, nearest } from './layout.js';
import { rate as rateWords } from './numbers.js';
import { groupRate } from './ranks.js';
import { isIdle, moved } from './standing.js';
import { sectorName, words } from './words.js';

/** Interval at which areas are checked, milliseconds, and the share of tiles that may be off. */
const JUDGE_AGAIN = 60_000;
const MOST_OFF = 0.05;

export class Treemap {
  constructor({ host, tiles, marks, market }) {
    this.host = host;
    this.base = tiles;
    this.above = marks;
    this.ink = tiles.getContext('2d', { alpha: false });
    this.markInk = marks.getContext('2d');
    this.market = market;
    this.scope = {};
    this.tiles = [];
    this.headings = [];
    this.tileOf = new Map();
    this.hovered = undefined;
    this.focused = undefined;
    this.chosen = undefined;
    this.mustLayOut = true;
    this.mustPaint = true;
    this.mustMark = true;
    this.mustHead = true;
    this.headingsAt = 0;
    this.laidAt = 0;
    this.use('red-blue', 'light');
  }

  /** Sets the colour scale and the background. */
  use(scale, ground) {
    this.colours = palette(scale, ground);
    this.hatches = undefined;
    this.mustPaint = true;
    this.mustMark = true;
  }

  show(scope) {
    this.scope = scope;
    this.focused = undefined;
    this.hovered = undefined;
    this.mustLayOut = true;
  }

  /** Draws pending changes, including the `changed` stocks. Returns how many tiles it drew. */
  draw(changed, now) {
    if (this.mustLayOut) this.#layOut();
    if (this.tiles.length === 0 && this.width === 0) return 0;
    let drawn = 0;
    if (this.mustPaint) {
      drawn = this.#paintAll();
      this.headingsAt = now;
    } else {
      for (const stock of changed) {
        const tile = this.tileOf.get(stock);
        if (tile) {
          this.#paint(tile);
          drawn += 1;
        }
      }
      if (this.mustHead || now - this.headingsAt > 1000) {
        for (const heading of this.headings) this.#paintHeading(heading);
        this.headingsAt = now;
      }
    }
    this.mustHead = false;
    if (this.mustMark) this.#mark();
    return drawn;
  }

  /**
   * Requests a new layout, at most once a minute, if market caps moved so far that areas are wrong;
   * never while the map is hovered or focused. Returns whether it did.
   */
  grow(now) {
    if (now - this.laidAt < JUDGE_AGAIN || this.hovered || this.host.matches(':focus')) return false;
    this.laidAt = now;
    this.mustLayOut ||= drift(this.tiles) > MOST_OFF;
    return this.mustLayOut;
  }

  #layOut() {
    this.mustLayOut = false;
    this.laidAt = performance.now();
    const { clientWidth: width, clientHeight: height } = this.host;
    this.width = width;
    this.height = height;
    this.density = Math.min(3, devicePixelRatio || 1);
    for (const canvas of [this.base, this.above]) {
      canvas.width = Math.round(width * this.density);
      canvas.height = Math.round(height * this.density);
    }
    this.hatches = undefined;
    const stocks = this.market.within(this.scope);
    const headingWidth = (group) => {
      this.ink.font = font(11, 600);
      return this.ink.measureText(sectorName(group.sector)).width + 10;
    };
    const found =
      width > 0 && stocks.length > 0
        ? layOut(stocks, this.scope, width, height, headingWidth)
        : { tiles: [], headings: [] };
    this.headings = found.headings;
    this.tiles = found.tiles;
    this.tileOf = new Map();
    const snap = (value) => Math.round(value * this.density);
    for (const tile of this.tiles) {
      this.tileOf.set(tile.stock, tile);
      const left = snap(tile.x0);
      const top = snap(tile.y0);
      const wide = snap(tile.x1) - left;
      const high = snap(tile.y1) - top;
      // The line between two tiles; the smallest tiles have none, or nothing would be left of them.
      const gap = Math.min(wide, high) > 5 * this.density ? Math.round(this.density) : 0;
      Object.assign(tile, { left, top, wide: Math.max(1, wide - gap), high: Math.max(1, high - gap) });
      fitWords(tile, this.ink);
    }
    if (this.focused && !this.tileOf.has(this.focused)) this.focused = undefined;
    this.mustPaint = true;
    this.mustMark = true;
  }

  #paintAll() {
    this.mustPaint = false;
    const { ink } = this;
    ink.fillStyle = this.colours.ground;
    ink.fillRect(0, 0, this.base.width, this.base.height);
    for (const tile of this.tiles) this.#paint(tile);
    for (const heading of this.headings) this.#paintHeading(heading);
    return this.tiles.length;
  }

  #look(stock) {
    const { colours } = this;
    if (stock.state === 'none' || stock.rate === undefined) {
      this.hatches ??= { none: hatch(colours.none, this.density), stale: hatch(colours.stale, this.density) };
      return [this.hatches.none, colours.noneInk];
    }
    if (stock.state === 'stale') {
      this.hatches ??= { none: hatch(colours.none, this.density), stale: hatch(colours.stale, this.density) };
      return [this.hatches.stale, colours.staleInk];
    }
    if (isIdle(stock)) return [colours.idle, colours.idleInk];
    const place = step(stock.rate);
    return [colours.fills[place], colours.inks[place]];
  }

  #paint(tile) {
    const { ink } = this;
    const { stock, left, top, wide, high, nameSize, rateSize } = tile;
    const [fill, text] = this.#look(stock);
    ink.fillStyle = fill;
    ink.fillRect(left, top, wide, high);
    if (nameSize === 0) return;
    const { density } = this;
    const middle = left + wide / 2;
    const centre = top + high / 2;
    ink.fillStyle = text;
    ink.textAlign = 'center';
    ink.textBaseline = 'middle';
    ink.font = font(Math.round(nameSize * density), 600);
    const hasRate = rateSize > 0 && stock.rate !== undefined;
    const lift = hasRate ? rateSize * 0.62 * density : 0;
    ink.fillText(stock.name, middle, centre - lift);
    if (hasRate) {
      ink.font = font(Math.round(rateSize * density), 500);
      ink.fillText(moved(stock), middle, centre + nameSize * 0.62 * density);
    }
  }

  #paintHeading({ group, x0, y0, x1, y1 }) {
    const { ink, density, colours } = this;
    const isMarket = group.kind === 'market';
    const size = Math.round((isMarket ? 13 : 11) * density);
    ink.fillStyle = colours.ground;
    ink.fillRect(Math.round(x0 * density), Math.round(y0 * density), Math.round((x1 - x0) * density), Math.round((y1 - y0) * density) - 1);
    ink.textAlign = 'left';
    ink.textBaseline = 'middle';
    ink.fillStyle = colours.heading;
    ink.font = font(size, isMarket ? 700 : 600);
    const name = isMarket ? words(group.market) : sectorName(group.sector);
    const left = x0 * density + (isMarket ? 0 : 2 * density);
    const middle = ((y0 + y1) / 2) * density;
    ink.fillText(name, left, middle);
    const index = isMarket ? this.market.indices.get(group.market) : undefined;
    const rate = index?.change_rate ?? groupRate(group.stocks);
    if (rate === undefined) return;
    const isStale = index?.state === 'stale';
    const shown = isStale ? `${rateWords(rate)} · ${words('stale')}` : rateWords(rate);
    const start = left + ink.measureText(name).width + 6 * density;
    ink.font = font(size, 500);
    if (isStale) ink.fillStyle = colours.staleInk;
    if (start + ink.measureText(shown).width < x1 * density) ink.fillText(shown, start, middle);
  }

  #mark() {
    this.mustMark = false;
    const ink = this.markInk;
    ink.clearRect(0, 0, this.above.width, this.above.height);
    this.#frame(this.chosen, 3);
    this.#frame(this.hovered?.stock, 2);
    if (this.host.matches(':focus-visible')) this.#frame(this.focused, 3);
    const heading = this.hovered?.heading;
    if (heading) {
      ink.strokeStyle = this.colours.hover;
      ink.lineWidth = this.density;
      const y = Math.round(heading.y1 * this.density) - 1.5 * this.density;
      ink.beginPath();
      ink.moveTo(heading.x0 * this.density, y);
      ink.lineTo(heading.x1 * this.density, y);
      ink.stroke();
    }
  }

  #frame(stock, thickness) {
    const tile = stock && this.tileOf.get(stock);
    if (!tile) return;
    const ink = this.markInk;
    const width = thickness * this.density;
    // A dark and a light line: one of them is visible on every colour.
    for (const [colour, shift] of [[this.colours.focus, width / 2], [this.colours.ground, width]]) {
      ink.strokeStyle = colour;
      ink.lineWidth = shift === width ? this.density : width;
      ink.strokeRect(tile.left + shift, tile.top + shift, Math.max(1, tile.wide - 2 * shift), Math.max(1, tile.high - 2 * shift));
    }
  }

  /** Returns what is at a point of the map: a tile's stock, or a heading. */
  at(x, y) {
    const holds = (box) => x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
    const heading = this.headings.find(holds);
    if (heading) return { heading };
    const tile = this.tiles.find(holds);
    return tile ? { stock: tile.stock } : undefined;
  }

  point(place) {
    if (this.hovered?.stock === place?.stock && this.hovered?.heading === place?.heading) return false;
    this.hovered = place;
    this.mustMark = true;
    return true;
  }

  choose(stock) {
    this.chosen = stock;
    this.mustMark = true;
  }

  focus(stock) {
    this.focused = stock;
    this.mustMark = true;
  }

  /** Returns the tile of the largest company. */
  get first() {
    let best;
    for (const { stock } of this.tiles) {
      if (!best || (stock.cap ?? 0) > (best.cap ?? 0)) best = stock;
    }
    return best;
  }

  /** Returns the stock of the nearest tile in a direction; `dx` and `dy` are -1, 0 or 1. */
  beside(stock, dx, dy) {
    const from = this.tileOf.get(stock);
    return from ? (nearest(this.tiles, from, dx, dy)?.stock ?? stock) : this.first;
  }

  /** Returns the box of a stock's tile on the map, CSS pixels. */
  boxOf(stock) {
    return this.tileOf.get(stock);
  }
}
