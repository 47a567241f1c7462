// The network between a gateway and a worker, as a port that passes bytes on until it is cut.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Link {
  readonly #server: Server;
  /** In pairs: of the gateway, of the worker. */
  readonly #sockets = new Set<Socket>();
  #cut = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param target the worker's port on this machine */
  static async to(target: number): Promise<Link> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const link = new Link(server);
    server.on("connection", (near) => link.#join(near, target));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return link;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on no byte passes, and nobody is told: what a cable does that is pulled. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  /** New connections pass again; those that were cut have ended. */
  mend(): void {
    this.#cut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.mend();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near: Socket, target: number): void {
    this.#add(near);
    if (this.#cut) {
      near.pause();
      return;
    }
    const far = connect({ host: "127.0.0.1", port: target, noDelay: true });
    this.#add(far);
    near.pipe(far);
    far.pipe(near);
    near.on("close", () => this.#cut || far.destroy());
    far.on("close", () => this.#cut || near.destroy());
  }

  #add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
