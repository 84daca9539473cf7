import assert from 'node:assert/strict';
import test from 'node:test';

import { Needle, initials, plain } from '../../src/api/page/hangul.js';
import { find } from '../../src/api/page/search.js';

const place = (typed, name) => new Needle(typed).placeIn(plain(name));
const stock = (code, name, cap) => ({ code, name, cap, plainName: plain(name) });
const STOCKS = [
  stock('005930', '삼성전자', 400), stock('005935', '삼성전자우', 50), stock('009150', '삼성전기', 20),
  stock('263810', '상신전자', 1), stock('000660', 'SK하이닉스', 300), stock('035420', 'NAVER', 40),
  stock('0126Z0', '삼성에피스홀딩스', 30), stock('00104K', 'CJ4우(전환)', 2), stock('097950', 'CJ제일제당', 5),
];
const codes = (typed, most) => find(STOCKS, typed, most).map(({ code }) => code);

test('initial consonants of syllables, everything else as it is', () => {
  assert.equal(initials('삼성전자'), 'ㅅㅅㅈㅈ');
  assert.equal(initials('SK하이닉스2우'), 'SKㅎㅇㄴㅅ2ㅇ');
});

test('initials, syllables and letters may be mixed', () => {
  assert.equal(place('ㅅㅅㅈㅈ', '삼성전자'), 0);
  assert.equal(place('삼ㅅ전ㅈ', '삼성전자'), 0);
  assert.equal(place('skㅎㅇ', 'SK하이닉스'), 0);
  assert.equal(place('ㅎㅇㄴㅅ', 'SK하이닉스'), 2);
  assert.equal(place('ㅈㅈ', '삼성전자'), 2);
  assert.equal(place('ㅅㅈㅈ', '삼성전자'), 1);
  assert.equal(place('ㅅㅅㅈㅊ', '삼성전자'), -1);
  assert.equal(place('삼성전자', '삼성'), -1);
});

test('what an input method shows halfway is found', () => {
  // 삼성전자 as it grows key by key.
  for (const typed of ['ㅅ', '사', '삼', '삼ㅅ', '삼서', '삼성', '삼성ㅈ', '삼성저', '삼성전', '삼성전ㅈ', '삼성젅', '삼성전자']) {
    assert.equal(place(typed, '삼성전자'), 0, typed);
  }
  // The final of the last syllable may belong to the next: 한 on the way to 하나.
  assert.equal(place('한', '하나금융지주'), 0);
  assert.equal(place('핝', '한진칼'), 0);
  // Elsewhere than at the end a syllable means itself.
  assert.equal(place('사전', '삼전'), -1);
});

test('consonants that were joined are taken apart', () => {
  assert.equal(place('ㄳ', '기술보증'), 0);
  assert.equal(place('ㄵ', '나진'), 0);
});

test('case, spaces and decomposed text do not matter', () => {
  assert.equal(place('naver', 'NAVER'), 0);
  assert.equal(place('삼성 전자', '삼성전자'), 0);
  assert.equal(place('삼성'.normalize('NFD'), '삼성전자'), 0);
});

test('the likeliest comes first, among equals the larger company', () => {
  assert.deepEqual(codes('ㅅㅅㅈㅈ'), ['005930', '005935', '263810']);
  assert.deepEqual(codes('삼성전자'), ['005930', '005935']);
  assert.deepEqual(codes('005930'), ['005930']);
  assert.deepEqual(codes('0059'), ['005930', '005935']);
  assert.deepEqual(codes('0126z0'), ['0126Z0']);
  assert.deepEqual(codes('CJ'), ['097950', '00104K']);
  assert.deepEqual(codes('ㅅㅅ', 1), ['005930']);
  assert.deepEqual(codes('없는이름'), []);
  assert.deepEqual(codes('  '), []);
});
