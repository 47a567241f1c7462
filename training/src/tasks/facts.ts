/** Fixed facts. Figures are rounded so that a model can learn them and a verifier can check them. */

export interface City {
  name: string;
  country: string;
  currency: string;
  /** Metropolitan area, millions. */
  millions: number;
  sight: string;
  language: string;
  continent: string;
}

const city = (
  name: string,
  country: string,
  currency: string,
  millions: number,
  sight: string,
  language: string,
  continent: string,
): City => ({ name, country, currency, millions, sight, language, continent });

export const cities: readonly City[] = [
  city("Tokyo", "Japan", "yen", 37, "the Senso-ji temple", "Japanese", "Asia"),
  city("Paris", "France", "euros", 11, "the Eiffel Tower", "French", "Europe"),
  city("Cairo", "Egypt", "Egyptian pounds", 22, "the pyramids", "Arabic", "Africa"),
  city("London", "England", "pounds", 9, "Tower Bridge", "English", "Europe"),
  city("Berlin", "Germany", "euros", 4, "the Brandenburg Gate", "German", "Europe"),
  city("Rome", "Italy", "euros", 4, "the Colosseum", "Italian", "Europe"),
  city("Madrid", "Spain", "euros", 7, "the Prado museum", "Spanish", "Europe"),
  city("Vienna", "Austria", "euros", 2, "the Schonbrunn palace", "German", "Europe"),
  city("Athens", "Greece", "euros", 3, "the Acropolis", "Greek", "Europe"),
  city("Lisbon", "Portugal", "euros", 3, "the Belem Tower", "Portuguese", "Europe"),
  city("Moscow", "Russia", "rubles", 13, "the Kremlin", "Russian", "Europe"),
  city("Istanbul", "Turkey", "lira", 16, "the Blue Mosque", "Turkish", "Asia"),
  city("Delhi", "India", "rupees", 33, "the Red Fort", "Hindi", "Asia"),
  city("Mumbai", "India", "rupees", 21, "the Gateway of India", "Marathi", "Asia"),
  city("Beijing", "China", "yuan", 22, "the Forbidden City", "Mandarin", "Asia"),
  city("Shanghai", "China", "yuan", 29, "the Bund", "Mandarin", "Asia"),
  city("Seoul", "South Korea", "won", 10, "the Gyeongbok palace", "Korean", "Asia"),
  city("Bangkok", "Thailand", "baht", 11, "the Grand Palace", "Thai", "Asia"),
  city("Sydney", "Australia", "Australian dollars", 5, "the Opera House", "English", "Oceania"),
  city("Toronto", "Canada", "Canadian dollars", 6, "the CN Tower", "English", "North America"),
  city(
    "New York",
    "the United States",
    "dollars",
    19,
    "the Statue of Liberty",
    "English",
    "North America",
  ),
  city("Chicago", "the United States", "dollars", 9, "the Bean", "English", "North America"),
  city("Mexico City", "Mexico", "pesos", 22, "the Zocalo", "Spanish", "North America"),
  city("Lima", "Peru", "soles", 11, "the Plaza Mayor", "Spanish", "South America"),
  city("Nairobi", "Kenya", "shillings", 5, "the national park", "Swahili", "Africa"),
  city("Lagos", "Nigeria", "naira", 16, "the Lekki market", "English", "Africa"),
  city("Oslo", "Norway", "kroner", 1, "the opera house", "Norwegian", "Europe"),
  city("Stockholm", "Sweden", "kronor", 2, "the Vasa museum", "Swedish", "Europe"),
  city("Prague", "Czechia", "koruna", 1, "the Charles Bridge", "Czech", "Europe"),
  city("Dublin", "Ireland", "euros", 1, "Trinity College", "English", "Europe"),
];

export interface Country {
  name: string;
  capital: string;
  currency: string;
  language: string;
  continent: string;
}

const country = (
  name: string,
  capital: string,
  currency: string,
  language: string,
  continent: string,
): Country => ({ name, capital, currency, language, continent });

export const countries: readonly Country[] = [
  country("Japan", "Tokyo", "yen", "Japanese", "Asia"),
  country("France", "Paris", "euro", "French", "Europe"),
  country("Egypt", "Cairo", "Egyptian pound", "Arabic", "Africa"),
  country("Germany", "Berlin", "euro", "German", "Europe"),
  country("Italy", "Rome", "euro", "Italian", "Europe"),
  country("Spain", "Madrid", "euro", "Spanish", "Europe"),
  country("Portugal", "Lisbon", "euro", "Portuguese", "Europe"),
  country("Austria", "Vienna", "euro", "German", "Europe"),
  country("Greece", "Athens", "euro", "Greek", "Europe"),
  country("Norway", "Oslo", "krone", "Norwegian", "Europe"),
  country("Sweden", "Stockholm", "krona", "Swedish", "Europe"),
  country("Poland", "Warsaw", "zloty", "Polish", "Europe"),
  country("Hungary", "Budapest", "forint", "Hungarian", "Europe"),
  country("Russia", "Moscow", "ruble", "Russian", "Europe"),
  country("Turkey", "Ankara", "lira", "Turkish", "Asia"),
  country("India", "New Delhi", "rupee", "Hindi", "Asia"),
  country("China", "Beijing", "yuan", "Mandarin", "Asia"),
  country("Thailand", "Bangkok", "baht", "Thai", "Asia"),
  country("Vietnam", "Hanoi", "dong", "Vietnamese", "Asia"),
  country("Iran", "Tehran", "rial", "Persian", "Asia"),
  country("Brazil", "Brasilia", "real", "Portuguese", "South America"),
  country("Peru", "Lima", "sol", "Spanish", "South America"),
  country("Chile", "Santiago", "peso", "Spanish", "South America"),
  country("Mexico", "Mexico City", "peso", "Spanish", "North America"),
  country("Canada", "Ottawa", "Canadian dollar", "English", "North America"),
  country("Australia", "Canberra", "Australian dollar", "English", "Oceania"),
  country("Kenya", "Nairobi", "shilling", "Swahili", "Africa"),
  country("Nigeria", "Abuja", "naira", "English", "Africa"),
  country("Morocco", "Rabat", "dirham", "Arabic", "Africa"),
  country("Ghana", "Accra", "cedi", "English", "Africa"),
];

export interface Animal {
  name: string;
  kind: string;
  food: string;
  home: string;
  /** Weight of a typical adult. */
  kilograms: number;
}

const animal = (
  name: string,
  kind: string,
  food: string,
  home: string,
  kilograms: number,
): Animal => ({ name, kind, food, home, kilograms });

export const animals: readonly Animal[] = [
  animal("lion", "mammal", "meat", "savannas", 190),
  animal("tiger", "mammal", "meat", "forests", 220),
  animal("elephant", "mammal", "grass and leaves", "savannas", 5000),
  animal("giraffe", "mammal", "leaves", "savannas", 1200),
  animal("zebra", "mammal", "grass", "savannas", 350),
  animal("polar bear", "mammal", "seals", "the Arctic", 450),
  animal("panda", "mammal", "bamboo", "mountain forests", 100),
  animal("koala", "mammal", "eucalyptus leaves", "trees", 10),
  animal("kangaroo", "mammal", "grass", "dry plains", 60),
  animal("wolf", "mammal", "meat", "forests", 40),
  animal("fox", "mammal", "mice and fruit", "woods", 7),
  animal("horse", "mammal", "grass", "plains", 500),
  animal("camel", "mammal", "dry plants", "deserts", 550),
  animal("dolphin", "mammal", "fish", "the sea", 150),
  animal("blue whale", "mammal", "krill", "the sea", 130000),
  animal("hippo", "mammal", "grass", "rivers", 1500),
  animal("penguin", "bird", "fish", "the Antarctic", 30),
  animal("ostrich", "bird", "plants", "dry plains", 120),
  animal("eagle", "bird", "fish and small animals", "mountains", 5),
  animal("owl", "bird", "mice", "woods", 2),
  animal("swan", "bird", "water plants", "lakes", 11),
  animal("crocodile", "reptile", "meat", "rivers", 400),
  animal("tortoise", "reptile", "plants", "islands", 200),
  animal("cobra", "reptile", "frogs and rats", "jungles", 6),
  animal("iguana", "reptile", "leaves", "jungles", 4),
  animal("shark", "fish", "fish", "the sea", 800),
  animal("salmon", "fish", "insects and shrimp", "rivers and the sea", 5),
  animal("tuna", "fish", "fish", "the sea", 250),
];

export interface Planet {
  name: string;
  place: string;
  order: number;
  /** At the equator, in kilometres. */
  diameter: number;
  moons: number;
  kind: string;
}

export const planets: readonly Planet[] = [
  { name: "Mercury", place: "first", order: 1, diameter: 4900, moons: 0, kind: "rocky" },
  { name: "Venus", place: "second", order: 2, diameter: 12100, moons: 0, kind: "rocky" },
  { name: "Earth", place: "third", order: 3, diameter: 12800, moons: 1, kind: "rocky" },
  { name: "Mars", place: "fourth", order: 4, diameter: 6800, moons: 2, kind: "rocky" },
  { name: "Jupiter", place: "fifth", order: 5, diameter: 143000, moons: 97, kind: "gas" },
  { name: "Saturn", place: "sixth", order: 6, diameter: 120500, moons: 274, kind: "gas" },
  { name: "Uranus", place: "seventh", order: 7, diameter: 51100, moons: 28, kind: "ice" },
  { name: "Neptune", place: "eighth", order: 8, diameter: 49500, moons: 16, kind: "ice" },
];
