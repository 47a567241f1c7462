// Requests of conversations that go on, the same ones for the same numbers.

import type { Random } from "@anabranch/training/random.ts";

interface Conversation {
  id: number;
  tenant: string;
  turns: number;
}

export interface Asked extends Conversation {
  promptTokens: number;
  /** Of the prompt: what the turn before had, its answer included. */
  earlierTokens: number;
  outputTokens: number;
  lanes: number;
}

const systemTokens = 600;
const turnTokens = 300;
const newConversation = 0.3;
const maxTurns = 12;
const tenants = 200;
/** What is asked for: a fact, an explanation, a text; how long an answer is, and how often it branches. */
interface Kind {
  share: number;
  tokens: number;
  branching: number;
}
const kinds: readonly [Kind, ...Kind[]] = [
  { share: 0.4, tokens: 60, branching: 0.05 },
  { share: 0.35, tokens: 300, branching: 0.6 },
  { share: 0.25, tokens: 700, branching: 0.67 },
];
const branches = { least: 2, most: 6 };

export class Workload {
  readonly #random: Random;
  readonly #open: Conversation[] = [];
  #conversations = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The next turn of some conversation, old or new. */
  next(): Asked {
    const conversation = this.#conversation();
    const { tokens, branching } = this.#kind();
    const { least, most } = branches;
    const lanes = this.#random.chance(branching) ? this.#random.int(least, most) : 1;
    const promptOf = (turns: number) => systemTokens + turnTokens * (2 * turns + 1);
    const asked = {
      ...conversation,
      promptTokens: promptOf(conversation.turns),
      earlierTokens: conversation.turns > 0 ? promptOf(conversation.turns - 1) : 0,
      outputTokens: Math.ceil(-Math.log(1 - this.#random.float()) * tokens),
      lanes,
    };
    conversation.turns++;
    return asked;
  }

  #kind(): Kind {
    const wanted = this.#random.float();
    let share = 0;
    for (const kind of kinds) {
      share += kind.share;
      if (wanted < share) return kind;
    }
    return kinds[0];
  }

  #conversation(): Conversation {
    const place = Math.floor(this.#random.float() * this.#open.length);
    const old = this.#open[place];
    if (old && !this.#random.chance(newConversation)) {
      if (old.turns + 1 >= maxTurns) this.#open.splice(place, 1);
      return old;
    }
    const tenant = `t${this.#random.int(0, tenants - 1)}`;
    const conversation = { id: this.#conversations++, tenant, turns: 0 };
    this.#open.push(conversation);
    return conversation;
  }
}
