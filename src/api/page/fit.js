// Font sizes of the texts on tiles.

import { family } from './dom.js';

const FAMILY = family();
const LEAST_FONT = 9;
const MOST_FONT = 30;
/** The widest usual rate, for choosing sizes. */
const USUAL_RATE = '+00.00%';

/** Returns a font in a form for canvases. */
export const font = (size, weight = 500) => `${weight} ${size}px ${FAMILY}`;

/** Returns the width of a text at a font size of one pixel. */
function widthOf(text, ink) {
  ink.font = font(100, 600);
  return ink.measureText(text).width / 100;
}

let rateWidth;

/**
 * Gives a tile the largest sizes at which name and rate fit; texts that do not fit are left out.
 */
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
