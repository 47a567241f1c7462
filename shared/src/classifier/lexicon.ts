// Closed lists of words. The classifier knows a word by its list, so that it learns how prompts ask and not
// what they are about.

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Words that are kept as they are. */
export const functionWords: ReadonlySet<string> = new Set(
  words(`
a an the of in on to for with from by at as is are was were be been being do does did done can could
should would will shall might may must have has had i me my mine we us our you your yours he him his she
her they them their it its this that these those there here what which who whom whose when where why how
and or but if not no yes any some all each every both few many much more most less least other others
another same than then so such only just very too also between among about into over under after before
during without within through against up down out off again still even ever never always often using use
used like want need know think get going go let please hi hello thanks dear am been one two three four
five six seven eight nine ten several following given below above first second last next best better good
great new different main key important common top possible main short long brief briefly detailed simple
step steps by-step example because since while until until whether instead rather anything something
someone somebody everything nothing everyone people person thing things way work works mean means happen
happens make made`),
);

const lists = {
  /** Verbs that ask for content of several kinds. */
  tell: `describe explain discuss tell analyze analyse elaborate examine explore introduce teach address`,
  give: `list give suggest recommend provide share name propose brainstorm offer show enumerate mention`,
  plan: `plan design outline develop prepare organize organise schedule devise plan propose`,
  judge: `compare contrast evaluate assess review rank differentiate distinguish versus vs`,
  write: `write compose draft create generate craft produce invent imagine pretend act suppose roleplay
    narrate`,
  change: `rewrite rephrase paraphrase translate summarize summarise correct fix convert edit shorten expand
    improve proofread reformat refactor revise rework modify alter replace transform simplify capitalize
    reword update amend`,
  pick: `classify extract identify find choose select determine decide detect predict categorize label
    output return fill complete continue guess answer match verify check count sort parse link tag`,
  solve: `calculate compute solve prove derive simplify evaluate integrate differentiate estimate convert`,
  build: `implement build code program debug install configure compile run execute deploy`,
  /** What a list holds. */
  points: `ways tips ideas reasons examples methods points questions topics strategies suggestions options
    sections aspects advantages disadvantages benefits facts types tools books factors differences
    similarities causes effects consequences implications challenges pros cons features characteristics
    qualities traits skills resources recommendations principles techniques practices mistakes signs
    symptoms places foods dishes activities movies songs games websites alternatives arguments criticisms
    impacts risks responsibilities objections elements components kinds categories habits items products
    exercises applications titles guidelines precautions measures solutions issues problems concerns
    opportunities trends developments drawbacks downsides upsides limitations strengths weaknesses
    considerations requirements criteria attributes dangers hazards theories perspectives approaches
    recipes hobbies gifts podcasts shows films artists hashtags names subtopics courses tactics tricks hacks
    misconceptions myths clues steps goals lessons values roles purposes uses ingredients materials`,
  /** What is a list or falls into parts. */
  parts: `list advice overview comparison guide checklist itinerary agenda syllabus curriculum outline
    plan tutorial impact influence role importance significance relationship history culture pros swot
    campaign routine schedule proposal report recommendations difference advantage`,
  /** What is one text. */
  text: `story stories poem poems song lyrics haiku limerick letter essay paragraph sentence sentences word
    headline title tweet speech monologue dialogue script joke riddle summary email e-mail post caption
    motto slogan conversation scene novel chapter rap sonnet review article bio description quote
    template blog biography diary postcard screenplay parody rant anecdote`,
  fiction: `protagonist hero villain wizard dragon kingdom vampire zombie superhero alien aliens demon
    demons ghost soul souls god gods king queen princess prince knight magic magical immortal apocalypse
    universe planet galaxy spaceship robot detective narrator reader character characters dystopian utopian
    fantasy sci-fi horror tale prompt wake woke realize discover suddenly destiny prophecy reincarnated
    mortal heaven hell devil death dead dying murderer killer`,
  program: `python java javascript typescript js c++ php sql mysql postgresql html css linux ubuntu windows
    bash git github docker server api json xml regex string strings array arrays function functions class
    classes variable variables file files folder directory command script code compile compiler error errors
    exception database databases query table column columns android ios iphone ipad app apps excel browser
    chrome url http https jquery angular react node npm django rails ruby swift xcode laravel wordpress
    visual studio eclipse maven spring thread threads pointer loop object objects method library
    framework installed version driver usb cpu gpu kernel shell terminal ssh port ip router wifi
    button click page website web div login password programming software algorithm binary integer int
    char boolean null void matlab latex numpy pandas dataframe plot rust golang kotlin scala haskell perl
    c excel spreadsheet formula cell macos mac osx vim emacs vscode ajax rest json csv pdf image pixel
    request response header session cookie token tokens implementation syntax import module package
    repository branch commit merge unit test tests testing mode settings keyboard screen desktop
    key keyword parameter parameters argument arguments type types enum struct template interface
    coding sdk plugin localhost nginx apache aws azure kubernetes flask redis mongodb webpack vue svelte
    bootstrap dom svg canvas dropdown textbox checkbox gradle jar dll exe cmd powershell sudo pip conda
    jupyter tensorflow keras pytorch opencv ffmpeg grep sed awk cron systemd virtualbox bios partition mount
    boot ssd ram disk iso shortcut toolbar extension widget callback promise async await lambda iterator
    decorator hashmap hashtable arraylist dictionary tuple stack queue heap recursion iterate append
    concatenate substring byte bytes bit hex encode decode utf ascii unicode encrypt hash md5 oauth jwt
    cors http tcp udp socket proxy dns domain ftp smtp localhost linq wpf asp sharepoint iis cmake gcc
    gdb makefile segfault stdout stdin printf println foreach instantiate refactor deprecated namespace
    webpage dialog popup tooltip scroll dropdown laptop bluetooth printer firefox safari outlook gmail
    google`,
  mathematics: `theorem proof integral derivative matrix vector algebra ring field topology manifold
    polynomial prime equation equations sequence series probability distribution variance finite infinite
    compact lemma hypothesis math mathematics mathematical geometry calculus eigenvalue graph subset
    continuous convergent bijection isomorphism homomorphism statistics regression coefficient sum product
    divided multiplied percent velocity mass photon electron electrons quantum atom molecule particle
    particles relativity gravity gravitational wavelength frequency magnetic electric voltage current
    resistor capacitor circuit entropy temperature pressure chemical reaction acid ion protein dna enzyme
    orbit satellite telescope star stars galaxy black hole axiom conjecture integer integers rational
    irrational complex scalar tensor orthogonal norm metric measure category functor module modules abelian
    commutative ideal scheme sheaf cohomology homotopy converge converges convergence inequality supremum
    estimator likelihood bayesian gaussian normal covariance expectation variance random sample hypothesis`,
  life: `diet weight hair skin face clean cook wear dog dogs cat cats baby kids kid children child school
    party home house garden plants travel trip vacation sleep relationship date girlfriend boyfriend wife
    husband friend friends mother father mom dad son daughter family love feel feeling health healthy
    exercise eat food meal drink money job career boss interview stress anxiety depression motivation
    habit time productive wedding birthday christmas holiday gift shoes clothes dress makeup nails teeth
    pet puppy kitchen bathroom room bed car bike tire camping hiking run running gym muscle workout
    yoga dance guitar piano draw paint painting photography learn learning study studying language college
    university exam teacher student students move buy sell save budget rent apartment neighbor social
    confidence happy sad angry shy pain doctor sick cold allergies water coffee tea wine cake bread
    acne eyes ears nose feet legs arms hands neck stomach belly beard nail makeup perfume shampoo soap bath
    shower laundry stain stains carpet couch furniture curtains closet drawer wall walls paint fence roof
    lawn grass tree trees flowers seeds vegetables fruit meat chicken fish rice egg eggs cheese soup salad
    breakfast lunch dinner snack recipe bake boil fry freeze kitten hamster rabbit bird horse parrot
    toddler teen teenager teens adult adults parents parent grandmother grandfather brother sister roommate
    roommates coworker coworkers colleague classmate crush kiss marry marriage divorce pregnant pregnancy
    birth diaper funeral grief bully bullying lie lying secret trust jealous lonely shame confident calm
    relax meditate meditation breathe headache fever cough flu injury sprain ankle wound surgery medicine
    vitamins sugar calories protein fat smoking alcohol drunk addiction wash dry fold iron sew knit hat
    coat coats jeans shirt boots jewelry ring fashion style outfit luggage flight hotel airport beach lake
    mountain hike ski swim bicycle skateboard soccer football basketball tennis golf chess cards puzzle
    hobby hobbies craft homework grades essay-writing notes lecture professor scholarship resume salary
    retirement debt loan mortgage insurance tax taxes shopping store sell-out customers neighbour
    neighborhood landlord tenant guests guest invite invitation host celebrate halloween thanksgiving easter
    valentine prank costume tent fire camp survive emergency accident police safe safety driver license`,
  society: `government policy economy economic society social culture cultural political politics countries
    country nation war wars environment environmental climate education business company companies
    organization industry market technology technologies media law laws legal rights religion democracy
    community global international world future energy healthcare history historical century revolution
    art literature music film philosophy ethics ethical moral psychology science scientists research
    workplace employees customers marketing brand management leadership communication public
    democrats republicans liberal conservative president congress parliament election elections vote voting
    immigration border gun guns abortion racism racial gender women men feminism lgbt poverty inequality
    welfare tax taxes inflation unemployment trade capitalism socialism communism church god faith bible
    islam christianity buddhism colonial empire ancient medieval nuclear military army police crime prison
    punishment penalty drugs pandemic vaccine vaccines animals animal vegan vegetarian farming pollution
    recycling renewable internet privacy surveillance artificial intelligence robots automation space
    startup entrepreneur investors strategy innovation team teams industry cities urban housing traffic`,
  source: `passage text article paragraph sentence document excerpt dialogue conversation table data input
    output context review statement premise hypothesis tweet abstract comment lyrics transcript`,
  briefly: `briefly shortly concise concisely single brief only exactly one-sentence nutshell succinctly tweet`,
  opinion: `should worth favorite favourite opinion think believe agree prefer ok okay wrong right recommend`,
} as const;

export type WordList = keyof typeof lists;
export const wordLists = Object.keys(lists) as WordList[];

/** Each word's lists. */
const listsOf = new Map<string, WordList[]>();
for (const name of wordLists) {
  for (const word of new Set(words(lists[name]))) {
    listsOf.set(word, [...(listsOf.get(word) ?? []), name]);
  }
}
const none: readonly WordList[] = [];

export const listsWith = (word: string): readonly WordList[] => listsOf.get(word) ?? none;
