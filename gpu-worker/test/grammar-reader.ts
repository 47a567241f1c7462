// Reads a grammar by trying every path: what the engine's reader is compared with.

interface Node {
  final: boolean;
  edges: { kind: number; low: number; high: number; target: number; after: number }[];
}

interface Network {
  nodes: Node[];
  start: number;
}

const networks = new WeakMap<Uint32Array, Network>();

function networkOf(words: Uint32Array): Network {
  const known = networks.get(words) ?? read(words);
  networks.set(words, known);
  return known;
}

function read(words: Uint32Array): Network {
  let at = 1;
  const next = () => words[at++] ?? 0;
  const [count, start] = [next(), next()];
  const nodes = Array.from({ length: count }, () => {
    const final = next() === 1;
    const edges = Array.from({ length: next() }, () => {
      const head = next();
      const [target, after] = [next(), next()];
      return { kind: head & 0xff, low: (head >> 8) & 0xff, high: head >> 16, target, after };
    });
    return { final, edges };
  });
  return { nodes, start };
}

/** Whether all of `text` is in the language of a grammar. */
export function accepts(words: Uint32Array, text: string): boolean {
  const { nodes, start } = networkOf(words);
  const bytes = new TextEncoder().encode(text);
  const known = new Map<string, ReadonlySet<number>>();
  /** Where an automaton that begins at `node` and `from` may have ended. */
  function ends(node: number, from: number): ReadonlySet<number> {
    const key = `${node} ${from}`;
    const found = known.get(key);
    if (found) return found;
    const out = new Set<number>();
    known.set(key, out);
    const seen = new Set<string>();
    const open = [[node, from] as const];
    for (let next = open.pop(); next; next = open.pop()) {
      const [place, at] = next;
      if (seen.has(`${place} ${at}`)) continue;
      seen.add(`${place} ${at}`);
      const { final, edges } = nodes[place] ?? { final: false, edges: [] };
      if (final) out.add(at);
      for (const { kind, low, high, target, after } of edges) {
        const byte = bytes[at] ?? -1;
        if (kind === 0 && byte >= low && byte <= high) open.push([target, at + 1]);
        if (kind === 1) open.push([target, at]);
        if (kind === 2) for (const end of ends(target, at)) open.push([after, end]);
      }
    }
    return out;
  }
  return ends(start, 0).has(bytes.length);
}
