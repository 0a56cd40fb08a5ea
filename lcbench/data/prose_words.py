"""The vocabulary of `lcbench.data.prose`: plain lists of common words. The slots in braces are those of `prose_patterns`."""


def words(text: str) -> list[str]:
    return text.split()


def phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.split(",")]


WOMEN = words("""
    Agnes Alma Beatrice Bridget Clara Cora Delia Dorothea Edith Elena Esther Fatima Flora Frieda Greta Hannah Harriet
    Hilda Ida Ines Ingrid Irene Jane Josephine Judith Katya Laura Leila Lucia Mabel Margit Marta Matilda Mei Mina
    Miriam Nadia Nell Nora Olive Olga Paula Petra Priya Rosa Ruth Sabine Sara Selma Sofia Sylvia Tamsin Tessa Thea
    Ursula Vera Viola Wanda Winifred Yara Yvonne Zora
""")
MEN = words("""
    Abel Adam Albert Amos Anton Arthur Basil Bruno Casper Cedric Conrad Daniel David Edgar Elias Emil Ernest Felix
    Francis Frank George Gilbert Gustav Harold Hassan Henry Hugo Isaac Ivan Jacob Jasper Joseph Jonas Julian Karl
    Kenji Lars Leo Lionel Lucas Magnus Martin Mateo Maurice Max Miles Nathan Oliver Omar Oscar Otto Paul Peter Rafael
    Ralph Ravi Rupert Samuel Silas Simon Stefan Theodore Tobias Victor Walter Wilfred
""")
SURNAMES = words("""
    Abbott Acheson Baines Barlow Becker Birch Blythe Brandt Calder Carver Castellan Conway Crewe Dalton Draper Dunmore
    Ebner Ellery Falk Farrow Finch Garland Graves Hale Harrow Hartley Holm Ibsen Ingram Jarvis Keane Kestrel Lambert
    Larkin Lowe Marlow Mercer Moreau Nash Novak Oakes Orme Pascoe Penrose Pike Quill Ransome Reeve Rowan Sadler Salter
    Sharma Sorrel Stroud Tamm Thorne Tilney Underhill Vance Varga Wakefield Webb Whitlock Wren Yates Zeller
""")
TOWN_HEADS = words("""
    Alder Ash Barn Bex Birch Bram Carn Dun East Elm Fen Glen Grim Hazel Hol Kirk Lang Mar Mill New North Oak Pen Raven
    Red Sal South Stan Thorn West Whit Win
""")
TOWN_TAILS = words("""
    bourne bridge brook bury by combe dale den field ford gate ham haven holm hurst ley mere more port stead ton wick
    worth
""")
NEAR = phrases("behind, near, beside, outside, opposite, next to, close to, facing, in front of")
SIDES = words("""
    old new empty north south east west upper lower ruined white red locked little great stone wooden roofless crowded
    second nearest far other painted half-built burnt royal former yellow brick whitewashed shuttered disused busy
    parish larger smaller quiet Roman
""")
PLACES = words("""
    chapel bakery well school market cemetery fountain mill tavern warehouse square stable wall arch tower garden
    cottage inn kiosk bank forge pharmacy theatre orchard barn gate library station brewery dairy pump statue tannery
    tollhouse monastery windmill courtyard alley bathhouse sawmill pavilion footbridge bandstand meadow quarry
    tailor's butcher's watchmaker's aqueduct almshouse granary boathouse dovecote ropewalk glassworks ford crossroads
""")
PEOPLE = phrases("""
    a cousin, a stranger, the neighbours, two brothers, the new tenant, an old friend, the children, a visitor from
    {town}, three sisters, a {mood} captain, the night watchman, a {mood} couple, the whole committee, an uncle from
    {town}, a travelling salesman, the priest, {man}'s aunt, a party of tourists, the owner, a rival, the landlady,
    the youngest {role}, a {role} from {town}, {woman}'s godson, a former partner, the twins, a man with a {any_look}
    cane, a woman in a {opinion} hat, the mayor's nephew, old {man} {surname}, {woman} {surname}, a {mood} {role},
    {woman} from {town}, the {mood} {role}, {man} and {woman}, the {surname} family, young {woman} {surname}, {man}'s
    {relative}, {woman}'s {relative}, the former {role}, a {mood} stranger, some {roles}
""")
RELATIVES = words("""
    mother father brother sister uncle aunt grandfather grandmother cousin nephew niece neighbour partner teacher
""")
LOOKS = words("""
    old new small heavy plain borrowed battered clean dusty cheap expensive ugly handsome faded worn spare missing
    broken forgotten crooked odd large narrow wide long short damp dry stained unfinished precious familiar strange
    fragile gleaming unlabelled elegant clumsy curious genuine favourite ordinary hidden remarkable simple splendid
    unusual peculiar stolen abandoned second-hand unwanted colourful grey yellow blue green dark pale bright tiny
    enormous lopsided dented painted patched ruined solid useful useless valuable antique modern foreign local famous
    humble magnificent shabby rough smooth dull glossy charming dreadful excellent ridiculous respectable rare common
    decent delicate dirty impressive inherited invisible lonely lucky massive matching neat noisy oval perfect pretty
    private purple quaint sticky spotless striped slender stiff sharp scratched sealed sensible soft squeaky steady
    superb thick thin tattered tarnished timeless transparent trusty unwrapped vast vulgar weightless woollen wrapped
    awkward bargain bent blank blunt bulky bumpy charred clattering creaking cursed decorated dependable discarded
    dripping embroidered empty engraved exotic extra filthy flimsy freshly-washed glittering greasy hand-made
    heavy-duty historic hollow imported inconvenient intact irreplaceable jammed knotted legendary lightweight mass-
    produced misshapen mouldy nameless narrow-necked numbered obsolete overpriced passable pitted portable precarious
    primitive proper rattling reliable red rotten round royal rusty scarlet shiny silent silver square suspicious
    white wonderful
""")
OPINIONS = words("""
    old new small favourite remarkable simple splendid unusual peculiar strange curious familiar famous humble
    magnificent ordinary excellent ridiculous respectable rare common decent impressive wonderful dreadful charming
    lonely lucky perfect quaint early late final lost troublesome difficult harmless local foreign secret celebrated
    obscure doubtful sensible absurd promising disappointing dangerous delightful memorable modest dull interesting
    notorious handsome inconvenient forgotten unexpected second unlucky important beautiful gloomy pleasant
    unfortunate
""")
MOODS = words("""
    patient nervous cheerful tired proud curious hungry stubborn careful lonely calm suspicious grateful restless
    embarrassed hopeful angry polite bored thoughtful homesick brave worried amused shy weary content impatient sorry
    relieved puzzled jealous delighted doubtful uneasy generous drowsy indignant solemn confident absent-minded
    ambitious anxious ashamed bitter cautious clever confused eager earnest excited friendly gloomy guilty happy
    helpless merry modest optimistic pessimistic resigned sad sceptical selfish serious talkative thirsty witty
""")
MANNERS = words("""
    slowly carefully quietly cheerfully badly quickly gladly politely grudgingly patiently neatly silently gently
    loudly clumsily secretly eagerly calmly bravely absently nervously reluctantly thoughtfully
    stubbornly firmly hastily awkwardly sleepily solemnly proudly expertly skilfully briskly dutifully lazily
""")
TIMES = phrases("""
    early in the morning, just before noon, at dusk, on the first of {month}, late that evening, after the rain
    stopped, before anyone else was awake, towards the end of {month}, one {day}, the following {day}, {number} days
    later, when the church clock struck {hour}, in the middle of the night, during the long {season}, every {day}
    afternoon, by {hour} o'clock, in the {season} of that year, after supper, as soon as the lamps were lit, for the
    first time since {month}, shortly after {hour}, on the last {day} of {month}, once the fog had lifted, between
    breakfast and lunch, that same {day}, a week before the fair, at the height of {season}, some {number} years ago,
    on the way back from {town}, as the bells began to ring, long after midnight, until the {season}
""")
MONTHS = words("""
    January February March April May June July August September October November December
""")
DAYS = words("""
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday
""")
SEASONS = words("""
    spring summer autumn winter
""")
HOURS = words("""
    one two three four five six seven eight nine ten eleven twelve
""")
UNITS = words("""
    minute hour day week month year evening morning season
""")
WEATHER = phrases("""
    a thin rain was falling, fog had settled, the wind dropped, snow lay, a pale sun rose, heavy clouds gathered, the
    first frost came down, thunder rolled, warm air drifted in, hail rattled, a full moon hung, the last light faded,
    swallows circled, smoke drifted, an early dusk fell, stars came out, the heat lay, a sharp breeze blew, drizzle
    swept, a rainbow stood
""")
QUALITIES = phrases("""
    patience, honesty, luck, courage, silence, habit, memory, curiosity, pride, kindness, hunger, experience, hope,
    ambition, good advice, practice, haste, wealth, jealousy, discipline, boredom, friendship, laughter, fear,
    imagination, sleep, caution, beauty, vanity, common sense
""")
VALUES = phrases("""
    is worth more than, lasts longer than, costs less than, is a poor substitute for, has little to do with, travels
    faster than, matters less than, is often mistaken for, grows out of, depends on, is the enemy of, wears out sooner
    than, is harder to teach than, looks very much like, must come before, is nothing without, always outlives, can be
    learned from
""")
TOPICS = phrases("""
    the price of {stuff}, the weather in {month}, the road to {town}, the new {role}, the missing {thing}, a dream
    about {np}, the future of {town}, the trouble with {things}, an argument over {np}, the smell of {stuff}, the
    history of {town}, a plan to {do}, the accident of {month}, the letter from {town}, the rumours about {people},
    the wedding in {month}, the {look} {thing} {spot}, the debt, the right way to {do}, a promise made in {month}
""")
OBSTACLES = phrases("""
    the {stuff}, a {look} {thing}, the thought of {topic}, a quarrel with {people}, the weather, fear of {people}, the
    noise {spot}, a sense of duty
""")
LINKS = phrases("""
    Even so, Later, At last, In the end, As it happened, To be fair, For once, All the same, Oddly enough, In truth,
    Meanwhile, Of course, Then, After that, Now and then, Before long, Not surprisingly, As a rule, By chance, Sooner
    or later
""")
TAGS = words("""
    said replied answered remarked murmured insisted explained admitted called muttered
""")

IRREGULAR_VERBS = {
    base: (past, participle)
    for base, past, participle in map(
        str.split,
        phrases("""
    bind bound bound, break broke broken, buy bought bought, catch caught caught, cut cut cut, dig dug dug, draw drew
    drawn, drive drove driven, feed fed fed, find found found, forget forgot forgotten, give gave given, hang hung
    hung, hide hid hidden, keep kept kept, lead led led, leave left left, lend lent lent, lie lay lain, lose lost
    lost, pay paid paid, read read read, rebuild rebuilt rebuilt, rewrite rewrote rewritten, ring rang rung, sell sold
    sold, send sent sent, set set set, sew sewed sewn, show showed shown, sink sank sunk, sit sat sat, sleep slept
    slept, sow sowed sown, spill spilled spilled, spread spread spread, steal stole stolen, sweep swept swept, take
    took taken, teach taught taught, tear tore torn, throw threw thrown, wake woke woken, wind wound wound, write
    wrote written, light lit lit, lay laid laid, mislay mislaid mislaid, build built built, run ran run, bring brought
    brought, hold held held, stand stood stood, dream dreamed dreamed
"""),
    )
}
# last letter doubled before -ed and -ing
DOUBLED = frozenset(
    words("""
    cancel crop cut dig drop fit forget hum label map pin quarrel run scrub set signal sit stir stop tap trim trip wrap
""")
)
IRREGULAR_PLURALS = dict(
    pair.split(" > ")
    for pair in phrases("""
    loaf > loaves, calf > calves, goose > geese, bread knife > bread knives, paper knife > paper knives, trout >
    trout, pike > pike, still life > still lifes, signalman > signalmen, ploughman > ploughmen, postman > postmen,
    ferryman > ferrymen, washerwoman > washerwomen, groundsman > groundsmen, letter home > letters home, diagnosis >
    diagnoses, chain of office > chains of office, ball of string > balls of string, coil of wire > coils of wire,
    tray of type > trays of type, pair of pliers > pairs of pliers, pair of shears > pairs of shears, pair of scissors
    > pairs of scissors
""")
)
