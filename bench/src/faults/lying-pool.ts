// The gateway's pool as a worker sees it that lies: whatever the worker reports, the gateway hears that it is idle.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import {
  HeartbeatRequestSchema,
  RegisterRequestSchema,
} from "@anabranch/shared/proto/anabranch/v1/pool_pb.js";
import type { Load } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { fromBinary, toBinary } from "@bufbuild/protobuf";

function lieAbout(load: Load | undefined): void {
  if (!load) return;
  load.runningRequests = 0;
  load.queuedRequests = 0;
  load.kvBlocksFree = load.kvBlocksTotal;
}

const lies: Record<string, (body: Uint8Array) => Uint8Array> = {
  Register(body) {
    const request = fromBinary(RegisterRequestSchema, body);
    lieAbout(request.load);
    return toBinary(RegisterRequestSchema, request);
  },
  Heartbeat(body) {
    const request = fromBinary(HeartbeatRequestSchema, body);
    lieAbout(request.load);
    return toBinary(HeartbeatRequestSchema, request);
  },
};

export class LyingPool {
  readonly #server: Server;
  /** How often it has lied. */
  lies = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Passes the calls of a worker on to `gateway`. */
  static async before(gateway: string): Promise<LyingPool> {
    const server = createServer();
    const pool = new LyingPool(server);
    server.on("request", async (request, response) => {
      try {
        const answer = await pool.#pass(request, gateway);
        response.writeHead(answer.status, {
          "content-type": answer.headers.get("content-type") ?? "application/proto",
        });
        response.end(new Uint8Array(await answer.arrayBuffer()));
      } catch {
        response.destroy(); // the gateway is away
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return pool;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #pass(request: IncomingMessage, gateway: string): Promise<Response> {
    const path = request.url ?? "";
    const lie = lies[path.split("/").at(-1) ?? ""];
    const body = await buffer(request);
    if (lie) this.lies++;
    return fetch(gateway + path, {
      method: "POST",
      body: lie ? lie(body) : body,
      headers: {
        "content-type": request.headers["content-type"] ?? "",
        "connect-protocol-version": "1",
        authorization: request.headers.authorization ?? "",
      },
    });
  }
}
