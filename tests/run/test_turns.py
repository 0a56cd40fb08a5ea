"""Tasks whose samples take several requests, each built on the answers before it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcbench.engines.base import Generation
from lcbench.engines.transformers import TransformersEngine
from lcbench.prompting import Prompter
from lcbench.records import BatchCost, Completion, Request
from tests.run.conftest import Command, records
from tests.tokenizers_made import lines

ROWS = [{"id": f"r{n}", "town": f"Town {n}", "text": lines()[n], "river": f"river {n}"} for n in range(5)]
TASK: dict[str, Any] = {
    "name": "mine/rivers",
    "data": {"file": "rows.jsonl"},
    "prompt": "{{ text }}\nWhich river is near {{ town }}? Think.",
    "references": "river",
    "score": "includes",
    "generate": {"max_new_tokens": 12},
    "turns": [
        {"prompt": "{{ town }}: you thought <{{ answers[0] }}>. So?", "generate": {"max_new_tokens": 6}},
        {"prompt": "<{{ answers[0] }}> and then <{{ answers[1] }}>. Sure?", "generate": {"max_new_tokens": 3}},
    ],
}
Seen = list[list[Request]]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(TASK))
    return tmp_path / "task.yaml"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The requests that the engine gets, batch by batch."""
    batches: Seen = []
    generate = TransformersEngine.generate

    def watched(engine: TransformersEngine, requests: Sequence[Request]) -> Generation:
        batches.append(list(requests))
        return generate(engine, requests)

    monkeypatch.setattr(TransformersEngine, "generate", watched)
    return batches


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Request, int], Completion]], Seen]:
    """An engine that says what it is told to: of the request and its turn, from 0."""

    def told(answer: Callable[[Request, int], Completion]) -> Seen:
        batches: Seen = []

        def rows(requests: Sequence[Request], turn: int) -> Generator[Completion, None, BatchCost]:
            for r in reversed(requests):
                yield answer(r, turn)
            n = len(requests)
            return BatchCost(n, sum(len(r.ids) for r in requests), 10 * n, 1.0 + turn, 0.5, 9, 100 * (turn + 1))

        def generate(engine: TransformersEngine, requests: Sequence[Request]) -> Generation:
            batches.append(list(requests))
            return Generation(rows(requests, len(batches) - 1))

        monkeypatch.setattr(TransformersEngine, "warm_up", lambda engine: None)
        monkeypatch.setattr(TransformersEngine, "generate", generate)
        return batches

    return told


def run(lcbench: Command, model: Path, task: Path | str, length: str, *more: str) -> list[dict[str, Any]]:
    done = lcbench("run", "--tasks", task, "--model", model, "--lengths", length, "--out", "out", "--seed", "1", *more)
    assert done.exit_code == 0, done.output
    return sorted(records(Path("out")), key=lambda r: r["index"])


def test_every_turn_is_asked_with_the_answers_before_it(lcbench: Command, tiny: Path, task: Path, seen: Seen) -> None:
    found = run(lcbench, tiny, task, "1k", "--samples", "5")
    prompter = Prompter(tiny)
    first, second, third = ({r.key: r for b in seen for r in b if r.max_new_tokens == n} for n in (12, 6, 3))
    assert set(first) == set(second) == set(third) == {r["sample_id"] for r in found}
    assert len(found) == 5
    for record in found:
        row = next(r for r in ROWS if record["sample_id"].endswith(":" + r["id"]))
        one, two = record["earlier"]
        asked = [
            f"{row['text']}\nWhich river is near {row['town']}? Think.",
            f"{row['town']}: you thought <{one}>. So?",
            f"<{one}> and then <{two}>. Sure?",
        ]
        for content, requests in zip(asked, (first, second, third), strict=True):
            text = prompter.render(({"role": "user", "content": content},), "")
            assert requests[record["sample_id"]].ids == tuple(prompter.encode(text))
        assert record["prompt_tokens"] == len(first[record["sample_id"]].ids)
        assert 3 <= record["new_tokens"] <= 12 + 6 + 3


def test_new_tokens_and_costs_are_those_of_all_turns(
    lcbench: Command, tiny: Path, task: Path, says: Callable[..., Seen]
) -> None:
    words = ("thought", "so", "river 3")
    seen = says(lambda r, turn: Completion(r.key, words[turn], tuple(range(turn + 2)), "eos"))
    found = run(lcbench, tiny, task, "1k", "--samples", "5")
    assert [len(batch) for batch in seen] == [5, 5, 5]
    for record in found:
        assert record["earlier"] == ["thought", "so"]
        assert record["completion"] == "river 3"
        assert record["new_tokens"] == 2 + 3 + 4
        assert record["score"] == float(record["references"] == ["river 3"])
        cost = record["cost"]
        assert cost["prompt_tokens"] == sum(len(r.ids) for batch in seen for r in batch)
        assert (cost["size"], cost["new_tokens"], cost["decode_steps"]) == (5, 150, 27)
        assert (cost["prefill_s"], cost["decode_s"], cost["peak_memory_bytes"]) == (6.0, 1.5, 300)


@pytest.mark.parametrize("said", [" ".join(lines()[:40]), "🙂" * 300, "\n" * 500, "<|im_end|>" * 300])
def test_a_long_answer_is_cut_and_not_the_budget(
    lcbench: Command, tiny: Path, task: Path, says: Callable[..., Seen], said: str
) -> None:
    seen = says(lambda r, turn: Completion(r.key, said, (1,) * r.max_new_tokens, "length"))
    found = run(lcbench, tiny, task, "160", "--samples", "5")
    assert len(found) == 5
    for batch in seen:
        for request in batch:
            assert len(request.ids) + request.max_new_tokens <= 160
    assert all(len(r.ids) + r.max_new_tokens >= 150 for r in seen[1])
    assert all(r["earlier"] == [said, said] for r in found)  # the record has what was said, not what was left of it


def test_answers_that_look_like_marks_or_templates_stay_text(
    lcbench: Command, tiny: Path, task: Path, says: Callable[..., Seen]
) -> None:
    said = ("\ue0011\ue001 {{ town }}", "{% raw %} \\1 \ue0010\ue001", "end")
    seen = says(lambda r, turn: Completion(r.key, said[turn], (1,), "eos"))
    found = run(lcbench, tiny, task, "1k", "--samples", "1")
    prompter = Prompter(tiny)
    last = prompter.render(({"role": "user", "content": f"<{said[0]}> and then <{said[1]}>. Sure?"},), "")
    assert seen[2][0].ids == tuple(prompter.encode(last))
    assert found[0]["earlier"] == list(said[:2])


def test_each_turn_has_its_own_stop_strings(
    lcbench: Command, tiny: Path, tmp_path: Path, task: Path, says: Callable[..., Seen]
) -> None:
    turns = [{**TASK["turns"][0], "generate": {"max_new_tokens": 6, "stop": ["B"]}}, TASK["turns"][1]]
    content = {**TASK, "generate": {"max_new_tokens": 12, "stop": ["A"]}, "turns": turns}
    task.write_text(yaml.safe_dump(content))
    seen = says(lambda r, turn: Completion(r.key, "x", (1,), "stop"))
    run(lcbench, tiny, task, "1k", "--samples", "2")
    assert [{r.stop for r in batch} for batch in seen] == [{("A",)}, {("B",)}, {()}]


def test_fewer_new_tokens_hold_for_every_turn(lcbench: Command, tiny: Path, task: Path, seen: Seen) -> None:
    run(lcbench, tiny, task, "1k", "--samples", "2", "--max-new-tokens", "4")
    assert [{r.max_new_tokens for r in batch} for batch in seen] == [{4}, {4}, {3}]


def test_samples_of_several_turns_do_not_depend_on_how_many_there_are(
    lcbench: Command, tiny: Path, task: Path, tmp_path: Path
) -> None:
    many = {r["sample_id"]: r for r in run(lcbench, tiny, task, "1k", "--samples", "5")}
    (tmp_path / "out").rename(tmp_path / "before")
    few = run(lcbench, tiny, task, "1k", "--samples", "2")
    told = ("key", "completion", "earlier", "new_tokens", "score")
    assert [[r[k] for k in told] for r in few] == [[many[r["sample_id"]][k] for k in told] for r in few]


@pytest.fixture
def three_items(tmp_path: Path) -> None:
    """LongBench-v2 with three items, each of them answered by B."""
    rows = [
        {
            "_id": f"q{n}",
            **dict.fromkeys(("domain", "sub_domain", "difficulty", "length"), "x"),
            "question": f"What of {n}?",
            **{f"choice_{letter}": f"River {letter}" for letter in "ABCD"},
            "answer": "B",
            "context": " ".join(lines()[:200]),
        }
        for n in range(3)
    ]
    (tmp_path / "data/longbench_v2").mkdir(parents=True)
    text = "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "data/longbench_v2/data.jsonl.gz").write_bytes(gzip.compress(text.encode()))


def test_longbench_v2_cot_answers_after_reasoning(
    lcbench: Command, tiny: Path, three_items: None, says: Callable[..., Seen]
) -> None:
    said = ("It is B, for $Q$ says so.", "The correct answer is (B)")
    seen = says(lambda r, turn: Completion(r.key, said[turn], (1, 2), "eos"))
    found = run(lcbench, tiny, "longbench_v2/cot", "2k", "--prompt", "builtin", "--samples", "3")
    assert [(r["score"], r["earlier"], r["new_tokens"], r["truncated"]) for r in found] == [
        (1.0, [said[0]], 4, True)
    ] * 3
    prompter = Prompter(tiny)
    for first, second in zip(*seen, strict=True):
        assert 2040 <= len(first.ids) + 1024 <= 2048
        assert (first.max_new_tokens, second.max_new_tokens) == (1024, 128)
        decoded = prompter.tokenizer.decode(second.ids)
        assert f"The reasoning so far: {said[0]}" in decoded
        assert "River D" in decoded
        assert len(second.ids) + 128 <= 2048


def test_longbench_v2_reasoning_is_stripped(
    lcbench: Command, tiny: Path, three_items: None, says: Callable[..., Seen]
) -> None:
    """As pred.py of THUDM/LongBench fills it into the second prompt."""
    said = (" \n It is B.\n\n", "The correct answer is (B)")
    seen = says(lambda r, turn: Completion(r.key, said[turn], (1, 2), "eos"))
    [found] = run(lcbench, tiny, "longbench_v2/cot", "2k", "--prompt", "builtin", "--samples", "1")
    assert (found["score"], found["earlier"]) == (1.0, [said[0]])
    prompter = Prompter(tiny)
    decoded = prompter.tokenizer.decode(seen[1][0].ids)
    assert "The reasoning so far: It is B.\n" in decoded
    assert "It is B.\n\n\n" not in decoded


def test_longbench_v2_without_reasoning_has_no_answer(
    lcbench: Command, tiny: Path, three_items: None, says: Callable[..., Seen]
) -> None:
    """Upstream asks no second time and leaves the item out; here it is wrong and counted, under both metrics."""
    said = ("", "The correct answer is (B)")
    says(lambda r, turn: Completion(r.key, said[turn], (1, 2), "eos"))
    found = run(lcbench, tiny, "longbench_v2/cot", "2k", "--prompt", "builtin", "--samples", "3")
    told = [(r["score"], r["extracted"], r["beside"], r["flags"], r["finish"]) for r in found]
    assert told == [(0.0, None, {"longbench_v2.lenient": 0.0}, ["empty"], "eos")] * 3
