// What happens in simulated time, in the order of time.

interface Happening {
  at: number;
  run: () => void;
}

export class Agenda {
  /** ms. */
  now = 0;
  readonly #heap: Happening[] = [];

  add(at: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ at, run });
    for (let i = heap.length - 1; i > 0; ) {
      const up = (i - 1) >> 1;
      if (at >= (heap[up]?.at ?? 0)) break;
      this.#swap(i, up);
      i = up;
    }
  }

  /** Runs what comes next. False: nothing does. */
  step(): boolean {
    const next = this.#next();
    if (!next) return false;
    this.now = next.at;
    next.run();
    return true;
  }

  #next(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if ((heap[child]?.at ?? Infinity) < (heap[least]?.at ?? Infinity)) least = child;
      }
      if (least === i) return first;
      this.#swap(i, least);
      i = least;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const [first, second] = [heap[a], heap[b]];
    if (first && second) [heap[a], heap[b]] = [second, first];
  }
}
