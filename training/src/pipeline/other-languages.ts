// Answers in languages other than English, of which only few words of dependence are known. So it is not enough
// that nothing shows dependence: something must show that the items are independent.
import { procedureWords, sequelWords } from "@anabranch/shared/order-words.ts";
import { type ItemContext, type ItemText, unmarked } from "./item-text.ts";

const words = (...lists: string[]): string =>
  `(?<!\\p{L})(?:${lists.map((list) => list.trim().replaceAll(/\s*\|\s*/g, "|")).join("|")})(?!\\p{L})`;

/** German, Spanish, French, Portuguese, Italian; Chinese has no plural, so words for "several" stand for it. */
const sideBySide = new RegExp(
  `${words(
    `tipps|ratschläge|gründe|ursachen|arten|typen|vorteile|nachteile|beispiele|merkmale|eigenschaften|möglichkeiten
    |ideen|vorschläge|empfehlungen|faktoren|risiken|fragen|unterschiede|gemeinsamkeiten|sehenswürdigkeiten|strategien
    |methoden|aspekte|argumente|folgen|auswirkungen|stärken|schwächen|optionen|alternativen|themen|symptome|anzeichen`,
    `consejos|razones|motivos|causas|tipos|ventajas|desventajas|ejemplos|características|maneras|ideas|sugerencias
    |recomendaciones|factores|riesgos|preguntas|diferencias|lugares|estrategias|métodos|aspectos|argumentos
    |consecuencias|efectos|opciones|alternativas|síntomas|señales|beneficios`,
    `conseils|astuces|raisons|causes|types|avantages|inconvénients|exemples|caractéristiques|qualités|façons|moyens
    |idées|suggestions|recommandations|facteurs|risques|questions|différences|lieux|stratégies|méthodes|aspects
    |arguments|conséquences|effets|options|alternatives|symptômes|signes|bienfaits`,
    `dicas|conselhos|razões|vantagens|desvantagens|exemplos|maneiras|ideias|sugestões|recomendações|fatores|riscos
    |perguntas|diferenças|estratégias|consequências|efeitos|opções|sintomas|sinais|benefícios`,
    `consigli|motivi|ragioni|cause|tipi|vantaggi|svantaggi|esempi|caratteristiche|modi|idee|suggerimenti
    |raccomandazioni|fattori|rischi|domande|differenze|luoghi|strategie|metodi|aspetti|argomenti|conseguenze|effetti
    |opzioni|sintomi|segni|benefici`,
  )}|建议|理由|原因|类型|种类|优点|缺点|优势|劣势|例子|特点|特征|推荐|因素|风险|区别|差异|景点|后果|好处|症状
  |(?:几种|多种|几个|多个|以下|哪些|一些|各种)[^，。：\\n]{0,6}(?:方法|方式|问题|想法|策略|方面|选择|影响|地方|主题)`.replaceAll(
    /\n\s*/g,
    "",
  ),
  "iu",
);

/** Whether a text has one of the words, whole where a script has spaces between words. */
const anyOf = (list: readonly string[], more: string[]): string => {
  const [spaced, unspaced] = [
    list.filter((each) => !han.test(each)),
    list.filter((each) => han.test(each)),
  ];
  return `(?:${words(spaced.join("|"), ...more)}|${unspaced.join("|")})`;
};
const han = /^\p{Script=Han}/u;

/** Words of a lead-in or a prompt for what is done or told in order. */
const inOrder = new RegExp(anyOf(procedureWords, ["roman|guide|guia|guida|instructions"]), "iu");

/** Titles that number a sequence, in any language: "Schritt 1", "第一步". */
const numbered =
  /^(?:第[一二三四五六七八九十\d]+[步天周章部幕集课]|\p{L}+ ?[#.]? ?\d{1,2}(?:$|[\s:：.–-])|[1-9][.．]?\s?(?:日目|番目))/u;

/** Starts of an item that go on from the one before. */
const sequel = new RegExp(
  `^(?:${anyOf(sequelWords, [
    "jetzt|nun|dadurch|deshalb|daher|folglich|außerdem|ebenso|auch|wenn (?:das|dies|es|sie|beides|nichts)",
    "una vez|ahora|en seguida|por (?:lo )?tanto|además|también|si (?:eso|esto|nada|ninguno|ninguna)",
    "maintenant|par conséquent|donc|de plus|également|si (?:cela|ça|rien|aucun|aucune)",
    "uma vez|agora|portanto|além disso|também|se (?:isso|isto|nada|nenhum|nenhuma)",
    "una volta|ora|adesso|perciò|inoltre|anche|se (?:questo|ciò|niente|nessuno|nessuna)",
  ])}|因此|所以|于是|此外|另外|也|这时|(?:如果|若)(?:这|上|前|都|还|仍))`,
  "iu",
);

/** A pronoun whose noun may be in the item before. */
const pronoun = new RegExp(
  `^(?:${words(
    "diese[rsmn]?|dies|jene[rsmn]?|est[aeo]s?|es[aeo]s?|ces?|cet|cette|cela|iss?[ot]|ess[ae]s?|quest[oaei]|quell[oaie]|ciò",
  )}|这|那|它|他们|她们|其)`,
  "iu",
);

/** Mentions of earlier items, anywhere. */
const reference = new RegExp(
  `${words(
    `(?:wie )?oben (?:genannt|beschrieben|erwähnt)\\p{L}*|obige\\p{L}*|vorherige\\p{L}*|vorige\\p{L}*|vorangehende\\p{L}*
    |letztere\\p{L}*|erstere\\p{L}*|zuvor genannt\\p{L}*|kein\\p{L}* (?:davon|der beiden)
    |(?:anders als|gegensatz zu[mr]?|vergleich zu[mr]?|ähnlich wie|wie|außer|statt|neben)[^.,;]{0,10}
    (?:erste|zweite|beiden|anderen|oben)\\p{L}*`,
    `anterior(?:es)?|precedentes?|ya mencionad\\p{L}*|de arriba|los demás|las demás|ningun[oa] de (?:ellos|ellas|los|las)
    |(?:diferencia|contraste|comparad[oa]|además|lugar|vez|igual|como)[^.,;]{0,12}
    (?:primer|segund|otr[oa]|demás|dos)\\p{L}*`,
    `précédent\\p{L}*|ci-dessus|susmentionné\\p{L}*|aucun d(?:e|['’])[^.,;]{1,12}|ces deux
    |(?:contrairement|comparé\\p{L}*|rapport|outre|comme|différence)[^.,;]{0,12}(?:premi|deuxi|second|autre|deux)\\p{L}*`,
    `acima|já mencionad\\p{L}*|nenhum[a]? del[ea]s
    |(?:contrário|diferente|comparad[oa]|além|vez|assim como)[^.,;]{0,12}(?:primeir|segund|outr[oa]|dois|duas|demais)\\p{L}*`,
    `precedent[ei]|di cui sopra|suddett\\p{L}*|nessun[oa] de[il]\\p{L}*
    |(?:differenza|rispetto|oltre|invece|come|contrario)[^.,;]{0,12}(?:prim[oa]|second|altr[oaie]|due)\\p{L}*`,
  )}|上述|前述|前者|后者|第[一二三四五][点个种]|与(?:前|上)|以上(?:这|几|两|三|各|所述)|(?:前|另外|其他)[两三]
  |前一[个种]|都不行|还不行`.replaceAll(/\n\s*/g, ""),
  "iu",
);

/** A request stands at a prompt's start or end. */
const requestCharacters = 400;

/** Why items of an answer that is not in English stay serial, if they do. */
export function reasonForSerial(
  items: readonly ItemText[],
  { prompt, leadIn }: ItemContext,
): string | undefined {
  if (items.some(({ title }) => numbered.test(title))) return "numbered steps";
  const asked = `${prompt.slice(0, requestCharacters)}\n${prompt.slice(-requestCharacters)}`;
  if (inOrder.test(leadIn) || inOrder.test(asked)) return "a procedure";
  const shown = sideBySide.test(leadIn) || sideBySide.test(asked) || areNamed(items, prompt);
  if (!shown) return "nothing shows that the parts are independent";
  for (const [i, { title, text }] of items.entries()) {
    const lead = unmarked(text);
    const rest = lead.startsWith(title)
      ? lead.slice(title.length).replace(/^[\s:：.,，–—|-]+/, "")
      : lead;
    if (reference.test(lead)) return "refers to another part";
    if (i > 0 && (sequel.test(lead) || sequel.test(rest))) return "goes on from the one before";
    if (i > 0 && pronoun.test(lead) && !pronoun.test(unmarked(items[0]?.text ?? ""))) {
      return "opens with a pronoun";
    }
  }
  return undefined;
}

/** Whether the prompt names what each item is about, with a word that is in no other title. */
function areNamed(items: readonly ItemText[], prompt: string): boolean {
  const asked = ` ${prompt.toLowerCase().replaceAll(/[^\p{L}]+/gu, " ")}`;
  const stems = items.map(({ title }) => (title.toLowerCase().match(/\p{L}+/gu) ?? []).map(stemOf));
  return stems.every((own, i) =>
    own.some(
      (stem) => asked.includes(stem) && !stems.some((other, j) => i !== j && other.includes(stem)),
    ),
  );
}

/** A word's beginning, without its ending. Of a script that puts no spaces between words the word as it is. */
function stemOf(word: string): string {
  return /\p{Script=Latin}|\p{Script=Cyrillic}/u.test(word)
    ? ` ${word.slice(0, Math.max(4, word.length - 2))}`
    : word;
}
