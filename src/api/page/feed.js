// What comes in: the market over HTTP first, then the stream, and the status every few seconds.

import { get, problemWords } from './api.js';
import { Stream } from './stream.js';
import { askForToken } from './token.js';

const STATUS_AGAIN = 10_000;
/** A list that lacks codes is fetched anew so often at most, milliseconds. */
const LIST_AGAIN = 300_000;
/** Alerts of before that are asked for. */
const ALERTS = 50;
/** Codes that one call of `/v1/prices` may name. */
const MOST_CODES = 500;

/** All prices and the indices; the page does without the latter where they cannot be had. */
const whole = () =>
  Promise.all([get('v1/market'), get('v1/indices').catch(() => ({ indices: [] }))]);

/**
 * Keeps a market fresh. Tells `listed()` of another list, `settled()` once the market is whole,
 * `moved()` of new prices, `alert(alert)`, `alerts(alerts)` of those before, `trouble(text)`, `status(status, calendar, problem)` and
 * `changed()` when the connection became another: `connecting`, `connected` or `lost`.
 */
export class Feed {
  #market;
  #tell;
  #stream;
  #listAt = -Infinity;
  #isFetchingAgain = false;
  #calendar;
  #wasOpen;

  constructor(market, tell) {
    this.#market = market;
    this.#tell = tell;
    this.connection = 'connecting';
    this.isSettled = false;
    this.failure = undefined;
    this.lastHeard = undefined;
    this.#stream = new Stream({
      before: () => this.#begin(),
      take: (message) => this.#take(message),
      missed: () => void this.#again(),
      lost: () => this.#become('lost'),
      failed: (problem) => this.#fail(problem),
    });
    setInterval(() => {
      if (!document.hidden && this.isSettled) void this.#fetchStatus();
    }, STATUS_AGAIN);
    document.addEventListener('visibilitychange', () => {
      if (document.hidden || !this.isSettled) return;
      void this.#fetchStatus();
      if (this.connection === 'lost') this.retry();
    });
  }

  /** Connects now, unless a connection stands. */
  retry() {
    void this.#stream.retry();
  }

  #become(connection) {
    this.connection = connection;
    this.#tell.changed();
  }

  #fail(problem) {
    this.failure = problem;
    if (this.isSettled) this.connection = 'lost';
    else void this.#fetchStatus();
    this.#tell.changed();
  }

  /** Ahead of each connection: the list where none is held, the whole market, the indices. */
  async #begin() {
    const market = this.#market;
    try {
      if (market.list.length === 0) await this.#fetchList();
      const [all, levels] = await whole();
      market.forgetClock();
      market.takeMarket(all, true);
      market.takeIndices(levels.indices);
      if (await this.#fetchMissingList()) market.takeMarket(all, true);
    } catch (problem) {
      if (problem.status === 401) void askForToken().then(() => this.retry());
      throw problem;
    }
    this.failure = undefined;
    this.#settle();
    void this.#fetchStatus();
    void this.#fetchAlerts();
  }

  /** What was told before this connection; without it the next alert still comes. */
  async #fetchAlerts() {
    const { fired } = await get(`v1/alerts/fired?n=${ALERTS}`).catch(() => ({ fired: [] }));
    this.#tell.alerts(fired);
  }

  #settle() {
    this.isSettled = true;
    this.#tell.settled();
  }

  async #fetchList() {
    this.#listAt = performance.now();
    if (this.#market.takeList(await get('v1/universe'))) this.#tell.listed();
  }

  /** Codes that the list lacks came with a new day. Returns whether it was fetched. */
  async #fetchMissingList() {
    const isDue = performance.now() - this.#listAt > LIST_AGAIN;
    if (this.#market.strangers.size === 0 || !isDue) return false;
    await this.#fetchList();
    return true;
  }

  /** Something was missed: the whole market again, without losing newer prices. Returns whether it is there. */
  async #again() {
    if (this.#isFetchingAgain) return false;
    this.#isFetchingAgain = true;
    try {
      const [all, levels] = await whole();
      this.#market.takeMarket(all, false);
      this.#market.takeIndices(levels.indices);
      this.#settle();
      return true;
    } catch (problem) {
      this.#tell.trouble(problem.message);
      return false;
    } finally {
      this.#isFetchingAgain = false;
    }
  }

  async #fetchCodes(codes) {
    if (codes.length === 0 || codes.length > MOST_CODES) {
      await this.#again();
      return;
    }
    try {
      const { prices } = await get(`v1/prices?codes=${codes.join(',')}`);
      this.#market.takePrices(prices);
      this.#tell.moved();
    } catch {
      await this.#again();
    }
  }

  #take(message) {
    const market = this.#market;
    if (message.at) market.noteClock(message.at);
    this.lastHeard = market.now();
    switch (message.type) {
      case 'hello':
        this.#become('connected');
        break;
      case 'snapshot':
      case 'changes':
        if (message.prices?.length > 0) market.takePrices(message.prices);
        if (message.indices?.length > 0) market.takeIndices(message.indices);
        if (market.strangers.size > 0) void this.#fetchMissingList().catch(() => {});
        this.#tell.moved();
        break;
      case 'gap':
        // After a gap of the store a new snapshot follows by itself.
        if (message.reason !== 'store') void this.#fetchCodes(message.codes ?? []);
        break;
      case 'alert':
        this.#tell.alert(message.alert);
        break;
      case 'error':
        this.#tell.trouble(problemWords(message.problem));
        break;
      default:
        // Heartbeats and answers only show that the connection lives.
    }
  }

  async #fetchStatus() {
    try {
      const status = await get('v1/status');
      const isNews = this.#wasOpen !== undefined && this.#wasOpen !== status.open;
      const isNewDay = this.#calendar?.at.slice(0, 10) !== status.at.slice(0, 10);
      if (isNews || isNewDay) this.#calendar = await get('v1/calendar');
      this.#tell.status(status, this.#calendar);
      // Whether prices are to be fresh, the market itself says.
      // What is shown when the last live price has died, too.
      if ((isNews || this.#market.mustAskWhatIsShown) && !(await this.#again())) return;
      this.#wasOpen = status.open;
    } catch (problem) {
      this.#tell.status(undefined, undefined, problem);
    }
  }
}
