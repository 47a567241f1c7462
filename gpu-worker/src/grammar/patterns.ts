// Regular expressions as deterministic automata over code points, by refa.
import { CharSet, type Concatenation, DFA, type Element, JS, NFA, type NoParent } from "refa";
import { GrammarError, type Network, type NodeId } from "./network.ts";
import { type Range, readInString, readRange } from "./utf8.ts";

/** Of all patterns of one grammar. */
const MAX_PATTERN_NODES = 20_000;
const MAX_PATTERN_CHARS = 4_000;
const MAX_CHARACTER = 0x10ffff;
const options = { maxCharacter: MAX_CHARACTER };

type Alternative = NoParent<Concatenation>;
const anything: Alternative = {
  type: "Concatenation",
  elements: [
    {
      type: "Quantifier",
      ...{ min: 0, max: Number.POSITIVE_INFINITY, lazy: false },
      alternatives: [
        {
          type: "Concatenation",
          elements: [{ type: "CharacterClass", characters: CharSet.all(MAX_CHARACTER) }],
        },
      ],
    },
  ],
};

/** Whether it is ^ ("behind") or $ ("ahead"), outside of multiline mode. */
function isAnchor(element: NoParent<Element> | undefined, kind: "behind" | "ahead"): boolean {
  if (element?.type !== "Assertion" || element.kind !== kind || !element.negate) return false;
  const [first, ...others] = element.alternatives;
  const [only, ...more] = first?.elements ?? [];
  return (
    others.length === 0 &&
    more.length === 0 &&
    only?.type === "CharacterClass" &&
    only.characters.isAll
  );
}

/** The alternatives of a pattern without the groups around them. */
function flat(alternatives: readonly Alternative[]): Alternative[] {
  return alternatives.flatMap((each) => {
    const [only] = each.elements;
    return each.elements.length === 1 && only?.type === "Alternation"
      ? flat(only.alternatives)
      : [each];
  });
}

/** Takes anchors off; a `search` may have any text where there is none. */
function unanchored(alternative: Alternative, search: boolean): Alternative {
  const elements = [...alternative.elements];
  const fill = search ? anything.elements : [];
  const begins = isAnchor(elements[0], "behind");
  if (begins) elements.shift();
  const ends = isAnchor(elements.at(-1), "ahead");
  if (ends) elements.pop();
  return {
    type: "Concatenation",
    elements: [...(begins ? [] : fill), ...elements, ...(ends ? [] : fill)],
  };
}

const contains = (alternatives: readonly Alternative[]): boolean =>
  alternatives.some(({ elements }) =>
    elements.some(
      (element) =>
        element.type === "Assertion" ||
        ("alternatives" in element && contains(element.alternatives)),
    ),
  );

/** Of expressions that every grammar may have; by their source. */
const formats = new Map<string, DFA>();

/** The patterns of one grammar, which share a budget. */
export class Patterns {
  #left = MAX_PATTERN_NODES;

  /**
   * @param search as `pattern` of JSON Schema: the text has the pattern somewhere. Else all of it is.
   * @throws GrammarError naming what is wrong with the pattern
   */
  parse(source: string, search: boolean): DFA {
    const refuse = (why: string) =>
      new GrammarError(`the pattern ${JSON.stringify(source)} ${why}`);
    if (source.length > MAX_PATTERN_CHARS) {
      throw new GrammarError(`a pattern has more than ${MAX_PATTERN_CHARS} characters`);
    }
    let alternatives: Alternative[];
    try {
      const { expression } = JS.Parser.fromLiteral({ source, flags: "u" }).parse({
        ...{ assertions: "parse", backreferences: "throw", maxNodes: MAX_PATTERN_CHARS * 2 },
      });
      alternatives = flat(expression.alternatives).map((each) => unanchored(each, search));
    } catch (error) {
      throw refuse(`can't be read: ${error instanceof Error ? error.message : error}`);
    }
    if (contains(alternatives)) {
      throw refuse("looks around or has an anchor inside, which can't be held");
    }
    return this.#limited(() => {
      const nfa = NFA.fromRegex(alternatives, options, {}, this.#nodes(NFA.nodeFactory));
      return DFA.fromFA(nfa, this.#nodes(DFA.nodeFactory));
    }, refuse);
  }

  /** An expression of our own, which is read once. */
  format(source: string): DFA {
    const known = formats.get(source) ?? new Patterns().parse(source, false);
    formats.set(source, known);
    return known;
  }

  /** Texts of `pattern` with `min` to `max` code points. */
  withLength(pattern: DFA, min: number, max: number): DFA {
    const bounds: Alternative = {
      type: "Concatenation",
      elements: anything.elements.map((each) => ({ ...each, min, max }) as NoParent<Element>),
    };
    const refuse = (why: string) => new GrammarError(`a pattern with a length ${why}`);
    return this.#limited(() => {
      const lengths = NFA.fromRegex(bounds, options, {}, this.#nodes(NFA.nodeFactory));
      return DFA.fromIntersection(pattern, lengths, this.#nodes(DFA.nodeFactory));
    }, refuse);
  }

  /** Texts of `pattern`, except these. */
  except(pattern: DFA, texts: Iterable<string>): DFA {
    const words = [...texts].map((text) => [...text].map((each) => each.codePointAt(0) ?? 0));
    return this.#limited(
      () => {
        const others = DFA.fromWords(words, options, this.#nodes(DFA.nodeFactory));
        others.complement(this.#nodes(DFA.nodeFactory));
        return DFA.fromIntersection(pattern, others, this.#nodes(DFA.nodeFactory));
      },
      (why) => new GrammarError(`the names of properties: the automaton ${why}`),
    );
  }

  #nodes<Node>(factory: { createNode(): Node }): { createNode(): Node } {
    return {
      createNode: () => {
        if (--this.#left < 0) throw new Spent();
        return factory.createNode();
      },
    };
  }

  #limited(build: () => DFA, refuse: (why: string) => GrammarError): DFA {
    try {
      const dfa = build();
      dfa.minimize();
      return dfa;
    } catch (error) {
      if (error instanceof Spent) throw refuse("is too large to be held");
      throw error;
    }
  }
}

class Spent extends Error {}

/**
 * Reads a text that the automaton accepts.
 * @param inString with the escapes of a JSON string
 */
export function readPattern(network: Network, from: NodeId, dfa: DFA, inString: boolean): NodeId {
  const read: (network: Network, from: NodeId, range: Range, to: NodeId) => void = inString
    ? readInString
    : readRange;
  const to = network.node();
  const nodes = new Map<DFA.ReadonlyNode, NodeId>([[dfa.initial, from]]);
  const nodeOf = (state: DFA.ReadonlyNode) => {
    const known = nodes.get(state) ?? network.node();
    nodes.set(state, known);
    return known;
  };
  // A first state that can be come back to is not the caller's node.
  nodes.set(dfa.initial, network.node());
  network.empty(from, nodeOf(dfa.initial));
  for (const state of dfa.nodes()) {
    for (const [range, next] of state.out) read(network, nodeOf(state), range, nodeOf(next));
    if (dfa.finals.has(state)) network.empty(nodeOf(state), to);
  }
  return to;
}
