import assert from 'node:assert/strict';
import test from 'node:test';

import { fold, sessionOf, slots, worst } from '../../src/api/page/minutes.js';
import { columns, hours, summary } from '../../src/api/page/points.js';
import { speak } from '../../src/api/page/words.js';

test('a bad minute is seen at every width', () => {
  const all = Array(390).fill(1);
  all[61] = 0.5;
  all[200] = null;
  for (const width of [390, 195, 100, 40, 1]) {
    const cells = fold(all, 0.9, width);
    assert.ok(cells.length <= width);
    assert.ok(cells.some(({ value }) => value === 0.5), `${width}`);
  }
  assert.equal(worst([1, null, 0.95], 0.9), null);
  assert.equal(worst([1, null, 0.2], 0.9), 0.2);
  assert.equal(worst([undefined], 0.9), undefined);
});

test('minutes that nobody counted, and those to come', () => {
  const counted = [{ minute: '09:00', live: 90, codes: 100, share: 0.9 }, { minute: '09:02', live: 50, codes: 100 }];
  const { opens, closes, slots: all } = slots(counted, { opens: 540, closes: 545 }, 544);
  assert.deepEqual([opens, closes], [540, 545]);
  assert.deepEqual(all, [0.9, null, 0.5, null, undefined]);
});

test('the session is the calendar’s, or the usual one', () => {
  const phases = [
    { phase: 'opening-auction', start: '2026-11-19T09:30:00+09:00', end: '2026-11-19T10:00:00+09:00' },
    { phase: 'regular', start: '2026-11-19T10:00:00+09:00', end: '2026-11-19T16:20:00+09:00' },
    { phase: 'closing-auction', start: '2026-11-19T16:20:00+09:00', end: '2026-11-19T16:30:00+09:00' },
  ];
  assert.deepEqual(sessionOf({ phases }), { opens: 600, closes: 990 });
  assert.deepEqual(sessionOf(undefined), { opens: 540, closes: 930 });
});

test('a line keeps its gaps', () => {
  assert.deepEqual(columns([['09:00', 10], ['09:01', 11], ['09:04', 12]]), [[540, 541, 542, 543, 544], [10, 11, null, null, 12]]);
  assert.deepEqual(columns([]), [[], []]);
  assert.deepEqual(hours(540, 930), [540, 660, 780, 900]);
});

test('a line in words', () => {
  speak('en');
  assert.equal(summary([['09:00', 1000], ['09:01', 1100]]), 'From 09:00 to 09:01, low 1,000, high 1,100');
  assert.equal(summary([]), 'No data for today yet');
});
