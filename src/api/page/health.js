// The strip that shows how the machine is doing.

import { byId, colourOf, element, family } from './dom.js';
import { fold, minuteOfTime, sessionOf, slots } from './minutes.js';
import { length, moment, share, timeOfDay, whole } from './numbers.js';
import { timeOf } from './points.js';
import * as tip from './tip.js';
import { closedWords, hasWords, spoken, words } from './words.js';

const HEIGHT = 40;
const HOURS = 14;

/** Why the last run was skipped, in words. */
function skipWords({ reason, why }) {
  if (reason === 'holiday') return closedWords(why.replace(/^the market is closed: /, ''));
  const key = `why.${reason}`;
  return hasWords(key) ? words(key) : why;
}

export class Health {
  constructor() {
    this.canvas = byId('coverage');
    this.latest = byId('coverage-now');
    this.figures = byId('figures');
    this.status = undefined;
    this.calendar = undefined;
    this.cells = [];
    this.canvas.addEventListener('pointermove', (event) => this.#point(event));
    this.canvas.addEventListener('pointerleave', () => tip.hide());
  }

  /** Shows a status; without one, what went wrong. */
  show(status, calendar, problem) {
    this.status = status ?? this.status;
    this.calendar = calendar ?? this.calendar;
    this.problem = problem;
    this.fill();
  }

  fill() {
    this.canvas.closest('.health').classList.toggle('stale', this.problem !== undefined);
    if (!this.status) {
      this.latest.textContent = '';
      const told = this.problem && this.#figure('health', words('healthFailed'), this.problem.message);
      this.figures.replaceChildren(...(told ? [told] : []));
      return;
    }
    this.#fillFigures();
    this.redraw();
  }

  #figure(key, value, note, kind) {
    return element('div', { class: kind },
      element('dt', { text: words(key) }),
      element('dd', {}, element('strong', { text: value }), element('small', { text: note ?? '' })));
  }

  #fillFigures() {
    const { status } = this;
    const language = spoken();
    const now = status.at;
    const { ages_ms: ages, calls, leader, sweeps, last_skip: skip, bans } = status;
    const figures = [];
    if (ages && ages.p50 !== undefined && ages.p50 !== null) {
      const notes = ['p90', 'p99', 'max'].filter((name) => typeof ages[name] === 'number').map((name) => `${name} ${length(ages[name], language)}`);
      figures.push(this.#figure('ages', `p50 ${length(ages.p50, language)}`, notes.join(' · ')));
    }
    if (calls) {
      const isOver = calls.last_second > calls.limit_per_second;
      figures.push(this.#figure('calls', words('callsOf', whole(calls.last_second ?? undefined), whole(calls.limit_per_second ?? undefined)), words('callsMinute', whole(calls.last_minute ?? undefined)), isOver ? 'bad' : undefined));
    }
    const processes = status.processes?.length > 0 ? words('processes', status.processes.length) : '';
    const since = leader?.since ? words('since', moment(leader.since, now, language)) : '';
    figures.push(this.#figure('leader', leader?.process ?? words('noLeader'), [since, processes].filter(Boolean).join(' · '), leader ? undefined : 'bad'));
    figures.push(this.#figure('nextRun', moment(status.next_run, now, language), this.#whyWords(now, language), bans?.length > 0 ? 'bad' : undefined));
    this.figures.replaceChildren(...figures);
  }

  /** Why no run is going: a ban, a skip, the closed market; otherwise how the last one went. */
  #whyWords(now, language) {
    const { bans, last_skip: skip, sweeps, open, reason } = this.status;
    const ban = bans?.[0];
    if (ban) return words('bannedUntil', moment(ban.until, now, language));
    if (skip) return words('skipped', skipWords(skip));
    if (!open && reason) return closedWords(reason);
    const last = sweeps?.[0];
    return last ? words('lastSweep', timeOfDay(last.started_at ?? last.at), share(last.coverage)) : '';
  }

  /** Draws the bars anew: new figures, another width, other colours. */
  redraw() {
    const { status, canvas } = this;
    const counted = status?.coverage?.minutes ?? [];
    if (!status) return;
    const below = status.coverage?.gap_below ?? 0.9;
    const nowMinute = minuteOfTime(status.at);
    // Without a session and without a count there is nothing that could be missing.
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
    if (shares.length === 0) {
      this.latest.textContent = words('coverageNone');
      this.canvas.setAttribute('aria-label', words('coverageNone'));
      return;
    }
    const [last, least] = [shares.at(-1), Math.min(...shares)];
    this.latest.textContent = words('coverageNow', share(last));
    const low = shares.filter((value) => value < below).length;
    const uncounted = all.filter((value) => value === null).length;
    this.canvas.setAttribute('aria-label', words('coverageWords', timeOf(opens), timeOf(closes), shares.length, share(last), share(least), share(below), low, uncounted));
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
    tip.showText(`${timeOf(this.day.opens + cell.start)}  ${value}`, event.clientX, event.clientY);
  }
}
