"""The checks of one task: every prompt is rendered and fits, the gold completion scores 1 and the empty one 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lcbench import answers
from lcbench.answers import Answer
from lcbench.benchmarks import BUILDERS, items
from lcbench.benchmarks.base import Brief
from lcbench.benchmarks.templates import template
from lcbench.benchmarks.wording import wording
from lcbench.errors import CannotBuild, LcbenchError, MissingError, UsageError, nearest
from lcbench.lengths import show_length
from lcbench.plan import check_texts, open_cell
from lcbench.records import Sample
from lcbench.schema import Data, ScoreBy, Task
from lcbench.scoring import bind
from lcbench.validate.counting import Counting, first_sample, lengths_of
from lcbench.validate.source import Failure, Key, Source

MADE = 5  # samples of a task that makes them, where no number was asked for
SHOWN = 60  # characters of a completion in a message

# Official metrics that cannot call every gold completion right: why, how many of how many. Another count is a failure.
KNOWN: dict[str, tuple[str, int, int]] = {
    "babilong/qa7": ("its official metric cannot score `none`, which contains the label `one`", 468, 1000),
}


class Tally:
    """What is wrong with many items in the same way is said once, with how many and the first of them."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, str, str], list[Any]] = {}

    def add(self, failure: Failure, item: str, example: str = "") -> None:
        """example: what differs from item to item, shown of the first."""
        entry = self.found.setdefault((failure.line, failure.key, failure.reason), [failure, 0, item, example])
        entry[1] += 1

    def failures(self, n: int) -> Iterator[Failure]:
        for failure, count, item, example in self.found.values():
            where = f"{count} of {n} items, first {item!r}" if n > 1 else f"item {item!r}"
            yield Failure(failure.path, failure.line, failure.key, f"{failure.reason}{example} ({where})")


@dataclass
class Report:
    """What came of one file or task.

    done: what was checked. notes: what was not, and known exceptions. counted: whether a tokenizer checked budgets.
    """

    name: str
    failures: list[Failure] = field(default_factory=list)
    missing: list[MissingError] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counted: bool = True


def check(source: Source, task: Task, by: Counting) -> Report:
    """All checks of one task. source: the file that it stands in, for the lines."""
    report = Report(task.name)
    report.failures += parts(source, task)
    if report.failures:
        return report
    if by.config.prompt == "builtin" and task.prompts is None and task.prompt is None:
        report.notes.append("not checked: it has no builtin prompt, its prompts come with its data")
        return report
    try:
        wording(task, by.config.prompt)
    except MissingError as error:
        report.missing.append(error)
        return report
    except LcbenchError as error:
        report.failures.append(source.located(error, ("prompts",)))
        return report
    try:
        check_texts([task], by.config)
        check_prompts = rows if task.benchmark == "items" else samples
        made = check_prompts(source, task, by, report)
        if not report.failures and task.benchmark != "lm_eval":
            verdicts(source, task, made if task.benchmark == "items" else answers.known(task) or made, report)
    except MissingError as error:
        report.missing.append(error)
    except LcbenchError as error:
        report.failures.append(source.located(error, ("data",) if task.benchmark == "items" else ("benchmark",)))
    return report


def parts(source: Source, task: Task) -> Iterator[Failure]:
    """What the file names and there is not: its builder, its scorers and their arguments; what a template cannot be."""
    if task.benchmark not in BUILDERS:
        near = nearest(task.benchmark, BUILDERS)
        yield source.failure(("benchmark",), f"no benchmark is called {task.benchmark!r}{near}")
    if task.benchmark == "items":
        for name in ("data", "prompt", "references"):
            if not getattr(task, name):
                yield source.failure((name,), "is missing")
        if task.lengths == "fill":
            yield source.failure(("lengths",), "rows of data do not fill a length: budget, or ignored")
    for key, scorer in _scorers(task):
        yield from _scorer(source, key, scorer)
    for key, text in _templates(task):
        try:
            template(task.name, ".".join(map(str, key)), text)
        except UsageError as error:
            yield source.located(error, key)


def _scorers(task: Task) -> list[tuple[Key, ScoreBy]]:
    if task.benchmark == "lm_eval":
        return []
    return [(("score",), task.scorer), *((("beside", i), s) for i, s in enumerate(task.scorers_beside))]


def _scorer(source: Source, key: Key, scorer: ScoreBy) -> Iterator[Failure]:
    try:
        bind(scorer.name, scorer.arguments)
    except MissingError:
        return  # a package: found again, and told, where the gold completion is scored
    except LcbenchError as error:
        told = f"{error.message}; {error.hint}" if error.hint else error.message
        named = [a for a in scorer.arguments if a in told.replace("'", " ").split()]
        yield source.failure((*key, *named[:1]), told[:1].lower() + told[1:])


def _templates(task: Task) -> list[tuple[Key, str]]:
    found: list[tuple[Key, str | None]] = [
        (("prompt",), task.prompt),
        (("answer_prefix",), task.answer_prefix),
        (("gold",), task.gold),
        (("few_shot", "shot"), task.few_shot.shot if task.few_shot else None),
    ]
    if isinstance(task.references, str):
        found.append((("references",), task.references))
    found += [(("references", i), text) for i, text in enumerate(task.references or ()) if task.references != text]
    for i, turn in enumerate(task.turns):
        found += [(("turns", i, "prompt"), turn.prompt), (("turns", i, "answer_prefix"), turn.answer_prefix)]
    return [(key, text) for key, text in found if text]


def rows(source: Source, task: Task, by: Counting, report: Report) -> dict[str, Answer]:
    """Renders the prompts of every row and fits them into the budget. Returns the answers of these rows."""
    data = _read(("data",), task.data)
    shots = None
    if task.few_shot:
        _read(("few_shot", "data"), task.few_shot.data)
        shots = items.Shots(task, task.few_shot)
    names = items.names_of(data)
    if unclear := items.unclear_id(data):
        report.notes.append(f"items are called by their numbers: not every row has {unclear!r}, or one stands twice")
    chosen = sorted(items.order_of(by.config.seed, len(data))[: by.config.samples])
    words = wording(task, by.config.prompt)
    new = by.config.max_new_tokens or task.generate.max_new_tokens
    found: dict[str, Answer] = {}
    for length in lengths_of(task, by):
        tally, cut, over = Tally(), 0, 0
        limit = by.context if length is None else length
        brief = Brief(task, by.prompter, length, limit if by.counts else None, new, by.config.seed, words)
        for i in chosen:
            try:
                draft = items.draft_of(task, data[i], shots.before(i) if shots else "")
                found[names[i]] = Answer(items.references_of(task, data[i]), items.fields_of(task, data[i]), data[i])
                cut += items.finish(brief, draft).truncated
                items.later_of(brief, data[i])
            except CannotBuild:
                over += 1
                if task.truncate is None or over == len(chosen):
                    how = "and no `truncate:` says how to cut it" if task.truncate is None else "however it is cut"
                    told = f"the prompt and {new} tokens of answer do not fit {brief.limit} tokens, {how}"
                    tally.add(source.failure(("prompt",), told), names[i])
            except UsageError as error:
                tally.add(source.located(error, ("prompt",)), names[i])
        report.failures += tally.failures(len(chosen))
        report.done.append(f"{len(chosen)} prompts{_within(brief, by)}{_told(cut, over)}")
    report.failures += [
        source.failure(("by", i), f"there is no column {column!r}; columns: {', '.join(data[0])}")
        for i, column in enumerate(task.by)
        if not any(column in row for row in data)
    ]
    return found


def _read(key: Key, data: tuple[str, ...] | Data) -> Sequence[dict[str, Any]]:
    """Rows, with what is wrong with them told of the key that names them."""
    named = ".".join(map(str, key if isinstance(data, tuple) else (*key, "file" if data.file else "hub")))
    try:
        found = items.load(data).rows
    except MissingError:
        raise
    except LcbenchError as error:
        raise UsageError(f"TASK: {named}: {error.message}", error.hint) from error
    if not found:
        raise UsageError(f"TASK: {named}: there are no rows")
    return found


def samples(source: Source, task: Task, by: Counting, report: Report) -> dict[str, Answer]:
    """Builds the samples of a task that a builder makes. Returns their answers."""
    if task.lengths == "fill" and not by.counts:
        report.notes.append("no samples were made, for want of a tokenizer")
        return {}
    found: dict[str, Answer] = {}
    for length in lengths_of(task, by):
        made, over = _built(task, length, by)
        if not made:
            first_sample(task, length, by)  # says why there is none
        for sample in made:
            fields = {"references": sample.references, **sample.fields}
            found[sample.id] = Answer(sample.references, sample.fields, fields)
        within = f" within {show_length(length)}" if length and by.counts else ""
        report.done.append(f"{len(made)} samples{within}{_told(sum(s.truncated for s in made), over)}")
    return found


def _built(task: Task, length: int | None, by: Counting) -> tuple[list[Sample], int]:
    """The samples asked for, all items of data or some that are made, and how many items were passed over."""
    limit = by.context if by.counts else None
    _, cell = open_cell(task, length if by.counts else None, by.prompter, by.config, limit)
    most = by.config.samples or (MADE if task.lengths == "fill" else None)
    made: list[Sample] = []
    while most is None or len(made) < most:
        try:
            made.append(cell.sample(len(made)))
        except CannotBuild:
            break
    _, over = cell.prepare(most or len(made) + 1)
    return made, over


def _within(brief: Brief, by: Counting) -> str:
    return f" within {brief.limit} tokens" if by.counts and brief.limit is not None else ""


def _told(cut: int, over: int) -> str:
    told = [f"{cut} cut" if cut else "", f"{over} passed over" if over else ""]
    return f" ({', '.join(t for t in told if t)})" if any(told) else ""


def verdicts(source: Source, task: Task, known: Mapping[str, Answer], report: Report) -> None:
    """Scores the gold completion and the empty one of every item."""
    score = bind(task.scorer.name, task.scorer.arguments)
    golden: Key = ("gold",) if task.gold is not None else ("score",)
    wrong, empty = Tally(), Tally()
    unlabelled = 0
    for name, answer in known.items():
        if not answer.references:
            unlabelled += 1
            continue
        try:
            if not all(r.strip() for r in answer.references):
                wrong.add(source.failure(("references",), "an accepted answer is empty"), name)
                continue
            gold = answers.gold(task, answer.references, answer.columns)
            value = score(gold, answer.references, answer.fields).value
            if value is None or value < 1 - 1e-9:
                told = f"the gold completion scores {value if value is None else round(value, 4)}, not 1"
                wrong.add(source.failure(golden, told), name, f": {short(gold)} for {short(answer.references[0])}")
            value = score("", answer.references, answer.fields).value
            if value:
                empty.add(source.failure(("score",), f"the empty completion scores {round(value, 4)}, not 0"), name)
        except UsageError as error:
            wrong.add(source.located(error, ("score",)), name)
    n = len(known) - unlabelled
    failing = sum(entry[1] for entry in wrong.found.values())
    report.failures += empty.failures(n)
    if unlabelled:
        _unlabelled(source, task, unlabelled, report)
    if task.name.split(":")[0] in KNOWN and n:
        _exception(source, task, failing, n, report)
    else:
        report.failures += wrong.failures(n)
    if n and not failing and not empty.found:
        report.done.append("gold 1, empty 0")


def _unlabelled(source: Source, task: Task, count: int, report: Report) -> None:
    if task.benchmark == "items":
        report.failures.append(source.failure(("references",), f"{count} items have no accepted answer"))
    else:
        report.notes.append(f"{count} items have no labels, and are not scored")


def _exception(source: Source, task: Task, failing: int, n: int, report: Report) -> None:
    """A known exception holds as it is written down, or it is a failure."""
    reason, count, of = KNOWN[task.name.split(":")[0]]
    if (failing, n) == (count, of):
        report.notes.append(f"known: {reason}: {count} of {of:,} gold completions")
        report.done.append(f"gold 1 for the other {n - failing}, empty 0")
    else:
        told = f"{failing} of {n:,} gold completions do not score 1; {count} of {of:,} are known: {reason}"
        report.failures.append(source.failure(("score",), told))


def short(text: str) -> str:
    """The beginning of a completion, as it would be written in Python."""
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 2] + "..")


def told_of(failures: Iterable[Failure], most: int = 20) -> list[str]:
    """Lines for failures, each once."""
    lines = list(dict.fromkeys(map(str, failures)))
    return lines[:most] + ([f"and {len(lines) - most} more"] if len(lines) > most else [])
