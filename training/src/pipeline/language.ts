// Whether a text is in English, the one language whose words of dependence cues.ts has. It is judged by function
// words, as those are what the cues are made of.

const wordSet = (list: string) => new Set(list.trim().split(/\s+/));

/** None of them is frequent in another language. */
const english = wordSet(`
  the and are with that your you they their this these those which from can have has by not it its to be of is was
  for or if how what when who been would should could about more than into through while also such each some any`);

/** Of languages in Latin script; none is an English word. */
const others = wordSet(`
  der das und ist mit den nicht ein eine einen einem einer für auf von zu dem des sich auch werden wird sind oder wie
  el los las una unos unas que en del al por para con se es su sus más como lo son está pueden puede
  le les et est une du dans pas ces pour avec qui aux ce cette il elle ils elles ou sont
  um uma o os não em da dos na nos ao é são mais pelo pela você seu sua
  il i gli di che è della delle dei nel nella sono non più si la un
  het een van niet voor zijn naar dat deze worden op bij ook
  och ett att det som är på för med av inte eller og ikke til af er
  nie się jest że są dla oraz jak przez
  ve bir bu için ile olarak daha dan yang untuk dengan adalah dari pada tidak
  ja ei että ovat és az egy nem hogy je že jsou pro și este cu pe din sunt
  và của là các cho không trong một được`);

/** In so many function words the text itself tells its language; else those around it are asked as well. */
const enough = 3;

/** Undefined if the text has fewer function words than `least`, or as many of both kinds. */
function judge(text: string, least: number): boolean | undefined {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  const latin = text.match(/\p{Script=Latin}/gu)?.length ?? 0;
  if (letters > 0 && latin * 2 < letters) return false;
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
  const own = words.filter((word) => english.has(word)).length;
  const foreign = words.filter((word) => others.has(word)).length;
  return own + foreign < least || own === foreign ? undefined : own > foreign;
}

const isAccented = (text: string) => /[^\P{Script=Latin}A-Za-z]/u.test(text);

/** Whether a text is in English. If it is too short to tell, what stands around it tells. */
export function isEnglish(text: string, around: string): boolean {
  return judge(text, enough) ?? judge(`${text}\n${around}`, 1) ?? !isAccented(text);
}
