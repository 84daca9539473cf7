// How large the words on a tile may be.

import { family } from './dom.js';

const FAMILY = family();
const LEAST_FONT = 9;
const MOST_FONT = 30;
/** The widest rate that is usual, to choose sizes by. */
const USUAL_RATE = '+00.00%';

/** A font as a canvas takes it. */
export const font = (size, weight = 500) => `${weight} ${size}px ${FAMILY}`;

/** The width of a text whose letters are one pixel high. */
function widthOf(text, ink) {
  ink.font = font(100, 600);
  return ink.measureText(text).width / 100;
}

let rateWidth;

/** Gives a tile the largest sizes at which name and rate fit; what does not fit is left out. */
export function fitWords(tile, ink) {
  const width = tile.x1 - tile.x0 - 6;
  const height = tile.y1 - tile.y0 - 4;
  tile.nameSize = 0;
  tile.rateSize = 0;
  if (width < 16 || height < LEAST_FONT + 1) return;
  const { stock } = tile;
  stock.nameWidth ??= widthOf(stock.name, ink);
  const byArea = Math.sqrt((tile.x1 - tile.x0) * (tile.y1 - tile.y0)) / 6;
  const name = Math.floor(Math.min(MOST_FONT, width / stock.nameWidth, height * 0.6, Math.max(byArea, 11)));
  if (name < LEAST_FONT) return;
  tile.nameSize = name;
  rateWidth ??= widthOf(USUAL_RATE, ink);
  const rate = Math.floor(Math.min(name, Math.max(LEAST_FONT, name * 0.72), width / rateWidth));
  if (rate >= LEAST_FONT && height >= name * 1.15 + rate * 1.2) tile.rateSize = rate;
}
