import * as general from "./general.ts";
import * as mathematics from "./mathematics.ts";
import * as passages from "./passages.ts";
import * as profiles from "./profiles.ts";
import * as talk from "./talk.ts";
import { Draw, type Family, type Split, type Task, type TaskMaker } from "./task.ts";
import * as words from "./words.ts";

/** All kinds of task with their shares. Two of three tasks, with nine of ten tokens, have independent parts. */
const kinds: Readonly<Record<Family, readonly (readonly [share: number, make: TaskMaker])[]>> = {
  general: [
    [7, general.compareCities],
    [7, general.compareCountries],
    [4, general.countryAspects],
    [7, general.compareAnimals],
    [4, general.comparePlanets],
  ],
  retrieval: [
    [13, passages.passageQuestions],
    [12, profiles.profiles],
  ],
  mathematics: [
    [8, mathematics.sums],
    [7, mathematics.sharedCount],
    [7, mathematics.bills],
  ],
  serial: [
    [3, general.oneEntity],
    [3, general.oneFact],
    [4, passages.passageQuestion],
    [4, profiles.oneProfile],
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

/** Task `index` of a data set that only repeats lines, with which training begins. */
export function makeRepetition(seed: number, index: number, split: Split): Task {
  return words.repeat(new Draw(`${split}/repeat/${seed}/${index}`, split));
}

/** Task `index` of a data set, or of one of its families. It depends only on the arguments. */
export function makeTask(seed: number, index: number, split: Split, family?: Family): Task {
  const draw = new Draw(`${split}/${family ?? ""}/${seed}/${index}`, split);
  const makers = family ? kinds[family] : Object.values(kinds).flat();
  let point = draw.random.float() * makers.reduce((sum, [share]) => sum + share, 0);
  for (const [share, make] of makers) {
    point -= share;
    if (point < 0) return make(draw);
  }
  throw new Error("shares do not add up");
}
