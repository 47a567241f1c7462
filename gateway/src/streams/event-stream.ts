// Server-sent events to one client: writes, keep-alive comments during silence, and a signal for when
// the client leaves.

/** A client that leaves is noticed only at the next write, so a silent stream writes comments. */
const keepAliveMs = 250;
const encoder = new TextEncoder();

export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #left = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #keepAlive: Uint8Array;
  #lastWrite = Date.now();
  #writing = 0;
  #closed = false;

  /** `signal` is the request's; `keepAlive` is written during silence. */
  constructor(signal: AbortSignal, keepAlive = ": keep-alive\n\n") {
    const { readable, writable } = new IdentityTransformStream();
    this.body = readable;
    this.#keepAlive = encoder.encode(keepAlive);
    this.#writer = writable.getWriter();
    const leave = () => this.#leave();
    this.#writer.closed.catch(leave);
    signal.addEventListener("abort", leave);
    this.#timer = setInterval(() => {
      if (this.#writing > 0 || Date.now() - this.#lastWrite < keepAliveMs - 10) return;
      this.#write(this.#keepAlive);
    }, keepAliveMs / 2);
  }

  /** Aborted when the client left before the end. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** Writes one event per chunk, in a single write. */
  async send(chunks: readonly object[]): Promise<void> {
    if (chunks.length === 0) return;
    await this.sendText(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""));
  }

  async sendText(text: string): Promise<void> {
    await this.#write(encoder.encode(text));
  }

  async close(): Promise<void> {
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
  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#left.signal.aborted) return;
    this.#writing++;
    try {
      await this.#writer.write(bytes);
      this.#lastWrite = Date.now();
    } catch {
      this.#leave();
    } finally {
      this.#writing--;
    }
  }

  #leave(): void {
    clearInterval(this.#timer);
    if (!this.#closed) this.#left.abort();
  }
}
