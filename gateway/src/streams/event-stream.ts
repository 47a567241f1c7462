// Server-sent events to one client: writes, keep-alive comments during silence, and a signal for when
// the client leaves.

/** A client that leaves is noticed only at the next write, so a silent stream writes comments. */
const keepAliveMs = 1_000;
/** Characters that may wait for a client that reads slowly. Whoever writes more waits with them. */
const mostWaiting = 65_536;
const encoder = new TextEncoder();

/** Some clients take these for line breaks, which end a field of an event. JSON has them in strings alone. */
const onOneLine = (json: string) =>
  json.replace(
    /[\u0085\u2028\u2029]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #left = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #keepAlive: string;
  readonly #named: boolean;
  #lastWrite = Date.now();
  /** What is written together once the write before has been taken. */
  #waiting = "";
  #flushing: Promise<void> | null = null;
  #closed = false;

  /**
   * `signal` is the request's; `keepAlive` is written during silence; `named`: an event's name is the `type` of its
   * data.
   */
  constructor(
    signal: AbortSignal,
    { keepAlive = ": keep-alive\n\n", named = false }: { keepAlive?: string; named?: boolean } = {},
  ) {
    this.#named = named;
    const { readable, writable } = new IdentityTransformStream();
    this.body = readable;
    this.#keepAlive = keepAlive;
    this.#writer = writable.getWriter();
    const leave = () => this.#leave();
    this.#writer.closed.catch(leave);
    signal.addEventListener("abort", leave);
    this.#timer = setInterval(() => {
      if (this.#flushing || Date.now() - this.#lastWrite < keepAliveMs - 10) return;
      void this.sendText(this.#keepAlive);
    }, keepAliveMs / 2);
  }

  /** Aborted when the client left before the end. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** Writes one event per chunk, in a single write. Resolves when there is room for more. */
  async send(chunks: readonly object[]): Promise<void> {
    if (chunks.length === 0) return;
    const lines = chunks.map((chunk) => {
      const name = this.#named && "type" in chunk ? `event: ${chunk.type}\n` : "";
      return `${name}data: ${onOneLine(JSON.stringify(chunk))}\n\n`;
    });
    await this.sendText(lines.join(""));
  }

  async sendText(text: string): Promise<void> {
    if (this.#left.signal.aborted) return;
    this.#waiting += text;
    this.#flushing ??= this.#flush();
    if (this.#waiting.length > mostWaiting) await this.#flushing;
  }

  /** Resolves when the client has taken everything, or has left. */
  async flush(): Promise<void> {
    await this.#flushing;
  }

  async close(): Promise<void> {
    await this.flush();
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#writer.close().catch(() => this.#leave());
  }

  /** Breaks the body off, so that its reader sees that it is incomplete. */
  async abort(reason: Error): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#writer.abort(reason).catch(() => undefined);
  }

  /** Never rejects: `left` reports a client that is gone. */
  async #flush(): Promise<void> {
    try {
      while (this.#waiting !== "" && !this.#left.signal.aborted) {
        const bytes = encoder.encode(this.#waiting);
        this.#waiting = "";
        await this.#writer.write(bytes);
        this.#lastWrite = Date.now();
      }
    } catch {
      this.#leave();
    } finally {
      this.#flushing = null;
    }
  }

  #leave(): void {
    clearInterval(this.#timer);
    if (!this.#closed) this.#left.abort();
  }
}
