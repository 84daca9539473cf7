// The sequence numbers of a connection's messages: each is one more than the previous one.

export class Sequence {
  constructor() {
    this.connection = undefined;
    this.last = 0;
  }

  /** Starts the numbers of a connection at its hello message. */
  begin(connection, number) {
    this.connection = connection;
    this.last = number;
  }

  /** Takes a message's number; returns `next`, `again` for one seen before, or `jump`. */
  take(number) {
    if (number <= this.last) return 'again';
    const step = number - this.last;
    this.last = number;
    return step === 1 ? 'next' : 'jump';
  }
}

/** Returns how long to wait before an attempt, milliseconds: doubles each time, with jitter. */
export function pause(attempt, random = Math.random) {
  const longest = Math.min(30_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(longest * (0.5 + random() / 2));
}
