// The user's settings, stored if the browser allows it.

const KEPT = 'sise.settings';

const CHOICES = {
  language: ['ko', 'en'],
  theme: ['auto', 'light', 'dark'],
  colours: ['red-blue', 'green-red', 'orange-blue'],
  view: ['map', 'table'],
  movers: ['gainers', 'losers', 'value', 'volume'],
};

const ofBrowser = () =>
  (navigator.languages ?? []).some((language) => language.startsWith('ko')) ? 'ko' : 'en';

const held = { language: ofBrowser(), theme: 'auto', colours: 'red-blue', view: 'map', movers: 'gainers' };

try {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? '{}');
  for (const [name, choices] of Object.entries(CHOICES)) {
    if (choices.includes(kept[name])) held[name] = kept[name];
  }
} catch {
  // Storage is disabled or damaged: use the defaults.
}

const followers = new Set();

/** Returns the value of a setting. */
export const setting = (name) => held[name];

/** Changes a setting and notifies followers. */
export function choose(name, value) {
  if (!CHOICES[name].includes(value) || held[name] === value) return;
  held[name] = value;
  try {
    localStorage.setItem(KEPT, JSON.stringify(held));
  } catch {
    // The setting then lasts until the page is left.
  }
  for (const follower of followers) follower(name);
}

/** Calls `follower(name)` whenever a setting changes. */
export const follow = (follower) => followers.add(follower);

const darkness = matchMedia('(prefers-color-scheme: dark)');
darkness.addEventListener('change', () => {
  if (held.theme === 'auto') for (const follower of followers) follower('theme');
});

/** Returns the effective theme, `light` or `dark`. */
export const ground = () => {
  if (held.theme !== 'auto') return held.theme;
  return darkness.matches ? 'dark' : 'light';
};
