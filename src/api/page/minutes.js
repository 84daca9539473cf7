// Coverage by minute, folded to the width there is.

import { minuteOf } from './points.js';

/** The minute of a day, in Seoul, of an RFC 3339 time of that zone. */
export const minuteOfTime = (time) => minuteOf(time.slice(11, 16));

/** The same with the seconds as its fraction. */
export const instantOfTime = (time) => minuteOfTime(time) + Number(time.slice(17, 19)) / 60;

/** First and last minute of the session, as the calendar says, or the usual ones. */
export function sessionOf(calendar) {
  const spans = (calendar?.phases ?? []).filter(({ phase }) => phase === 'regular' || phase === 'closing-auction');
  if (spans.length === 0) return { opens: 540, closes: 930 };
  return { opens: minuteOfTime(spans[0].start), closes: minuteOfTime(spans.at(-1).end) };
}

/**
 * One slot a minute: a share of 0 to 1, `null` where nobody counted, `undefined` for what is to
 * come. Trials outside the session widen it.
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

/** A minute is counted when it is over, which takes a moment; minutes. */
const COUNTING = 0.5;

/**
 * How it stands now: the newest minute that is over, with its share, or since which minute nobody
 * counts. Undefined where none was counted. `now` is the minute of the day with its fraction.
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

/** The worst of some minutes, as `sise status` has it: a bad share, then not counted, then a good one. */
export function worst(some, below) {
  const shares = some.filter((share) => typeof share === 'number');
  const least = shares.length > 0 ? Math.min(...shares) : undefined;
  if (least !== undefined && least < below) return least;
  if (some.includes(null)) return null;
  return least;
}

/** Slots folded into at most `most` cells. */
export function fold(all, below, most) {
  const size = Math.max(1, Math.ceil(all.length / Math.max(1, most)));
  const cells = [];
  for (let start = 0; start < all.length; start += size) {
    cells.push({ start, end: Math.min(all.length, start + size), value: worst(all.slice(start, start + size), below) });
  }
  return cells;
}
