// What the prompts of `data -- prompts` are about.

/** Things that people learn or do. */
export const activities = `
  playing the guitar; running a marathon; baking bread; growing vegetables; learning Spanish; playing chess;
  taking photographs; writing short stories; swimming; meditation; public speaking; cooking on a budget;
  home brewing; painting with watercolors; weight training; rock climbing; knitting; learning to code; yoga;
  keeping a journal; bird watching; cycling to work; learning Japanese; saving money; studying for exams;
  woodworking; camping with children; driving in snow; sewing clothes; beekeeping; 
  managing a small team; negotiating a salary; running a book club; training a puppy; caring for houseplants;
  composting; raising teenagers; making cheese; sleeping better; losing weight safely;
  buying a used car; renting a first apartment; preparing for a job interview; giving feedback; tutoring maths;
  organizing a garage; reading more books; hosting a dinner party; starting a podcast; selling things online`
  .split(";")
  .map((name) => name.trim());

/** What happens to many people at once, with causes and effects. */
export const issues = `
  air pollution in cities; youth unemployment; inflation; deforestation; plastic waste in the oceans;
  loneliness among older people; traffic congestion; obesity; the shortage of nurses; housing prices;
  water scarcity; misinformation online; cyberbullying; burnout at work; food waste; soil erosion;
  antibiotic resistance; student debt; the decline of bees; coral bleaching; homelessness; noise pollution;
  child poverty; the digital divide; overfishing; school dropout; light pollution; sleep deprivation;
  gender pay gaps; rural depopulation; heat waves; data breaches; road accidents; mass tourism`
  .split(";")
  .map((name) => name.trim());

/** Inventions and practices with good and bad sides. */
export const practices = `
  electric cars; remote work; solar panels; online education; social media; nuclear power; fast fashion;
  vegetarian diets; home schooling; cryptocurrencies; self-driving cars; telemedicine; 3D printing;
  genetically modified crops; shared bicycles; smart speakers; video games; e-books; zoos; single-use packaging;
  a four-day work week; open offices; drones; food delivery apps; wind turbines; space tourism; school uniforms;
  universal basic income; credit cards; facial recognition; organic farming; high-speed trains; microservices;
  open source software; cloud computing; streaming services; vaccination programs; urban gardens; tiny houses;
  subscription services; artificial intelligence in medicine; carpooling; rainwater harvesting`
  .split(";")
  .map((name) => name.trim());

/** Two things that people compare. */
export const pairs = `
  cats/dogs; tea/coffee; SQL databases/NoSQL databases; renting/buying a home; the Atlantic Ocean/the Pacific Ocean;
  alligators/crocodiles; viruses/bacteria; a cold/the flu; oil paint/acrylic paint;
  a recession/a depression; weather/climate; novels/short stories; mammals/reptiles; socialism/capitalism;
  jogging/swimming; mitosis/meiosis; stocks/bonds; a psychologist/a psychiatrist; plant cells/animal cells;
  ancient Athens/ancient Sparta; butter/margarine; TCP/UDP; a debit card/a credit card; deserts/rainforests;
  comets/asteroids; Buddhism/Hinduism; laptops/tablets; city life/country life; whales/sharks;
  solid-state drives/hard disks; leadership/management; renewable energy/fossil fuels; cheetahs/leopards;
  impressionism/expressionism; a virus/a worm in computing; introverts/extroverts; jazz/blues; gas stoves/induction stoves`
  .split(";")
  .map((pair) => pair.trim().split("/") as [string, string]);

/** Things that can be explained. */
export const subjects = `
  photosynthesis; the French Revolution; the water cycle; black holes; the Renaissance; plate tectonics;
  the immune system; supply and demand; the Roman Empire; machine learning; the Silk Road; volcanoes; DNA;
  the Industrial Revolution; the human heart; the stock market; the Cold War; quantum computers; the Great Wall of China;
  evolution; the internet; tides; the solar system; blockchain; the Maya civilization; the human brain; gravity;
  encryption; the Black Death; inflation in economics; vaccines; the greenhouse effect; the United Nations;
  migration of birds; the periodic table; earthquakes; the Olympic Games; compilers; the digestive system; monsoons`
  .split(";")
  .map((name) => name.trim());

/** Places to visit and to describe. */
export const places = `
  Rome; Kyoto; New Zealand; Morocco; Iceland; New York City; Peru; Vietnam; Scotland; Istanbul; Cape Town;
  Norway; Mexico City; Greece; Costa Rica; Prague; India; Canada; Egypt; Singapore; Portugal; Kenya; Paris; Brazil`
  .split(";")
  .map((name) => name.trim());

/** Things that a person or a group prepares. */
export const events = `
  a birthday party for a six-year-old; a camping trip; a small wedding; a science fair at school; a charity run;
  a move to another city; a company retreat; a neighbourhood street festival; a long flight with a baby;
  a beach clean-up; a family reunion; a first day at a new job; a winter storm; a garage sale; a surprise party;
  a school trip to a museum; a job fair; a power outage; a house guest for two weeks; a vegetable garden in spring`
  .split(";")
  .map((name) => name.trim());

/** People whose view is asked for. */
export const roles = `
  a nutritionist; a history teacher; a firefighter; a travel guide; a financial adviser; a sea captain;
  a detective; a kindergarten teacher; a software architect; a gardener; a sports coach; a museum curator;
  a doctor in a small village; a chef; an astronaut; a librarian; a wildlife ranger; a medieval blacksmith`
  .split(";")
  .map((name) => name.trim());

/** What might have gone differently. */
export const turns = `
  the printing press had never been invented; the dinosaurs had survived; everybody could read minds;
  the internet had existed in 1900; the moon disappeared; humans could fly; money did not exist;
  Rome had never fallen; people needed no sleep; electricity had been discovered a thousand years earlier;
  all people spoke one language; the oceans were made of fresh water; plants could move; cars had never been invented;
  Napoleon had won at Waterloo; the Titanic had never sunk; Mozart had lived to be eighty; the Panama Canal had not been built;
  Marie Curie had become a painter; the Berlin Wall had never fallen; tea had never reached Europe; Gutenberg had been a farmer;
  antibiotics stopped working tomorrow; humans lived to be 200; cats could talk;
  the wheel had been forgotten; it never rained again; the Library of Alexandria had not been destroyed`
  .split(";")
  .map((name) => name.trim());

/** Things that people find out from signs. */
export const signs = `
  a restaurant is good before eating there; a used car has been in an accident; a news story is reliable;
  someone is lying; a melon is ripe; a job offer is a scam; a houseplant needs water; a friend is unhappy;
  a book is worth reading; a website is safe; a dog is ill; an egg is fresh; a company treats its staff well;
  a child is ready for school; a diamond is real; a neighbourhood is safe; a battery is worn out; milk has gone bad`
  .split(";")
  .map((name) => name.trim());

/** What some people like and others do not. */
export const tastes = `
  live in a small town; read printed books; travel alone; keep a paper calendar; run long distances; watch sad films;
  collect old records; cook at home; work at night; drive an old car; learn dead languages; go to the theatre;
  write letters by hand; repair things themselves; swim in cold water; visit the same place every summer;
  play board games; grow their own food; live without a television; shop at a street market`
  .split(";")
  .map((name) => name.trim());
