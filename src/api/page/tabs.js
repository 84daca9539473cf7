// The tabs for map and table.

import { byId } from './dom.js';
import { choose } from './settings.js';

const VIEWS = ['map', 'table'];

/** Shows a view's panel and marks its tab as selected. */
export function showTab(view) {
  for (const one of VIEWS) {
    const isShown = one === view;
    const tab = byId(`${one}-tab`);
    tab.setAttribute('aria-selected', isShown);
    tab.tabIndex = isShown ? 0 : -1;
    byId(`${one}-panel`).hidden = !isShown;
  }
}

for (const [one, other] of [VIEWS, VIEWS.toReversed()]) {
  const tab = byId(`${one}-tab`);
  tab.addEventListener('click', () => choose('view', one));
  tab.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    choose('view', other);
    byId(`${other}-tab`).focus();
  });
}
