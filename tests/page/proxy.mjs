// A way to the server that can be cut.

import net from 'node:net';

export class Proxy {
  #target;
  #server;
  #sockets = new Set();

  constructor(url) {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port || 80) };
    this.port = 0;
  }

  /** Listens; again on the same port after a cut. */
  async open() {
    this.#server = net.createServer((near) => {
      const far = net.connect(this.#target);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.port, '127.0.0.1', resolve);
    });
    this.port = this.#server.address().port;
    return `http://127.0.0.1:${this.port}`;
  }

  /** Ends every connection and takes no new one. */
  async cut() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
