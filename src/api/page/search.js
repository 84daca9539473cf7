// Search of stocks by typed text, best matches first.

import { Needle } from './hangul.js';

/** Returns how well a stock matches; lower is better, undefined is no match. */
function fit(needle, stock) {
  const code = stock.code.toLowerCase();
  if (code === needle.text) return 0;
  if (stock.plainName === needle.text) return 1;
  const place = needle.placeIn(stock.plainName);
  if (place === 0) return 2;
  if (code.startsWith(needle.text)) return 3;
  if (place > 0) return 4;
  return undefined;
}

/** Returns the stocks that match a text; among equals, larger companies come first. */
export function find(stocks, typed, most = Infinity) {
  const needle = new Needle(typed);
  if (needle.isEmpty) return [];
  const found = [];
  for (const stock of stocks) {
    const how = fit(needle, stock);
    if (how !== undefined) found.push({ stock, how });
  }
  found.sort((a, b) => a.how - b.how || (b.stock.cap ?? 0) - (a.stock.cap ?? 0));
  return found.slice(0, most).map(({ stock }) => stock);
}
