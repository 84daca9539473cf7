// The points of a day's line: one per minute, without gaps.

import { whole } from './numbers.js';
import { words } from './words.js';

/** Converts 09:01 to minutes since midnight. */
export const minuteOf = (time) => {
  const [hour, minute] = time.split(':').map(Number);
  return hour * 60 + minute;
};
/** Formats 541 as 09:01. */
export const timeOf = (minute) =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** Converts points to columns with one entry per minute; minutes without a point are gaps. */
export function columns(points) {
  const minutes = [];
  const prices = [];
  for (const [time, price] of points) {
    const minute = minuteOf(time);
    while (minutes.length > 0 && minutes.at(-1) + 1 < minute) {
      minutes.push(minutes.at(-1) + 1);
      prices.push(null);
    }
    if (minutes.at(-1) === minute) prices[prices.length - 1] = price;
    else {
      minutes.push(minute);
      prices.push(price);
    }
  }
  return [minutes, prices];
}

/** Describes the line for screen readers. */
export function summary(points) {
  if (points.length === 0) return words('noLine');
  const prices = points.map(([, price]) => price);
  return words('lineWords', points[0][0], points.at(-1)[0], whole(Math.min(...prices)), whole(Math.max(...prices)));
}

/** Returns the hours to label on an axis, not too many of them. */
export function hours(from, until) {
  const found = [];
  const every = until - from > 240 ? 120 : 60;
  for (let minute = Math.ceil(from / 60) * 60; minute <= until; minute += every) found.push(minute);
  return found;
}
