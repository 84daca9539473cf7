// What a person chose, remembered where the browser allows it.

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
  // Forbidden or damaged: the defaults do.
}

const followers = new Set();

/** A setting's value. */
export const setting = (name) => held[name];

/** Changes a setting and tells who follows. */
export function choose(name, value) {
  if (!CHOICES[name].includes(value) || held[name] === value) return;
  held[name] = value;
  try {
    localStorage.setItem(KEPT, JSON.stringify(held));
  } catch {
    // It then holds until the page is left.
  }
  for (const follower of followers) follower(name);
}

/** Calls `follower(name)` when a setting changed. */
export const follow = (follower) => followers.add(follower);

const darkness = matchMedia('(prefers-color-scheme: dark)');
darkness.addEventListener('change', () => {
  if (held.theme === 'auto') for (const follower of followers) follower('theme');
});

/** `light` or `dark`, as it is shown. */
export const ground = () => {
  if (held.theme !== 'auto') return held.theme;
  return darkness.matches ? 'dark' : 'light';
};
