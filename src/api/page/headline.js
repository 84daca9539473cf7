// What the page says of session and connection, the notice beneath it, and what stands in the map's place.

import { byId, say } from './dom.js';
import { moment, timeOfDay } from './numbers.js';
import { closedWords, spoken, words, wordsOf } from './words.js';

const session = byId('session');
const connection = byId('connection');
const notice = byId('notice');
const cover = byId('cover');
const simulated = byId('simulated');

/**
 * Which session is on, until when; closed: why, whether the last closes are shown, and when it opens
 * next.
 */
export function showSession({ isOpen, phase, reason, calendar, now, hasLive }) {
  session.classList.toggle('open', isOpen);
  if (isOpen) {
    const closes = calendar?.closes_at ? words('until', timeOfDay(calendar.closes_at, false)) : '';
    say(session, [wordsOf('phase', phase) ?? words('open'), closes].filter(Boolean).join(' · '));
    return;
  }
  const opens = calendar?.next_open ? words('opensAt', moment(calendar.next_open, now, spoken())) : '';
  const why = closedWords(reason);
  const first = why && why !== words('why.after_close') ? `${words('closedNow')} (${why})` : words('closedNow');
  say(session, [first, hasLive ? '' : words('closesShown'), opens].filter(Boolean).join(' · '));
}

/** `connecting`, `connected` or `lost`. */
export function showConnection(state) {
  connection.dataset.state = state;
  say(connection, words(state));
}

/** Says something across the page, until `hideNotice`. */
export function showNotice(text) {
  notice.hidden = false;
  say(notice.firstElementChild, text);
}

/** Says, for as long as that is so, that the prices are not the market's. */
export function showSimulated(isSimulated) {
  simulated.hidden = !isSimulated;
}

export function hideNotice() {
  notice.hidden = true;
}

/** That the market is coming, that it failed, that there are no prices; otherwise nothing. */
export function showCover({ isSettled, failure, isEmpty }) {
  cover.hidden = isSettled && !isEmpty;
  cover.classList.toggle('light', isEmpty);
  cover.querySelector('button').hidden = isSettled || failure === undefined;
  const [title, text] = isEmpty
    ? [words('empty'), words('emptyWhy')]
    : failure
      ? [words('failed'), failure.message]
      : [words('loading'), ''];
  say(cover.querySelector('b'), title);
  say(cover.querySelector('span'), text);
}
