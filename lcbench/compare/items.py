"""Which records of two systems are answers to the same items, and why not where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lcbench.compare.pairs import System
from lcbench.errors import UsageError
from lcbench.runs import Row

WHOLE = ("data", "samples-")  # materials whose items are the samples; in other texts samples are hidden
# what decides a made sample beside its task, length and index; its text fills what frame and answer leave
DECIDES = {"seed": "seed", "tokenizer": "tokenizer", "chat_frame": "chat template"}


@dataclass(frozen=True)
class Matched:
    """Records of one cell under two systems. unpaired: why a[i] and b[i] are not the same item; None where they are.
    left: how many records of each have no partner, and are not in a and b.
    """

    a: list[Row]
    b: list[Row]
    unpaired: str | None
    left: tuple[int, int] = (0, 0)


def refuse(baseline: System, other: System, task: str, length: int | None) -> None:
    """Raises UsageError where the scores of a task are not of one kind: another version, another prompt source, or
    other texts of the same source.
    """
    there, here = (_kind(s, task, length) for s in (baseline, other))
    for what in there:
        if there[what] != here[what]:
            raise UsageError(
                f"{task} has another {what} in each run: {there[what]} in {baseline.run.path}, {here[what]} in "
                f"{other.run.path}. Their scores cannot be compared.",
                hint=f"run one of them again, or leave {task} out of it",
            )


def _kind(system: System, task: str, length: int | None) -> dict[str, str]:
    """What two scores of a task have to have in common."""
    identity = system.run.identity
    version, theirs = identity["tasks"][task], identity["materials"].get(f"{task}/lm_eval")
    return {
        "version": str(version) if theirs is None else f"{version}, lm-eval's {theirs['task_version']}",
        "prompt source": system.cell(task, length)["prompt"],
        "prompt text": str(identity["texts"].get(task))[:12],
    }


def match(baseline: System, other: System, task: str, length: int | None) -> Matched:
    """The records of one cell, paired by sample id where the items are the same, verified by their references."""
    a, b = baseline.rows(task, length), other.rows(task, length)
    partners = {r["sample_id"]: r for r in b}
    both = [(r, partners[r["sample_id"]]) for r in a if r["sample_id"] in partners]
    reason = _other_items(baseline, other, task, length)
    if reason is None and not both:
        reason = "no item is in both"
    if reason is None:
        changed = [r["sample_id"] for r, s in both if r["references"] != s["references"]]
        reason = f"the references of {changed[0]} differ" if changed else None
    if reason is not None:
        return Matched(a, b, reason)
    return Matched([r for r, _ in both], [s for _, s in both], None, (len(a) - len(both), len(b) - len(both)))


def verdict(row: Row) -> float | None:
    """A record's share of right, 0 where it failed, None without labels."""
    return 0.0 if row["finish"] == "failed" else row["score"]


def clusters(rows: Sequence[Row]) -> list[str]:
    """What each sample of a cell shares with others: its context, or the item of the data that other lengths have too;
    a made sample is on its own.
    """
    items = [f"{r['cell'].partition('|')[2].rpartition(':')[0]}:{_item(r)}" for r in rows]
    own = items if _named(rows) else [r["sample_id"] for r in rows]
    contexts = [r.get("context_id") or r["sample_id"] for r in rows]
    return [o if c == r["sample_id"] else c for r, o, c in zip(rows, own, contexts, strict=True)]


def _other_items(baseline: System, other: System, task: str, length: int | None) -> str | None:
    """Why equal ids are not equal items, None where they are."""
    if baseline.run.path == other.run.path:
        return None
    one, two = baseline.run.identity, other.run.identity
    rows = [*baseline.rows(task, length), *other.rows(task, length)]
    if _finite(baseline, task, rows) and _finite(other, task, rows):
        numbered = all(_item(r).isdigit() for r in rows)  # a row's number names it only within the same data
        return "the data differ" if numbered and _other_texts(baseline, other, task) else None
    for key, name in DECIDES.items():
        if key not in one or key not in two:
            silent = baseline if key not in one else other
            return f"{silent.run.path} does not say its {name}"
        if one[key] != two[key]:
            values = f" ({one[key]} and {two[key]})" if key == "seed" else ""
            return f"another {name}{values}: other samples"
    answers = [s.cell(task, length)["max_new_tokens"] for s in (baseline, other)]
    if answers[0] != answers[1]:
        return f"another max_new_tokens ({answers[0]} and {answers[1]}): other samples"
    return "the texts they are made of differ" if _other_texts(baseline, other, task) else None


def _finite(system: System, task: str, rows: list[Row]) -> bool:
    """Whether samples are whole items of a data set, called by their names there."""
    whole = tuple(f"{task}/{name}" for name in WHOLE)
    return _named(rows) and any(name.startswith(whole) for name in system.run.identity["materials"])


def _named(rows: Sequence[Row]) -> bool:
    """Whether ids name items; samples that are made of nothing else are called by their index."""
    return any(_item(r) != str(r["index"]) for r in rows)


def _item(row: Row) -> str:
    """What an id, TASK:LENGTH:ITEM, calls its item: that may hold colons, and so may the task."""
    return str(row["sample_id"]).removeprefix(f"{row['cell'].partition('|')[2]}:")


def _other_texts(baseline: System, other: System, task: str) -> bool:
    """Whether a text differs. A run may have one that the other has not: for a length that the other has not."""
    one, two = _texts(baseline, task), _texts(other, task)
    return any(one[name] != two[name] for name in one if name in two)


def _texts(system: System, task: str) -> dict[str, str]:
    """Digests of what a task's samples are made of, by name."""
    materials = system.run.identity["materials"]
    return {k: m["sha256"] for k, m in materials.items() if k.rpartition("/")[0] == task}
