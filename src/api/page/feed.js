// Incoming data: first the market over HTTP, then the stream, and the status every few seconds.

import { get, problemWords } from './api.js';
import { Stream } from './stream.js';
import { askForToken } from './token.js';

const STATUS_AGAIN = 10_000;
/** Shortest time between two fetches of a list that lacks codes, milliseconds. */
const LIST_AGAIN = 300_000;
/** Number of earlier alerts that are requested. */
const ALERTS = 50;
/** Maximum number of codes in a request to `/v1/prices`. */
const MOST_CODES = 500;

/** Gets all prices and the indices; the page can do without the latter. */
const whole = () =>
  Promise.all([get('v1/market'), get('v1/indices').catch(() => ({ indices: [] }))]);

/**
 * Keeps a market fresh. Calls `listed()` for a new list, `settled()` once the market is complete,
 * `moved()` for new prices, `alert(alert)`, `alerts(alerts)` for earlier ones, `trouble(text)`,
 * `status(status, calendar, problem)`, and `changed()` when the state of the connection changes:
 * `connecting`, `connected` or `lost`.
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

  /** Connects now, unless there is a connection. */
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

  /**
   * Runs before each connection: fetches the list if there is none, the whole market, and the
   * indices.
   */
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

  /** Fetches the alerts before this connection; if that fails, later ones still arrive. */
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

  /** Fetches the list if it lacks codes, as on a new day. Returns whether it did. */
  async #fetchMissingList() {
    const isDue = performance.now() - this.#listAt > LIST_AGAIN;
    if (this.#market.strangers.size === 0 || !isDue) return false;
    await this.#fetchList();
    return true;
  }

  /**
   * Fetches the whole market again after something was missed, keeping newer prices. Returns
   * whether it did.
   */
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
        // After a gap of the store the stream sends a new snapshot.
        if (message.reason !== 'store') void this.#fetchCodes(message.codes ?? []);
        break;
      case 'alert':
        this.#tell.alert(message.alert);
        break;
      case 'error':
        this.#tell.trouble(problemWords(message.problem));
        break;
      default:
        // Heartbeats and answers only show that the connection works.
    }
  }

  async #fetchStatus() {
    try {
      const status = await get('v1/status');
      const isNews = this.#wasOpen !== undefined && this.#wasOpen !== status.open;
      const isNewDay = this.#calendar?.at.slice(0, 10) !== status.at.slice(0, 10);
      if (isNews || isNewDay) this.#calendar = await get('v1/calendar');
      this.#tell.status(status, this.#calendar);
      // The market itself says whether prices should be fresh.
      // It also says what is shown after the last live price has expired.
      if ((isNews || this.#market.mustAskWhatIsShown) && !(await this.#again())) return;
      this.#wasOpen = status.open;
    } catch (problem) {
      this.#tell.status(undefined, undefined, problem);
    }
  }
}
