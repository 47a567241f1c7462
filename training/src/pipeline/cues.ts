// Phrases that show whether parts of an answer are independent or follow from each other.

/** A case-insensitive pattern: alternatives, written over several lines, between `before` and `after`. */
function cue(before: string, alternatives: string, after: string): RegExp {
  return new RegExp(`${before}(?:${alternatives.replace(/\n\s*/g, "")})${after}`, "i");
}

/** Starts of an item that is the next step after the previous one. */
export const sequel = cue(
  "^",
  String.raw`
  then|next|after(ward)?s?\b|subsequently|once|when (this|that|you('| ha)ve)|now\b|again
  |from (there|here)|thus|therefore|hence|consequently|accordingly
  |as a (result|consequence)|meanwhile|in (turn|return|this (case|step|way))|so\b
  |using (this|that|these|the)|with (this|that|these|the)|since (this|that|we|the)
  |because (this|that|of this)|given (this|that|these)|at this (point|stage)
  |to do (this|so)|all (of )?(these|this|the above)|combin(e|ing)|continue|repeat
  |substitut|simplif|the (remaining|rest|same|other|next|resulting|final)|later|eventually
  |soon|suddenly|one day|years? later|the (following|next) (day|morning)|till|until|return`,
  "\\b",
);

/** Starts of an item that show, even in the first item, that the items follow from each other. */
export const continuation = cue(
  "^",
  String.raw`
  now,? |then,? |next,? |first,? |(we|it|you|i|the \w+) (first|start|begin)|let('|’)?s\s
  |to \w+ (this|that|it|them|these)\b`,
  "",
);

/** Starts of an item that mentions that others come before it. */
export const addition = cue(
  "^",
  `
  finally|lastly|last,|similarly|likewise|conversely|in (contrast|addition)|by contrast
  |also|or|additional|additionally|further|furthermore|moreover|besides|however|but|and
  |yet|instead|alternatively|still|even so|on the (other hand|contrary)|nevertheless
  |nonetheless|plus|another|other|both(?! [^,.;]{1,60} and)|rather|second(ly)?,|third(ly)?,`,
  "\\b",
);

export const ordinal =
  /^(first(ly)?( of all)?|second(ly)?|third(ly)?|fourth(ly)?|fifth(ly)?|finally|lastly|another)\b[\s,]*/i;

/** "Add a third point": things that only earlier items have introduced. */
export const oneMore = /\ban? (second|third|fourth|fifth|sixth|seventh|eighth)\b/i;

/** A pronoun whose noun may be in the previous item. */
export const pronoun =
  /^(it|its|this|that|these|those|they|their|them|he|his|she|her|such|there|here)\b/i;

/** A reference to an earlier item, anywhere in the text. */
export const reference = cue(
  "\\b",
  String.raw`
  as (mentioned|described|shown|noted|discussed|explained|seen|stated|said) (above|before|earlier|previously)
  |as (above|before|earlier)
  |(mentioned|described|shown|listed|noted|discussed|created|defined|given|calculated|found|obtained) (above|earlier|before|previously|in (step|part|section))
  |aforementioned
  |(the|this) (above|previous|preceding|former|latter|prior|same (step|process|procedure|method))\b
  |(from|in|of|by|with|using) (the )?(previous|preceding|last|prior) (step|item|point|section|part|one|example|answer)
  |(repeat|from|in|of|after|to|see|with|by|using) (steps?|parts?|points?|items?|sections?|options?|numbers?) #?\d
  |steps? #?\d+ (above|and|to|through|-)|see (above|below)|from above
  |the (next|previous|last|final) (step|stage|phase)
  |(these|those|this) (steps?|stages?|phases?)
  |(in addition|similar|compared|contrary|unlike|equal) (to )?(the )?(previous|above|former|latter|first|other) (one|item|option|method|approach|two|point)?
  |the (identified|selected|chosen|resulting|trained|extracted|collected|calculated|generated|prepared|cleaned) [a-z]+
  |(remains?|stays?) ([a-z]+ )?at \W?\d+
  |repeat(ing|ed)? (the|this|these|those) (whole )?(process|procedure|sequence|steps?)
  |running total|so far|previously|(all|both|each) of (the )?(above|previous)`,
  "\\b",
);

/** A title that refers to what another part named: "the share of this market". */
export const deictic = /\S (this|these|those) [a-z]/i;

/** A sentence inside an item that repeats what an earlier one said. */
export const saidAgain = /[.!?] (again|once more|as well),/i;

/** A prompt that asks for cause and effect, whatever introduces its list. */
export const processOf = /\bthe process (of|by|in)\b/i;

/** A day or a life in chronological order. */
export const inTime = /\b(daily (life|routine)|typical day|day in (the|my) life|biography)\b/i;

/** Says what numbers must add up to. */
export const total =
  /\b(exactly|in total|total(l?ing)?( of)?|adds? up to|sums? to|budget of)( around| about)? \W?\d|\d[\w,.]* (\w+ )?in total\b/i;

export const pronounThen = /\b(we|you|it|he|she|they|i|and|then) (then|can now|now)\b/i;

/** Titles that number a sequence. Options, examples and methods are not sequences. */
export const numbered = cue(
  "^(the )?",
  String.raw`
  (step|stage|phase|chapter|act|scene|part|day|week|month|year|hour|minute|verse|chorus|stanza|bridge|paragraph|panel|episode|level|round|move|turn|slide|lesson|session|module|section|page|line|beat|frame)s?\s*(#?\d+|one|two|three|four|five|six|i+v?|[a-e])\b
  |(step|stage|phase|chapter|act|scene|day)s?$
  |(early|later) (life|years|career)\b|childhood|youth
  |(first|second|third|fourth|fifth|next|last|final|initial) (step|stage|phase|day|week|part|act|scene|chapter|half|paragraph|quarter|verse|stanza|third|month|year|round|draft)
  |(monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september|october|november|december|spring|summer|autumn|fall|winter)\b
  |(morning|afternoon|evening|night|breakfast|lunch|dinner)s?\b|warm[ -]?up|cool[ -]?down
  |verse|chorus|bridge|outro
  |exposition|rising action|climax|falling action|resolution|denouement|beginning|middle
  |end(ing)?\b|\d{1,2}(:\d\d)?\s*([ap]\.?m\b|[-–])|\d{1,2}:\d\d`,
  "",
);

/** Parts of a recipe or manual, which depend on each other. */
export const procedureTitle = cue(
  "^",
  `
  ingredients?|instructions?|directions?|method|steps?|preparation|procedure|materials?
  |equipment|supplies|installation|setup|what you('ll| will) need|you('ll| will) need`,
  "( \\(.*)?$",
);

/** Parts about another part: an answer to a question, an explanation of code. */
export const aboutAnother = cue(
  "^",
  String.raw`
  (sample |expected |actual )?(input|output)s?|(correct |final )?answers?( key)?
  |solutions?|explanations?( of .*)?|results?|(sample |example )?(code|usage|output)
  |examples?|example (sentence|usage|output|input|code)s?|how (it|this|the [\w ]+) works?
  |here('|’)?s .*|here is .*|command|analysis|comparison( of .*)?|discussion|evaluation
  |translation|verification|proof|justification|rationale|reasoning
  |(key |main )?(similarit(y|ies)|differences?|points|takeaways)|when to use .*
  |calculations?( of .*)?|conclusions?|summary|constraints|relationships|your turn|rubric`,
  "$",
);

/** "A) …": an answer option, which depends on the correct one. */
export const answerOption = /^\(?[a-eA-E][.)](\s|$)/;

/** "2 cups flour": the quantity of an ingredient depends on the others. */
export const quantity = cue(
  "^[\\d½¼¾⅓⅔][\\d\\s/.,½¼¾⅓⅔-]*(\\([^)]*\\) )?",
  `
  large|small|medium|cups?|tablespoons?|tbsp|teaspoons?|tsp|ounces?|oz|grams?|g|kg|ml|l
  |liters?|litres?|pounds?|lbs?|cans?|cloves?|pinch|sticks?|slices?|bunch|packages?
  |packets?`,
  "\\b",
);

/** Words in a list's lead-in that show that its items are done one after another. */
export const procedure = cue(
  "\\b",
  String.raw`
  steps?|stages?|phases?|step[- ]by[- ]step|instructions|directions|procedure|recipe
  |ingredients|walkthrough|tutorial|workflow|algorithm|timeline|itinerary|schedule|agenda
  |routine|sequence|chronological(ly)?|outline|plot|storyline|work(s|ed)? as follows
  |how (it|this) works|(in|follow(ing)?) (this|these|the) (order|steps?)|what to do
  |process|progression|(solution|answer)s?\W*$|solving|deductions?|calculations?|here('|’)?s how
  |here is how (to|you|we|i)
  |here(('|’)s| is) (a|an|one|my) ([a-z-]+ )?(approach|method|way)|logic|derivation|proof|break (it|this|down)|let('|’)?s
  |we (can|need|will|have to|must|should)
  |to (calculate|determine|find|solve|compute|prove|implement|install|derive|evaluate|compile|run|execute|deploy|configure|convert|obtain|prepare|cook|create|build|make|set up|achieve|fix|use|do|open|close|enable|disable|change|remove|add|access|resolve)`,
  "\\b",
);

/** Words for items that are never independent, whatever else the lead-in says. */
export const stepByStep = cue(
  "\\b",
  `
  steps|step[- ]by[- ]step|stages|phases|instructions|procedure|recipe|ingredients
  |chronological(ly)?|timeline|itinerary|schedule|workflow|walkthrough|plan|roadmap
  |implementation|journey|unfolds?|evolution of|here('|’)?s how|here is how (to|you|we|i)
  |in (this|the) (code|program|query|function|script|example|snippet)
  |(in|follow) (this|the|that) order`,
  "\\b",
);

/** Words that show that items are independent. */
export const sideBySide = cue(
  "\\b",
  `
  tips?|ways|strateg(y|ies)|ideas|suggestions|reasons|factors|benefits|advantages
  |disadvantages|examples|types|techniques|practices|options|considerations|methods
  |approaches|aspects|features|characteristics|differences|similarities|causes|effects
  |impacts?|implications|consequences|outcomes|arguments|perspectives|challenges|resources
  |recommendations|questions|names|titles|facts|activities|topics|uses|applications
  |criteria|principles|skills|books|movies|films|songs|games
  |foods|dishes|places|countries|cities|companies|products|pros|cons|strengths|weaknesses
  |opportunities|threats|symptoms|areas|scenarios|possibilities|alternatives|variations
  |answers|clues|signs|signals|things|initiatives|actions|traits|qualities|theories
  |explanations|requirements|responsibilities|roles|services|findings|highlights|trends
  |themes|lessons|problems|issues|solutions|models|frameworks|platforms|websites|sources
  |artists|musicians|actors|people|authors|events|holidays|traditions|brands|hotels
  |restaurants|attractions|museums|landmarks|animals|plants|species|why|includ(e|es|ing)
  |such as|for (example|instance)
  |(main|key|common|popular|notable|famous|several|various) ([a-z-]+ )?[a-z-]+s`,
  "\\b",
);

/** A prompt that asks to calculate something, or to do it in order. */
export const procedural = cue(
  "\\b",
  `
  how (do|can|could|would|should|to)( (i|you|we|one|someone))? (make|cook|bake|prepare|install|implement|build|create|set ?up|write|use|fix|configure|get|change|calculate|find|solve|convert|do|start|train|draw|tie|clean|remove|replace|grow|design|develop|deploy|add|connect|assemble|construct|play)
  |solve|prove|derive|calculate|compute|find the|how (many|much|long|far|old)|implement
  |code|function|script|program|regex|sql|algorithm|plan|outline`,
  "\\b",
);

/** A prompt whose answer is a sequence, including all lists in it. */
export const sequential = cue(
  "\\b",
  `
  recipe|step[- ]by[- ]step|steps|instructions|tutorial|walk me through|itinerary|schedule
  |routine|agenda|timeline|workout|training plan
  |how (do|can|to)( (i|you|we))? (make|cook|bake|install|tie|assemble|fix|refill|set ?up|build|configure)
  |guide (to|for|on)|the process|curriculum|in what order`,
  "\\b",
);

/** An imperative at the start of an item. */
export const imperative = cue(
  "^",
  `
  add|adjust|allow|analyze|analyse|apply|arrange|ask|assemble|assess|attach|avoid|bake|be
  |begin|boil|break|bring|build|buy|calculate|call|carefully|change|check|choose|clean
  |click|double-click|right-click|close|collect|combine|compare|compile|complete|compute|conduct|configure|confirm
  |connect|consider|contact|continue|convert|cook|cool|copy|cover|create|cut|decide|define
  |delete|deploy|describe|design|determine|develop|disable|discuss|divide|document
  |download|draw|drain|drizzle|drop|edit|enable|encourage|ensure|enter|establish|estimate
  |evaluate|examine|execute|explain|explore|export|express|factor|fill|find|finish|fix
  |fold|follow|gather|generate|get|give|go|grab|heat|hold|identify|implement|import
  |include|increase|initialize|insert|inspect|install|integrate|join|keep|launch|learn|let
  |line|list|load|locate|look|make|mark|measure|merge|mix|modify|monitor|move|multiply
  |navigate|note|obtain|open|optimize|organize|outline|paste|perform|pick|place|plan|plug
  |pour|practice|preheat|prepare|press|print|process|provide|pull|push|put|read|record
  |reduce|refine|remove|rename|repeat|replace|report|request|research|reset|restart|return
  |review|rinse|roll|run|save|scan|schedule|score|search|season|select|send|serve|set
  |share|shift|show|simmer|simplify|sit|slice|slide|solve|sort|split|spread|sprinkle|stand
  |start|state|stir|stop|store|study|submit|subtract|summarize|support|switch|take|tap
  |test|think|tie|track|train|transfer|translate|try|turn|type|understand|unplug|update
  |upgrade|upload|use|validate|verify|visit|wait|wash|watch|whisk|work|wrap|write`,
  "\\b",
);

/** A prompt that asks for a narrative. */
export const narrative = cue(
  "\\b",
  String.raw`
  story|stories|(animation|movie|film|video|tv|podcast|radio|short|comedy) script|poem
  |poetry|haiku|limerick|sonnet|song|lyrics|rap|dialog(ue)?|conversation between
  |screenplay|play script|movie script|monologue|novel|fable|fairy ?tale|fan ?fic\w*|scene
  |chapter|tale|joke|riddle|narrat\w+|plot|episode|comic|skit|debate|transcript|once upon
  |memoir|diary|journal entry|letter|game session`,
  "\\b",
);

/** A prompt that asks for advice, whose items are independent. */
export const advice = cue(
  "\\b",
  `
  tips?|ways|strateg(y|ies)|ideas?|suggest(ions?|ed)?|advice|advise|recommend(ations?)?
  |techniques|practices|activities|options|list|examples|best|improve|increase|reduce
  |become|prevent|avoid|deal with|cope|manage|stay`,
  "\\b",
);

/** A prompt that asks for several independent things. */
export const severalThings = cue(
  "\\b",
  String.raw`
  compare|comparison|differences?|versus|vs\.?|pros and cons|advantages|swot|strengths
  |options|alternatives|types of|kinds of|aspects|each|both|several|list|examples
  |questions|overview|facts|basics`,
  "\\b",
);

export const alternative = /^(option|method|approach|example|alternative|using|use)\b/i;
