// Access to the HTTP API, and texts for its problems.

import { hasWords, spoken, words } from './words.js';

const KEPT = 'sise.token';

/**
 * Returns the text of a problem. The API's own text is English; in Korean it is chosen by type, if
 * known.
 */
export function problemWords({ type, title, detail } = {}) {
  const key = `problem.${type?.split('/').at(-1)}`;
  if (hasWords(key) && (spoken() === 'ko' || !title)) return words(key);
  return [title, detail].filter(Boolean).join(': ');
}

/** A failed request: a problem that the API reports, or that it is unreachable. */
export class Problem extends Error {
  constructor({ type, status, title, detail }) {
    super();
    Object.assign(this, { type, status, title, detail });
  }

  /** In the current language, which may change while it is shown. */
  get message() {
    return problemWords(this);
  }
}

let token;
try {
  token = sessionStorage.getItem(KEPT) ?? undefined;
} catch {
  // Storage may be disabled; the token then lasts as long as the page.
}

/** Returns the current token. */
export const heldToken = () => token;

/** Sets the token, for as long as the tab is open. */
export function holdToken(text) {
  token = text || undefined;
  try {
    if (token) sessionStorage.setItem(KEPT, token);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // As above.
  }
}

/** Returns the address of an API path, relative to where the page is served. */
export const address = (path) => new URL(path, document.baseURI);

/** Gets the answer of a route. */
export async function get(path, { within = 15_000 } = {}) {
  const headers = { accept: 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    // A later answer would be outdated.
    response = await fetch(address(path), { headers, signal: AbortSignal.timeout(within) });
  } catch {
    throw new Problem({ type: 'unreachable', status: 0 });
  }
  if (response.ok) {
    try {
      return await response.json();
    } catch {
      throw new Problem({ type: 'unreadable', status: response.status });
    }
  }
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Something between here and the API answered.
  }
  throw new Problem({
    type: problem.type,
    status: response.status,
    title: problem.title ?? `HTTP ${response.status}`,
    detail: problem.detail,
  });
}
