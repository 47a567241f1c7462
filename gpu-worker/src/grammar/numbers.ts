// Numbers within bounds, digit by digit.
import { GrammarError, type Network, type NodeId } from "./network.ts";

export interface Bounds {
  /** The least and the largest number, or that which all must be above or below. */
  min?: number;
  max?: number;
  above?: number;
  below?: number;
  multipleOf?: number;
}

/** Of a written number: doubles hold as many exactly. */
const MAX_DIGITS = 15;
const MAX_FRACTION = 8;
/** Digits after the point that a number may have beyond those of its bounds. */
const USUAL_FRACTION = 4;
const MAX_DIVISOR = 1_000n;

/** A decimal number: digits / 10^scale. */
interface Decimal {
  digits: bigint;
  scale: number;
}

function decimalOf(value: number): Decimal {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(sign + whole + fraction);
  return scale < 0 ? { digits: digits * 10n ** BigInt(-scale), scale: 0 } : { digits, scale };
}

const power = (exponent: number) => 10n ** BigInt(exponent);
const floorDivide = (a: bigint, b: bigint) => (a >= 0n || a % b === 0n ? a / b : a / b - 1n);
const atMost = ({ digits, scale }: Decimal, k: number) =>
  scale <= k ? digits * power(k - scale) : floorDivide(digits, power(scale - k));
const atLeast = ({ digits, scale }: Decimal, k: number) => -atMost({ digits: -digits, scale }, k);

/** Reads a number within the bounds, in plain notation. */
export function readNumber(
  network: Network,
  from: NodeId,
  bounds: Bounds,
  integer: boolean,
): NodeId {
  const to = network.node();
  const { min, max, above, below, multipleOf } = bounds;
  const decimals = [min, max, above, below, multipleOf].flatMap((each) =>
    each === undefined ? [] : decimalOf(each),
  );
  const scale = Math.max(0, ...decimals.map((each) => each.scale));
  if (scale > MAX_FRACTION) {
    throw new GrammarError(`a bound has more than ${MAX_FRACTION} digits after the point`);
  }
  // A multiple has no more digits after the point than what it is a multiple of.
  const usual =
    multipleOf === undefined ? Math.max(scale, USUAL_FRACTION) : decimalOf(multipleOf).scale;
  const fraction = integer ? 0 : usual;
  for (let k = 0; k <= fraction; k++) {
    const limit = power(MAX_DIGITS) - 1n;
    let [low, high] = [-limit, limit];
    const raise = (to: bigint) => {
      if (to > low) low = to;
    };
    const lower = (to: bigint) => {
      if (to < high) high = to;
    };
    if (min !== undefined) raise(atLeast(decimalOf(min), k));
    if (above !== undefined) raise(atMost(decimalOf(above), k) + 1n);
    if (max !== undefined) lower(atMost(decimalOf(max), k));
    if (below !== undefined) lower(atLeast(decimalOf(below), k) - 1n);
    const step = multipleOf === undefined ? 1n : stepOf(decimalOf(multipleOf), k);
    const digits = new Digits(network, to, k, step);
    digits.read(from, low > 0n ? low : 0n, high);
    // Zero has no sign.
    if (low < 0n) digits.read(network.text(from, "-"), high < 0n ? -high : 1n, -low);
  }
  return to;
}

/** Numbers with k digits after the point are multiples if all their digits together are one of this. */
function stepOf({ digits, scale }: Decimal, k: number): bigint {
  if (digits <= 0n) throw new GrammarError("'multipleOf' must be above 0");
  const other = power(Math.max(0, scale - k));
  const step = scale <= k ? digits * power(k - scale) : digits / gcd(digits, other);
  if (step > MAX_DIVISOR) {
    throw new GrammarError(
      `'multipleOf' is too large: at most ${MAX_DIVISOR} units of the last digit`,
    );
  }
  return step;
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b));

/** Reads whole numbers with a point before the last k digits. */
class Digits {
  readonly #network: Network;
  readonly #to: NodeId;
  readonly #k: number;
  readonly #step: bigint;
  /** By what is left to read. */
  readonly #nodes = new Map<string, NodeId>();

  constructor(network: Network, to: NodeId, k: number, step: bigint) {
    this.#network = network;
    this.#to = to;
    this.#k = k;
    this.#step = step;
  }

  /** From `low`, which is not negative, to `high`. */
  read(from: NodeId, low: bigint, high: bigint): void {
    if (low > high) return;
    const shortest = Math.max(this.#k + 1, String(low).length);
    for (let length = shortest; length <= Math.max(this.#k + 1, String(high).length); length++) {
      const largest = power(length) - 1n;
      // Only the digit before the point may be a leading zero.
      const smallest = length === this.#k + 1 ? 0n : power(length - 1);
      const least = String(low > smallest ? low : smallest).padStart(length, "0");
      const most = String(high < largest ? high : largest).padStart(length, "0");
      if (least <= most) this.#network.empty(from, this.#node(least, most, 0n));
    }
  }

  /** Reads digits from `least` to `most`, after digits of which the remainder is `rest`. */
  #node(least: string, most: string, rest: bigint): NodeId {
    const key = `${least} ${most} ${rest}`;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const node = this.#network.node();
    this.#nodes.set(key, node);
    if (least === "") {
      if (rest === 0n) this.#network.empty(node, this.#to);
      return node;
    }
    const digits = least.length === this.#k ? this.#network.text(node, ".") : node;
    const [first, last] = [Number(least[0]), Number(most[0])];
    for (let digit = first; digit <= last; digit++) {
      const rests = least.length - 1;
      const next = this.#node(
        digit === first ? least.slice(1) : "0".repeat(rests),
        digit === last ? most.slice(1) : "9".repeat(rests),
        (rest * 10n + BigInt(digit)) % this.#step,
      );
      this.#network.bytes(digits, 0x30 + digit, 0x30 + digit, next);
    }
    return node;
  }
}
