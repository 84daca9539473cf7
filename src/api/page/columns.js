// The columns of the table: what each shows and how it sorts.

import { difference, large, length, whole } from './numbers.js';
import { moved } from './standing.js';
import { sectorName, words } from './words.js';

const byText = (value) => ({ compare: new Intl.Collator('ko').compare, value });
const byNumber = (value) => ({ compare: (a, b) => a - b, value });

/**
 * `show(stock, language, market)` returns the text, `sort.value(stock, market)` the sort key; stocks
 * without a key come last in both directions. `first` is the direction of the first click.
 */
export const COLUMNS = [
  { key: 'name', show: (stock) => stock.name, sort: byText((stock) => stock.name), first: 'ascending' },
  { key: 'code', show: (stock) => stock.code, sort: byText((stock) => stock.code), first: 'ascending' },
  { key: 'market', show: (stock) => words(stock.market), sort: byText((stock) => stock.market), first: 'ascending' },
  { key: 'sector', show: (stock) => sectorName(stock.sector), sort: byText((stock) => (stock.sector ? sectorName(stock.sector) : undefined)), first: 'ascending' },
  { key: 'price', isNumber: true, show: (stock) => whole(stock.price), sort: byNumber((stock) => stock.price), first: 'descending' },
  { key: 'change', isNumber: true, isColoured: true, show: (stock) => difference(stock.change), sort: byNumber((stock) => stock.change), first: 'descending' },
  { key: 'rate', isNumber: true, isColoured: true, show: (stock) => moved(stock), sort: byNumber((stock) => stock.rate), first: 'descending' },
  { key: 'volume', isNumber: true, show: (stock) => whole(stock.volume), sort: byNumber((stock) => stock.volume), first: 'descending' },
  { key: 'value', isNumber: true, show: (stock, language) => large(stock.value, language), sort: byNumber((stock) => stock.value), first: 'descending' },
  { key: 'cap', isNumber: true, show: (stock, language) => large(stock.cap, language), sort: byNumber((stock) => stock.cap), first: 'descending' },
  { key: 'age', isNumber: true, show: (stock, language, market) => length(market.age(stock), language), sort: byNumber((stock, market) => market.age(stock)), first: 'descending' },
];

/** Sorts stocks by a column; those without a value come last. */
export function sorted(stocks, column, order, market) {
  const sign = order === 'ascending' ? 1 : -1;
  const rows = stocks.map((stock) => ({ stock, value: column.sort.value(stock, market) }));
  rows.sort((a, b) => {
    if (a.value === undefined || b.value === undefined) {
      return (a.value === undefined) - (b.value === undefined) || (a.stock.code < b.stock.code ? -1 : 1);
    }
    return sign * column.sort.compare(a.value, b.value) || (a.stock.code < b.stock.code ? -1 : 1);
  });
  return rows.map(({ stock }) => stock);
}
