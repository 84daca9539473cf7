import assert from 'node:assert/strict';
import test from 'node:test';

import { SCALES, between, contrast, palette, step } from '../../src/api/page/colours.js';

test('no change is the middle, the ends do not grow', () => {
  const { fills } = palette('red-blue', 'light');
  const middle = (fills.length - 1) / 2;
  assert.equal(step(0), middle);
  assert.equal(step(6), fills.length - 1);
  assert.equal(step(30), fills.length - 1);
  assert.equal(step(-30), 0);
  for (let rate = -30; rate < 30; rate += 0.25) assert.ok(step(rate) <= step(rate + 0.25), `${rate}`);
});

test('Korean red is up, the Western scale turns it round', () => {
  const isRed = (hex) => Number.parseInt(hex.slice(1, 3), 16) > Number.parseInt(hex.slice(5, 7), 16) + 60;
  const korean = palette('red-blue', 'light').fills;
  assert.ok(isRed(korean.at(-1)) && !isRed(korean[0]));
  const western = palette('green-red', 'light').fills;
  assert.ok(isRed(western[0]) && !isRed(western.at(-1)));
});

test('text can be read on every step of every scale and ground', () => {
  for (const scale of Object.keys(SCALES)) {
    for (const ground of ['light', 'dark']) {
      const { fills, inks } = palette(scale, ground);
      fills.forEach((fill, place) => {
        assert.ok(contrast(fill, inks[place]) >= 4.5, `${scale} ${ground} ${place}: ${contrast(fill, inks[place])}`);
      });
    }
  }
});

test('stale and priceless tiles have text that can be read', () => {
  for (const ground of ['light', 'dark']) {
    const { stale, staleInk, none, noneInk, idle, idleInk } = palette('red-blue', ground);
    assert.ok(contrast(idle, idleInk) >= 4.5, `${ground} idle ${contrast(idle, idleInk)}`);
    for (const fill of stale) assert.ok(contrast(fill, staleInk) >= 4.5, `${ground} stale ${contrast(fill, staleInk)}`);
    for (const fill of none) assert.ok(contrast(fill, noneInk) >= 4.5, `${ground} none ${contrast(fill, noneInk)}`);
  }
});

// Colours as two kinds of colour-blind eyes see them (Viénot, Brettel and Mollon, linear RGB).
const EYES = {
  protan: [[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.004, -0.004, 1]],
  deutan: [[0.2928, 0.7072, 0], [0.2928, 0.7072, 0], [-0.0223, 0.0223, 1]],
};
const linear = (hex) => [1, 3, 5].map((at) => (Number.parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);

test('the safe scale keeps its ends apart for every kind of colour vision', () => {
  const { fills } = palette('orange-blue', 'light');
  for (const [eye, matrix] of Object.entries(EYES)) {
    const seen = (hex) => matrix.map((row) => row.reduce((sum, weight, at) => sum + weight * linear(hex)[at], 0));
    const [down, up] = [seen(fills[0]), seen(fills.at(-1))];
    const apart = Math.hypot(...down.map((value, at) => value - up[at]));
    assert.ok(apart > 0.4, `${eye}: ${apart}`);
  }
});

test('half way between two colours', () => {
  assert.equal(between('#000000', '#ffffff', 0), '#000000');
  assert.equal(between('#000000', '#ffffff', 1), '#ffffff');
});
