// The market as the page holds it: the list, the newest price of each code, the indices.

import { plain } from './hangul.js';

/** How long a price lives, milliseconds, until the API says otherwise. */
const USUAL_LIFE = 120_000;

/** A code of the list. What is not known is undefined. */
function newStock({ code, name, market, sector, halted, shares, group }) {
  return {
    code, name, market, sector: sector ?? '', halted: halted === true, shares, group,
    plainName: plain(name), listed: true,
    price: undefined, change: undefined, rate: undefined, volume: undefined, value: undefined,
    cap: undefined, open: undefined, high: undefined, low: undefined, previous: undefined,
    status: undefined, limit: undefined, source: undefined, session: undefined, venue: undefined,
    timestamp: undefined, isSimulated: false,
    // When it was fetched, by the server's clock.
    born: undefined, isLive: false,
    // 'none', 'live', 'stale' or 'close': what it is drawn as.
    state: 'none',
  };
}

const known = (value) => value ?? undefined;

export class Market {
  constructor() {
    this.stocks = new Map();
    this.list = [];
    this.indices = new Map();
    /** Whether prices are to be fresh: in the session, and always in a trial that asks no calendar. */
    this.isOpen = false;
    /** The phase of the day, and why the session is not on, as the newest answer has them. */
    this.phase = { at: -Infinity, isOpen: false, name: undefined, reason: undefined };
    /** What is shown while nothing lives: `closes` of a day, `last_known` taken at a time, `nothing`. */
    this.shown = undefined;
    this.life = USUAL_LIFE;
    this.date = undefined;
    /** Stocks that were not drawn since they changed. */
    this.changed = new Set();
    this.indicesChanged = false;
    /** Codes of prices that the list does not hold. */
    this.strangers = new Set();
    // The server's clock less this one's. Times that are cut to seconds make it too small, never
    // too large, so the largest seen is the nearest.
    this.ahead = -Infinity;
  }

  /** A connection begins: the server may be another one, with a clock of its own. */
  forgetClock() {
    this.ahead = -Infinity;
  }

  noteClock(time) {
    const seen = Date.parse(time) - Date.now();
    if (seen > this.ahead) this.ahead = seen;
  }

  /** Now, by the server's clock. */
  now() {
    return Date.now() + (Number.isFinite(this.ahead) ? this.ahead : 0);
  }

  /** A price's age, milliseconds. */
  age(stock) {
    return stock.born === undefined ? undefined : Math.max(0, this.now() - stock.born);
  }

  /** The list of `/v1/universe`. Returns whether codes came or went. */
  takeList({ date, listings }) {
    const before = this.stocks;
    this.stocks = new Map();
    let isNew = before.size !== listings.length;
    for (const listing of listings) {
      const fresh = newStock(listing);
      const held = before.get(listing.code);
      if (!held) isNew = true;
      else if (held.sector !== fresh.sector || held.market !== fresh.market) isNew = true;
      if (held) {
        const { name, plainName, market, sector, halted, shares, group } = fresh;
        Object.assign(held, { name, plainName, market, sector, halted, shares, group });
      }
      this.stocks.set(listing.code, held ?? fresh);
    }
    this.list = [...this.stocks.values()];
    this.date = date;
    this.strangers.clear();
    return isNew;
  }

  /**
   * The whole of `/v1/market`. With `isFirst` it replaces what is held, otherwise only what is
   * older: changes of the stream may have overtaken it.
   */
  takeMarket(answer, isFirst) {
    this.noteClock(answer.at);
    const at = Date.parse(answer.at);
    this.takePhase({ at: answer.at, phase: answer.session, reason: answer.reason, isFresh: answer.open === true });
    this.shown = answer.shown;
    this.life = answer.ttl_ms ?? USUAL_LIFE;
    const place = Object.fromEntries(answer.columns.map((column, index) => [column, index]));
    for (const row of answer.rows) {
      const stock = this.stocks.get(row[place.code]);
      if (!stock) {
        this.strangers.add(row[place.code]);
        continue;
      }
      const age = known(row[place.age_ms]);
      const born = age === undefined ? undefined : at - age;
      if (!isFirst && stock.born !== undefined && !(born > stock.born)) continue;
      stock.price = known(row[place.price]);
      stock.change = known(row[place.change]);
      stock.rate = known(row[place.change_rate]);
      stock.volume = known(row[place.volume]);
      stock.value = known(row[place.value]);
      stock.cap = known(row[place.market_cap]);
      stock.open = known(row[place.open]);
      stock.high = known(row[place.high]);
      stock.low = known(row[place.low]);
      stock.previous = known(row[place.base_price]);
      stock.status = known(row[place.status]);
      // The answer says it of all together; the stream then of each.
      stock.isSimulated = answer.simulated === true;
      stock.limit = known(row[place.limit]);
      stock.born = born;
      stock.isLive = row[place.live] === true;
    }
    for (const stock of this.list) this.#judge(stock, true);
  }

  /** What `/v1/market` and `/v1/status` say of the phase: the newer of the two counts, for all of the page. */
  takePhase({ at, phase, reason, isFresh }) {
    const time = Date.parse(at);
    if (time < this.phase.at) return;
    this.phase = { at: time, isOpen: !reason, name: phase, reason: known(reason) };
    this.isOpen = isFresh;
  }

  /** Prices of the stream, or of `/v1/prices`, whole as they stand. */
  takePrices(prices) {
    for (const price of prices) {
      const stock = this.stocks.get(price.stock_code);
      if (!stock) {
        this.strangers.add(price.stock_code);
        continue;
      }
      if (price.fetched_at) this.noteClock(price.fetched_at);
      stock.price = known(price.price);
      stock.change = known(price.change);
      stock.rate = known(price.change_rate);
      stock.volume = known(price.volume);
      stock.value = known(price.value);
      stock.open = known(price.open);
      stock.high = known(price.high);
      stock.low = known(price.low);
      stock.previous = known(price.base_price);
      stock.status = known(price.status);
      stock.limit = known(price.limit);
      stock.venue = known(price.venue);
      stock.session = known(price.session);
      stock.timestamp = known(price.timestamp);
      stock.isSimulated = price.simulated === true;
      stock.source = known(price.quote_source ?? price.source);
      if (stock.price !== undefined && stock.shares) stock.cap = stock.price * stock.shares;
      stock.born = price.fetched_at ? Date.parse(price.fetched_at) : this.now() - (price.age_ms ?? 0);
      stock.isLive = price.source !== 'close' && price.stale !== true;
      this.#judge(stock, true);
    }
  }

  takeIndices(indices) {
    for (const index of indices) {
      const held = this.indices.get(index.index);
      const fresh = { ...index, born: Date.parse(index.fetched_at), state: held?.state };
      this.indices.set(index.index, fresh);
      if (!held || held.level !== index.level) this.indicesChanged = true;
    }
    this.#judgeIndices();
  }

  /** Time goes by: what has outlived itself is to be drawn anew. */
  grow() {
    for (const stock of this.list) this.#judge(stock, false);
    this.#judgeIndices();
  }

  /** An index lives as long as a price; what the API leaves out since it expired is held and stale. */
  #judgeIndices() {
    for (const index of this.indices.values()) {
      const before = index.state;
      if (this.now() - index.born <= this.life) index.state = 'live';
      else index.state = this.isOpen ? 'stale' : 'close';
      if (index.state !== before) this.indicesChanged = true;
    }
  }

  #judge(stock, isChanged) {
    const before = stock.state;
    if (stock.price === undefined) stock.state = 'none';
    else if (stock.isLive && this.now() - stock.born <= this.life) stock.state = 'live';
    else stock.state = this.isOpen ? 'stale' : 'close';
    if (isChanged || stock.state !== before) this.changed.add(stock);
  }

  /** What changed since it was asked last. */
  takeChanged() {
    const changed = this.changed;
    this.changed = new Set();
    return changed;
  }

  /** The stocks of a part of the market. */
  within({ market, sector }) {
    if (!market) return this.list;
    const isIn = (stock) =>
      stock.market === market && (sector === undefined || stock.sector === sector);
    return this.list.filter(isIn);
  }

  get hasLive() {
    return this.list.some((stock) => stock.state === 'live');
  }

  /** Whether what is shown is another thing since the market was fetched: nothing of it lives any more. */
  get mustAskWhatIsShown() {
    const kind = this.shown?.kind;
    return !this.hasLive && (kind === 'live' || (kind === 'nothing' && this.hasPrices));
  }

  /** Whether a simulated broker gave some of what is shown. */
  get isSimulated() {
    return this.list.some((stock) => stock.isSimulated && stock.price !== undefined)
      || [...this.indices.values()].some((index) => index.simulated === true);
  }

  get hasPrices() {
    return this.list.some((stock) => stock.price !== undefined);
  }
}
