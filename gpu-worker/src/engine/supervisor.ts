// Keeps one engine process running and calls it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { AdapterSource, OutlineRules } from "@anabranch/native";
import {
  type EngineGenerateRequest,
  type EngineGenerateResponse,
  EngineLoadAdapterRequestSchema,
  type EngineScoreRequest,
  type EngineScoreResponse,
  Engine as EngineService,
  EngineStatusRequestSchema,
  type EngineStatusResponse,
  EngineStopRequestSchema,
  EngineUnloadAdapterRequestSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ClientReadableStream,
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { FairQueue, mostRunning } from "../fair-queue.ts";
import { grpcService } from "../grpc.ts";
import { log } from "../log.ts";
import type { TextModel } from "../model/text-model.ts";
import { type EngineProcessOptions, EXIT_CANNOT_LOAD } from "./options.ts";

const Client = makeGenericClientConstructor(grpcService(EngineService), "Engine");

export type SupervisorOptions = Omit<
  EngineProcessOptions,
  "socket" | "outlinePath" | "tokenBytesPath"
> & {
  outline: OutlineRules;
  tokenBytes?: Uint8Array;
};

/** The engine's own, of native/engine/serving/scheduler.h. */
const MAX_RUNNING = 64;
const MAX_QUEUE = 256;
const FIRST_BACKOFF_MS = 200;
const LAST_BACKOFF_MS = 10_000;
/** A process that lived this long was sound: after it the back-off begins anew. */
const SOUND_MS = 60_000;
/** How long a model may take to load. */
const LOAD_MS = 30 * 60_000;
/** An engine that is away for longer is not reported to the pool as about to come back. */
const AWAY_MS = 120_000;
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
const processPath = fileURLToPath(new URL("process.ts", import.meta.url));

/** The process says that it can't load the model: another try gives the same. */
class CannotLoadError extends Error {}

/** What ended a process: its exit code, or else the signal. */
type Ending = number | string;

const endedWith = (ending: Ending) =>
  `the engine process ended with ${typeof ending === "number" ? `code ${ending}` : ending}`;

const endedAtStart = (ending: Ending) =>
  ending === EXIT_CANNOT_LOAD
    ? new CannotLoadError("the engine could not load the model (see above)")
    : new Error(`${endedWith(ending)} while it started`);

export class EngineSupervisor {
  /** What a request waits in before it goes to the engine. */
  readonly queue: FairQueue;
  readonly #textOf: (model: string) => TextModel | undefined;
  readonly #options: Omit<EngineProcessOptions, "socket">;
  /** By name. */
  readonly #adapters: Map<string, AdapterSource>;
  readonly #folder = mkdtempSync(join(tmpdir(), "anabranch-"));
  #child: ChildProcess | undefined;
  #client: InstanceType<typeof Client> | undefined;
  #backoff = FIRST_BACKOFF_MS;
  #starts = 0;
  #closing = false;
  /** When the last process ended, while there is no other. */
  #awaySince: number | undefined;

  /** @param textOf the text files of a served model, by the name that clients ask for */
  constructor(options: SupervisorOptions, textOf: (model: string) => TextModel | undefined) {
    this.#textOf = textOf;
    const { outline, tokenBytes, ...others } = options;
    const { maxRunning = MAX_RUNNING, maxQueue = MAX_QUEUE } = options.engine;
    this.queue = new FairQueue(maxRunning, maxQueue);
    this.#options = {
      ...others,
      outlinePath: join(this.#folder, "outline.json"),
      engine: { ...others.engine, maxRunning: mostRunning(maxRunning) },
    };
    writeFileSync(this.#options.outlinePath, JSON.stringify(outline));
    if (tokenBytes) {
      this.#options.tokenBytesPath = join(this.#folder, "token-bytes");
      writeFileSync(this.#options.tokenBytesPath, tokenBytes);
    }
    this.#adapters = new Map((options.engine.adapters ?? []).map((each) => [each.name, each]));
  }

  /**
   * Starts the engine and resolves with its status once the model is loaded. A process that dies meanwhile is
   * replaced.
   * @throws Error if the model can't be loaded
   */
  async start(): Promise<EngineStatusResponse> {
    for (;;) {
      try {
        return await this.#launch();
      } catch (error) {
        if (error instanceof CannotLoadError) throw error;
        await this.#pause(messageOf(error));
        if (this.#closing) throw error;
      }
    }
  }

  /** Whether there is no process that serves, and one is expected soon. */
  get restarting(): boolean {
    return this.#awaySince !== undefined && performance.now() - this.#awaySince < AWAY_MS;
  }

  /** Starts one process, and replaces it when it ends. @throws Error if it ends before it serves */
  async #launch(): Promise<EngineStatusResponse> {
    const socket = join(this.#folder, `engine-${++this.#starts}.sock`);
    const engine = { ...this.#options.engine, adapters: [...this.#adapters.values()] };
    const options: EngineProcessOptions = { socket, ...this.#options, engine };
    const child = spawn(process.execPath, [processPath, JSON.stringify(options)], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    this.#child = child;
    const exited = new Promise<Ending>((resolve) => {
      child.on("exit", (code, signal) => resolve(code ?? signal ?? "no code"));
      child.on("error", ({ message }) => resolve(message));
    });
    const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": 64 << 20,
      "grpc.max_send_message_length": 64 << 20,
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 200,
    });
    try {
      const serving = this.#whenServing(client, engine.adapters);
      const outcome = await Promise.race([serving, exited]);
      if (typeof outcome !== "object") throw endedAtStart(outcome);
      const since = performance.now();
      void exited.then((ending) => {
        if (performance.now() - since > SOUND_MS) this.#backoff = FIRST_BACKOFF_MS;
        void this.#replace(ending);
      });
      return outcome;
    } catch (error) {
      this.#client = undefined;
      client.close();
      child.kill("SIGKILL");
      const ending = await exited;
      throw ending === EXIT_CANNOT_LOAD ? endedAtStart(ending) : error;
    }
  }

  async #whenServing(
    client: InstanceType<typeof Client>,
    adapters: readonly AdapterSource[],
  ): Promise<EngineStatusResponse> {
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + LOAD_MS, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    this.#client = client;
    this.#awaySince = undefined;
    // Some may have been unloaded while it started.
    for (const { name } of adapters) {
      if (!this.#adapters.has(name)) await this.unloadAdapter(name);
    }
    return this.status();
  }

  /** gRPC fails a dead engine's requests with UNAVAILABLE; the next process serves new ones. */
  async #replace(ending: Ending): Promise<void> {
    this.#client?.close();
    this.#client = undefined;
    this.#awaySince = performance.now();
    let reason = endedWith(ending);
    // Whatever stops the next one, even files that can't be read, may be over at the try after it.
    while (!this.#closing) {
      await this.#pause(reason);
      if (this.#closing) return;
      try {
        await this.#launch();
        log.info("the engine serves again");
        return;
      } catch (error) {
        reason = messageOf(error);
      }
    }
  }

  async #pause(reason: string): Promise<void> {
    log.warn(`${reason}; starting another in ${this.#backoff} ms`);
    const wait = this.#backoff;
    this.#backoff = Math.min(wait * 2, LAST_BACKOFF_MS);
    await sleep(wait);
  }

  /** Streams an answer. Destroying or cancelling the stream cancels the request in the engine. */
  generate(
    request: EngineGenerateRequest,
  ): ClientReadableStream<EngineGenerateResponse> | undefined {
    const method = this.#client?.generate;
    if (!this.#client || !method) return undefined;
    return method.call(this.#client, request) as ClientReadableStream<EngineGenerateResponse>;
  }

  /** Streams the score of tokens. Cancelling the stream ends it in the engine's next step. */
  score(request: EngineScoreRequest): ClientReadableStream<EngineScoreResponse> | undefined {
    const method = this.#client?.score;
    if (!this.#client || !method) return undefined;
    return method.call(this.#client, request) as ClientReadableStream<EngineScoreResponse>;
  }

  /** Ends a request, or one of its branches, early. Its stream still ends with the usage. */
  stop(requestId: string, branch = 0): void {
    const method = this.#client?.stop;
    if (!this.#client || !method) return;
    // If the engine is gone, so is the request.
    method.call(this.#client, create(EngineStopRequestSchema, { requestId, branch }), () => {});
  }

  /** Its queued requests are those that wait before it, too. */
  status(): Promise<EngineStatusResponse> {
    return new Promise((resolve, reject) => {
      const method = this.#client?.status;
      if (!this.#client || !method) return reject(new Error("the engine is not running"));
      method.call(
        this.#client,
        create(EngineStatusRequestSchema),
        { deadline: Date.now() + 5000 },
        (error: ServiceError | null, response: EngineStatusResponse) => {
          if (error) return reject(error);
          for (const each of [response.model, ...response.adapters]) {
            if (each) each.digest = this.#textOf(each.id)?.digestWith(each.digest) ?? each.digest;
          }
          if (response.load) {
            response.load.queuedRequests += this.queue.waiting;
            response.load.maxRunning = this.queue.maxRunning;
            response.load.msBetweenEnds = this.queue.msBetweenEnds;
          }
          resolve(response);
        },
      );
    });
  }

  /**
   * Loads an adapter into the running engine, and into those that follow it.
   * @throws ConnectError that names what is wrong with its files
   */
  async loadAdapter({ name, path, tokens = 0 }: AdapterSource): Promise<void> {
    const request = create(EngineLoadAdapterRequestSchema, { name, path, tokens });
    await this.#call("loadAdapter", request);
    this.#adapters.set(name, { name, path, tokens });
  }

  /** The adapter serves no new requests, also after a restart. */
  async unloadAdapter(name: string): Promise<void> {
    this.#adapters.delete(name);
    try {
      await this.#call("unloadAdapter", create(EngineUnloadAdapterRequestSchema, { name }));
    } catch (error) {
      // The next process starts without it, or unloads it then.
      if (ConnectError.from(error).code !== Code.Unavailable) throw error;
    }
  }

  /** @throws ConnectError, also if the process ends before it answers */
  #call(name: "loadAdapter" | "unloadAdapter", request: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      const client = this.#client;
      const method = client?.[name];
      const restarting = new ConnectError("the engine is restarting", Code.Unavailable);
      if (!client || !method) return reject(restarting);
      method.call(client, request, (error: ServiceError | null) => {
        if (error) reject(new ConnectError(error.details, error.code as unknown as Code));
        else if (client !== this.#client) reject(restarting);
        else resolve();
      });
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    const child = this.#child;
    this.#client?.close();
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.stdin?.end();
      const kill = setTimeout(() => child.kill("SIGKILL"), 3000);
      await gone;
      clearTimeout(kill);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
