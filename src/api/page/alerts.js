// Alerts: each is shown for a while at the edge of the page, and the last ones in a list.

import { alertWords } from './alert-words.js';
import { byId, element } from './dom.js';
import { timeOfDay } from './numbers.js';
import { words } from './words.js';

const KEPT = 50;
/** How long an alert is shown at the edge, milliseconds. */
const SHOWN = 10_000;

export class Alerts {
  constructor({ open }) {
    this.open = open;
    this.host = byId('alerts');
    this.toasts = byId('toasts');
    this.held = [];
    this.host.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (button) this.open(button.dataset.code, button);
    });
    this.fill();
  }

  take(alert) {
    if (this.held.some(({ id }) => id === alert.id)) return;
    this.list([alert]);
    this.say(alertWords(alert), alert.at);
  }

  /** Adds alerts to the list, newest first. */
  list(told) {
    const isNew = ({ id }) => this.held.every((alert) => alert.id !== id);
    this.held.push(...told.filter(isNew));
    this.held.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
    this.held.length = Math.min(this.held.length, KEPT);
    this.fill();
  }

  /** Shows a text at the edge of the page for a while. */
  say(text, at) {
    const close = element('button', { type: 'button', 'aria-label': words('dismiss'), text: '×' });
    const time = at ? [element('time', { text: timeOfDay(at, false) })] : [];
    const toast = element('div', {}, element('span', {}, ...time, text), close);
    close.addEventListener('click', () => toast.remove());
    this.toasts.append(toast);
    while (this.toasts.children.length > 4) this.toasts.firstChild.remove();
    setTimeout(() => toast.remove(), SHOWN);
  }

  /** Fills the list in the current language. */
  fill() {
    if (this.held.length === 0) {
      this.host.replaceChildren(element('li', { class: 'nothing', text: words('noAlerts') }));
      return;
    }
    this.host.replaceChildren(...this.held.map((alert) => {
      const { at, code } = alert;
      const text = alertWords(alert);
      const time = element('time', { text: timeOfDay(at, false) });
      const body = code ? element('button', { type: 'button', 'data-code': code, text }) : element('span', { text });
      return element('li', {}, time, body);
    }));
  }
}
