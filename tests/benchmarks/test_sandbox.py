"""The sandbox tasks: exactly one flaw, found by a checker that shares no code with the builder, in exact lengths."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench import catalog
from lcbench.benchmarks.base import Cell
from lcbench.benchmarks.sandbox.ledger import KINDS, LEAST_TRANSFERS, Flaw, opening_balances, play
from lcbench.benchmarks.sandbox.mutations import Bug, bugs, changed
from lcbench.benchmarks.sandbox.numbered import Numbered, Surroundings, shown
from lcbench.data import code
from lcbench.errors import CannotBuild
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Sample
from lcbench.schema import RunConfig
from lcbench.scoring import SCORERS
from lcbench.seeds import generator
from tests.tokenizers_made import KINDS as TOKENIZERS
from tests.tokenizers_made import save

TASKS = ("sandbox/bank_log", "sandbox/code_bug")
LOG_LINE = re.compile(r"(TX\d{6}) transfer (\d+) from (\w+) to (\w+) \| \3 (-?\d+) -> (-?\d+) \| \4 (-?\d+) -> (-?\d+)")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("byte-level BPE", tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def prompter(tokenizer: Path) -> Prompter:
    return Prompter(tokenizer)


def cell(name: str, length: int, prompter: Prompter, seed: int = 0) -> Cell:
    return open_cell(catalog.select([name])[0].task, length, prompter, RunConfig(model="none", seed=seed))[1]


def used(prompter: Prompter, sample: Sample) -> int:
    return prompter.count(prompter.render(sample.messages, sample.answer_prefix)) + sample.max_new_tokens


def shown_evidence(sample: Sample) -> list[str]:
    return [sample.messages[-1]["content"][e.start : e.end] for e in sample.evidence]


def audit(opening: dict[str, int], lines: list[str]) -> list[str]:
    """Every flaw of a log, found by replaying its text: what is written counts as the balance from there on."""
    balance, before_last = dict(opening), dict.fromkeys(opening)
    ids: set[str] = set()
    found = []
    for line in lines:
        match = LOG_LINE.fullmatch(line)
        assert match, line
        name, payer, payee = match[1], match[3], match[4]
        amount, *figures = (int(match[i]) for i in (2, 5, 6, 7, 8))
        assert amount > 0
        assert payer != payee
        for account, change, (old, new) in ((payer, -amount, figures[:2]), (payee, amount, figures[2:])):
            if old != balance[account]:
                assert old == before_last[account]
                found.append(f"LOST_UPDATE {name}")
            if new != old + change:
                found.append(f"CALC_ERROR {name}")
            if new < 0:
                found.append(f"NEGATIVE_BAL {name}")
            before_last[account], balance[account] = balance[account], new
        if name in ids:
            found.append(f"DUPLICATE_TXN {name}")
        ids.add(name)
    return found


def text_of(log: list) -> list[str]:
    return [
        f"{t.id} transfer {t.amount} from {t.payer} to {t.payee} | "
        f"{t.payer} {t.before[0]} -> {t.after[0]} | {t.payee} {t.before[1]} -> {t.after[1]}"
        for t in log
    ]


@given(
    seed=st.integers(0, 2**64 - 1),
    n=st.integers(LEAST_TRANSFERS, 300),
    kind=st.sampled_from(KINDS),
    depth=st.floats(0, 1, exclude_max=True),
    origin=st.floats(0, 1, exclude_max=True),
)
def test_a_log_has_exactly_the_flaw_asked_for(seed: int, n: int, kind: str, depth: float, origin: float) -> None:
    opening = opening_balances(generator(seed))
    ids = [f"TX{100_000 + i}" for i in range(n)]
    log, places = play(opening, ids, Flaw(kind, depth, origin), seed)
    assert len(log) == n
    assert audit(opening, text_of(log)) == [f"{kind} {log[places[-1]].id}"]
    assert 2 <= places[-1] < n
    assert abs(places[-1] / n - depth) < 0.6 if n < 10 else abs(places[-1] / n - depth) < 0.25
    if kind == "DUPLICATE_TXN":
        first, again = (log[i] for i in places)
        assert (first.id, first.payer, first.payee, first.amount) == (again.id, again.payer, again.payee, again.amount)


@pytest.mark.parametrize("length", [700, 4096])
def test_the_checker_finds_what_samples_refer_to(length: int, prompter: Prompter) -> None:
    seen = Counter()
    found = cell("sandbox/bank_log", length, prompter)
    for sample in map(found.sample, range(40)):
        content = sample.messages[-1]["content"]
        opening = dict(re.findall(r"(\w+) (\d+)[,.]", content.split("\n", 1)[0]))
        lines = [line for line in content.split("\n") if line.startswith("TX")]
        assert audit({name: int(n) for name, n in opening.items()}, lines) == list(sample.references)
        kind, flawed = sample.references[0].split()
        assert all(line.split()[0] == flawed for line in shown_evidence(sample))
        assert len(sample.evidence) == (2 if kind == "DUPLICATE_TXN" else 1)
        assert sample.tags == {"flaw": kind}
        seen[kind] += 1
    assert set(seen) == set(KINDS)


def test_the_needle_stays_while_the_haystack_grows(prompter: Prompter) -> None:
    """With the same seed a longer log has the same beginning, up to the flaw."""
    opening, flaw = opening_balances(generator(1)), Flaw("CALC_ERROR", 0.5, 0.3)
    ids = [f"TX{200_000 + i}" for i in range(400)]
    short, long = (play(opening, ids[:n], flaw, 3) for n in (100, 400))
    assert short[0][: short[1][-1]] == long[0][: short[1][-1]]
    assert long[1][-1] / 400 == pytest.approx(short[1][-1] / 100, abs=0.02)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", TASKS)
def test_lengths_are_exact(name: str, kind: str, tmp_path: Path) -> None:
    prompter = Prompter(save(kind, tmp_path))
    for length in (2000, 6000):
        found = cell(name, length, prompter)
        assert found.prepare(3)[0] == 3
        for sample in map(found.sample, range(3)):
            whole = used(prompter, sample)
            assert whole == sample.prompt_tokens + sample.max_new_tokens <= length
            lines = sample.messages[-1]["content"].split("\n")
            assert whole >= 0.95 * length or length - whole <= max(prompter.count(x) for x in lines[8:-3]) + 30
            assert all(0 <= e.depth <= 1 for e in sample.evidence)


@pytest.mark.parametrize("name", TASKS)
def test_samples_do_not_depend_on_order_or_process(name: str, tokenizer: Path, root: Path) -> None:
    first, second = (cell(name, 3000, Prompter(tokenizer), seed=5) for _ in range(2))
    forwards = [first.sample(i) for i in range(4)]
    assert [second.sample(i) for i in reversed(range(4))] == forwards[::-1]
    assert len({sample.references for sample in forwards}) == 4
    code = f"""
from pathlib import Path
from tests.benchmarks.test_sandbox import Prompter, cell
print(repr(cell({name!r}, 3000, Prompter(Path({str(tokenizer)!r})), seed=5).sample(3)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(forwards[3])


@pytest.mark.parametrize("name", TASKS)
def test_gold_is_right_and_silence_wrong(name: str, prompter: Prompter) -> None:
    task = catalog.tasks()[name]
    for sample in map(cell(name, 3000, prompter).sample, range(5)):
        gold = SCORERS[task.scorer.name](f" {sample.references[0]}\n", sample.references)
        assert gold.value == 1.0
        assert set(gold.beside.values()) == {1.0}
        empty = SCORERS[task.scorer.name]("", sample.references)
        assert (empty.value, set(empty.beside.values())) == (0.0, {0.0})


@pytest.mark.parametrize("name", TASKS)
def test_what_is_too_short_is_refused(name: str, prompter: Prompter) -> None:
    with pytest.raises(CannotBuild, match="needs"):
        cell(name, 150, prompter).sample(0)


SNIPPET = '''
class Scaler:
    def scale(self, scores, size, mask=None):
        """Scores, scaled."""
        if mask is not None and size > 0:
            scores = scores + mask.sum(dim=-1)
        for i in range(size):
            scores[i] -= size - i
        if not scores:
            return max(size, 1)
        return (scores * 2) / math.sqrt(size), f"{size - 1}"


def wide(é, b):
    return é - b, é < b


def join(folder, name):
    return folder / name, abs(b - a)
'''


def test_bugs_change_one_place_of_one_line() -> None:
    found = bugs(SNIPPET)
    assert list(found) == ["Scaler.scale"]
    lines = SNIPPET.split("\n")
    told = {(lines[b.line - 1].strip(), b.text.strip()): b.kind for b in found["Scaler.scale"]}
    assert told == {
        ("if mask is not None and size > 0:", "if mask is None and size > 0:"): "missing value",
        ("if mask is not None and size > 0:", "if mask is not None or size > 0:"): "connective",
        ("if mask is not None and size > 0:", "if mask is not None and size < 0:"): "comparison",
        ("scores = scores + mask.sum(dim=-1)", "scores = scores + mask.sum(dim=0)"): "dimension",
        ("for i in range(size):", "for i in range(size - 1):"): "range",
        ("scores[i] -= size - i", "scores[i] -= i - size"): "difference",
        ("if not scores:", "if scores:"): "negation",
        ("return max(size, 1)", "return min(size, 1)"): "extreme",
        ('return (scores * 2) / math.sqrt(size), f"{size - 1}"', 'return (scores * 2), f"{size - 1}"'): "scaling",
    }
    assert all((b.first, b.last, b.function) == (3, 11, "Scaler.scale") for b in found["Scaler.scale"])


def test_every_bug_parses_and_is_another_program() -> None:
    checked = Counter[str]()
    for file in code.python_files().files[:60]:
        before = ast.dump(_parsed(file.text))
        for bug in [b for own in bugs(file.text).values() for b in own][::3]:
            after = changed(file.text, bug)
            different = [
                i for i, (a, b) in enumerate(zip(file.text.split("\n"), after.split("\n"), strict=True), 1) if a != b
            ]
            assert different == [bug.line]
            assert bug.first <= bug.line <= bug.last
            assert ast.dump(_parsed(after)) != before
            checked[bug.kind] += 1
    assert len(checked) == 10


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.parse(text)


def test_the_referenced_line_is_the_changed_one(prompter: Prompter) -> None:
    files = {file.path: file.text.split("\n") for file in code.python_files().files}
    depths = []
    for sample in map(cell("sandbox/code_bug", 4096, prompter).sample, range(20)):
        content = sample.messages[-1]["content"]
        path = None
        wrong = []
        for line in content.split("\n"):
            if heading := re.fullmatch(r"=== (\S+) ===", line):
                path = heading[1]
            numbered = re.fullmatch(r"L(\d+):(?: (.*))?", line)
            if path and numbered and (numbered[2] or "") != files[path][int(numbered[1]) - 1]:
                wrong.append(f"{path}:L{numbered[1]}")
        assert wrong == list(sample.references)
        number = sample.references[0].rsplit(":", 1)[1]
        assert [line.split(":")[0] for line in shown_evidence(sample)] == [number]
        depths.append(sample.evidence[0].depth)
    assert min(depths) < 0.3
    assert max(depths) > 0.7


def test_lines_grow_within_the_file_and_then_around_it(prompter: Prompter) -> None:
    own, above, further, below = (
        Numbered(prompter, f"{name}.py", "".join(f"{name}{i}\n" for i in range(size)))
        for name, size in (("own", 10), ("above", 3), ("further", 4), ("below", 5))
    )
    around = Surroundings([above, further], own, [below], share=0.5)
    windows = {n: [(f.path, a, b) for f, a, b in around.window(n, 8, 9) if b > a] for n in range(2, around.most + 1)}
    assert windows[2] == [("own.py", 7, 9)]
    assert windows[6] == [("own.py", 4, 10)]
    assert windows[10] == [("own.py", 0, 10)]
    assert windows[14] == [("above.py", 1, 3), ("own.py", 0, 10), ("below.py", 0, 2)]
    assert windows[22] == [("further.py", 0, 4), ("above.py", 0, 3), ("own.py", 0, 10), ("below.py", 0, 5)]
    assert all(sum(b - a for _, a, b in window) == n for n, window in windows.items())
    assert own.part(0, 2)[0] == ["=== own.py ===\n", "L1: own0\n", "L2: own1\n"]
    assert shown(7, "") == "L7:\n"


def test_a_folder_of_ones_own_may_run_out(prompter: Prompter, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(3):
        filler = "".join(f"def f{k}(a, b):\n    return a + b\n\n\n" for k in range(30))
        (folder / f"m{i}.py").write_text(f"{filler}def g{i}(a, b):\n    return max(a, {i})\n")
    sample = cell(f"sandbox/code_bug:folder={folder}", 1500, prompter).sample(0)
    assert re.fullmatch(r"m\d\.py:L122", sample.references[0])
    with pytest.raises(CannotBuild, match=r"the code of mine fills \d+ tokens, 20000 were asked for"):
        cell(f"sandbox/code_bug:folder={folder}", 20_000, prompter).sample(0)


def test_a_bug_is_told_in_words() -> None:
    assert all(isinstance(b, Bug) and b.symptom for b in bugs(SNIPPET)["Scaler.scale"])
    told = {b.kind: b.symptom for b in bugs(SNIPPET)["Scaler.scale"]}
    assert (
        told["comparison"] == "what it should do when `size` is greater than `0`, it does when `size` is less than `0`"
    )
    assert told["scaling"] == "a value that should be divided by `math.sqrt(size)` is not scaled at all"
    assert told["dimension"] == "it should call `mask.sum` along dimension -1, and works along another one"


def test_bugs_of_a_cell_are_in_different_functions_and_told_apart(prompter: Prompter) -> None:
    samples = list(map(cell("sandbox/code_bug", 1500, prompter).sample, range(40)))
    assert len({s.id for s in samples}) == len({s.references for s in samples}) == 40
    once = "def pick(a, b):\n    if a is None:\n        return b\n    return 1\n"
    twice = once.replace("    return 1\n", "    if a is not None:\n        return a\n")
    assert [bug.kind for found in bugs(once).values() for bug in found] == ["missing value"]
    assert bugs(twice) == {}
