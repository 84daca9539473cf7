// The figures of a status: each has a value, a note, and whether something is wrong.

import { length, moment, share, timeOfDay, whole } from './numbers.js';
import { closedWords, counted, hasWords, words } from './words.js';

/** Translates a reason; names of holidays stay as they are. */
export function reasonWords({ reason, why }) {
  if (reason === 'holiday') return closedWords(why.replace(/^the market is closed: /, ''));
  const key = `why.${reason}`;
  return hasWords(key) ? words(key) : why;
}

const known = (number) => whole(number ?? undefined);

function ages({ ages_ms: held, open }, language) {
  if (!held) return { key: 'ages', value: words('noLive'), note: '', isBad: open };
  const notes = ['p90', 'p99', 'max'].filter((name) => typeof held[name] === 'number');
  const note = notes.map((name) => `${name} ${length(held[name], language)}`).join(' · ');
  return { key: 'ages', value: `p50 ${length(held.p50, language)}`, note, isBad: false };
}

/** Counts live prices as the page shows them: greyed ones are not counted. */
function live({ open, coverage }, { live: alive, codes }) {
  const part = codes > 0 ? alive / codes : undefined;
  const isBad = open && !(part >= (coverage?.gap_below ?? 0.9));
  return { key: 'live', value: words('liveOf', whole(alive), whole(codes)), note: share(part), isBad };
}

function calls({ calls: held }) {
  if (!held) return undefined;
  const limit = known(held.limit_per_second);
  const isSlowed = held.share < 1;
  const minute = words('callsMinute', known(held.last_minute));
  return {
    key: 'calls',
    // A missing count is not a count of zero.
    value: typeof held.last_second === 'number' ? words('callsOf', known(held.last_second), limit) : words('callsLimit', limit),
    note: isSlowed ? `${minute} · ${words('callsShare', share(held.share))}` : minute,
    isBad: isSlowed || held.last_second > held.limit_per_second,
  };
}

function leader({ leader: held, idle, processes, at }, language) {
  const there = processes?.length > 0 ? counted('processes', processes.length) : '';
  if (held) {
    const since = held.since ? words('since', moment(held.since, at, language)) : '';
    return { key: 'leader', value: held.process, note: [since, there].filter(Boolean).join(' · '), isBad: false };
  }
  // On a store with a single process no leader is needed; if one is, the status says so.
  const isNobody = idle?.reason === 'no_leader';
  return { key: 'leader', value: words(isNobody ? 'noLeader' : 'alone'), note: there, isBad: isNobody };
}

/** When the next run is due and why none is running now, or how the last one went. */
function nextRun({ next_run: next, idle, bans, sweeps, open, at }, language) {
  const value = next ? moment(next, at, language) : words('notKnown');
  const [ban] = bans ?? [];
  const [last] = sweeps ?? [];
  let note = '';
  if (ban) note = words('bannedUntil', moment(ban.until, at, language));
  else if (idle) note = words('notNow', reasonWords(idle));
  else if (last) note = words('lastSweep', timeOfDay(last.started_at ?? last.at), share(last.coverage));
  // A closed market is not a problem.
  return { key: 'nextRun', value, note, isBad: ban !== undefined || (Boolean(idle) && open) };
}

/**
 * Returns the figures of a status; `held` has the number of codes on the page, and of live ones.
 */
export function figures(status, held, language) {
  return [
    ages(status, language), live(status, held), calls(status), leader(status, language), nextRun(status, language),
  ].filter(Boolean);
}
