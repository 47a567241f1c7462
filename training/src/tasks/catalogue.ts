import * as compare from "./compare.ts";
import * as passage from "./passage.ts";
import * as sums from "./sums.ts";
import * as talk from "./talk.ts";
import { Draw, type Family, type Split, type Task } from "./task.ts";
import * as words from "./words.ts";

/** Every family with its share; about six in ten tasks have independent parts. */
export const families: readonly (readonly [share: number, family: Family])[] = [
  [10, compare.compareCities],
  [8, compare.compareCountries],
  [5, compare.countryAspects],
  [8, compare.compareAnimals],
  [5, compare.comparePlanets],
  [13, passage.passageQuestions],
  [9, sums.sumsAndTotal],
  [6, sums.sharedCount],
  [6, compare.oneEntity],
  [6, compare.oneFact],
  [5, passage.passageQuestion],
  [3, sums.oneSum],
  [6, sums.chain],
  [4, words.spelling],
  [2, words.counting],
  [2, words.sorting],
  [2, talk.smallTalk],
  [3, talk.story],
];

const total = families.reduce((sum, [share]) => sum + share, 0);

/** Task `index` of a data set: depends on nothing but its arguments. */
export function makeTask(seed: number, index: number, split: Split): Task {
  const draw = new Draw(`${split}/${seed}/${index}`, split);
  let point = draw.random.float() * total;
  for (const [share, family] of families) {
    point -= share;
    if (point < 0) return family(draw);
  }
  throw new Error("shares do not add up");
}
