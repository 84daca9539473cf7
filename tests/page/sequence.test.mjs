import assert from 'node:assert/strict';
import test from 'node:test';

import { Sequence, pause } from '../../src/api/page/sequence.js';

test('numbers that follow, jump and come again', () => {
  const sequence = new Sequence();
  sequence.begin('a', 1);
  assert.equal(sequence.take(2), 'next');
  assert.equal(sequence.take(3), 'next');
  assert.equal(sequence.take(6), 'jump');
  assert.equal(sequence.take(7), 'next');
  assert.equal(sequence.take(7), 'again');
  assert.equal(sequence.take(3), 'again');
});

test('another connection counts anew', () => {
  const sequence = new Sequence();
  sequence.begin('a', 1);
  sequence.take(900);
  sequence.begin('b', 1);
  assert.equal(sequence.take(2), 'next');
});

test('pauses grow, have an end, and differ', () => {
  const longest = (attempt) => pause(attempt, () => 1);
  const shortest = (attempt) => pause(attempt, () => 0);
  assert.equal(longest(0), 500);
  assert.equal(shortest(0), 250);
  assert.equal(longest(3), 4_000);
  assert.equal(longest(100), 30_000);
  assert.equal(shortest(100), 15_000);
});
