// Automata over bytes that call each other, as the engine reads them (native/engine/grammar/grammar.h).

/** A place in a network. */
export type NodeId = number;

const VERSION = 1;
const MAX_NODES = 60_000;
const MAX_EDGES = 240_000;

const kinds = { bytes: 0, empty: 1, call: 2 } as const;

interface Edge {
  kind: number;
  low: number;
  high: number;
  target: NodeId;
  /** Of a call: where to go on. */
  after: NodeId;
}

/** What is asked can't be held. The message is for the client. */
export class GrammarError extends Error {}

const utf8 = new TextEncoder();

/** Methods that read something return the node after it. */
export class Network {
  readonly #edges: Edge[][] = [];
  readonly #finals = new Set<NodeId>();
  #size = 0;

  node(): NodeId {
    if (this.#edges.length >= MAX_NODES) throw tooLarge();
    this.#edges.push([]);
    return this.#edges.length - 1;
  }

  /** Marks the end of an automaton. */
  end(node: NodeId): void {
    this.#finals.add(node);
  }

  /** Reads a byte from `low` to `high`. */
  bytes(from: NodeId, low: number, high: number, to = this.node()): NodeId {
    return this.#add(from, { kind: kinds.bytes, low, high, target: to, after: 0 });
  }

  /** Goes on without reading. */
  empty(from: NodeId, to: NodeId): NodeId {
    return this.#add(from, { kind: kinds.empty, low: 0, high: 0, target: to, after: 0 });
  }

  /** Reads what the automaton that begins at `rule` reads, which is never nothing. */
  call(from: NodeId, rule: NodeId, to = this.node()): NodeId {
    this.#add(from, { kind: kinds.call, low: 0, high: 0, target: rule, after: to });
    return to;
  }

  text(from: NodeId, text: string): NodeId {
    let at = from;
    for (const byte of utf8.encode(text)) at = this.bytes(at, byte, byte);
    return at;
  }

  /** Reads one of the texts. Equal beginnings are read once. */
  oneOf(from: NodeId, texts: Iterable<string>, to = this.node()): NodeId {
    const children = new Map<NodeId, Map<number, NodeId>>();
    for (const text of new Set(texts)) {
      let at = from;
      for (const byte of utf8.encode(text)) {
        let known = children.get(at);
        if (!known) {
          known = new Map();
          children.set(at, known);
        }
        const next = known.get(byte) ?? this.bytes(at, byte, byte);
        known.set(byte, next);
        at = next;
      }
      this.empty(at, to);
    }
    return to;
  }

  /**
   * The network from `start`, without what can't be reached and what can't come to an end.
   * @throws GrammarError if nothing can be written
   */
  words(start: NodeId): Uint32Array<ArrayBuffer> {
    const ending = this.#thoseThatEnd();
    if (!ending.has(start)) throw new GrammarError("no value can satisfy it");
    const alive = ({ kind, target, after }: Edge) =>
      ending.has(target) && (kind !== kinds.call || ending.has(after));
    const order = new Map<NodeId, number>([[start, 0]]);
    const found = [start];
    for (let i = 0; i < found.length; i++) {
      for (const edge of this.#edges[found[i] ?? 0] ?? []) {
        if (!alive(edge)) continue;
        for (const next of edge.kind === kinds.call ? [edge.target, edge.after] : [edge.target]) {
          if (order.has(next)) continue;
          order.set(next, found.length);
          found.push(next);
        }
      }
    }
    const words = [VERSION, found.length, 0];
    const indexOf = (node: NodeId) => order.get(node) ?? 0;
    for (const node of found) {
      const edges = (this.#edges[node] ?? []).filter(alive);
      words.push(this.#finals.has(node) ? 1 : 0, edges.length);
      for (const { kind, low, high, target, after } of edges) {
        words.push(kind | (low << 8) | (high << 16), indexOf(target));
        words.push(kind === kinds.call ? indexOf(after) : 0);
      }
    }
    return Uint32Array.from(words);
  }

  #add(from: NodeId, edge: Edge): NodeId {
    if (++this.#size > MAX_EDGES) throw tooLarge();
    this.#edges[from]?.push(edge);
    return edge.target;
  }

  /** The nodes from which the end of their automaton can be reached. */
  #thoseThatEnd(): Set<NodeId> {
    const waiting = new Map<NodeId, { from: NodeId; edge: Edge }[]>();
    for (const [from, edges] of this.#edges.entries()) {
      for (const edge of edges) {
        for (const node of edge.kind === kinds.call ? [edge.target, edge.after] : [edge.target]) {
          const list = waiting.get(node);
          if (list) list.push({ from, edge });
          else waiting.set(node, [{ from, edge }]);
        }
      }
    }
    const ending = new Set(this.#finals);
    const open = [...this.#finals];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      for (const { from, edge } of waiting.get(node) ?? []) {
        if (ending.has(from) || !ending.has(edge.target)) continue;
        if (edge.kind === kinds.call && !ending.has(edge.after)) continue;
        ending.add(from);
        open.push(from);
      }
    }
    return ending;
  }
}

const tooLarge = () => new GrammarError("it is too large to be held");
