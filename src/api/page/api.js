// The HTTP API: one way to ask, and what went wrong in words.

import { hasWords, spoken, words } from './words.js';

const KEPT = 'sise.token';

/** A problem in words. The API's own are English; in Korean its type says the same, where it is known. */
export function problemWords({ type, title, detail } = {}) {
  const key = `problem.${type?.split('/').at(-1)}`;
  if (hasWords(key) && (spoken() === 'ko' || !title)) return words(key);
  return [title, detail].filter(Boolean).join(': ');
}

/** An answer that is none: what the API says is wrong, or that it cannot be reached. */
export class Problem extends Error {
  constructor({ type, status, title, detail }) {
    super();
    Object.assign(this, { type, status, title, detail });
  }

  /** In the language in use, which may change while it is shown. */
  get message() {
    return problemWords(this);
  }
}

let token;
try {
  token = sessionStorage.getItem(KEPT) ?? undefined;
} catch {
  // Storage may be forbidden; the token then lives as long as the page.
}

/** The token in use. */
export const heldToken = () => token;

/** Takes a token into use, for as long as the tab lives. */
export function holdToken(text) {
  token = text || undefined;
  try {
    if (token) sessionStorage.setItem(KEPT, token);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // As above.
  }
}

/** An address of the API, wherever the page itself is served. */
export const address = (path) => new URL(path, document.baseURI);

/** A route's answer. */
export async function get(path, { within = 15_000 } = {}) {
  const headers = { accept: 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    // Beyond this the answer would say nothing of the present.
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
    // Something on the way answered instead of the API.
  }
  throw new Problem({
    type: problem.type,
    status: response.status,
    title: problem.title ?? `HTTP ${response.status}`,
    detail: problem.detail,
  });
}
