// The colours of change rates: a neutral middle, two ends, and readable text on each step.

/** The scales: Korean (red up), Western (green up), and one for every kind of colour vision. */
export const SCALES = {
  'red-blue': { up: '#d92b45', down: '#2563c9' },
  'green-red': { up: '#17864a', down: '#d0304a' },
  'orange-blue': { up: '#e08a00', down: '#3f4fc4' },
};

/** Change rate in percent from which the colour does not get stronger. */
export const STRONGEST = 6;

/** Steps to each side of zero. */
const STEPS = 16;

const GROUNDS = {
  light: {
    neutral: '#e3e6eb', ink: '#000000', paper: '#ffffff', ground: '#f6f7f9',
    stale: ['#d3d7de', '#c5cad3'], staleInk: '#4a5261', none: ['#f0f2f5', '#e1e4ea'], noneInk: '#5b6472',
    idle: '#f3f1ea', idleInk: '#6b6250',
    heading: '#3b4452', focus: '#0b0d12', hover: '#14181f',
  },
  dark: {
    neutral: '#343b47', ink: '#000000', paper: '#ffffff', ground: '#0f1217',
    stale: ['#1d2128', '#343a45'], staleInk: '#a0a8b5', none: ['#12151a', '#1d222a'], noneInk: '#8d96a4',
    idle: '#17160f', idleInk: '#a39b86',
    heading: '#c3cad5', focus: '#ffffff', hover: '#ffffff',
  },
};

const channels = (hex) => [1, 3, 5].map((place) => Number.parseInt(hex.slice(place, place + 2), 16));
const linear = (value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const encoded = (value) => {
  const shown = value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(1, Math.max(0, shown)) * 255);
};

// OKLab, in which the midpoint of two colours looks like the midpoint.
function toLab(hex) {
  const [r, g, b] = channels(hex).map(linear);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function toHex([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const rgb = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return `#${rgb.map((value) => encoded(value).toString(16).padStart(2, '0')).join('')}`;
}

/** Mixes two colours by a share of 0 to 1. */
export function between(from, to, share) {
  const start = toLab(from);
  const end = toLab(to);
  return toHex(start.map((value, place) => value + (end[place] - value) * share));
}

function luminance(hex) {
  const [r, g, b] = channels(hex).map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Returns the WCAG contrast of two colours, 1 to 21. */
export function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** Returns the step of a change rate: 0 is the strongest fall, the middle is no change. */
export function step(rate) {
  const share = Math.min(1, Math.abs(rate) / STRONGEST) ** 0.75;
  return STEPS + Math.sign(rate) * Math.round(share * STEPS);
}

/** Returns all colours of a scale on a background (`light` or `dark`). */
export function palette(scale, ground) {
  const { up, down } = SCALES[scale] ?? SCALES['red-blue'];
  const colours = GROUNDS[ground] ?? GROUNDS.light;
  const fills = [];
  for (let place = -STEPS; place <= STEPS; place += 1) {
    fills.push(between(colours.neutral, place < 0 ? down : up, Math.abs(place) / STEPS));
  }
  const inks = fills.map((fill) =>
    contrast(fill, colours.paper) > contrast(fill, colours.ink) ? colours.paper : colours.ink,
  );
  return { ...colours, fills, inks };
}
