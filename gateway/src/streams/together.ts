// A stream whose pieces come faster than they are handled, in larger pieces. workerd reads a chunked body one chunk at a
// time, and servers send each event of an answer as a chunk of its own.

/** Bytes that may wait to be taken. */
const mostWaiting = 65_536;
/** One of so many pieces is waited with, to see whether others come meanwhile. */
const piecesBetweenLooks = 16;
/** How long pieces are waited for, at first and at most, ms. */
const firstWait = 2;
const longestWait = 16;
/**
 * From so many takes a millisecond on, of all streams, this isolate has little time left, and a stream's next piece may be long
 * in coming because the others' are before it. Then all wait, as long as brings the takes down to about this rate, but never so
 * long that a reader would notice.
 */
const busyRate = 3;
/** ms. */
const longestBusyWait = 100;
/** The rate is measured over this time, ms. */
const rateMs = 100;

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = pieces;
  if (first && pieces.length === 1) return first;
  const all = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}

/** Reads a stream ahead of whoever takes its pieces. */
class Ahead {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #pieces: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #failure: { error: unknown } | null = null;
  /** Called when something has come, when nothing more is waited for, and when something was taken. */
  #onPiece = () => {};
  #onEnough = () => {};
  #onTaken = () => {};

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.#read()
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#ended = true;
        this.#onPiece();
        this.#onEnough();
      });
  }

  async #read(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      this.#pieces.push(value);
      this.#size += value.byteLength;
      this.#onPiece();
      if (this.#size <= mostWaiting) continue;
      this.#onEnough();
      await new Promise<void>((resolve) => {
        this.#onTaken = resolve;
      });
    }
  }

  /** Resolves when something has come, or nothing more will. */
  async some(): Promise<void> {
    if (this.#size > 0 || this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#onPiece = resolve;
    });
  }

  /** Resolves after `ms`, or before if nothing more will come or much has. */
  async wait(ms: number): Promise<void> {
    if (this.#ended || this.#size > mostWaiting) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onEnough = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** What has come, and of how many pieces it was; null at the end. Throws what the stream failed with. */
  take(): { bytes: Uint8Array; count: number } | null {
    const count = this.#pieces.length;
    if (count > 0) {
      const bytes = joined(this.#pieces, this.#size);
      this.#pieces = [];
      this.#size = 0;
      this.#onTaken();
      return { bytes, count };
    }
    if (this.#failure) throw this.#failure.error;
    return null;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
  }
}

/** All streams of this isolate. */
class Rate {
  /** Streams that are open. */
  open = 0;
  /** Of the last measurement: takes a millisecond. */
  #last = 0;
  #takes = 0;
  #since = 0;

  take(): void {
    this.#takes++;
    const now = Date.now();
    if (now - this.#since < rateMs) return;
    this.#last = this.#takes / (now - this.#since);
    this.#takes = 0;
    this.#since = now;
  }

  /** How long each stream waits, ms. */
  get wait(): number {
    return this.#last > busyRate ? Math.min(longestBusyWait, this.open / busyRate) : 0;
  }
}

const rate = new Rate();

/**
 * The bytes of a stream. They are passed on as they come, while waiting for others brings none; then what has come
 * together is passed on together.
 */
export async function* bytesTogether(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const ahead = new Ahead(stream);
  rate.open++;
  try {
    for (let wait = 0, untilLook = piecesBetweenLooks; ; ) {
      await ahead.some();
      const least = Math.max(wait, rate.wait);
      if (least > 0) await ahead.wait(least);
      const taken = ahead.take();
      if (!taken) return;
      rate.take();
      yield taken.bytes;
      if (taken.count > 1) {
        wait = Math.min(longestWait, Math.max(firstWait, 2 * wait));
      } else if (wait > 0) {
        wait = 0;
        untilLook = piecesBetweenLooks;
      } else if (--untilLook === 0) {
        wait = firstWait;
      }
    }
  } finally {
    rate.open--;
    await ahead.cancel();
  }
}
