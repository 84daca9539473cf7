// One stock: price, today's line, all figures, and their sources.

import { get } from './api.js';
import { byId, colourBy, element, say } from './dom.js';
import { Line } from './line.js';
import { difference, large, length, rate, timeOfDay, whole } from './numbers.js';
import { standingWords } from './standing.js';
import { label, sectorName, spoken, words, wordsOf } from './words.js';

const FIGURES = [
  'opening', 'high', 'low', 'previous', 'volume', 'value', 'cap', 'venue', 'shares',
  'status', 'session', 'source', 'traded', 'fetched', 'age',
];
/** Figures that need a whole line. */
const WIDE = new Set(['shares', 'source', 'age']);
/** Interval at which the line is fetched again, milliseconds: minutes may have been filled in. */
const LINE_AGAIN = 60_000;

export class Detail {
  constructor({ market, closed }) {
    this.market = market;
    this.closed = closed;
    this.host = byId('detail');
    this.stock = undefined;
    this.opener = undefined;
    this.#build();
  }

  #build() {
    this.title = element('h2', { tabindex: '-1' });
    this.place = element('p', { class: 'place' });
    this.price = element('strong');
    this.change = element('span');
    this.flags = element('p', { class: 'flags' });
    const close = element('button', { type: 'button', class: 'close', 'data-label': 'close', text: '×' });
    close.addEventListener('click', () => this.closed());
    this.chart = element('div', { class: 'chart' });
    this.line = new Line(this.chart);
    this.trouble = element('p', { class: 'trouble', role: 'status' });
    this.values = new Map();
    const list = element('dl', {}, ...FIGURES.map((key) => {
      const value = element('dd');
      this.values.set(key, value);
      return element('div', { class: WIDE.has(key) ? 'wide' : undefined }, element('dt', { 'data-words': key }), value);
    }));
    this.host.append(
      element('header', {}, element('div', {}, this.title, this.place), close),
      element('p', { class: 'big' }, this.price, this.change),
      this.flags, element('h3', { 'data-words': 'dayLine' }), this.chart, this.trouble, list,
    );
  }

  label() {
    label(this.host);
    if (this.stock) this.open(this.stock, this.opener);
  }

  /** Shows a stock; `opener` gets the focus back when it is closed. */
  async open(stock, opener) {
    const isOther = this.stock !== stock;
    this.stock = stock;
    this.opener = opener;
    this.host.hidden = false;
    this.title.textContent = stock.name;
    this.title.lang = 'ko';
    this.place.textContent = `${stock.code} · ${words(stock.market)} · ${sectorName(stock.sector)}`;
    if (isOther) {
      this.line.close();
      this.lineAt = 0;
      this.trouble.textContent = '';
      this.host.scrollTop = 0;
      if (opener) this.title.focus({ preventScroll: true });
    }
    this.fill();
    await Promise.all([this.#fetchReading(stock), this.#fetchLine(stock)]);
  }

  close() {
    if (!this.stock) return;
    const hadFocus = this.host.contains(document.activeElement);
    this.stock = undefined;
    this.host.hidden = true;
    this.line.close();
    if (hadFocus) this.opener?.focus();
  }

  /** The API has more details of one code than the stream sends. */
  async #fetchReading(stock) {
    try {
      const reading = await get(`v1/prices/${stock.code}`);
      const born = reading.fetched_at ? Date.parse(reading.fetched_at) : 0;
      if (stock.born === undefined || born >= stock.born) this.market.takePrices([reading]);
      else stock.source ??= reading.quote_source;
      this.#say(stock, '');
    } catch (problem) {
      this.#say(stock, problem.status === 404 ? words('noPrice') : problem.message);
    }
    if (this.stock === stock) this.fill();
  }

  async #fetchLine(stock) {
    this.lineAt = performance.now();
    try {
      const answer = await get(`v1/lines/${stock.code}`);
      if (this.stock === stock) this.line.show(answer, stock.previous);
    } catch (problem) {
      if (this.stock === stock && !this.line.answer) this.line.show({ points: [] });
      if (problem.status !== 404) this.#say(stock, problem.message);
    }
  }

  #say(stock, text) {
    if (this.stock === stock) say(this.trouble, text);
  }

  /** Fills in the current figures. */
  fill() {
    const { stock } = this;
    if (!stock) return;
    const language = spoken();
    say(this.price, whole(stock.price));
    say(this.change, stock.price === undefined ? words('noPrice') : `${difference(stock.change)} (${rate(stock.rate)})`);
    colourBy(this.price, stock.change);
    colourBy(this.change, stock.change);
    const flags = [stock.isSimulated ? words('simulatedShort') : '', stock.state === 'live' ? '' : words(`state.${stock.state}`), standingWords(stock)];
    say(this.flags, flags.filter(Boolean).join(' · '));
    const figures = {
      opening: whole(stock.open), high: whole(stock.high), low: whole(stock.low), previous: whole(stock.previous),
      volume: whole(stock.volume), value: large(stock.value, language), cap: large(stock.cap, language), shares: whole(stock.shares),
      status: wordsOf('status', stock.status), session: wordsOf('phase', stock.session), venue: stock.venue,
      source: wordsOf('source', stock.source),
      traded: stock.timestamp?.slice(11), fetched: timeOfDay(stock.born),
      age: stock.price === undefined ? undefined : `${length(this.market.age(stock), language)} · ${words(`state.${stock.state}`)}`,
    };
    for (const [key, target] of this.values) say(target, figures[key] ?? '–');
  }

  /** Draws changes of the shown stock in a frame. */
  draw(changed) {
    const { stock } = this;
    if (!stock || !changed.has(stock)) return;
    this.fill();
    if (this.market.isOpen && stock.state === 'live') this.line.extend(timeOfDay(stock.born, false), stock.price);
  }

  /** Called every second. */
  grow() {
    if (!this.stock) return;
    this.fill();
    if (this.market.isOpen && performance.now() - (this.lineAt ?? 0) > LINE_AGAIN) this.#fetchLine(this.stock);
  }

  /** Redraws the line after its colours or its width changed. */
  redraw() {
    if (this.stock && this.line.answer) this.line.show(this.line.answer, this.stock.previous);
  }
}
