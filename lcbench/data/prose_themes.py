"""The themes of `lcbench.data.prose`: what a scene can be about.

Each theme has `roles` of people; countable `things` that go by hand (`{np}` in a pattern) and `others` (`{other}`:
living, large or written); mass `stuff`; `spots` where something happens; `acts`, verb first; `looks`, adjectives.
"""

from lcbench.data.prose_words import phrases

_THEMES = [
    {
        "roles": """
            harbour master, net mender, pilot, deckhand, boatwright, lighthouse keeper, fish buyer, customs officer
        """,
        "things": """
            rope, net, lantern, oar, crate, barrel, sail, buoy, pulley, bucket, plank, lobster pot, compass, flag,
            winch, hook, tarpaulin, boat cushion
        """,
        "others": "dinghy, trawler, ferry, schooner, pilot boat, barge, rowing boat, cutter, tugboat",
        "stuff": "tar, salt, seaweed, wet canvas, engine oil, driftwood, cold tea, brine, herring",
        "spots": """
            on the quay, beside the breakwater, below the lighthouse, in the net loft, at the end of the pier, behind
            the fish market, near the slipway, under the crane, by the harbour wall
        """,
        "acts": """
            mend {np}, haul {np} out of the water, sell {np} to {people}, paint {other}, row {other} past the rocks,
            carry {np} down the steps, tie {other} to the rail, lose sight of {other} in the fog, hang {np} up to dry,
            scrape {stuff} off {np}, wave to {people}, count the gulls, wait for the tide, lower {np} into {other},
            steer {other} into harbour, sleep {spot}, borrow {np} from {people}, moor {other} {spot}, load {np} aboard
            {other}, signal to {other}, drop {np} overboard
        """,
        "looks": "tarred, waterlogged, frayed, salt-stained, barnacled, weathered, seaworthy",
    },
    {
        "roles": "baker, innkeeper, cook, dishwasher, waiter, pastry maker, lodger, brewer",
        "things": """
            kettle, ladle, tray, saucepan, teapot, bread knife, sieve, jar, spice tin, chopping board, copper pan,
            jug, rolling pin, bowl, cake tin, mug, egg cup
        """,
        "others": "loaf, pie, pudding, cake, omelette, pancake, stew, dumpling, roast chicken, sandwich",
        "stuff": "butter, flour, ginger, woodsmoke, onion soup, cinnamon, honey, yesterday's coffee, mustard",
        "spots": """
            in the pantry, by the stove, at the long table, behind the counter, in the cellar, on the windowsill,
            beside the back door, under the stairs, in the scullery
        """,
        "acts": """
            scrub {np}, bake {other} for {people}, fill {np} with {stuff}, taste {other}, hide {other} {spot}, set
            {np} on the table, wrap {other} in paper, season {other} with {stuff}, burn {other}, stir the {stuff},
            lend {np} to {people}, wash {np}, cover {np} with a cloth, slice {other}, serve {other} to {people}, sweep
            up the {stuff}, warm {np} by the fire, invent {other}, forget {other} in the oven, dry {np}, break {np},
            share {other} with {people}
        """,
        "looks": "floury, scorched, buttery, chipped, steaming, enamelled, home-made",
    },
    {
        "roles": "librarian, archivist, bookbinder, reader, translator, caretaker, student, cataloguer",
        "things": """
            ladder, reading lamp, bookmark, stamp, envelope, book press, pencil, magnifying glass, card drawer,
            footstool, paperweight, trolley, inkstand, folder
        """,
        "others": """
            book, ledger, atlas, manuscript, dictionary, letter, map, notebook, diary, pamphlet, folio, encyclopedia,
            novel, chronicle, poem
        """,
        "stuff": "dust, old paper, glue, ink, candle wax, leather, pipe smoke, lavender",
        "spots": """
            in the reading room, between the shelves, at the issue desk, in the archive, on the spiral staircase,
            beside the card catalogue, in the attic store, under the dome
        """,
        "acts": """
            catalogue {other}, copy {other} by hand, return {other} to its shelf, read {other} aloud, translate
            {other} for {people}, bind {other} in leather, compare {other} with {other}, misplace {np}, dust {np},
            underline a line in {other}, search for {other}, whisper to {people}, repair {other} with {stuff}, lock
            {other} away, find {np} inside {other}, turn the pages of {other}, reach for {np}, argue about {other},
            renew {other}, quote from {other}, borrow {np} from {people}
        """,
        "looks": "unread, leather-bound, annotated, overdue, yellowed, illustrated, out-of-print",
    },
    {
        "roles": "carpenter, apprentice, joiner, toolmaker, clock mender, cabinet maker, glazier, upholsterer",
        "things": """
            chisel, hammer, hinge, saw, mallet, file, bracket, screwdriver, clamp, paintbrush, spirit level, oilcan,
            hand drill, glue pot, pair of pliers, tape measure
        """,
        "others": """
            chair, cupboard, drawer, clock, table leg, picture frame, toolbox, workbench, cabinet, cradle, door,
            window frame, bookcase, rocking horse, staircase
        """,
        "stuff": "sawdust, varnish, linseed oil, glue, oak, beeswax, brass, turpentine",
        "spots": """
            at the bench, by the grindstone, in the yard, under the skylight, beside the timber stack, on the workshop
            floor, in the back room, near the lathe
        """,
        "acts": """
            sharpen {np}, sand {other} smooth, measure {other} twice, glue {other} together, polish {other} with
            {stuff}, take {other} apart, drop {np}, deliver {other} to {people}, fit {other} to the wall, draw {other}
            on the back of a bill, reach for {np}, show {other} to {people}, test {np}, drill a hole in {other},
            repair {other} without charge, trade {np} for {np}, oil {np}, sign {other} on the underside, borrow {np}
            from {people}, clean {np} with {stuff}, build {other} for {people}, varnish {other}
        """,
        "looks": "varnished, wobbly, well-made, unvarnished, oiled, dovetailed, three-legged",
    },
    {
        "roles": "farmer, shepherd, ploughman, milkmaid, vet, miller, stable hand, horse dealer",
        "things": """
            gate, cart, plough, fence post, sack, harness, scythe, pail, trough, wheelbarrow, pitchfork, seed drill,
            cowbell, stool, basket, horseshoe, scarecrow
        """,
        "others": """
            hen, goat, mule, lamb, donkey, calf, sheepdog, pony, goose, carthorse, piglet, ram, duckling, barn cat
        """,
        "stuff": "straw, barley, mud, milk, wool, clover, manure, oats, hay",
        "spots": """
            in the lower field, behind the barn, by the duck pond, along the lane, in the milking shed, at the edge of
            the wood, on the hillside, beside the well
        """,
        "acts": """
            lead {other} across the field, fix {np}, feed {other}, load {np} with {stuff}, chase {other} down the
            lane, buy {other} from {people}, fetch {np}, lean on {np}, drive {other} to market, gather the {stuff},
            inspect {np}, lock up {other}, name {other} after a cousin, brush {other}, watch the clouds, sow the
            barley, quarrel with {people}, rescue {other} from a ditch, mark {other} with chalk, paint {np}, sell {np}
            at the fair, whistle to {other}
        """,
        "looks": "muddy, stubborn, shaggy, sun-bleached, ill-tempered, sturdy, prize-winning",
    },
    {
        "roles": "station master, signalman, conductor, porter, engine driver, ticket clerk, passenger, stoker",
        "things": """
            suitcase, ticket, timetable, whistle, trunk, parcel, umbrella, newspaper, luggage label, telegram, hatbox,
            signal lamp, basket, travelling rug, walking stick, violin case
        """,
        "others": "train, carriage, goods wagon, engine, sleeping car, mail van, railcar, shunter",
        "stuff": "steam, coal, soot, cold air, engine grease, stale tobacco, gravel, rain",
        "spots": """
            on the platform, in the signal box, at the junction, in the waiting room, beside the tracks, under the
            iron bridge, in the last carriage, by the ticket window
        """,
        "acts": """
            stamp {np}, miss the evening train, leave {np} on a seat, lift {np} onto the rack, ask {people} the time,
            wait for {other}, push {np} along the platform, wave {np} at the driver, buy {np}, sit beside {people},
            polish {other}, hand {np} to {people}, search under {other}, label {np}, send {np} ahead to {town}, read
            {np} twice, sit down on {np}, clear the {stuff} away, delay {other}, couple {other} to {other}, forget
            {np} in {other}, inspect {other}, run after {other}
        """,
        "looks": "delayed, sooty, unclaimed, crowded, punctual, strapped, first-class",
    },
    {
        "roles": "teacher, pupil, headmistress, school inspector, music tutor, governess, janitor, prefect",
        "things": """
            slate, desk, globe, pencil, handbell, satchel, ruler, paintbrush, inkwell, prize, chair, coat hook, chalk
            box, lunch tin, pen, abacus, wall map
        """,
        "others": """
            essay, sum, riddle, poem, spelling list, report, story, lesson, speech, timetable, question, rule, letter
            home
        """,
        "stuff": "chalk, ink, wet wool, floor polish, paint, modelling clay, warm milk, orange peel",
        "spots": """
            in the back row, on the playground, in the corridor, at the front of the class, beside the stove, in the
            assembly hall, by the window, outside the office
        """,
        "acts": """
            explain {other} to {people}, erase {other}, learn {other} by heart, draw {np}, correct {other}, recite
            {other}, pass {np} along the row, hide {np} in a pocket, carry {np} to the front, praise {people}, spill
            ink on {other}, mark {other} in red, rewrite {other}, ask about {other}, stare at {np}, sharpen a pencil,
            collect {np}, guess the answer to {other}, invent an excuse, read {other} to {people}, lend {np} to
            {people}, finish {other}, balance {np} on {np}
        """,
        "looks": "scribbled, inky, tidy, illegible, half-finished, dog-eared, multicoloured",
    },
    {
        "roles": """
            astronomer, lens grinder, night assistant, mathematician, almanac printer, visiting scholar, navigator
        """,
        "things": """
            telescope, lens, mirror, tripod, sextant, eyepiece, prism, photographic plate, clock drive, filter, brass
            dial, spectroscope, globe, reading lamp
        """,
        "others": """
            comet, planet, eclipse, meteor, moon, star, nebula, conjunction, sunspot, double star, constellation
        """,
        "stuff": "cold iron, frost, wet slate, ground glass, machine oil, black coffee, paraffin, chalk dust",
        "spots": """
            under the dome, on the observatory roof, at the eyepiece, in the computing room, beside the great mirror,
            on the cold staircase, near the generator
        """,
        "acts": """
            observe {other}, calculate the path of {other}, adjust {np}, photograph {other}, record {other} in the
            logbook, describe {other} to {people}, clean {np} with alcohol, point {np} at {other}, predict {other},
            check {np} against the tables, sketch {other}, miss {other} because of cloud, publish a note on {other},
            wait for the sky to clear, wind up the clock, name {other}, align {np}, polish {np}, point out {other} to
            {people}, borrow {np} from {people}, take {np} apart, dream of {other}
        """,
        "looks": "faint, brilliant, precise, distant, blurred, calibrated, reddish",
    },
    {
        "roles": "doctor, nurse, patient, pharmacist, surgeon, midwife, night porter, matron",
        "things": """
            bandage, bottle, thermometer, pillow, tray, needle, blanket, walking stick, lamp, wheelchair, pill box,
            basin, flower vase, hot water bottle, spoon, screen
        """,
        "others": "prescription, chart, appointment, complaint, letter, certificate, diagnosis, rota, bill, diary",
        "stuff": "iodine, soap, peppermint, clean linen, ointment, broth, cotton wool, camphor",
        "spots": """
            on the ward, in the dispensary, at the bedside, along the corridor, in the waiting room, by the linen
            cupboard, at the night desk, in the garden of the clinic
        """,
        "acts": """
            change {np}, label {np}, wake {people}, write out {other}, examine {people}, carry {np} upstairs, warm
            {np}, comfort {people}, wash the {stuff} off {np}, boil {np}, measure out the {stuff}, hide {np} under a
            pillow, refuse {other}, order {np}, sign {other}, listen to {people}, straighten {np}, ask for {np},
            cancel {other}, explain {other} to {people}, lose {other}, bring {np} to {people}, rinse {np}
        """,
        "looks": "sterile, folded, bitter, starched, well-scrubbed, narrow, half-empty",
    },
    {
        "roles": "actor, prompter, stagehand, playwright, costume maker, box office clerk, critic, understudy",
        "things": """
            wig, costume, mask, mirror, spotlight, wooden sword, painted tree, crown, cloak, programme, trumpet, paper
            moon, cardboard castle, velvet curtain, fan, false beard, hat
        """,
        "others": """
            speech, scene, song, joke, part, play, chorus, entrance, farewell, review, monologue, comedy, finale
        """,
        "stuff": "velvet, greasepaint, lamp oil, face powder, glitter, hot dust, sawdust, perfume",
        "spots": """
            in the wings, on the stage, in the front row, under the trapdoor, in the dressing room, at the stage door,
            up in the gallery, behind the scenery
        """,
        "acts": """
            rehearse {other}, forget {other}, sew {np}, lift {np}, trip over {np}, applaud {people}, rewrite {other},
            throw {np} into the air, hide behind {np}, paint {np} gold, argue over {other}, steal {np} from {people},
            whisper {other} from the wings, pin {np} to a door, cut {other} from the second act, bow to {people}, try
            on {np}, hang up {np}, wait for the applause, mumble {other}, perform {other} for {people}, spoil {other},
            carry {np} off the stage
        """,
        "looks": "gilded, moth-eaten, theatrical, sequinned, threadbare, melodramatic, tragic",
    },
    {
        "roles": "postman, telegraph clerk, sorter, messenger, widow, letter writer, stamp collector, postmistress",
        "things": """
            bicycle, mailbag, seal, scale, rubber stamp, handcart, lantern, ball of string, pigeonhole, fountain pen,
            paper knife, whistle, cap, raincoat
        """,
        "others": """
            letter, parcel, postcard, telegram, envelope, receipt, invitation, reply, money order, package, love
            letter, bill, newspaper, catalogue
        """,
        "stuff": "sealing wax, string, brown paper, ink, glue, newsprint, pipe smoke, drizzle",
        "spots": """
            at the counter, in the sorting room, on the morning round, by the garden gate, at the corner of the
            square, under the porch, beside the pillar box
        """,
        "acts": """
            deliver {other} to {people}, sort {other}, weigh {other}, open {other} by mistake, read the address on
            {other}, tie up {other}, carry {other} through the rain, answer {other}, send {other} to {town}, post
            {other}, lose {np}, hand over {other}, forward {other}, tear up {other}, keep {other} in a drawer, sign
            for {other}, ask {people} for {np}, wait for {other}, ring at every door, lean {np} against a wall, repair
            {np}, address {other} to {people}, hold {other} up to the light
        """,
        "looks": "unopened, sealed, crumpled, registered, misdirected, anonymous, rain-soaked",
    },
    {
        "roles": "gardener, botanist, beekeeper, orchard owner, flower seller, groundsman, seed merchant",
        "things": """
            spade, flowerpot, watering can, garden bench, rake, trellis, weather vane, wheelbarrow, trowel, basket,
            beehive, sundial, pair of shears, straw hat, garden hose
        """,
        "others": """
            rose, apple tree, hedge, seedling, pear tree, vine, tulip, cabbage, fig tree, cherry tree, pumpkin, lily,
            quince, sunflower, plum tree, fern
        """,
        "stuff": "compost, moss, pollen, wet earth, honey, leaf mould, lavender, cut grass",
        "spots": """
            in the greenhouse, along the south wall, under the pear tree, beside the compost heap, at the garden gate,
            among the beehives, by the pond, in the potting shed
        """,
        "acts": """
            prune {other}, plant {other}, water {other}, dig up {other}, graft {other}, admire {other}, cover {other}
            with {stuff}, sell {other} to {people}, move {np} into the shade, walk round {other}, protect {other} from
            the frost, rake up the {stuff}, give {other} to {people}, draw {other} in a notebook, find a wren in
            {other}, spread {stuff} around {other}, lie down beside {np}, tie {other} to a cane, count the bees, clean
            {np}, trip over {np}, leave {np} out in the rain, lend {np} to {people}
        """,
        "looks": "overgrown, blossoming, thorny, fragrant, neglected, sunlit, earthenware",
    },
    {
        "roles": "curator, restorer, guard, painter, collector, tour guide, sculptor, auctioneer",
        "things": """
            vase, statue, coin, glass case, fossil, marble head, necklace, mummy, sword, helmet, bronze horse,
            skeleton, medal, music box, clay tablet, ivory comb
        """,
        "others": """
            portrait, tapestry, drawing, canvas, photograph, landscape, fresco, mosaic, etching, still life,
            watercolour, icon, mural
        """,
        "stuff": "varnish, marble dust, plaster, gold leaf, floor wax, linen, clay, lamp oil",
        "spots": """
            in the east gallery, on the grand staircase, in the storeroom, behind the glass, at the entrance, beside
            the cloakroom, in the restorer's studio, under the north window
        """,
        "acts": """
            restore {other}, describe {other} to {people}, hang {other} too high, guard {np}, photograph {np}, buy
            {other} at auction, date {np}, clean {np} with {stuff}, knock against {np}, borrow {other} from {people},
            sketch {np}, admire {other}, doubt the age of {np}, pack {np} in straw, insure {other}, paint {other},
            lend {np} to {people}, turn {other} to the light, walk past {other}, stand before {other}, measure {np},
            copy {other}, sell {np} to {people}
        """,
        "looks": "priceless, forged, cracked, unsigned, ancient, celebrated, mysterious",
    },
    {
        "roles": "ferryman, miller, bridge keeper, angler, canal inspector, washerwoman, surveyor, eel catcher",
        "things": """
            paddle, fishing rod, measuring pole, hook, basket, bell, net, bucket, eel trap, lantern, tin box, washtub,
            coil of wire, umbrella
        """,
        "others": """
            barge, raft, punt, boat, canoe, houseboat, dredger, flat-bottomed boat, swan, otter, heron, trout, pike
        """,
        "stuff": "silt, foam, mist, reeds, green water, gravel, rain, river mud",
        "spots": """
            on the towpath, under the bridge, at the lock, beside the weir, on the far bank, in the mill, among the
            willows, in midstream
        """,
        "acts": """
            cross the river with {np}, follow {other} downstream, catch sight of {other}, measure the depth with {np},
            pull {np} out of the mud, shout to {people}, watch {other} drift by, wash {np}, throw {np} onto the bank,
            sketch {other}, forget {np} {spot}, ferry {people} across, pay {people} for {np}, listen to the weir, mend
            {np}, frighten {other}, count the swans, rinse {np} in the current, point at {other}, lose {np} in the
            reeds, wait for {other}, fill {np} with {stuff}
        """,
        "looks": "flooded, mossy, slippery, drifting, moored, leaky, silvery",
    },
    {
        "roles": "printer, editor, typesetter, reporter, proofreader, paper seller, engraver, cartoonist",
        "things": """
            press, typewriter, roller, notebook, telephone, pencil, ink bottle, pair of scissors, desk lamp,
            waste-paper basket, tray of type, ashtray, camera, eyeshade
        """,
        "others": """
            headline, column, page, misprint, proof, caption, advertisement, front page, rumour, article, obituary,
            crossword, editorial, weather report, interview
        """,
        "stuff": "printer's ink, newsprint, hot metal, cigarette smoke, paste, black tea, lead, warm dust",
        "spots": """
            in the newsroom, beside the press, at the sub-editor's desk, on the loading bay, in the composing room, by
            the telephone, at the back of the office
        """,
        "acts": """
            print {other}, correct {other}, set {other} in type, shorten {other}, check {other} with {people},
            telephone {people} about {other}, cross out {other}, invent {other}, sell {other} to {people}, spill ink
            on {np}, publish {other}, file {other}, question {people} about {other}, clean {np} with a rag, stop the
            press for {other}, pin {other} to the wall, explain {other} to {people}, deny {other}, reach for {np},
            repair {np}, dictate {other}, knock over {np}, draft {other}
        """,
        "looks": "inky, unsigned, late, bold, smudged, libellous, unconfirmed",
    },
    {
        "roles": "mountain guide, surveyor, climber, goatherd, hut keeper, geologist, muleteer, weather observer",
        "things": """
            rucksack, rope, ice axe, boot, map, tent, stove, lantern, barometer, hammer, blanket, water bottle,
            compass, walking pole, sledge, tin mug
        """,
        "others": """
            ridge, glacier, hut, path, crevasse, pass, peak, ravine, waterfall, cliff, cave, cairn, snowfield, gully
        """,
        "stuff": "snow, granite, thin air, ice, cold water, dried fruit, loose stone, pine resin",
        "spots": """
            above the tree line, at the first hut, at the foot of the glacier, beside the cairn, on the upper pass, in
            the last village, below the summit, near the spring
        """,
        "acts": """
            climb past {other}, pack {np}, tie {np} to the mule, draw {other}, sleep beside {np}, light the stove,
            drop {np} into {other}, share {np} with {people}, look for {np}, melt snow for {people}, repair {np} with
            wire, follow {people} up the path, cross {other} at dawn, name {other}, turn back at {other}, carry {np}
            to {other}, photograph {other}, tap the barometer, shelter behind {other}, map {other}, lend {np} to
            {people}, point to {other}, warn {people} about {other}
        """,
        "looks": "frozen, steep, icy, windswept, waterproof, snow-covered, wind-battered",
    },
    {
        "roles": "mayor, clerk, judge, witness, tax collector, council member, notary, town crier",
        "things": """
            gavel, filing cabinet, lamp, ballot box, portrait, key, bench, inkstand, handbell, robe, chain of office,
            umbrella stand, clock, wax seal
        """,
        "others": """
            petition, document, ledger, map, decree, signature, complaint, minute book, permit, contract, motion,
            budget, verdict, proposal, by-law, treaty
        """,
        "stuff": "blotting paper, ink, sealing wax, floor polish, stale air, parchment, peppermint, dust",
        "spots": """
            in the council chamber, at the town hall, in the record office, on the courthouse steps, behind the
            screen, at the high table, in the public gallery
        """,
        "acts": """
            sign {other}, debate {other}, file {other}, reject {other}, read out {other}, count the votes, present
            {other} to {people}, question {people} about {other}, seal {other}, postpone {other}, draft {other},
            witness {other}, object to {other}, copy {other}, pay for {np}, approve {other} by one vote, mislay {np},
            vote against {other}, bow to {people}, reach for {np}, donate {np} to {town}, lean on {np}, amend {other}
        """,
        "looks": "official, disputed, legal, unsigned, notarised, ceremonial, unpopular",
    },
    {
        "roles": "violinist, piano tuner, choirmaster, organist, drummer, composer, page turner, bandleader",
        "things": """
            violin, piano, bow, metronome, trumpet, drum, music stand, flute, tuning fork, cello, guitar, accordion,
            clarinet, harp, tambourine, gramophone
        """,
        "others": """
            song, waltz, chorus, lullaby, hymn, overture, sonata, march, ballad, duet, carol, serenade, symphony, folk
            tune
        """,
        "stuff": "rosin, brass polish, cigar smoke, felt, damp velvet, hot wax, candle smoke, old varnish",
        "spots": """
            in the choir stalls, on the bandstand, in the practice room, at the keyboard, beside the organ, in the
            empty hall, under the balcony
        """,
        "acts": """
            tune {np}, practise {other}, play {other} for {people}, compose {other}, hum {other}, break {np}, teach
            {other} to {people}, listen to {other}, carry {np} to the hall, transpose {other}, drop {np} on the
            stairs, conduct {other}, copy out {other}, applaud {people}, repair {np}, miss the beat, lend {np} to
            {people}, whistle {other}, count the bars, play {other} on {np}, sell {np} to {people}, arrange {other}
            for {np}
        """,
        "looks": "out-of-tune, melodious, muffled, lacquered, rented, half-remembered, mournful",
    },
]
THEMES = [{kind: phrases(text) for kind, text in theme.items()} for theme in _THEMES]
