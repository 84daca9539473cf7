// The market on the page: the list, the newest price of each code, the indices.

import { plain } from './hangul.js';

/** Life of a price, milliseconds, until the API sets it. */
const USUAL_LIFE = 120_000;

/** Creates a stock of the list. Unknown values are undefined. */
function newStock({ code, name, market, sector, halted, shares, group }) {
  return {
    code, name, market, sector: sector ?? '', halted: halted === true, shares, group,
    plainName: plain(name), listed: true,
    price: undefined, change: undefined, rate: undefined, volume: undefined, value: undefined,
    cap: undefined, open: undefined, high: undefined, low: undefined, previous: undefined,
    status: undefined, limit: undefined, source: undefined, session: undefined, venue: undefined,
    timestamp: undefined, isSimulated: false,
    // When the price was fetched, by the server's clock.
    born: undefined, isLive: false,
    // 'none', 'live', 'stale' or 'close': how it is drawn.
    state: 'none',
  };
}

const known = (value) => value ?? undefined;

export class Market {
  constructor() {
    this.stocks = new Map();
    this.list = [];
    this.indices = new Map();
    /**
     * Whether prices should be fresh: in a session, and always in a trial that ignores the
     * calendar.
     */
    this.isOpen = false;
    /** The phase of the day, and why the session is closed, from the newest answer. */
    this.phase = { at: -Infinity, isOpen: false, name: undefined, reason: undefined };
    /**
     * What is shown without live prices: `closes` of a day, `last_known` taken at a time,
     * `nothing`.
     */
    this.shown = undefined;
    this.life = USUAL_LIFE;
    this.date = undefined;
    /** Stocks that changed since they were drawn. */
    this.changed = new Set();
    this.indicesChanged = false;
    /** Codes with prices that are not in the list. */
    this.strangers = new Set();
    // The server's clock minus this one's. Times truncated to seconds make it too small, never
    // too large, so the largest value seen is the most accurate.
    this.ahead = -Infinity;
  }

  /** Called when a connection begins, perhaps to another server with a different clock. */
  forgetClock() {
    this.ahead = -Infinity;
  }

  noteClock(time) {
    const seen = Date.parse(time) - Date.now();
    if (seen > this.ahead) this.ahead = seen;
  }

  /** Returns the time by the server's clock. */
  now() {
    return Date.now() + (Number.isFinite(this.ahead) ? this.ahead : 0);
  }

  /** Returns the age of a price, milliseconds. */
  age(stock) {
    return stock.born === undefined ? undefined : Math.max(0, this.now() - stock.born);
  }

  /** Takes the list of `/v1/universe`. Returns whether codes were added or removed. */
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
   * Takes an answer of `/v1/market`. With `isFirst` it replaces everything, otherwise only older
   * prices: changes of the stream may have overtaken it.
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
      // The answer says this for all stocks together; the stream later for each.
      stock.isSimulated = answer.simulated === true;
      stock.limit = known(row[place.limit]);
      stock.born = born;
      stock.isLive = row[place.live] === true;
    }
    for (const stock of this.list) this.#judge(stock, true);
  }

  /** Takes the phase from `/v1/market` or `/v1/status`: the newer one counts for the whole page. */
  takePhase({ at, phase, reason, isFresh }) {
    const time = Date.parse(at);
    if (time < this.phase.at) return;
    this.phase = { at: time, isOpen: !reason, name: phase, reason: known(reason) };
    this.isOpen = isFresh;
  }

  /** Takes whole price objects of the stream or of `/v1/prices`. */
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

  /** Called as time passes: expired prices must be redrawn. */
  grow() {
    for (const stock of this.list) this.#judge(stock, false);
    this.#judgeIndices();
  }

  /** Marks indices as stale once they expire, like prices; the API leaves expired ones out. */
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

  /** Returns what changed since the last call. */
  takeChanged() {
    const changed = this.changed;
    this.changed = new Set();
    return changed;
  }

  /** Returns the stocks of a part of the market. */
  within({ market, sector }) {
    if (!market) return this.list;
    const isIn = (stock) =>
      stock.market === market && (sector === undefined || stock.sector === sector);
    return this.list.filter(isIn);
  }

  get hasLive() {
    return this.list.some((stock) => stock.state === 'live');
  }

  /** Whether the market must be fetched to know what is shown: no price of it is live any more. */
  get mustAskWhatIsShown() {
    const kind = this.shown?.kind;
    return !this.hasLive && (kind === 'live' || (kind === 'nothing' && this.hasPrices));
  }

  /** Whether some of what is shown comes from a simulated broker. */
  get isSimulated() {
    return this.list.some((stock) => stock.isSimulated && stock.price !== undefined)
      || [...this.indices.values()].some((index) => index.simulated === true);
  }

  get hasPrices() {
    return this.list.some((stock) => stock.price !== undefined);
  }
}
