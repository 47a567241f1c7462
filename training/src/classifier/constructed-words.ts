// What the constructed prompts are about.

const lines = (text: string): string[] =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim());

/** Everyday undertakings, for which a good answer is several pieces of advice. */
export const undertakings = lines(`
learn to swim at forty
keep a kitchen clean
dress for a job interview
make new friends as an adult
stop biting your nails
run a charity auction
choose a wedding dress
raise chickens in a back yard
deal with a rude coworker
get rid of ants
care for curly hair
prepare for a marathon
save money on groceries
survive a long flight
be a good babysitter
keep moths out of a wardrobe
write a cover letter
decorate a small bedroom
fall asleep faster
lose weight after pregnancy
sharpen kitchen knives
ask someone out on a date
be more confident at school
choose a laptop for college
clean white shoes
grow tomatoes on a balcony
talk to a teenager about drugs
pack light for a weekend
handle jealousy in a relationship
improve your handwriting
polish silver cutlery
learn to juggle
support a friend who is grieving
start a book club
look good in photos
prevent back pain at a desk
teach a toddler to share
bring a picnic to a windy beach
look after an elderly cat
negotiate a higher salary
buy a used car
set up a home office
style short hair
react when somebody insults you
cope with homesickness
avoid getting sick in winter
plan a baby shower
speak in public without fear
spend less time on your phone
become a better listener
run a lemonade stand
recover from a cold quickly
fold a fitted sheet
stay motivated while studying
get along with a roommate
introduce a kitten to a dog
apologize to a friend
take care of houseplants
behave at a funeral
make a long car trip fun for children
`);

/** Operations on a machine or in a program: the answer is one thing. */
export const operations = lines(`
append a row to a data frame in pandas
center a button in a table cell with CSS
convert a string to an integer in Java
turn off automatic updates in Windows 10
find the length of an array in C
reset a forgotten root password on Ubuntu
remove the last character of a string in JavaScript
undo the last commit in git
parse JSON in a bash script
rename a column in PostgreSQL
change the default port of Apache
detect a mobile browser with jQuery
copy a file to a remote server over ssh
get the current time in PHP
call a stored procedure from C#
show hidden files on a Mac
sort a dictionary by value in Python
pair a wireless headset with a laptop
mount an external drive at boot in Linux
check whether a variable is undefined in JavaScript
split a column in Excel
pass an argument to a thread in C++
read a file line by line in Ruby
add a foreign key to an existing MySQL table
take a screenshot on an Android phone
serialize an object to XML in .NET
set an environment variable in a Docker container
print without a new line in Python
upload a file with AJAX
prevent a form from being submitted twice
add a footnote in LaTeX
use a regex to match an e-mail address
get the selected value of a dropdown list in Angular
delete all local branches in git
update a Spring bean at run time
hide the status bar in an iOS app
convert a PDF to text on the command line
compare two dates in SQL
freeze the top row of a Google sheet
make a div scrollable
`);

/** Reports of a fault, which a question and code may follow. */
export const faults = lines(`
I get a NullPointerException when I call this method.
My query returns duplicate rows and I can't see why.
The build fails with "undefined reference to main".
The menu should close after a selection, but it stays open.
The page loads, but the script is never executed.
The scanner is found, but every page comes out blank.
The loop ends one element too early.
The server answers with a 404 although the file exists.
My regular expression matches too much.
The linter reports an unused import that is in use.
The plot shows up, but its labels overlap.
After the update my app crashes on start.
I have two tables and need all rows of the first that are missing in the second.
The list is empty after the function returns.
I am trying to pass an array to a function by reference.
`);

export const snippets = lines(`
for (int i = 0; i <= n; i++) { total += values[i]; }
SELECT a.id, b.name FROM a JOIN b ON a.id = b.a_id;
def load(path):\\n    with open(path) as f:\\n        return json.load(f)
$(".menu li").on("hover", function () { $(this).addClass("open"); });
<div class="box"><span>text</span></div>
public String getName() { return name.trim(); }
docker run -p 8080:80 web
const rows = await db.query("select 1");
`);

/** Beginnings of stories. */
export const stories = lines(`
You wake up and everybody in town speaks a language that you have never heard.
Write a story in which a lighthouse keeper falls in love with a storm.
Aliens visit Earth, and the only person they want to talk to is a plumber.
Humans are the only species that can dream. Tell of the first robot that does.
Every person is born with a number on the wrist. Yours has just changed.
Write a scary story in two sentences.
A dragon applies for a job in an office. Write the interview.
You are the villain, and the hero has just knocked on your door to ask for help.
Death takes a day off, and you have to stand in.
Write the last letter of a soldier to his brother.
The king's taster has been immune to poison all along. This is his confession.
In a world where nobody can lie, a child tells the first lie.
Tell a love story with an unhappy beginning and a happy end.
You find a diary in your own handwriting, dated a hundred years ago.
Write a poem about the last train of the night.
A wizard who hates magic runs a shop for it.
The hero dies in the first chapter. Write about the people who remain.
Your reflection starts to move a second late.
Write a monologue of an old house that is to be torn down.
Two gods bet on the outcome of a chess game between children.
Describe the end of the universe from the point of view of a bored janitor.
A detective must solve a murder in which every suspect confesses.
Write a funny song about a cat that wants to be president.
Without using the letter e, tell how you met your best friend.
After a plane crash, a survivor finds a working telephone booth in the desert.
`);

/** Exact questions: one fact, one explanation, one meaning, one proof. */
export const exactQuestions = lines(`
Is a tomato a fruit?
Can a horse vomit?
Does cold weather cause colds?
Is it legal to own a raven in England?
Who was the first woman to win a Nobel prize?
What is the word for a fear of long words?
What does the phrase "to burn one's boats" mean?
What is the meaning of the final scene in the film, in which the top keeps spinning?
In the second book, why does the captain let the prisoner go?
Why is the sky red at sunset?
Why does ice float on water?
Why do we see lightning before we hear thunder?
Why does the moon look bigger near the horizon?
Are there any birds that can't fly but swim?
How many moons does Jupiter have?
Where does the name of the river come from?
When was the first photograph of a person taken?
Let $f$ be a continuous function on $[0,1]$ with $f(0)=f(1)$. Prove that there is $x$ with $f(x)=f(x+1/2)$.
Is every compact subset of a metric space closed? I can't find a counterexample.
Let $G$ be a group in which every element has order two. Show that $G$ is abelian.
How can I show that the series of 1/n diverges without an integral?
What does it mean for an estimator to be consistent? Is there a formal definition?
What is the expected number of coin tosses until two heads in a row?
Does the speed of light depend on the motion of its source?
I have read that this inequality holds for all convex functions. Is that true?
Did the Romans know about zero?
What is the currency of Denmark?
How is the date of Easter fixed?
Should it be "who" or "whom" in this sentence?
Is it possible to see Saturn with the naked eye?
How old is the oldest tree in the world?
What is the difference in seconds between two time zones?
Can a person be allergic to water?
Would a magnet work on the moon?
What is this instrument called?
Are the two characters in this show related?
Which key is this song in?
What year is it in the Ethiopian calendar?
How far is Berlin from Prague?
Who wrote the music of this game?
`);

/** Situations in which people ask for advice. */
export const situations = lines(`
My daughter is nine and refuses to go to bed.
I have inherited a vineyard and know nothing of wine.
My boss keeps giving me work shortly before the weekend.
I am an apprentice and nobody shows me anything.
Our twins quarrel all day long.
We are expecting our first child in March.
I have two months to prepare for a half marathon.
My roommate never cleans the kitchen.
I would like to read more, but after work I am always tired.
My best friend has stopped answering my messages.
I am going to be a manager for the first time.
My grandmother wants to learn how to use a computer.
I feel that my team does not listen to me in meetings.
I want to eat healthier on a small budget.
Our dog barks whenever somebody passes the house.
I am a teacher, and my students do not take part in class.
I am about to retire and wonder what to do with my time.
I have been invited to a wedding abroad and have never been there.
I run a small bakery that loses customers.
I am the game master of a role-playing group whose players argue a lot.
`);

/** Things of society, work and culture, whose questions have many sides. */
export const matters = lines(`
a sugar tax
free public transport
school uniforms
nuclear power
a curfew for teenagers
a four-day week
remote work
zoos
open offices
tipping in restaurants
homework
compulsory voting
fast food
self-driving cars
electric cars
organic farming
private schools
a basic income
space travel
social media
standing desks
early retirement
a national dress code
video games
term limits
`);

/** Pairs whose choice is a matter of several points. */
export const choices: readonly (readonly [string, string])[] = [
  ["a jigsaw", "a band saw"],
  ["a federation", "a unitary state"],
  ["renting", "buying a house"],
  ["a cat", "a dog"],
  ["a serif typeface", "a sans serif one"],
  ["butter", "margarine"],
  ["a tent", "a camper van"],
  ["a list", "a tuple"],
  ["an abstract class", "an interface"],
  ["a mutex", "a semaphore"],
  ["a psychologist", "a psychiatrist"],
  ["oil paint", "acrylic paint"],
  ["a lawyer", "a notary"],
  ["whole milk", "oat milk"],
  ["a stock", "a bond"],
  ["a virus", "a bacterium"],
  ["Taoism", "Confucianism"],
  ["a SQL database", "a document store"],
  ["front-wheel drive", "rear-wheel drive"],
  ["a novella", "a short story"],
];

/** Things of which somebody may want several. */
export const wanted = lines(`
documentaries about the deep sea
board games for two
books about the Roman empire
cheap restaurants near a university
podcasts on economics
places to see in Portugal
audio books for a long drive
free alternatives to a photo editor
good tools for taking notes
open source programs for drawing diagrams
gifts for a father who has everything
exercises for a sore neck
names for a black cat
vegetarian dishes for a barbecue
songs to learn on the ukulele
hikes for beginners
websites on which to learn a language
icebreakers for a meeting
questions to ask in an interview
dog breeds that don't shed
`);
