// What tokens of a model cost.

/** Millionths of the currency's unit for a million tokens. */
export interface Price {
  /** Tokens of the prompt that were computed. */
  prompt: number;
  /** Tokens of the prompt that the prefix cache had. */
  cached: number;
  /** Tokens that the client sees. Markers and dropped plans cost nothing. */
  visible: number;
}

interface Tokens {
  /** Cached ones included. */
  promptTokens: number;
  cachedTokens: number;
  visibleTokens: number;
}

const million = 1_000_000n;

/** In millionths of the unit, rounded to the nearest. Null: the model has no price, and costs nothing. */
export function costOf(price: Price | null, tokens: Tokens): number {
  if (!price) return 0;
  const part = (count: number, each: number) => BigInt(count) * BigInt(each);
  const sum =
    part(tokens.promptTokens - tokens.cachedTokens, price.prompt) +
    part(tokens.cachedTokens, price.cached) +
    part(tokens.visibleTokens, price.visible);
  return Number((sum + million / 2n) / million);
}

/** The most that an answer of at most these tokens can cost, however much of its prompt is cached. */
export function mostOf(price: Price | null, promptTokens: number, visibleTokens: number): number {
  if (!price) return 0;
  const prompt = Math.max(price.prompt, price.cached);
  return costOf({ ...price, prompt }, { promptTokens, cachedTokens: 0, visibleTokens });
}
