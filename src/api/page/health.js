// The strip with the health of the system.

import { byId, colourOf, element, family, say } from './dom.js';
import { figures } from './figures.js';
import { fold, instantOfTime, latest, minuteOfTime, sessionOf, slots } from './minutes.js';
import { share, timeOfDay } from './numbers.js';
import { timeOf } from './points.js';
import * as tip from './tip.js';
import { spoken, words } from './words.js';

const HEIGHT = 40;
const HOURS = 14;

/** Returns the present coverage in words. */
function newestWords(newest) {
  if (!newest) return words('coverageNone');
  if (newest.share === undefined) return words('coverageSince', timeOf(newest.since));
  return words('coverageNow', share(newest.share), timeOf(newest.minute));
}

export class Health {
  /** `market` is the market on the page. */
  constructor(market) {
    this.market = market;
    this.canvas = byId('coverage');
    this.latest = byId('coverage-now');
    this.trouble = byId('health-trouble');
    this.figures = byId('figures');
    this.rows = new Map();
    this.status = undefined;
    this.calendar = undefined;
    this.cells = [];
    this.canvas.addEventListener('pointermove', (event) => this.#point(event));
    this.canvas.addEventListener('pointerleave', () => tip.hide());
  }

  /** Shows a status or, without one, the problem. */
  show(status, calendar, problem) {
    this.status = status ?? this.status;
    this.calendar = calendar ?? this.calendar;
    this.problem = problem;
    this.fill();
  }

  fill() {
    this.canvas.closest('.health').classList.toggle('stale', this.problem !== undefined);
    say(this.trouble, this.#troubleWords());
    if (!this.status) {
      this.latest.textContent = '';
      return;
    }
    this.#fillFigures();
    this.redraw();
  }

  /** Called every second: prices may have expired. */
  grow() {
    if (this.status) this.#fillFigures();
  }

  /** Says that the status is unavailable, and from when the shown figures are. */
  #troubleWords() {
    if (!this.problem) return '';
    const why = this.problem.message.replace(/\.$/, '');
    return this.status ? words('healthSince', timeOfDay(this.status.at), why) : words('healthFailed', why);
  }

  #fillFigures() {
    const { list } = this.market;
    const held = { codes: list.length, live: list.filter(({ state }) => state === 'live').length };
    const shown = figures(this.status, held, spoken());
    for (const { key, value, note, isBad } of shown) {
      const row = this.rows.get(key) ?? this.#add(key);
      say(row.name, words(key));
      say(row.value, value);
      say(row.note, note);
      row.host.classList.toggle('bad', isBad);
    }
  }

  #add(key) {
    const [name, value, note] = ['dt', 'strong', 'small'].map((tag) => element(tag));
    const host = element('div', { id: `figure-${key}` }, name, element('dd', {}, value, note));
    const row = { host, name, value, note };
    this.rows.set(key, row);
    this.figures.append(host);
    return row;
  }

  /** Redraws the bars after a change of figures, width or colours. */
  redraw() {
    const { status, canvas } = this;
    const counted = status?.coverage?.minutes ?? [];
    if (!status) return;
    const below = status.coverage?.gap_below ?? 0.9;
    const nowMinute = minuteOfTime(status.at);
    // Without a session and without counted minutes, nothing can be missing.
    const hasSession = this.calendar?.trading_day !== false;
    const day = counted.length > 0 || hasSession ? slots(counted, sessionOf(this.calendar), nowMinute) : { opens: 540, closes: 540, slots: [] };
    this.day = day;
    const width = canvas.parentElement.clientWidth;
    const density = devicePixelRatio || 1;
    canvas.style.height = `${HEIGHT + HOURS}px`;
    canvas.width = Math.round(width * density);
    canvas.height = Math.round((HEIGHT + HOURS) * density);
    const ink = canvas.getContext('2d');
    ink.scale(density, density);
    ink.clearRect(0, 0, width, HEIGHT + HOURS);
    this.cells = fold(day.slots, below, Math.floor(width / 2));
    const step = width / Math.max(1, this.cells.length);
    const [good, bad, none, line, quiet] = ['--good', '--bad', '--uncounted', '--line', '--quiet'].map(colourOf);
    ink.fillStyle = line;
    ink.fillRect(0, HEIGHT - 0.5, width, 1);
    this.cells.forEach(({ value }, place) => {
      if (value === undefined) return;
      const x = place * step;
      const wide = Math.max(1, step - (step > 3 ? 1 : 0));
      if (value === null) {
        ink.fillStyle = none;
        ink.fillRect(x, HEIGHT - 4, wide, 4);
        return;
      }
      ink.fillStyle = value < below ? bad : good;
      const high = Math.max(2, value * (HEIGHT - 2));
      ink.fillRect(x, HEIGHT - high, wide, high);
    });
    ink.fillStyle = quiet;
    ink.font = `11px ${family()}`;
    ink.textBaseline = 'bottom';
    for (let hour = Math.ceil(day.opens / 60); hour * 60 < day.closes; hour += 1) {
      const x = ((hour * 60 - day.opens) / Math.max(1, day.closes - day.opens)) * width;
      const text = timeOf(hour * 60);
      if (x + ink.measureText(text).width <= width && (width > 360 || hour % 2 === 1)) ink.fillText(text, x, HEIGHT + HOURS);
    }
    this.#words(below);
  }

  #words(below) {
    const { slots: all, opens, closes } = this.day;
    const shares = all.filter((value) => typeof value === 'number');
    const newest = latest(this.day, instantOfTime(this.status.at));
    const now = newestWords(newest);
    say(this.latest, now);
    const isBad = newest?.share === undefined ? this.status.open : newest.share < below;
    this.latest.classList.toggle('bad', isBad && all.some((value) => value !== undefined));
    if (shares.length === 0) {
      this.canvas.setAttribute('aria-label', now);
      return;
    }
    const low = shares.filter((value) => value < below).length;
    const uncounted = all.filter((value) => value === null).length;
    this.canvas.setAttribute('aria-label', words('coverageWords', timeOf(opens), timeOf(closes), shares.length, now, share(Math.min(...shares)), share(below), low, uncounted));
  }

  #point(event) {
    if (this.cells.length === 0) return;
    const box = this.canvas.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * this.cells.length);
    const cell = this.cells[Math.min(this.cells.length - 1, Math.max(0, place))];
    if (cell.value === undefined) {
      tip.hide();
      return;
    }
    const value = cell.value === null ? words('notCounted') : share(cell.value);
    tip.showText(() => `${timeOf(this.day.opens + cell.start)}  ${value}`, event.clientX, event.clientY);
  }
}
