import * as general from "./general.ts";
import * as mathematics from "./mathematics.ts";
import * as retrieval from "./retrieval.ts";
import * as talk from "./talk.ts";
import { Draw, type Family, type Split, type Task, type TaskMaker } from "./task.ts";
import * as words from "./words.ts";

/** Every kind of task with its share; two in three have independent parts, and nine in ten of the tokens. */
const kinds: Readonly<Record<Family, readonly (readonly [share: number, kind: TaskMaker])[]>> = {
  general: [
    [7, general.compareCities],
    [7, general.compareCountries],
    [4, general.countryAspects],
    [7, general.compareAnimals],
    [4, general.comparePlanets],
  ],
  retrieval: [
    [13, retrieval.passageQuestions],
    [12, retrieval.profiles],
  ],
  mathematics: [
    [8, mathematics.sums],
    [7, mathematics.sharedCount],
    [7, mathematics.bills],
  ],
  serial: [
    [3, general.oneEntity],
    [3, general.oneFact],
    [4, retrieval.passageQuestion],
    [4, retrieval.oneProfile],
    [4, mathematics.oneSum],
    [6, mathematics.chain],
    [2, words.repeat],
    [4, words.spelling],
    [3, words.counting],
    [5, words.sorting],
    [1, talk.smallTalk],
    [1, talk.story],
  ],
};

/** Task `index` of a set of repetitions alone, which come first in training. */
export function makeRepetition(seed: number, index: number, split: Split): Task {
  return words.repeat(new Draw(`${split}/repeat/${seed}/${index}`, split));
}

/** Task `index` of a data set, or of one family of it: depends on nothing but its arguments. */
export function makeTask(seed: number, index: number, split: Split, family?: Family): Task {
  const draw = new Draw(`${split}/${family ?? ""}/${seed}/${index}`, split);
  const choice = family ? kinds[family] : Object.values(kinds).flat();
  let point = draw.random.float() * choice.reduce((sum, [share]) => sum + share, 0);
  for (const [share, kind] of choice) {
    point -= share;
    if (point < 0) return kind(draw);
  }
  throw new Error("shares do not add up");
}
