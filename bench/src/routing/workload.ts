// Requests of conversations that go on, the same ones for the same numbers.

interface Conversation {
  id: number;
  tenant: string;
  turns: number;
}

export interface Asked extends Conversation {
  promptTokens: number;
  outputTokens: number;
  lanes: number;
}

const systemTokens = 600;
const turnTokens = 300;
const newConversation = 0.3;
const maxTurns = 12;
const tenants = 200;
const branching = 0.4;

/** Uniform in [0, 1): mulberry32. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class Workload {
  readonly #random: () => number;
  readonly #open: Conversation[] = [];
  #conversations = 0;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The next turn of some conversation, old or new. */
  next(): Asked {
    const conversation = this.#conversation();
    const lanes = this.#random() < branching ? 2 + Math.floor(this.#random() * 5) : 1;
    const asked = {
      ...conversation,
      promptTokens: systemTokens + turnTokens * (2 * conversation.turns + 1),
      outputTokens: Math.ceil(-Math.log(1 - this.#random()) * turnTokens),
      lanes,
    };
    conversation.turns++;
    return asked;
  }

  #conversation(): Conversation {
    const place = Math.floor(this.#random() * this.#open.length);
    const old = this.#open[place];
    if (old && this.#random() >= newConversation) {
      if (old.turns + 1 >= maxTurns) this.#open.splice(place, 1);
      return old;
    }
    const tenant = `t${Math.floor(this.#random() * tenants)}`;
    const conversation = { id: this.#conversations++, tenant, turns: 0 };
    this.#open.push(conversation);
    return conversation;
  }
}
