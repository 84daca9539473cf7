import assert from 'node:assert/strict';
import test from 'node:test';

import { figures } from '../../src/api/page/figures.js';
import { latest, slots } from '../../src/api/page/minutes.js';
import { speak } from '../../src/api/page/words.js';

const SWEEP = { at: '2026-03-10T10:00:01+09:00', started_at: '2026-03-10T10:00:00+09:00', coverage: 1 };
const STATUS = {
  at: '2026-03-10T10:00:05+09:00', open: true, reason: null,
  ages_ms: { p50: 800, p90: 1_900, p99: 5_000, max: 83_000 },
  calls: { last_second: 14, limit_per_second: 15, last_minute: 840 },
  leader: { process: 'one', since: '2026-03-10T08:00:00+09:00' },
  processes: [{ process: 'one', role: 'leading' }, { process: 'two', role: 'waiting' }],
  sweeps: [SWEEP], bans: [], next_run: '2026-03-10T10:01:00+09:00', idle: null, coverage: { gap_below: 0.9 },
};

function told(change, key, { language = 'en', live = 2769 } = {}) {
  speak(language);
  const { value, note, isBad } = figures({ ...STATUS, ...change }, { live, codes: 2769 }, language).find((one) => one.key === key);
  return [value, note, isBad];
}

test('all is well', () => {
  assert.deepEqual(told({}, 'ages'), ['p50 0.8 s', 'p90 1.9 s · p99 5.0 s · max 83 s', false]);
  assert.deepEqual(told({}, 'live'), ['2,769 of 2,769', '100%', false]);
  assert.deepEqual(told({}, 'leader'), ['one', 'since 08:00 · 2 processes', false]);
  assert.deepEqual(told({}, 'nextRun'), ['10:01', 'last sweep 10:00:00, 100%', false]);
});

test('nobody leads in an open session: the reason is there, and it is bad', () => {
  const idle = { reason: 'no_leader', why: 'no process leads: no daemon runs, or none has taken over yet' };
  const nobody = { leader: null, next_run: null, idle, processes: [{ process: 'three', role: 'reader' }] };
  assert.deepEqual(told(nobody, 'nextRun'), ['not known', 'not now: no process leads', true]);
  assert.deepEqual(told(nobody, 'nextRun', { language: 'ko' }), ['알 수 없음', '지금은 안 함: 조회하는 프로세스가 없음', true]);
  assert.deepEqual(told(nobody, 'leader'), ['None', '1 process', true]);
});

test('a process that has its store alone sweeps alone', () => {
  for (const idle of [null, { reason: 'weekend', why: 'the market is closed: weekend' }]) {
    assert.deepEqual(told({ leader: null, processes: [], idle }, 'leader'), ['sweeps alone', '', false]);
  }
});

test('a closed market is a reason and no trouble; runs that go on all the same have none', () => {
  const closed = { open: false, reason: 'weekend' };
  const idle = { reason: 'weekend', why: 'the market is closed: weekend' };
  assert.deepEqual(told({ ...closed, idle }, 'nextRun', { language: 'ko' }), ['10:01', '지금은 안 함: 주말', false]);
  assert.deepEqual(told(closed, 'nextRun'), ['10:01', 'last sweep 10:00:00, 100%', false]);
  const holiday = { reason: 'holiday', why: 'the market is closed: holiday: 설날' };
  assert.deepEqual(told({ ...closed, idle: holiday }, 'nextRun')[1], 'not now: holiday (설날)');
  const other = { reason: 'another', why: 'something else' };
  assert.deepEqual(told({ idle: other }, 'nextRun'), ['10:01', 'not now: something else', true]);
});

test('calls are told with their limit, and what a refusal left of it', () => {
  const calls = (change) => told({ calls: { ...STATUS.calls, share: 1, ...change } }, 'calls');
  assert.deepEqual(calls({}), ['14 of 15 a second', '840 in the last minute', false]);
  assert.deepEqual(calls({ last_second: null, last_minute: 0 }), ['limit 15 a second', '0 in the last minute', false]);
  assert.deepEqual(calls({ last_second: 16 })[2], true);
  assert.deepEqual(calls({ share: 0.5 }), ['14 of 15 a second', '840 in the last minute · 50.0% since a refusal', true]);
});

test('a ban is told with its end', () => {
  const bans = [{ until: '2026-03-10T10:09:00+09:00' }];
  assert.deepEqual(told({ bans, idle: { reason: 'banned', why: 'x' } }, 'nextRun').slice(1), ['banned until 10:09', true]);
});

test('no live price is said, and is bad while the session is on', () => {
  assert.deepEqual(told({ ages_ms: null }, 'ages'), ['no live price', '', true]);
  assert.deepEqual(told({ ages_ms: null, open: false }, 'ages'), ['no live price', '', false]);
  assert.deepEqual(told({}, 'live', { live: 1384 }), ['1,384 of 2,769', '49.9%', true]);
  assert.deepEqual(told({ open: false }, 'live', { live: 0 }), ['0 of 2,769', '0.0%', false]);
});

test('the newest minute counts, not the newest that was counted', () => {
  const day = (minutes, now) => slots(minutes.map((minute) => ({ minute, share: 1 })), { opens: 540, closes: 930 }, Math.floor(now));
  const at = (minutes, now) => latest(day(minutes, now), now);
  assert.deepEqual(at(['09:00', '09:01'], 542.1), { minute: 541, share: 1 });
  // The minute that is just over is counted in a moment.
  assert.deepEqual(at(['09:00', '09:01'], 543.1), { minute: 541, share: 1 });
  assert.deepEqual(at(['09:00', '09:01'], 543.9), { since: 542 });
  assert.deepEqual(at(['09:00', '09:01'], 600), { since: 542 });
  assert.equal(at([], 600), undefined);
  assert.equal(at([], 500), undefined);
});
