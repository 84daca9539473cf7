// Coverage by minute, folded to the available width.

import { minuteOf } from './points.js';

/** Returns the minute of the day of an RFC 3339 time in Seoul's zone. */
export const minuteOfTime = (time) => minuteOf(time.slice(11, 16));

/** The same, with the seconds as a fraction. */
export const instantOfTime = (time) => minuteOfTime(time) + Number(time.slice(17, 19)) / 60;

/** Returns the first and last minute of the session by the calendar, or the usual ones. */
export function sessionOf(calendar) {
  const spans = (calendar?.phases ?? []).filter(({ phase }) => phase === 'regular' || phase === 'closing-auction');
  if (spans.length === 0) return { opens: 540, closes: 930 };
  return { opens: minuteOfTime(spans[0].start), closes: minuteOfTime(spans.at(-1).end) };
}

/**
 * Returns one slot per minute: a share of 0 to 1, `null` if not counted, `undefined` if still to
 * come. Minutes counted outside the session, as in trials, extend the range.
 */
export function slots(minutes, session, nowMinute) {
  const counted = new Map(minutes.map(({ minute, share, live, codes }) => [minuteOf(minute), share ?? (codes > 0 ? live / codes : null)]));
  const times = [...counted.keys()];
  const opens = Math.min(session.opens, ...times);
  const closes = Math.max(session.closes, ...times.map((time) => time + 1));
  const found = [];
  for (let minute = opens; minute < closes; minute += 1) {
    const isOver = minute + 1 <= nowMinute;
    found.push(counted.get(minute) ?? (isOver ? null : undefined));
  }
  return { opens, closes, slots: found };
}

/** Time after the end of a minute until it is counted, minutes. */
const COUNTING = 0.5;

/**
 * Returns the newest minute that has ended with its share, or since when minutes are not counted.
 * Undefined if no minute was counted. `now` is the minute of the day with its fraction.
 */
export function latest({ opens, slots: all }, now) {
  let place = all.length - 1;
  while (place >= 0 && all[place] === undefined) place -= 1;
  if (all[place] === null && now - (opens + place + 1) < COUNTING) place -= 1;
  let end = place;
  while (all[end] === null) end -= 1;
  if (end < 0) return undefined;
  return end === place ? { minute: opens + end, share: all[end] } : { since: opens + end + 1 };
}

/**
 * Returns the worst of some minutes, as `sise status` does: a bad share, then not counted, then a
 * good one.
 */
export function worst(some, below) {
  const shares = some.filter((share) => typeof share === 'number');
  const least = shares.length > 0 ? Math.min(...shares) : undefined;
  if (least !== undefined && least < below) return least;
  if (some.includes(null)) return null;
  return least;
}

/** Folds slots into at most `most` cells. */
export function fold(all, below, most) {
  const size = Math.max(1, Math.ceil(all.length / Math.max(1, most)));
  const cells = [];
  for (let start = 0; start < all.length; start += size) {
    cells.push({ start, end: Math.min(all.length, start + size), value: worst(all.slice(start, start + size), below) });
  }
  return cells;
}
