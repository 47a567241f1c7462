// The Connect client of one worker.
import { Worker } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

const clients = new Map<string, Client<typeof Worker>>();
const capacity = 1_000;

export function workerClient(url: string): Client<typeof Worker> {
  const known = clients.get(url);
  if (known) return known;
  const transport = createConnectTransport({
    baseUrl: url,
    useBinaryFormat: true,
    // workerd knows no redirect: "error", which connect-web asks for.
    fetch: (input, init) => fetch(input, { ...init, redirect: "manual" }),
  });
  const client = createClient(Worker, transport);
  if (clients.size >= capacity) clients.clear();
  clients.set(url, client);
  return client;
}

export function credentials(worker: { credential: string }): Record<string, string> {
  return { authorization: `Bearer ${worker.credential}` };
}
