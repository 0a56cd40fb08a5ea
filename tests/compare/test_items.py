"""Which samples are paired, why the others are not, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lcbench.compare import Difference, compare_runs
from lcbench.compare.words import cell_line
from lcbench.errors import UsageError
from lcbench.runs import Run
from tests.compare.folders import run

VT, GSM, QUALITY = ("ruler/vt", 4096), ("gsm8k/gsm8k", None), ("zero_scrolls/quality", 8192)
SCORES = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
DATA = {"gsm8k/gsm8k/data": {"source": "a", "sha256": "1"}, "zero_scrolls/quality/data": {"source": "b", "sha256": "2"}}


def named(place: tuple[str, int | None], items: Sequence[Any], answers: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Ids of items of a data set, and what their answers are."""
    task, length = place
    ids = [f"{task}:{'-' if length is None else length}:{item}" for item in items]
    return [{"sample_id": i, "references": (a,)} for i, a in zip(ids, answers or [f"of {i}" for i in ids], strict=True)]


def made(path: str, **identity: Any) -> Run:
    return run({"softmax": {VT: SCORES}}, path, **identity)


def only(*runs: Run) -> Difference:
    (found,) = compare_runs(runs)
    return found


def test_made_samples_of_the_same_tokenizer_seed_and_budget_are_paired() -> None:
    found = only(made("a", model="one"), made("b", model="another", chat_template="other, same frame"))
    assert (found.unpaired, found.n, found.left) == (None, (6, 6), (0, 0))


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ({"tokenizer": "t1"}, "another tokenizer: other samples"),
        ({"seed": 7}, "another seed (0 and 7): other samples"),
        ({"chat_frame": "f1"}, "another chat template: other samples"),
        ({"cell": {"max_new_tokens": 9}}, "another max_new_tokens (8 and 9): other samples"),
        ({"materials": {"ruler/vt/haystack": {"sha256": "9"}}}, "the texts they are made of differ"),
    ],
)
def test_other_samples_are_not_paired_and_every_line_says_why(identity: dict[str, Any], reason: str) -> None:
    found = only(
        made("a", materials={"ruler/vt/haystack": {"sha256": "8"}}), made("b", **{"materials": {}, **identity})
    )
    assert (found.unpaired, found.discordant) == (reason, None)
    assert f"n = 6 and 6 unpaired ({reason})" in cell_line(found, 1, 0.05, None)


def test_a_text_that_only_other_lengths_are_made_of_does_not_part_them() -> None:
    """BABILong at 0k has no book around its facts; a run of 0k and 4k has one."""
    books = {"ruler/vt/babi": {"sha256": "1"}, "ruler/vt/background": {"sha256": "2"}}
    assert only(made("a", materials=books), made("b", materials={"ruler/vt/babi": {"sha256": "1"}})).unpaired is None


def test_a_run_that_does_not_say_its_tokenizer_is_not_paired() -> None:
    old = made("a")
    del old.identity["tokenizer"]
    assert only(old, made("b")).unpaired == "a does not say its tokenizer"
    assert only(made("b"), old).unpaired == "a does not say its tokenizer"


def test_other_references_are_other_samples() -> None:
    answers = [{"references": (x,)} for x in "abcdef"]
    a = run({"softmax": {VT: SCORES}}, "a", more={VT: answers})
    b = run({"softmax": {VT: SCORES}}, "b", more={VT: [*answers[:4], {"references": ("z",)}, answers[5]]})
    assert only(a, b).unpaired == "the references of ruler/vt:4096:4 differ"


def test_items_of_a_data_set_are_paired_across_tokenizers_and_seeds() -> None:
    """Those that both runs have: each took its own, in its own order."""
    a = run({"softmax": {GSM: SCORES}}, "a", materials=DATA, more={GSM: named(GSM, [5, 9, 2, 7, 1, 0])})
    more = {GSM: named(GSM, [7, 5, 11, 2])}
    b = run({"softmax": {GSM: [0.0, 1.0, 1.0, 0.0]}}, "b", materials=DATA, more=more, tokenizer="t1", seed=1)
    found = only(a, b)
    assert (found.unpaired, found.n, found.left) == (None, (3, 3), (3, 1))
    assert found.scores == pytest.approx((100.0, 100 / 3))  # 5, 2 and 7: all three, and 5 alone
    assert found.discordant == (2, 0)
    assert "n = 3 paired, without partner and left out: 3 of a and 1 of b" in cell_line(found, 1, 0.05, None)


def test_numbers_name_items_only_within_the_same_data() -> None:
    other = {**DATA, "gsm8k/gsm8k/data": {"source": "c", "sha256": "3"}}
    more = {GSM: named(GSM, [5, 9, 2, 7, 1, 0])}
    a, b = (run({"softmax": {GSM: SCORES}}, p, materials=m, more=more) for p, m in (("a", DATA), ("b", other)))
    assert only(a, b).unpaired == "the data differ"


def test_ids_of_their_own_name_items_in_any_copy_of_the_data() -> None:
    other = {**DATA, "zero_scrolls/quality/data": {"source": "c", "sha256": "3"}}
    more = {QUALITY: named(QUALITY, ["x:1", "y", "z", "u", "v", "w"])}
    a, b = (run({"softmax": {QUALITY: SCORES}}, p, materials=m, more=more) for p, m in (("a", DATA), ("b", other)))
    assert only(a, b).unpaired is None


def test_data_sets_without_a_common_item_are_not_paired() -> None:
    a = run({"softmax": {GSM: SCORES[:2]}}, "a", materials=DATA, more={GSM: named(GSM, [5, 9])})
    b = run({"softmax": {GSM: SCORES[:2]}}, "b", materials=DATA, more={GSM: named(GSM, [4, 8])})
    assert only(a, b).unpaired == "no item is in both"


def test_made_samples_from_a_data_set_are_called_by_their_index_and_need_the_same_tokenizer() -> None:
    """RULER's question answering takes its questions from a data set, but hides them among other documents."""
    qa = ("ruler/qa_squad", 4096)
    data = {"ruler/qa_squad/data": {"source": "squad", "sha256": "1"}}
    a, b = (run({"softmax": {qa: SCORES}}, p, materials=data, tokenizer=t) for p, t in (("a", "t0"), ("b", "t1")))
    assert only(a, b).unpaired == "another tokenizer: other samples"


def test_within_one_run_samples_are_paired_whatever_it_says_of_itself() -> None:
    old = run({"softmax": {VT: SCORES}, "lucid": {VT: SCORES}}, "a")
    del old.identity["tokenizer"]
    assert only(old).unpaired is None


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            {"tasks": {"ruler/vt": "version 2, abc"}},
            "ruler/vt has another version in each run: version 1, abc in x/a, version 2, abc in y/b.",
        ),
        (
            {"texts": {"ruler/vt": "0123456789abcdef"}},
            "ruler/vt has another prompt text in each run: of ruler/vt in x/a, 0123456789ab in y/b.",
        ),
        ({"prompt": "builtin"}, "ruler/vt has another prompt source in each run: official in x/a, builtin in y/b."),
        (
            {"materials": {"ruler/vt/lm_eval": {"sha256": "1", "task_version": "3.0"}}},
            "ruler/vt has another version in each run: version 1, abc in x/a, version 1, abc, lm-eval's 3.0 in y/b.",
        ),
    ],
)
def test_another_version_or_prompt_source_is_refused_by_name(other: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as refused:
        compare_runs([made("x/a"), made("y/b", **other)])
    assert refused.value.message.startswith(told)
    assert refused.value.exit_code == 2


def test_runs_without_a_common_cell_are_refused() -> None:
    with pytest.raises(UsageError, match="have no task and length in common"):
        compare_runs([made("a"), run({"softmax": {("ruler/vt", 8192): SCORES}}, "b")])
