// What the page says of session and connection, the notice beneath it, and what stands in the map's place.

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
 * Which session is on, until when; closed: why, what is shown if that is not live, and when it opens
 * next.
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

/** What is shown instead of live prices. */
export function shownWords(shown, now) {
  if (shown?.kind === 'closes') return words('closesShown', shown.of);
  if (shown?.kind === 'last_known') return words('lastKnownShown', moment(shown.at, now, spoken()));
  return '';
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
