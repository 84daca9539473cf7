// The session and connection in the head of the page, the notice below it, and the cover of the
// map.

import { byId, say } from './dom.js';
import { reasonWords } from './figures.js';
import { moment, timeOfDay } from './numbers.js';
import { closedWords, spoken, words, wordsOf } from './words.js';

const session = byId('session');
const connection = byId('connection');
const notice = byId('notice');
const cover = byId('cover');
const simulated = byId('simulated');

/**
 * Shows the current session and its end or, if closed, the reason, what is shown instead of live
 * prices, and the next opening.
 */
export function showSession({ phase: { isOpen, name: phase, reason }, calendar, now, shown }) {
  session.classList.toggle('open', isOpen);
  if (isOpen) {
    const closes = calendar?.closes_at ? words('until', timeOfDay(calendar.closes_at, false)) : '';
    say(session, [wordsOf('phase', phase) ?? words('open'), closes].filter(Boolean).join(' · '));
    return;
  }
  const opens = calendar?.next_open ? words('opensAt', moment(calendar.next_open, now, spoken())) : '';
  const why = closedWords(reason);
  const first = why && why !== words('why.after_close') ? `${words('closedNow')} (${why})` : words('closedNow');
  say(session, [first, shownWords(shown, now), opens].filter(Boolean).join(' · '));
}

/** Returns what is shown instead of live prices. */
export function shownWords(shown, now) {
  if (shown?.kind === 'closes') return words('closesShown', shown.of);
  if (shown?.kind === 'last_known') return words('lastKnownShown', moment(shown.at, now, spoken()));
  return '';
}

/** Shows the state of the connection: `connecting`, `connected` or `lost`. */
export function showConnection(state) {
  connection.dataset.state = state;
  say(connection, words(state));
}

/** Shows a notice across the page until `hideNotice`. */
export function showNotice(text) {
  notice.hidden = false;
  say(notice.firstElementChild, text);
}

/** Shows or hides the notice that prices are simulated. */
export function showSimulated(isSimulated) {
  simulated.hidden = !isSimulated;
}

export function hideNotice() {
  notice.hidden = true;
}

/** Covers the map with a text while the market loads, if that failed, or if there are no prices. */
export function showCover({ isSettled, failure, isEmpty, idle }) {
  cover.hidden = isSettled && !isEmpty;
  cover.classList.toggle('light', isEmpty);
  cover.querySelector('button').hidden = isSettled || failure === undefined;
  const [title, text] = isEmpty
    ? [words('empty'), idle ? words('emptyIdle', reasonWords(idle)) : words('emptyWhy')]
    : failure
      ? [words('failed'), failure.message]
      : [words('loading'), ''];
  say(cover.querySelector('b'), title);
  say(cover.querySelector('span'), text);
}
