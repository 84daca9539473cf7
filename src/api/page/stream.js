// The stream: one WebSocket with heartbeats, which is reconnected when lost.

import { address, heldToken } from './api.js';
import { Sequence, pause } from './sequence.js';

const USUAL_HEARTBEAT = 15_000;
/** A connection counts as lost after this many heartbeats without a message. */
const MOST_SILENT = 2.5;
/** Longest wait for a connection to open, milliseconds. */
const OPENING = 10_000;
/** A connection that lasted this long was good, milliseconds. */
const STEADY = 5_000;

/**
 * Calls `before()` before every attempt, which fetches the initial state and may throw,
 * `take(message)` for every message, `lost()` once when a connection ends, and `missed()` when
 * sequence numbers jump.
 */
export class Stream {
  #handlers;
  #socket;
  #sequence = new Sequence();
  #attempt = 0;
  #heard = 0;
  #begun = 0;
  #heartbeat = USUAL_HEARTBEAT;
  #timer;
  #watch;
  #isConnecting = false;

  constructor(handlers) {
    this.#handlers = handlers;
    addEventListener('online', () => this.retry());
  }

  /** Tries now, unless there is a connection or one is being opened. */
  async retry() {
    clearTimeout(this.#timer);
    if (this.#socket || this.#isConnecting) return;
    this.#isConnecting = true;
    try {
      await this.#handlers.before();
      this.#open();
    } catch (problem) {
      this.#handlers.failed(problem);
      this.#later();
    } finally {
      this.#isConnecting = false;
    }
  }

  #open() {
    const url = address('v1/stream');
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const token = heldToken();
    const socket = new WebSocket(url, token ? ['sise.v1', `bearer.${token}`] : ['sise.v1']);
    this.#socket = socket;
    this.#begun = performance.now();
    this.#heard = this.#begun;
    this.#heartbeat = OPENING / MOST_SILENT;
    socket.addEventListener('message', (event) => this.#take(socket, event.data));
    socket.addEventListener('close', () => this.#lose(socket));
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      if (performance.now() - this.#heard > MOST_SILENT * this.#heartbeat) this.#lose(socket);
    }, 500);
  }

  #take(socket, text) {
    if (socket !== this.#socket) return;
    this.#heard = performance.now();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      // Not a valid message: the connection cannot be trusted.
      this.#lose(socket);
      return;
    }
    if (message.type === 'hello') {
      this.#sequence.begin(message.connection, message.seq);
      this.#heartbeat = message.heartbeat_ms ?? USUAL_HEARTBEAT;
      const wanted = { op: 'subscribe', all: true, indices: true, alerts: true };
      socket.send(JSON.stringify(wanted));
    } else {
      const order = this.#sequence.take(message.seq);
      if (order === 'again') return;
      if (order === 'jump') this.#handlers.missed();
    }
    this.#handlers.take(message);
  }

  #lose(socket) {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    clearInterval(this.#watch);
    socket.close();
    // A connection that ends at once must not be reopened at once.
    if (performance.now() - this.#begun > STEADY) this.#attempt = 0;
    this.#handlers.lost();
    this.#later();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.retry(), pause(this.#attempt));
    this.#attempt += 1;
  }
}
