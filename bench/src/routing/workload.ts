// Requests of conversations that go on, the same ones for the same numbers.

import type { Random } from "@anabranch/training/random.ts";

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
    const lanes = this.#random.chance(branching) ? this.#random.int(2, 6) : 1;
    const asked = {
      ...conversation,
      promptTokens: systemTokens + turnTokens * (2 * conversation.turns + 1),
      outputTokens: Math.ceil(-Math.log(1 - this.#random.float()) * turnTokens),
      lanes,
    };
    conversation.turns++;
    return asked;
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
