// The local gateway's socket. It passes bytes to workerd and back, and tells workerd at once when a client
// leaves: workerd itself notices that only when it next writes, which for an answer that is not streamed is
// when the answer has ended.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Front {
  port: number;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Listens on `host` and `port` (0: any free one) for workerd. Connections take turns over `targets`. */
export async function openFront(
  host: string,
  port: number,
  targets: readonly URL[],
): Promise<Front> {
  const clients = new Set<Socket>();
  let connections = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    clients.add(client);
    const target = targets[connections++ % targets.length];
    if (!target) throw new Error("there is nobody to connect to");
    const inner = connect({
      host: target.hostname,
      port: Number(target.port),
      noDelay: true,
    });
    // pipe() stops reading from one side while the other does not take more.
    client.pipe(inner, { end: false });
    inner.pipe(client);
    const left = () => {
      if (!inner.destroyed) inner.resetAndDestroy();
      client.destroy();
    };
    // A client that closes its side has left: nobody sends requests through half a connection.
    client.on("end", left);
    client.on("error", left);
    client.on("close", () => {
      clients.delete(client);
      left();
    });
    inner.on("error", () => client.destroy());
    inner.on("close", () => client.end());
  });
  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      for (const client of clients) client.destroySoon();
    },
  };
}
