// Membership in the gateway's pool: registers, sends heartbeats, leaves.
import type { EngineStatusResponse } from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  DrainRequestSchema,
  HeartbeatRequestSchema,
  Pool,
  RegisterRequestSchema,
} from "@anabranch/shared/proto/anabranch/v1/pool_pb.js";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { log } from "./log.ts";

export interface PoolOptions {
  gateway: string;
  token: string;
  workerId: string;
  url: string; // where the gateway reaches this worker
  credential: string; // what the gateway presents to it
}

interface ReportingEngine {
  status(): Promise<EngineStatusResponse>;
  /** Its process is gone and another is about to serve. */
  readonly restarting: boolean;
}

const RETRY_MS = 1000;
/** An extra heartbeat waits this long, so that several reasons for one share it. */
const SOON_MS = 50;

export class PoolMembership {
  readonly #options: PoolOptions;
  readonly #engine: ReportingEngine;
  readonly #client: Client<typeof Pool>;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #registered = false;
  /** The worker serves other models than the pool was told. */
  #changed = false;
  #beating = false;
  #again = false;
  #left = false;
  #every = RETRY_MS;

  constructor(options: PoolOptions, engine: ReportingEngine) {
    this.#options = options;
    this.#engine = engine;
    this.#client = createClient(
      Pool,
      createConnectTransport({ baseUrl: options.gateway, httpVersion: "1.1" }),
    );
  }

  /** Registers, then sends heartbeats until leave(). Keeps trying while the gateway is away. */
  join(): void {
    void this.#beat();
  }

  /** Reports the load soon, because a request ended. */
  nudge(): void {
    if (!this.#registered || this.#left) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.#beat();
    }, SOON_MS);
  }

  /** Tells the pool soon that the worker serves other models. */
  registerAgain(): void {
    this.#changed = true;
    void this.#beat();
  }

  /** Leaves the pool. Best effort: the gateway also notices silence. */
  async leave(): Promise<void> {
    this.#left = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#soon);
    if (!this.#registered) return;
    try {
      const request = create(DrainRequestSchema, { workerId: this.#options.workerId });
      await this.#client.drain(request, { ...this.#call(), timeoutMs: 500 });
    } catch (error) {
      log.warn(`could not tell the gateway that this worker leaves: ${(error as Error).message}`);
    }
  }

  #call() {
    return {
      headers: { authorization: `Bearer ${this.#options.token}` },
      timeoutMs: 5000,
    };
  }

  async #beat(): Promise<void> {
    if (this.#left) return;
    if (this.#beating) {
      this.#again = true;
      return;
    }
    this.#beating = true;
    clearTimeout(this.#timer);
    // A change while this beat runs is for the next one.
    const changed = this.#changed;
    this.#changed = false;
    try {
      const status = await this.#statusOrRestarting();
      if (!status) {
        // The worker stays in the pool: its models are listed and requests wait for the next engine.
        this.#changed ||= changed;
        if (this.#registered) await this.#heartbeat(undefined);
      } else if (!this.#registered || changed) await this.#register(status);
      else await this.#heartbeat(status);
    } catch (error) {
      this.#changed ||= changed;
      if (!this.#left) log.warn(`pool: ${(error as Error).message}`);
    }
    this.#beating = false;
    if (this.#left) return;
    const wait = this.#again ? SOON_MS : this.#registered ? this.#every : RETRY_MS;
    this.#again = false;
    this.#timer = setTimeout(() => void this.#beat(), wait);
  }

  /** Undefined while the engine restarts. */
  async #statusOrRestarting(): Promise<EngineStatusResponse | undefined> {
    try {
      return await this.#engine.status();
    } catch (error) {
      if (this.#engine.restarting) return undefined;
      throw error;
    }
  }

  async #register(status: EngineStatusResponse): Promise<void> {
    const { workerId, url, credential, gateway } = this.#options;
    const response = await this.#client.register(
      create(RegisterRequestSchema, {
        workerId,
        url,
        credential,
        models: status.model ? [status.model, ...status.adapters] : [],
        ...(status.load && { load: status.load }),
      }),
      this.#call(),
    );
    this.#every = response.heartbeatMs || RETRY_MS;
    this.#registered = true;
    log.info(`registered with ${gateway} as ${workerId}`);
  }

  async #heartbeat(status: EngineStatusResponse | undefined): Promise<void> {
    const response = await this.#client.heartbeat(
      create(HeartbeatRequestSchema, {
        workerId: this.#options.workerId,
        ...(status?.load && { load: status.load }),
      }),
      this.#call(),
    );
    if (!response.known) {
      this.#registered = false;
      this.#again = true;
    }
  }
}
