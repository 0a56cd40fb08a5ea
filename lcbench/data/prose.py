"""Readable English without end, made here: the haystack of `--prompt builtin`, owned by nobody and needing no download.

The text is a chain of small scenes. A scene has a theme (a harbour, a library, a mountain hut), two people and a place;
its paragraphs mix settings, events, remarks and dialogue, filled from the lists of `prose_words`. Lists are dealt like
cards, without repetition until they run out. Everything hangs on one fixed seed: `prose(m)` is a prefix of `prose(n)`
for m < n. The text holds no digits, so that no needle can be mistaken for it.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from typing import Any

from lcbench.data import prose_patterns as patterns
from lcbench.data import prose_words as lists
from lcbench.data.prose_themes import THEMES

SEED = 20240

SHARED_LISTS = {
    "np": patterns.NOUN_PHRASES,
    "other": patterns.OTHER_PHRASES,
    "people": lists.PEOPLE,
    "place": [f"{near} the {side} {place}" for near in lists.NEAR for side in lists.SIDES for place in lists.PLACES],
    "any_look": lists.LOOKS,
    "opinion": lists.OPINIONS,
    "mood": lists.MOODS,
    "manner": lists.MANNERS,
    "time": lists.TIMES,
    "month": lists.MONTHS,
    "day": lists.DAYS,
    "season": lists.SEASONS,
    "hour": lists.HOURS,
    "unit": lists.UNITS,
    "quality": lists.QUALITIES,
    "value": lists.VALUES,
    "topic": lists.TOPICS,
    "weather": lists.WEATHER,
    "obstacle": lists.OBSTACLES,
    "relative": lists.RELATIVES,
    "link": lists.LINKS,
    "tag": lists.TAGS,
    "setting": patterns.SETTINGS,
    "event": patterns.EVENTS,
    "remark": patterns.REMARKS,
    "speech": patterns.SPEECHES,
    "question": patterns.QUESTIONS,
    "town": [head + tail for head in lists.TOWN_HEADS for tail in lists.TOWN_TAILS],
    "woman": lists.WOMEN,
    "man": lists.MEN,
    "surname": lists.SURNAMES,
}
THEME_LISTS = {
    "role": "roles",
    "thing": "things",
    "other_thing": "others",
    "stuff": "stuff",
    "theme_spot": "spots",
    "act": "acts",
    "theme_look": "looks",
}
PLURALS = {
    "things": "thing",
    "other_things": "other_thing",
    "roles": "role",
    "units": "unit",
    "seasons": "season",
}
VERB_FORMS = ("do", "did", "done", "doing")
PRONOUNS = {
    "woman": {"he": "she", "him": "her", "his": "her"},
    "man": {"he": "he", "him": "him", "his": "his"},
}

ONES = lists.words("""
    zero one two three four five six seven eight nine ten
    eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
""")
TENS = lists.words("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
ORDINALS = lists.words("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth last")


def prose(words: int) -> str:
    """The first `words` words of the text, as one line: sentences end with . ! or ? and stand one space apart.

    The last sentence is cut where the count ends. Words are what `str.split` gives.
    """
    stream = (word for paragraph in paragraphs() for word in paragraph.split())
    return " ".join(itertools.islice(stream, words))


def paragraphs() -> Iterator[str]:
    """The paragraphs of the text, in order, without end. The same in every process and for every caller."""
    rng = random.Random(SEED)
    shared = {name: Deck(items, rng) for name, items in SHARED_LISTS.items()}
    themes = [{slot: Deck(theme[key], rng) for slot, key in THEME_LISTS.items()} for theme in THEMES]
    order = Deck(themes, rng)
    while True:
        scene = Scene({**shared, **order.draw()}, rng)
        for _ in range(rng.randint(1, 3)):
            yield scene.paragraph()


class Deck:
    """Items dealt in random order, each once before any comes again."""

    def __init__(self, items: list, rng: random.Random):
        self.items, self.rng = items, rng
        self.left: list = []

    def draw(self) -> Any:
        if not self.left:
            self.left = self.rng.sample(self.items, len(self.items))
        return self.left.pop()


class Scene:
    """One theme and two people. Patterns are filled through `__getitem__`, one slot at a time."""

    def __init__(self, decks: dict[str, Deck], rng: random.Random):
        self.decks, self.rng = decks, rng
        sexes = rng.choice(["woman", "man"]), rng.choice(["woman", "man"])
        self.first = [decks[sex].draw() for sex in sexes]
        self.full = [f"{name} {decks['surname'].draw()}" for name in self.first]
        self.jobs = [decks["role"].draw() for _ in sexes]
        self.pronouns = PRONOUNS[sexes[0]]
        self.introduced = [False, False]
        self.pronoun_is_clear = False

    def paragraph(self) -> str:
        """Five to eleven sentences. The first may set the place; a person is named before being called he or she."""
        rng = self.rng
        self.pronoun_is_clear = False
        sentences = [self.sentence("setting")] if rng.random() < 0.7 else []
        for _ in range(rng.randint(5, 10)):
            kind = rng.choices(["event", "remark", "speech", "question"], [70, 11, 13, 6])[0]
            sentences.append(self.sentence(kind))
        return " ".join(sentences)

    def sentence(self, kind: str) -> str:
        pattern = self.decks[kind].draw()
        if kind in ("speech", "question"):
            pattern = self._quoted(pattern.format_map(self), kind)
        elif pattern.startswith("{A}") and self.rng.random() < 0.18:
            pattern = f"{self.decks['link'].draw()}, {pattern}"
        text = with_articles(pattern.format_map(self))
        self.pronoun_is_clear = "{A}" in pattern and "{B}" not in pattern
        return text[0].upper() + text[1:]

    def _quoted(self, line: str, kind: str) -> str:
        """A pattern for `line` in quotation marks. The tag comes last, so that the sentence ends outside them."""
        verb, close = ("asked", "?") if kind == "question" else (self.decks["tag"].draw(), ",")
        if self.pronoun_is_clear and self.rng.random() < 0.4:
            tag = f"{self.pronouns['he']} {verb}"
        else:
            tag = f"{verb} {self.rng.choice(['{Aname}', '{B}'])}"
        manner = " {manner}" if self.rng.random() < 0.3 else ""
        return f'"{line[0].upper()}{line[1:]}{close}" {tag}{manner}.'

    def __getitem__(self, slot: str) -> str:
        if slot in VERB_FORMS:
            return inflected(self.decks["act"].draw(), slot).format_map(self)
        if slot in PLURALS:
            return plural(self.decks[PLURALS[slot]].draw())
        if slot in self.pronouns:
            return self.pronouns[slot]
        if slot in self.decks:
            return self.decks[slot].draw().format_map(self)
        return getattr(self, f"_{slot}")()

    def _spot(self) -> str:
        return self["theme_spot" if self.rng.random() < 0.35 else "place"]

    def _look(self) -> str:
        return self["theme_look" if self.rng.random() < 0.35 else "any_look"]

    def _nice(self) -> str:
        return self["theme_look" if self.rng.random() < 0.25 else "opinion"]

    def _number(self) -> str:
        low, high = self.rng.choices([(2, 12), (13, 99), (100, 999)], [60, 32, 8])[0]
        return spelled(self.rng.randint(low, high))

    def _ordinal(self) -> str:
        return self.rng.choice(ORDINALS)

    def _A(self) -> str:
        if self.pronoun_is_clear and self.rng.random() < 0.7:
            return self.pronouns["he"]
        return self._Aname()

    def _Aname(self) -> str:
        return self._person(0)

    def _B(self) -> str:
        return self._person(1)

    def _person(self, which: int) -> str:
        if not self.introduced[which]:
            self.introduced[which] = True
            return self.rng.choice([self.full[which], f"the {self.jobs[which]} {self.full[which]}"])
        return self.rng.choices(
            [self.first[which], self.full[which], f"the {self.jobs[which]}"],
            [6, 1, 2 if self.jobs[0] != self.jobs[1] else 0],
        )[0]


def with_articles(text: str) -> str:
    """`a` before a vowel sound becomes `an`."""
    return re.sub(r"\b([Aa]) (?=(?!use|uni|one\b|eu)[aeiou])", r"\1n ", text)


def plural(noun: str) -> str:
    if noun in lists.IRREGULAR_PLURALS:
        return lists.IRREGULAR_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def inflected(act: str, form: str) -> str:
    """`act` begins with a verb in its base form; `form` is one of VERB_FORMS."""
    verb, space, rest = act.partition(" ")
    return _verb(verb, form) + space + rest


def _verb(verb: str, form: str) -> str:
    if form == "do":
        return verb
    if form != "doing" and verb in lists.IRREGULAR_VERBS:
        past, participle = lists.IRREGULAR_VERBS[verb]
        return past if form == "did" else participle
    stem = verb + verb[-1] if verb in lists.DOUBLED else verb
    if form == "doing":
        if verb.endswith("ie"):
            return verb[:-2] + "ying"
        return (stem[:-1] if stem.endswith("e") and not stem.endswith("ee") else stem) + "ing"
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return stem + "ed"


def spelled(number: int) -> str:
    """A number from 0 to 999 in words."""
    if number >= 100:
        rest = number % 100
        return f"{ONES[number // 100]} hundred" + (f" and {spelled(rest)}" if rest else "")
    if number >= 20:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    return ONES[number]
