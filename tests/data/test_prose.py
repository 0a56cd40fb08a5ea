"""Our own haystack: endless, the same everywhere, hard to compress, and nothing in it looks like a needle."""

from __future__ import annotations

import collections
import os
import re
import subprocess
import sys
import time
import zlib

import pytest

from lcbench.data import corpora, prose_patterns, words
from lcbench.data.prose import (
    PLURALS,
    SHARED_LISTS,
    THEME_LISTS,
    VERB_FORMS,
    Scene,
    inflected,
    paragraphs,
    plural,
    prose,
    spelled,
    with_articles,
)
from lcbench.data.prose_themes import THEMES


@pytest.fixture(scope="module")
def text() -> str:
    return prose(180_000)


def test_a_shorter_text_is_the_beginning_of_a_longer_one(text):
    all_words = text.split(" ")
    for count in (0, 1, 2, 17, 5_000, 99_999):
        assert prose(count) == " ".join(all_words[:count])
    assert len(all_words) == 180_000


def test_every_process_writes_the_same(root):
    code = "from lcbench.data import corpora; print(corpora.prose(3000).sha256)"
    seen = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": seed}
        seen.add(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
    assert len(seen) == 1
    assert seen.pop().decode().strip() == corpora.prose(3000).sha256


def test_it_compresses_like_writing_not_like_repetition(text):
    million = text.encode()[:1_000_000]
    assert len(million) == 1_000_000
    assert len(zlib.compress(million, 6)) / len(million) >= 0.33


def test_eight_words_in_a_row_hardly_ever_come_again(text):
    haystack = text.split(" ")[:100_000]
    runs = collections.Counter(tuple(haystack[i : i + 8]) for i in range(len(haystack) - 7))
    again = sum(count for count in runs.values() if count > 1)
    assert again / runs.total() < 0.01


def test_it_is_written_quickly():
    start = time.process_time()
    prose(112_000)
    assert time.process_time() - start < 3


def test_nothing_looks_like_a_needle_or_a_slot(text):
    assert "special magic" not in text
    assert "VAR " not in text
    assert not re.search(r"[0-9{}_\n\t]|  ", text)
    assert text.isascii()


def test_sentences_end_and_begin_as_sentences_do(text):
    sentences = re.split(r"(?<=[.!?]) ", text)[:-1]
    assert len(sentences) > 10_000
    for sentence in sentences:
        assert re.fullmatch(r'["A-Z].*[.!?]', sentence), sentence
        assert sentence.count('"') in (0, 2), sentence
        assert not re.search(r"[.!?,;:]{2}|[.!?]\w| [.,;:!?]", sentence), sentence
    lengths = [len(sentence.split()) for sentence in sentences]
    assert min(lengths) >= 3
    assert max(lengths) < 70
    assert 8 < sum(lengths) / len(lengths) < 20


def test_articles_agree(text):
    assert not re.search(r"\b[Aa] (?!use|uni|one\b|eu)[aeiou]", text)
    assert not re.search(r"\b[Aa]n [^aeiouAEIOU]", text)
    assert with_articles("a old man, a useful egg, A open door") == "an old man, a useful egg, An open door"


def test_paragraphs_join_to_the_text(text):
    some = [paragraph for paragraph, _ in zip(paragraphs(), range(200), strict=False)]
    assert text.startswith(" ".join(some))
    assert all(5 <= len(re.findall(r"[.!?](?= |$)", paragraph)) <= 11 for paragraph in some)


def test_verbs_and_nouns_are_inflected():
    forms = {"mend": ("mended", "mending"), "bake": ("baked", "baking"), "carry": ("carried", "carrying")}
    forms |= {"stop": ("stopped", "stopping"), "tie": ("tied", "tying"), "throw": ("threw", "throwing")}
    for verb, (past, ing) in forms.items():
        assert inflected(f"{verb} {{np}} away", "did") == f"{past} {{np}} away"
        assert inflected(f"{verb} {{np}}", "doing") == f"{ing} {{np}}"
    assert inflected("throw {np}", "done") == "thrown {np}"
    assert [plural(noun) for noun in ("loaf", "box", "story", "key", "apple tree")] == [
        "loaves", "boxes", "stories", "keys", "apple trees",
    ]  # fmt: skip
    assert spelled(7) == "seven"
    assert spelled(40) == "forty"
    assert spelled(341) == "three hundred and forty-one"


def test_every_verb_of_the_themes_has_sane_forms():
    """Verbs of one syllable with one vowel before one last consonant double it: scrub, scrubbing."""
    for act in {act for theme in THEMES for act in theme["acts"]}:
        verb = act.split(" ")[0]
        ing = inflected(verb, "doing")
        if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", verb):
            assert ing == verb + verb[-1] + "ing", verb


def test_every_slot_of_every_pattern_is_known():
    lists = [value for value in vars(prose_patterns).values() if isinstance(value, list)]
    slots = {slot for patterns in lists for pattern in patterns for slot in re.findall(r"{(\w+)}", pattern)}
    assert len(slots) > 30
    text = " ".join(p for p, _ in zip(paragraphs(), range(400), strict=False))  # KeyError or AttributeError otherwise
    assert "None" not in text
    known = {*VERB_FORMS, *PLURALS, *SHARED_LISTS, *THEME_LISTS, "he", "him", "his"}
    for slot in slots - known:
        assert hasattr(Scene, f"_{slot}"), slot


def test_a_corpus_is_its_text():
    corpus = corpora.prose(50)
    assert (corpus.name, corpus.text) == ("prose", prose(50))
    assert corpora.prose(50) is corpus


def test_the_essays_are_one_line(shared, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    corpus = corpora.essays()
    assert len(corpus.text.split(" ")) == 111_913
    assert not re.search(r"\s\s|[\n\t]", corpus.text)


def test_the_words_of_needles():
    assert (len(words.nouns()), len(words.adjectives()), len(words.verbs())) == (6782, 912, 1042)
    assert len(words.all_words()) == 8166
    assert words.all_words() == sorted(set(words.all_words()))
    assert all(word == word.strip() and word for word in words.all_words())
