// Texts of alerts.

import { rate, whole } from './numbers.js';
import { hasWords, words } from './words.js';

const percent = (value) => `${value.toFixed(1)}%`;

/** How the measured value of each kind is formatted. */
const VALUES = {
  price_above: whole, price_below: whole, new_high: whole, new_low: whole,
  change_beyond: rate, jump: rate, coverage_below: percent,
  volume_times: (value) => value.toFixed(1), leader_lost: whole, test: () => '',
};

/**
 * Returns an alert in the current language, or its own text if its kind is unknown or its value is
 * missing.
 */
export function alertWords({ kind, code, name, rule, text, value }) {
  const key = `alert.${kind}`;
  const isWhole = kind === 'test' || typeof value === 'number';
  if (!hasWords(key) || !Object.hasOwn(VALUES, kind) || !isWhole) return text;
  const who = name && code ? `${name} (${code})` : (name ?? code ?? '');
  const told = words(key, who, VALUES[kind](value));
  return rule ? words('alertRule', told, rule) : told;
}
