// The numbers of an answer's numbered lists, as they stand in its text.
import { type Block, parseBlocks } from "./markdown.ts";

const leastItems = 3;

/** The numbers of each numbered list of three or more items, nested ones too, in order. */
export function listNumbers(text: string): number[][] {
  const listsOf = (blocks: readonly Block[]): number[][] =>
    blocks.flatMap(({ type, children }) => {
      const inner = listsOf(children);
      if (type !== "list") return inner;
      const marks = children.map(({ start }) => /^\s*(\d+)[.)]/.exec(text.slice(start))?.[1]);
      const numbers = marks.filter((mark) => mark !== undefined).map(Number);
      return numbers.length < leastItems ? inner : [numbers, ...inner];
    });
  return listsOf(parseBlocks(text));
}

/** Whether each number follows the one before. */
export const areInOrder = (numbers: readonly number[]): boolean =>
  numbers.every((number, at) => at === 0 || number === (numbers[at - 1] ?? 0) + 1);
