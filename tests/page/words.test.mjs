import assert from 'node:assert/strict';
import test from 'node:test';

import { Problem, problemWords } from '../../src/api/page/api.js';
import { alertWords } from '../../src/api/page/alert-words.js';
import { COLUMNS, sorted } from '../../src/api/page/columns.js';
import { speak } from '../../src/api/page/words.js';

const inBoth = (say) => ['ko', 'en'].map((language) => {
  speak(language);
  return say();
});

test('alerts are told in the language of the page', () => {
  const stock = { code: '005930', name: '삼성전자', rule: 'mine', text: 'English of the server' };
  const told = (alert) => inBoth(() => alertWords({ ...stock, ...alert }));
  assert.deepEqual(told({ kind: 'price_above', value: 72_100 }), [
    '삼성전자 (005930) 정한 값보다 오름: 72,100원 (규칙 mine)', '삼성전자 (005930) rose above its level: 72,100 won (rule mine)',
  ]);
  assert.match(told({ kind: 'change_beyond', value: -5.126 })[0], /기준가 대비 −5\.13%/);
  assert.match(told({ kind: 'volume_times', value: 3.04 })[0], /3\.0배/);
  const kinds = ['price_above', 'price_below', 'change_beyond', 'jump', 'new_high', 'new_low', 'volume_times', 'coverage_below', 'leader_lost', 'test'];
  for (const kind of kinds) {
    const [korean, english] = told({ kind, value: 3 });
    assert.match(korean, /[가-힣]{2}/);
    assert.ok(![korean, english].includes(stock.text), kind);
  }
  const market = { kind: 'coverage_below', value: 49.94, text: '' };
  assert.deepEqual(inBoth(() => alertWords(market)), ['유효한 시세가 목록의 49.9%뿐입니다', 'Only 49.9% of the list have a live price']);
});

test('an alert of another kind, or without a value, is told as it came', () => {
  for (const alert of [{ kind: 'another', value: 1 }, { kind: 'jump' }, {}]) {
    assert.deepEqual(inBoth(() => alertWords({ ...alert, text: 'as it came' })), ['as it came', 'as it came']);
  }
});

test('problems of a known type are Korean on a Korean page, also when the language changes later', () => {
  const problem = new Problem({ type: '/problems/store-away', status: 503, title: 'The store does not answer', detail: 'Redis is away.' });
  assert.deepEqual(inBoth(() => problem.message), ['저장소(Redis)가 답하지 않습니다', 'The store does not answer: Redis is away.']);
  const other = { type: '/problems/another', title: 'Something', detail: 'else' };
  assert.deepEqual(inBoth(() => problemWords(other)), ['Something: else', 'Something: else']);
  assert.deepEqual(inBoth(() => new Problem({ type: 'unreachable', status: 0 }).message), ['서버에 닿지 않습니다', 'The server cannot be reached']);
});

test('sectors are sorted by the names that are shown', () => {
  const stocks = ['전기·전자', '건설', '보험', ''].map((sector, place) => ({ code: String(place), sector }));
  const column = COLUMNS.find(({ key }) => key === 'sector');
  const [korean, english] = inBoth(() => sorted(stocks, column, 'ascending').map(({ sector }) => sector));
  assert.deepEqual(korean, ['건설', '보험', '전기·전자', '']);
  assert.deepEqual(english, ['건설', '전기·전자', '보험', '']);
});
