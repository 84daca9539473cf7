// The numbers of a connection's messages: each is one more than the one before it.

export class Sequence {
  constructor() {
    this.connection = undefined;
    this.last = 0;
  }

  /** A hello begins a connection, and its numbers. */
  begin(connection, number) {
    this.connection = connection;
    this.last = number;
  }

  /** Takes in a message's number: `next`, `again` for one that came before, or `jump`. */
  take(number) {
    if (number <= this.last) return 'again';
    const step = number - this.last;
    this.last = number;
    return step === 1 ? 'next' : 'jump';
  }
}

/** How long to wait before the attempt, milliseconds: twice as long each time, with jitter. */
export function pause(attempt, random = Math.random) {
  const longest = Math.min(30_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(longest * (0.5 + random() / 2));
}
