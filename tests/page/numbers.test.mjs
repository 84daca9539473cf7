import assert from 'node:assert/strict';
import test from 'node:test';

import * as numbers from '../../src/api/page/numbers.js';
import { closedWords, sectorName, speak, words, wordsOf } from '../../src/api/page/words.js';

test('what is not known is a dash, never a zero', () => {
  for (const show of [numbers.whole, numbers.level, numbers.rate, numbers.difference, numbers.share]) {
    assert.equal(show(undefined), '–');
    assert.equal(show(null), '–');
    assert.equal(show(Number.NaN), '–');
  }
  assert.equal(numbers.large(undefined, 'ko'), '–');
  assert.equal(numbers.length(undefined, 'en'), '–');
  assert.equal(numbers.timeOfDay(undefined), '–');
  assert.equal(numbers.moment('no time', 0, 'ko'), '–');
});

test('won, changes and rates', () => {
  assert.equal(numbers.whole(1_093_000_000_000), '1,093,000,000,000');
  assert.equal(numbers.difference(1000), '+1,000');
  assert.equal(numbers.difference(-1300), '−1,300');
  assert.equal(numbers.difference(0), '0');
  assert.equal(numbers.rate(1.41), '+1.41%');
  assert.equal(numbers.rate(-30), '−30.00%');
  assert.equal(numbers.rate(0), '0.00%');
  assert.equal(numbers.level(2724.6), '2,724.60');
});

test('large numbers in the language’s own units', () => {
  const korean = [[429_800_000_000_000, '430조'], [1_093_000_000_000, '1.09조'], [15_600_000_000, '156억'], [412_300_000_000, '4,123억'], [15_234_567, '1,523만'], [9_999, '9,999'], [0, '0'], [-2e12, '−2.00조']];
  for (const [number, text] of korean) assert.equal(numbers.large(number, 'ko'), text);
  assert.equal(numbers.large(1_093_000_000_000, 'en'), '1.09T');
  assert.equal(numbers.large(15_234_567, 'en'), '15.2M');
});

test('what rounds up to the next unit is told in it', () => {
  const inKorean = [[9_999.6, '1.00만'], [99_950, '10.0만'], [99_994_999, '9,999만'], [99_995_000, '1.00억'], [-99_995_000, '−1.00억'], [999_949_999_999, '9,999억'], [999_950_000_000, '1.00조'], [1e16, '10,000조']];
  for (const [number, text] of inKorean) assert.equal(numbers.large(number, 'ko'), text);
  const inEnglish = [[999.6, '1.00K'], [9_996, '10.0K'], [99_960, '100K'], [999_499, '999K'], [999_500, '1.00M'], [999_500_000, '1.00B'], [999_999_999_999, '1.00T'], [1e15, '1,000T']];
  for (const [number, text] of inEnglish) assert.equal(numbers.large(number, 'en'), text);
  assert.equal(numbers.rate(-0.001), '0.00%');
  assert.equal(numbers.length(9_960, 'en'), '9.9 s');
  for (const language of ['ko', 'en']) {
    const unit = language === 'ko' ? 10_000 : 1_000;
    for (let exponent = 0; exponent < 14; exponent += 0.001) {
      const figure = Number(numbers.large(10 ** exponent, language).replace(/[^\d.]/g, ''));
      assert.ok(figure < unit, `${10 ** exponent}: ${figure}`);
    }
  }
});

test('a share is whole only where nothing is missing', () => {
  assert.equal(numbers.share(1), '100%');
  assert.equal(numbers.share(0.9997), '99.9%');
  assert.equal(numbers.share(0), '0.0%');
});

test('ages in their largest unit', () => {
  assert.equal(numbers.length(812, 'ko'), '0.8초');
  assert.equal(numbers.length(12_900, 'en'), '12 s');
  assert.equal(numbers.length(61_000, 'ko'), '61초');
  assert.equal(numbers.length(119_900, 'en'), '119 s');
  assert.equal(numbers.length(120_000, 'ko'), '2분');
  assert.equal(numbers.length(3 * 86_400_000, 'en'), '3 d');
  assert.equal(numbers.length(-5, 'ko'), '0.0초');
});

test('times are those of Seoul', () => {
  assert.equal(numbers.timeOfDay('2026-03-10T05:30:05Z'), '14:30:05');
  assert.equal(numbers.timeOfDay('2026-03-10T00:00:00+09:00', false), '00:00');
  assert.equal(numbers.moment('2026-03-10T15:30:00+09:00', '2026-03-10T09:00:00+09:00', 'ko'), '15:30');
  assert.match(numbers.moment('2026-03-11T09:00:00+09:00', '2026-03-10T16:00:00+09:00', 'ko'), /3월 11일.*09:00/);
});

test('words of both languages, and names that have none', () => {
  speak('ko');
  assert.equal(words('callsOf', 14, 15), '초당 14 / 15');
  assert.equal(closedWords('holiday: 설날'), '휴장일 (설날)');
  assert.equal(closedWords('weekend'), '주말');
  assert.equal(sectorName('전기·전자'), '전기·전자');
  speak('en');
  assert.equal(sectorName('전기·전자'), 'Electronics');
  assert.equal(sectorName('새 업종'), '새 업종');
  assert.equal(sectorName(''), 'Other');
  assert.equal(closedWords('something else'), 'something else');
  assert.equal(wordsOf('source', 'kis.ws'), 'KIS live feed');
  assert.equal(wordsOf('source', 'another'), 'another');
  assert.equal(wordsOf('source', undefined), undefined);
});
