"""BABILong: facts in their order among sentences, exact lengths, upstream's prompt, and the authors' own questions."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from lcbench import catalog
from lcbench.benchmarks import babilong
from lcbench.benchmarks.background import BLOCK, Background
from lcbench.benchmarks.base import Cell
from lcbench.data import babi, corpora
from lcbench.data.pinned import SOURCES
from lcbench.data.texts import load
from lcbench.errors import CannotBuild, MissingError, UsageError
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Sample
from lcbench.schema import BabilongParams, RunConfig
from lcbench.scoring import SCORERS
from tests.tokenizers_made import KINDS, save

NAMES, ROOMS = ("Mary", "John", "Sandra", "Daniel"), ("kitchen", "garden", "office", "hallway", "bedroom")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("byte-level BPE", tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def prompter(tokenizer: Path) -> Prompter:
    return Prompter(tokenizer)


@pytest.fixture
def own_babi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty questions of our own in bAbI's format, as task 1, one of them with too many facts for a short prompt."""
    lines = []
    for i in range(40):
        facts = 120 if i == 7 else 2 + i % 9
        told = [f"{NAMES[(i + k) % 4]} moved to the {ROOMS[(i + 3 * k) % 5]}." for k in range(facts)]
        lines += [f"{k} {fact}" for k, fact in enumerate(told, 1)]
        lines.append(f"{facts + 1} Where is {told[-1].split()[0]}? \t{told[-1].split()[-1][:-1]}\t{facts}")
    (tmp_path / "qa1_made_test.txt").write_text("\n".join(lines))
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "data/babi_en_and_en-10k.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "qa1_made_test.txt", "en-10k/qa1_made_test.txt")
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(SOURCES, "babi", dataclasses.replace(SOURCES["babi"], sha256=None))
    return tmp_path / "data"


@pytest.fixture
def real(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The benchmark's own texts and data."""
    for name in ("texts/babilong.json", "babi_en_and_en-10k.tar.gz", "corpora/books.jsonl.gz"):
        if not (shared / "data" / name).is_file():
            pytest.skip(f"no {name} under {shared / 'data'} (LCBENCH_SHARED)")
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    return shared


def cell(name: str, length: int, prompter: Prompter, prompt: str, seed: int = 0, limit: int | None = None) -> Cell:
    config = RunConfig(model="none", prompt=prompt, seed=seed)
    return open_cell(catalog.select([name])[0].task, length, prompter, config, limit)[1]


def item(sample: Sample) -> int:
    return int(sample.id.rsplit(":", 1)[1])


def used(prompter: Prompter, sample: Sample) -> int:
    return prompter.count(prompter.render(sample.messages, sample.answer_prefix)) + sample.max_new_tokens


def body(sample: Sample, tag: str) -> str:
    return sample.messages[-1]["content"].split(f"<{tag}>\n")[-1].split(f"\n</{tag}>")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_exact_and_facts_in_order(kind: str, tmp_path: Path, own_babi: Path) -> None:
    prompter = Prompter(save(kind, tmp_path))
    questions = babi.questions(1, "en-10k", "test")
    for length in (1200, 4096):
        found = cell("babilong/qa1", length, prompter, "builtin")
        n, skipped = found.prepare(40)
        assert n + skipped == 40
        made = [found.sample(i) for i in range(0, n, 5)]
        for sample in made:
            asked, text = questions[item(sample)], body(sample, "text")
            assert used(prompter, sample) == sample.prompt_tokens + sample.max_new_tokens <= length
            assert used(prompter, sample) >= length - 60 or used(prompter, sample) >= 0.95 * length
            assert sample.references == (asked.answer,)
            assert sample.fields["question"] == asked.question
            places = [0]
            for fact in asked.facts:
                places.append(text.index(fact, places[-1]) + len(fact))
            assert text.count(" moved to the ") == len(asked.facts)
            told = [sample.messages[-1]["content"][e.start : e.end] for e in sample.evidence]
            assert told == [asked.facts[i] for i in sorted(asked.supporting)]
            assert all(0 <= e.depth <= 1 for e in sample.evidence)
        assert len({item(sample) for sample in made}) == len(made)


def test_the_background_is_running_text(prompter: Prompter, own_babi: Path) -> None:
    sentences = corpora.prose_sentences(1 << 16).pieces
    long = [s for s in sentences if prompter.count(" " + s) >= 10]
    assert len(long) < len(sentences)
    for sample in map(cell("babilong/qa1", 2048, prompter, "builtin").sample, range(4)):
        text = " " + body(sample, "text")
        for fact in babi.questions(1, "en-10k", "test")[item(sample)].facts:
            text = text.replace(" " + fact, "", 1)
        first = next(i for i, s in enumerate(long) if text.startswith(" " + s))
        end = next(n for n in range(first, len(long) + 1) if len("".join(" " + s for s in long[first:n])) >= len(text))
        assert text == "".join(" " + s for s in long[first:end])
        assert end - first > 20


def test_samples_do_not_depend_on_order_or_process(own_babi: Path, tokenizer: Path, root: Path) -> None:
    first, second = (cell("babilong/qa1", 2048, Prompter(tokenizer), "builtin", seed=5) for _ in range(2))
    forwards = [first.sample(i) for i in range(4)]
    assert [second.sample(i) for i in reversed(range(4))] == forwards[::-1]
    code = f"""
import dataclasses, sys
from lcbench.data.pinned import SOURCES
SOURCES["babi"] = dataclasses.replace(SOURCES["babi"], sha256=None)
from pathlib import Path
from tests.benchmarks.test_babilong import Prompter, cell
print(repr(cell("babilong/qa1", 2048, Prompter(Path({str(tokenizer)!r})), "builtin", seed=5).sample(3)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(forwards[3])
    other = cell("babilong/qa1", 2048, Prompter(tokenizer), "builtin", seed=6).sample(3)
    assert other.messages != forwards[3].messages


def test_length_0_has_the_facts_alone(prompter: Prompter, own_babi: Path) -> None:
    found = cell("babilong/qa1", 0, prompter, "builtin")
    assert found.prepare(40) == (40, 0)
    sizes = []
    for sample in map(found.sample, range(40)):
        assert body(sample, "text") == " ".join(babi.questions(1, "en-10k", "test")[item(sample)].facts)
        assert used(prompter, sample) == sample.prompt_tokens + sample.max_new_tokens
        sizes.append(used(prompter, sample))
    task = catalog.tasks()["babilong/qa1"]
    brief, _ = open_cell(task, 0, prompter, RunConfig(model="none", prompt="builtin"))
    bounded = babilong.open_cell(dataclasses.replace(brief, limit=max(sizes) - 1))
    assert bounded.prepare(40)[0] == sum(size < max(sizes) for size in sizes) < 40


def test_items_that_do_not_fit_are_passed_over(prompter: Prompter, own_babi: Path) -> None:
    found = cell("babilong/qa1", 700, prompter, "builtin")
    n, skipped = found.prepare(40)
    assert 7 not in {item(found.sample(i)) for i in range(n)}
    assert skipped >= 1
    with pytest.raises(CannotBuild, match="items fit"):
        found.sample(n)
    assert cell("babilong/qa1", 100, prompter, "builtin").prepare(3) == (0, 40)


def test_a_corpus_that_runs_out_is_refused(prompter: Prompter, own_babi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "A short sentence, but one that has ten tokens and more than that."
    few = corpora.Sentences([sentence] * 30, "x", "books", (("a", 0, 30),))
    short = Background(prompter, few, 10)
    monkeypatch.setattr(babilong, "background", lambda *_: short)
    with pytest.raises(CannotBuild, match=r"the books hold \d+ tokens, 4096 were asked for"):
        cell("babilong/qa1", 4096, prompter, "builtin")


def test_reading_goes_round_all_texts_once_and_skips_short_sentences(prompter: Prompter) -> None:
    pieces = [f"Sentence {i} tells of the {i} ships that came to the harbour." for i in range(3 * BLOCK)]
    pieces[5] = "No ship came."
    bounds = (("a", 0, 100), ("b", 100, 101), ("c", 101, len(pieces)))
    texts = Background(prompter, corpora.Sentences(pieces, "x", "made", bounds), 8)
    whole = texts.read(random.Random(1), math.inf)
    assert sorted(whole.pieces) == sorted(" " + p for i, p in enumerate(pieces) if i != 5)
    assert texts.total() == whole.tokens.sum()
    starts = {texts.read(random.Random(seed), 50).pieces[0] for seed in range(50)}
    assert len(starts) > 20


def test_gold_is_right_and_silence_wrong(prompter: Prompter, own_babi: Path) -> None:
    sample = cell("babilong/qa1", 1200, prompter, "builtin").sample(0)
    for name in ("babilong.official", "babilong.word_boundary"):
        assert SCORERS[name](f"{sample.references[0]}.", sample.references, **sample.fields).value == 1.0
        assert SCORERS[name]("", sample.references, **sample.fields).value == 0.0


def test_another_question_needs_another_prompt(prompter: Prompter, own_babi: Path) -> None:
    with pytest.raises(UsageError, match=r"asks question 2: its prompts.key has to be DEFAULT_PROMPTS.qa2"):
        cell("babilong/qa1:question=2", 1200, prompter, "builtin")


def test_every_task_has_its_wording(own_babi: Path) -> None:
    for number in range(1, 21):
        task = catalog.tasks()[f"babilong/qa{number}"]
        assert BabilongParams.model_validate(task.params).question == number
        assert task.prompts is not None
        assert task.prompts.key == f"DEFAULT_PROMPTS.qa{number}"


def test_ready_made_samples_are_used_whole(prompter: Prompter, own_babi: Path) -> None:
    folder = own_babi / "hub/RMT-team/babilong/4k"
    folder.mkdir(parents=True)
    rows = [
        {
            "input": f" Mary went to the attic. {'The rain fell on. ' * n}",
            "question": "Where is Mary? ",
            "target": "attic",
        }
        for n in (10, 5000, 20)
    ]
    (folder / "qa1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = cell("babilong/qa1:samples=hub", 4096, prompter, "builtin", limit=8192)
    assert not found.bounded
    assert found.prepare(3) == (2, 1)
    for sample in map(found.sample, range(2)):
        assert body(sample, "text") == rows[item(sample)]["input"].strip()
        assert used(prompter, sample) == sample.prompt_tokens + sample.max_new_tokens
        assert sample.references == ("attic",)
    with pytest.raises(MissingError, match="RMT-team/babilong/3000/qa1"):
        cell("babilong/qa1:samples=hub", 3000, prompter, "builtin")


def test_the_official_prompt_has_upstreams_form(prompter: Prompter, real: Path) -> None:
    strings = load("babilong").strings
    for number in range(1, 21):
        found = cell(f"babilong/qa{number}", 4096, prompter, "official")
        assert found.prepare(2) == (2, 0)
        for sample in map(found.sample, range(2)):
            entry = strings["DEFAULT_PROMPTS"][f"qa{number}"]
            asked = babi.questions(number, "en-10k", "test")[item(sample)]
            parts = [entry["instruction"], entry["examples"], entry["post_prompt"]]
            end = f"\n</context>\n\nQuestion: {asked.question}".rstrip()
            content = sample.messages[-1]["content"]
            assert content.startswith("\n\n".join([*parts, "<context>\n"]).lstrip())
            assert content.endswith(end)
            inside = content.removeprefix("\n\n".join([*parts, "<context>\n"]).lstrip()).removesuffix(end)
            assert inside == inside.strip()
            assert used(prompter, sample) == sample.prompt_tokens + sample.max_new_tokens <= 4096
            assert sample.fields["labels"] == strings["TASK_LABELS"][f"qa{number}"]
            parts = sample.references if number == 19 else sample.references[0].split(",")
            assert set(parts) <= set(sample.fields["labels"])


def test_the_questions_that_upstream_asked_are_ours(prompter: Prompter, real: Path) -> None:
    golden = real / "golden/babilong_predictions.jsonl.gz"
    if not golden.is_file():
        pytest.skip(f"no golden answers at {golden}")
    rows = [json.loads(line) for line in gzip.decompress(golden.read_bytes()).splitlines()]
    asked: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        if row["length"] == "0k":
            asked.setdefault(row["task"], set()).add((row["question"], row["target"]))
    assert len(asked) == 20
    for name in ("qa3", "qa7", "qa19"):  # tests of the data look at all twenty
        pairs = asked[name]
        found = cell(f"babilong/{name}", 0, prompter, "official")
        assert found.prepare(1000) == (1000, 0)
        ours = [found.sample(i) for i in range(1000)]
        assert pairs <= {(s.fields["question"], s.references[0]) for s in ours}
