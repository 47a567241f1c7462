// A proxy before the gateway whose first connection under a name fails, `/<name>/<fault>/…`. It forwards all others.
// `/<name>/attempts` answers with what each attempt had as its Idempotency-Key, `/<name>/break-off` breaks off what fails in
// the middle, `/decoded` answers with how many answers the workers have decoded.
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to the first attempt. */
const faults = {
  /** It never reaches the gateway. */
  refused: (_, response) => void response.destroy(),
  /** The gateway has answered it to the end, but nothing of that arrives. */
  lost: (answer, response) => {
    answer?.resume().on("end", () => response.destroy());
  },
  /** Nothing follows its first text, until it is broken off: whoever has not read that by then may never see it. */
  cut: (answer, response) => {
    if (!answer) return;
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    let held = false;
    answer.on("data", (bytes: Buffer) => {
      if (!held) response.write(bytes);
      held ||= /"(content|text)":"[^"]/.test(bytes.toString());
    });
  },
  /** A proxy has no room. */
  busy: (_, response) => {
    response.writeHead(503, { ...anyOrigin, "retry-after": "0" });
    response.end(JSON.stringify({ error: { message: "no room", code: "overloaded" } }));
  },
  /** Nothing comes back. */
  silent: () => {},
} satisfies Record<string, (answer: IncomingMessage | null, response: ServerResponse) => void>;

const anyOrigin = { "access-control-allow-origin": "*" };
const reachesGateway = ["lost", "cut"];

export async function openFaultyWay(gateway: string, decoded: () => Promise<number>) {
  /** By name: the Idempotency-Key of each attempt. */
  const seen = new Map<string, (string | null)[]>();
  /** By name: the response that fails. */
  const failing = new Map<string, ServerResponse>();
  const server = createServer((incoming, response) => {
    const [, name = "", fault = "", ...rest] = (incoming.url ?? "").split("/");
    const attempts = seen.get(name) ?? [];
    const say = (value: unknown) => {
      response.writeHead(200, { ...anyOrigin, "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    if (name === "decoded") return void decoded().then(say);
    if (fault === "attempts") return say(attempts);
    if (fault === "break-off") return say(failing.get(name)?.destroy() !== undefined);
    const fail = incoming.method === "POST" && attempts.length === 0 && fault in faults;
    if (incoming.method === "POST") {
      const key = incoming.headers["idempotency-key"];
      seen.set(name, [...attempts, typeof key === "string" ? key : null]);
    }
    const failure = fail ? faults[fault as keyof typeof faults] : null;
    if (failure) failing.set(name, response);
    if (failure && !reachesGateway.includes(fault)) return failure(null, response);
    const { method, headers } = incoming;
    const forwarded = request(`${gateway}/${rest.join("/")}`, { method, headers }, (answer) => {
      if (failure) return failure(answer, response);
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    response.on("close", () => {
      if (!failure) forwarded.destroy();
    });
    incoming.pipe(forwarded);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
