// Formatting of numbers and times. Unknown values are a dash, never a zero.

export const UNKNOWN = '–';
const MINUS = '\u2212';

const KOREAN_UNITS = [[1, ''], [1e4, '만'], [1e8, '억'], [1e12, '조']];
const ENGLISH_UNITS = [[1, ''], [1e3, 'K'], [1e6, 'M'], [1e9, 'B'], [1e12, 'T']];

const grouping = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const hundredths = new Intl.NumberFormat('en-US', {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

const isKnown = (number) => typeof number === 'number' && Number.isFinite(number);

/** Formats 72000 as 72,000. */
export function whole(number) {
  return isKnown(number) ? grouping.format(number).replace('-', MINUS) : UNKNOWN;
}

/** Formats 2724.6 as 2,724.60. */
export function level(number) {
  return isKnown(number) ? hundredths.format(number).replace('-', MINUS) : UNKNOWN;
}

function signed(number, format) {
  if (!isKnown(number)) return UNKNOWN;
  const figure = format.format(Math.abs(number));
  // A figure that rounds to zero has no sign.
  const isZero = !/[1-9]/.test(figure);
  const sign = isZero ? '' : number > 0 ? '+' : MINUS;
  return sign + figure;
}

/** Formats a difference in won with its sign. */
export const difference = (number) => signed(number, grouping);

/** Formats a difference of an index with its sign. */
export const levelDifference = (number) => signed(number, hundredths);

/** Formats a change rate in percent with its sign. */
export function rate(number) {
  return isKnown(number) ? `${signed(number, hundredths)}%` : UNKNOWN;
}

/** Formats a share of 0 to 1 in percent; 100 % only if nothing is missing. */
export function share(number) {
  if (!isKnown(number)) return UNKNOWN;
  // The small addition compensates for binary fractions that are slightly too small.
  const percent = Math.floor(number * 1000 + 1e-9) / 10;
  return `${percent === 100 ? '100' : percent.toFixed(1)}%`;
}

/** Formats a large number in the units of the language: 4.12조, 1,093억; 4.12T, 109B. */
export function large(number, language) {
  if (!isKnown(number)) return UNKNOWN;
  const size = Math.abs(number);
  const units = language === 'ko' ? KOREAN_UNITS : ENGLISH_UNITS;
  // The smallest unit in which the rounded number stays below the next unit.
  const place = units.findIndex(([unit], at) => !(rounded(size / unit, 0) * unit >= units[at + 1]?.[0]));
  const [unit, word] = units[place];
  const shown = size / unit;
  const digits = word === '' || rounded(shown, 1) >= 100 ? 0 : rounded(shown, 2) >= 10 ? 1 : 2;
  const figure = shown.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return (number < 0 && /[1-9]/.test(figure) ? MINUS : '') + figure + word;
}

/** Rounds by decimal digits, halves up. */
const rounded = (number, digits) => Math.round(Number(`${number.toFixed(9)}e${digits}`)) / 10 ** digits;

const LENGTHS = {
  ko: [[86_400_000, '일'], [3_600_000, '시간'], [60_000, '분'], [1_000, '초']],
  en: [[86_400_000, ' d'], [3_600_000, ' h'], [60_000, ' min'], [1_000, ' s']],
};

/**
 * Up to here lengths are in seconds, because one minute and nearly two are quite different ages.
 */
const SECONDS_UNTIL = 120_000;

/** Formats a length of time in its largest unit: 0.8초, 83초, 3분. */
export function length(milliseconds, language) {
  if (!isKnown(milliseconds)) return UNKNOWN;
  const size = Math.max(0, milliseconds);
  const units = LENGTHS[language];
  const [unit, word] = (size >= SECONDS_UNTIL && units.find(([least]) => size >= least)) || units.at(-1);
  const shown = size / unit;
  // Round down: 9.96 s is 9.9 s, and not the odd 10.0 s.
  return (unit === 1000 && shown < 10 ? (Math.floor(shown * 10) / 10).toFixed(1) : String(Math.floor(shown))) + word;
}

const clocks = new Map();

function clock(options, language) {
  const key = language + JSON.stringify(options);
  if (!clocks.has(key)) {
    const locale = language === 'ko' ? 'ko-KR' : 'en-GB';
    clocks.set(key, new Intl.DateTimeFormat(locale, { timeZone: 'Asia/Seoul', ...options }));
  }
  return clocks.get(key);
}

const toDate = (time) => {
  const date = new Date(time ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
};

/** Returns the day in Seoul, for comparison. */
export function day(time) {
  const date = toDate(time);
  return date && clock({ year: 'numeric', month: '2-digit', day: '2-digit' }, 'en').format(date);
}

/** Formats the time of day in Seoul: 14:30:05. */
export function timeOfDay(time, withSeconds = true) {
  const date = toDate(time);
  if (!date) return UNKNOWN;
  const seconds = withSeconds ? { second: '2-digit' } : {};
  const options = { hour: '2-digit', minute: '2-digit', ...seconds, hourCycle: 'h23' };
  return clock(options, 'en').format(date);
}

/** Formats the time of day, with the day if it is not that of `now`. */
export function moment(time, now, language) {
  const date = toDate(time);
  if (!date) return UNKNOWN;
  if (day(time) === day(now)) return timeOfDay(time, false);
  const shown = clock({ month: 'short', day: 'numeric', weekday: 'short' }, language).format(date);
  return `${shown} ${timeOfDay(time, false)}`;
}
