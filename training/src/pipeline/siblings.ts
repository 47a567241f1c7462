// Mentions of earlier items that don't name them: "unlike the two above", "if neither of them works".

const oneOf = (...alternatives: string[]) => `(?:${alternatives.join("|")})`;

const few = "(?:two|three|four|five|six)";
const noun = oneOf(
  "items?|points?|options?|methods?|ways|approach(?:es)?|techniques?|tips?|ideas?|reasons?|factors?|types|kinds",
  "categor(?:y|ies)|strateg(?:y|ies)|suggestions?|examples?|alternatives?|choices?|solutions?|tools?|measures?|ones?",
);
const comparison = oneOf(
  "(?:un)?like|besides|apart from|in addition to|instead of|rather than|except(?: for)?|(?:along|together) with",
  "compared (?:to|with)|in (?:contrast|comparison) (?:to|with)|contrary to|different from|similar to|as opposed to",
  "as with|combined with|on top of|building on|based on|(?:[a-z]{2,}er|(?:more|less) [a-z]+) than|as [a-z]+ as",
  "(?:a|the) [a-z]+(?: [a-z]+)? of|the opposite of",
);
const article = "(?:the|these|those|its)";
const group = "(?:all|both|any|either|each|most|some|neither|none|one)";
const earlier = "(?:above|earlier|previous|preceding|former)";
const ordinal = "(?:first|second|third|fourth|fifth|last|previous|preceding)";

const anywhere = new RegExp(
  `\\b${oneOf(
    `${comparison} (?:${group} (?:of )?)?${article} (?:other |first |last |${earlier} )?${oneOf(few, "others", "former", "latter", ordinal)}(?![\\w-]| ${few}| of| [a-z]+ (?:of|to|that))`,
    `${comparison} (?:${group} (?:of )?)?(?:${article} )?(?:(?:${few} )?${noun} (?:above|before)|either|both|neither|any of (?:them|these|those))(?=\\s*[,.;:!?)])`,
    `(?:${article}|all|both|than|any) ${oneOf("other", earlier)} ${oneOf(few, noun, `${few} ${noun}`)}(?![\\w-]| way| hand| of)`,
    `${oneOf(article, "all")} (?:${few} )?(?:${noun} )?(?:(?:mentioned|listed|described|discussed|named) )?above(?=\\s*[,.;:!?)]| (?:is|are|do|does|can|have|has|will|in|but|and|it|this|fail|work)\\b)`,
    `${group} of (?:the )?${oneOf(earlier, `other ${few}`, "others")}\\b`,
    `(?:if|when|where|should|unless) (?:neither|none|all|both|any|either) (?:of (?:them|these|those|the(?: [a-z]+){1,2}) )?(?:do|does|is|are|have|has|can|will|would|work|help|fail|apply|suit)[a-z]*`,
    "the (?:former|latter)\\b|ditto\\b|the same as (?:above|before)",
    `(?:the|this|that) (?:${ordinal}|next) (?:method|option|tip|approach|technique|item|point|suggestion|one)\\b(?! (?:of|that|to|is|was)\\b)`,
    `(?:from|of|in|than|(?:un)?like|with|to|see|as|and|both|after|before) (?:option|method|tip|point|item|approach|reason|technique|idea|number)s? #?(?:\\d|one|two|three)\\b`,
    "(?:already|just) (?:mentioned|described|discussed|covered|listed|named|introduced)\\b(?! (?:by|in)\\b)",
    `this (?:third|fourth|fifth|sixth|last) ${noun}\\b`,
  )}`,
  "i",
);

/** As the beginning of an item: inside one, "that" is what the item itself has said. */
const atStart = new RegExp(
  `^${oneOf(
    "(?:if|when|should|unless|where) (?:that|this|these|those|it|they|nothing|all else|everything else)(?: [a-z]+)?(?: (?:do|does)(?:n['’]t| not)| fails?| (?:is|are)(?:n['’]t| not| too| less| more))\\b",
    "(?:in|by) (?:comparison|contrast)|the (?:third|fourth|last|final) (?:and|of)\\b|yet another|a(?:nother)? (?:third|fourth|fifth|further)\\b",
    "(?:unlike|like|besides|apart from|in addition to|on top of|beyond) (?:them|those|these|all|both|either|that|this)\\b",
    "(?:the )?same (?:here|again|as|applies|goes|holds|is true)\\b|the (?:reverse|opposite|other way around)\\b|this one\\b",
  )}`,
  "i",
);

/** Whether an item mentions its earlier siblings as a whole, by number or by place. `starts` are where it may begin. */
export const mentionsSiblings = (text: string, starts: readonly string[]): boolean =>
  anywhere.test(text) || starts.some((start) => atStart.test(start));
