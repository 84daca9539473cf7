// Pointer and keyboard input on the map.

import { byId } from './dom.js';
import * as frame from './frame.js';
import { rate } from './numbers.js';
import { groupRate } from './ranks.js';
import * as tip from './tip.js';
import { sectorName, words } from './words.js';

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Connects a treemap to its host; calls `open(stock)` and `zoom(scope)` on input. */
export function handle(treemap, { market, open, zoom, zoomOut }) {
  const { host } = treemap;
  const said = byId('map-words');

  const placeOf = (event) => {
    const box = host.getBoundingClientRect();
    return treemap.at(event.clientX - box.left, event.clientY - box.top);
  };
  const groupWords = ({ group }) => {
    const name = group.sector === undefined ? words(group.market) : sectorName(group.sector);
    return `${name} · ${group.stocks.length} · ${rate(groupRate(group.stocks))}`;
  };
  const scopeOf = ({ group }) => ({ market: group.market, sector: group.sector });

  host.addEventListener('pointermove', (event) => {
    if (event.pointerType === 'touch') return;
    const place = placeOf(event);
    if (treemap.point(place)) frame.ask();
    host.classList.toggle('on-something', place !== undefined);
    if (place?.stock) tip.showStock(place.stock, () => market.age(place.stock), event.clientX, event.clientY);
    else if (place?.heading) tip.showText(() => groupWords(place.heading), event.clientX, event.clientY);
    else tip.hide();
  });
  host.addEventListener('pointerleave', () => {
    treemap.point(undefined);
    tip.hide();
    frame.ask();
  });
  host.addEventListener('click', (event) => {
    const place = placeOf(event);
    if (place?.heading) zoom(scopeOf(place.heading));
    else if (place?.stock) {
      treemap.focus(place.stock);
      open(place.stock);
    }
  });

  const focusOn = (stock) => {
    if (!stock) return;
    treemap.focus(stock);
    said.textContent = tip.sentence(stock);
    const tile = treemap.boxOf(stock);
    const box = host.getBoundingClientRect();
    tip.showStock(stock, () => market.age(stock), box.left + (tile.x0 + tile.x1) / 2, box.top + (tile.y0 + tile.y1) / 2);
    frame.ask();
  };
  host.addEventListener('focus', () => {
    if (host.matches(':focus-visible')) focusOn(treemap.focused ?? treemap.chosen ?? treemap.first);
  });
  host.addEventListener('blur', () => {
    treemap.mustMark = true;
    tip.hide();
    frame.ask();
  });
  host.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { focused } = treemap;
    const arrow = ARROWS[event.key];
    if (arrow) focusOn(treemap.beside(focused, ...arrow));
    else if (event.key === 'Home') focusOn(treemap.first);
    else if ((event.key === 'Enter' || event.key === ' ') && focused) open(focused, host);
    else if ((event.key === '+' || event.key === '=') && focused) zoom({ market: focused.market, sector: focused.sector }, focused);
    else if (event.key === '-' || event.key === 'Backspace') zoomOut(focused);
    else if (event.key === 'Escape') tip.hide();
    else return;
    event.preventDefault();
  });

  return { focusOn };
}
