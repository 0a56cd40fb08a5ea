"""Tasks of lm-eval here against lm-eval itself: the same prompts, and of the same answers the same verdicts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lcbench import catalog
from lcbench.benchmarks.base import Brief, Cell
from lcbench.benchmarks.lm_eval.loading import load
from lcbench.cli import app
from lcbench.errors import LcbenchError, MissingError, UsageError
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Completion, Option, Sample
from lcbench.schema import LmEvalParams, RunConfig
from tests import tiny_model, tokenizers_made

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

CITIES = [("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Peru", "Lima"), ("Chad", "N'Djamena")]
QUIZ = [
    {
        "question": f"What is the capital of {country}?",
        "choices": [c for _, c in CITIES[:4]] if n < 4 else [c for _, c in CITIES[1:]],
        "label": n if n < 4 else 3,
        "city": city,
        "text": f"The capital of {country} is {city}.",
    }
    for n, (country, city) in enumerate(CITIES)
]
SHOTS = [{**row, "question": f"Name the capital of {country}."} for row, (country, _) in zip(QUIZ, CITIES, strict=True)]
COMMON = """
dataset_path: own/quiz
test_split: test
fewshot_split: train
"""
CHOICES = """
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: label
"""
TASKS = {
    "choice": COMMON
    + CHOICES
    + """
description: "These are questions about capitals.\\n\\n"
num_fewshot: 2
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
  - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}
""",
    "mutual": COMMON + CHOICES + "metric_list: [{metric: acc}, {metric: acc_mutual_info}]\n",
    "contexts": COMMON
    + """
output_type: multiple_choice
doc_to_text: label
doc_to_choice: "{{choices | map('replace', '', '', 0) | list}}"
doc_to_target: "is a capital."
metric_list: [{metric: acc}]
""",
    "last_word": COMMON
    + """
output_type: loglikelihood
doc_to_text: "The capital of the country is"
doc_to_target: " {{city}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "rolling": COMMON
    + """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
""",
    "open": COMMON
    + """
output_type: generate_until
num_fewshot: 1
doc_to_text: "Question: {{question}}"
gen_prefix: "The answer is"
doc_to_target: "{{city}}"
generation_kwargs: {until: ["\\n", "", "Question:"], max_gen_toks: 17, do_sample: true, temperature: 0.7}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}]
filter_list:
  - {name: strict, filter: [{function: regex, regex_pattern: "^ ([A-Z]\\\\w+)$"}, {function: take_first}]}
  - {name: flexible, filter: [{function: regex, regex_pattern: "([A-Z][\\\\w']+)"}, {function: take_first}]}
""",
    "whole_set": COMMON + CHOICES + "metric_list: [{metric: mcc}]\n",
    "unsafe": COMMON + "output_type: generate_until\ndoc_to_text: question\ndoc_to_target: city\nunsafe_code: true\n",
    "broken": COMMON
    + """
output_type: generate_until
doc_to_text: question
doc_to_target: city
process_results: !function scorers.fails
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "percent": COMMON
    + """
output_type: generate_until
doc_to_text: question
doc_to_target: city
process_results: !function scorers.percent
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
  - {metric: rouge, aggregation: mean, higher_is_better: true}
""",
    "lacking": COMMON
    + """
output_type: generate_until
doc_to_text: question
doc_to_target: city
process_results: !function scorers.lacks
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
}
SCORERS = """
def fails(doc, results):
    if results[0]:
        raise KeyError("no such thing")
    return {"exact_match": 0}


def percent(doc, results):
    return {"exact_match": doc["city"] in results[0], "rouge": 41.5}


def lacks(doc, results):
    import a_module_that_is_not_here
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder with the quiz as a copy of a data set of the hub, which does not answer."""
    copy = tmp_path / "data" / "hub" / "own" / "quiz"
    copy.mkdir(parents=True)
    for split, rows in (("test", QUIZ), ("train", SHOTS)):
        (copy / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("LCBENCH_TASKS", raising=False)
    catalog.tasks.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tasks above as files."""
    made = tmp_path / "own"
    made.mkdir()
    (made / "scorers.py").write_text(SCORERS)
    for name, text in TASKS.items():
        (made / f"{name}.yaml").write_text(f"task: quiz_{name}\n{text}")
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def plain(tiny: Path) -> Prompter:
    return Prompter(tiny, "none")


def opened(spec: str | Path, prompter: Prompter, limit: int | None = None, **config: Any) -> tuple[Brief, Cell]:
    (selected,) = catalog.select([str(spec)])
    return open_cell(selected.task, None, prompter, RunConfig(model="tiny", **config), limit)


def by_item(spec: str | Path, prompter: Prompter, n: int = 5, **config: Any) -> tuple[Cell, dict[int, Sample]]:
    """A cell, and its first n samples by the item's place in the data."""
    _, cell = opened(spec, prompter, **config)
    assert cell.prepare(n) == (n, 0)
    samples = [cell.sample(i) for i in range(n)]
    assert [s.index for s in samples] == list(range(n))
    return cell, {s.fields["doc"]: s for s in samples}


# --------------------------------------------------------------------------------------------- lm-eval's own evaluator


def judge(answer: Callable[..., Any], render: Callable[..., str] | None = None) -> Any:
    """A model of lm-eval that answers by a function of its request's arguments and remembers nothing."""
    from lm_eval.api.model import LM

    class Fixed(LM):
        tokenizer_name = "fixed"

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
            return [answer(*r.args) for r in requests]

        loglikelihood = loglikelihood_rolling = generate_until

        def apply_chat_template(self, history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
            assert render is not None
            return render(history, add_generation_prompt)

    return Fixed()


def evaluated(path: Path, name: str, changes: dict[str, Any], model: Any, **how: Any) -> list[dict[str, Any]]:
    """What lm-eval logs of each item and filter, with a task's data read from files by lm-eval itself."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(path), include_defaults=False)
    task = manager.load([{"group": "here", "task": [{"task": name, **changes}]}])["tasks"][name]
    results = simple_evaluate(model, tasks=[task], bootstrap_iters=0, task_manager=manager, **how)
    assert results is not None
    return results["samples"][name]


def files(tmp_path: Path, **splits: Path) -> dict[str, Any]:
    arguments = {"data_files": {k: str(v) for k, v in splits.items()}, "cache_dir": str(tmp_path / "cache")}
    return {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": arguments}


def quiz_files(tmp_path: Path) -> dict[str, Any]:
    copy = tmp_path / "data" / "hub" / "own" / "quiz"
    return files(tmp_path, test=copy / "test.jsonl", train=copy / "train.jsonl")


def chance(context: str, text: str = "") -> tuple[float, bool]:
    """A likelihood that depends on every character of what is asked."""
    number = int.from_bytes(f"{context}|{text}".encode()[::-1], "big") % 9973
    return -number / 997, number % 3 == 0


# ------------------------------------------------------------------------------------------------------------ real data


@pytest.fixture
def pulled(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real GSM8K and MATH-500."""
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    return shared / "data"


def test_gsm8k_is_our_gsm8k(pulled: Path, plain: Prompter) -> None:
    """The same questions in the same order, the same examples before them, the same stops and answers."""
    _, theirs = opened("lm_eval:gsm8k", plain)
    _, ours = opened("gsm8k", plain)
    assert theirs.prepare(20) == ours.prepare(20) == (20, 0)
    task = catalog.tasks()["gsm8k"]
    for one, other in ((theirs.sample(i), ours.sample(i)) for i in range(20)):
        assert one.id == f"lm_eval:{other.id}"
        assert plain.render(one.messages, one.answer_prefix) == plain.render(other.messages, other.answer_prefix)
        assert one.messages == other.messages and one.prompt_tokens == other.prompt_tokens
        assert one.references == other.references
        assert one.stop == task.generate.stop and one.max_new_tokens == other.max_new_tokens
    assert theirs.materials["data"]["sha256"] == ours.materials["data"]["sha256"]
    assert theirs.materials["lm_eval"]["source"].startswith("lm-eval ")


def test_gsm8k_is_lm_evals(pulled: Path, plain: Prompter, tmp_path: Path) -> None:
    """Prompts and per-item metrics of its first 12 items, which stand anywhere in our order."""
    from lm_eval import tasks

    says = ["The answer is 18.", "#### 3", "no number", "", "So 1,000\n#### 70000", "#### 540 and then 7"]
    answers: dict[str, str] = {}

    def answer(prompt: str, how: dict[str, Any]) -> str:
        assert how["until"] == ["Question:", "</s>", "<|im_end|>"]
        return answers.setdefault(prompt, says[len(answers) % len(says)])

    own = Path(tasks.__file__).parent / "gsm8k"
    data = pulled / "gsm8k"
    changes = files(tmp_path, test=data / "test.jsonl.gz", train=data / "train.jsonl.gz")
    logged = evaluated(own, "gsm8k", changes, judge(answer), limit=12)
    cell, samples = by_item("lm_eval:gsm8k", plain, 1319)
    assert len(logged) == 24
    for row in logged:
        sample = samples[row["doc_id"]]
        prompt = row["arguments"][0][0]
        assert plain.render(sample.messages, sample.answer_prefix) == prompt
        assert cell.verdict is not None
        score = cell.verdict(sample, Completion(sample.id, answers[prompt], (), "stop"))
        if row["filter"] == "flexible-extract":
            assert (score.value, score.extracted or "[invalid]") == (row["exact_match"], row["filtered_resps"][0])
        else:
            assert score.beside == {"exact_match,strict-match": row["exact_match"]}
    assert {row["exact_match"] for row in logged} == {0.0, 1.0}


def test_minerva_math500_runs_or_says_what_it_lacks(pulled: Path, plain: Prompter) -> None:
    try:
        cell, samples = by_item("lm_eval:minerva_math500", plain, 3)
    except MissingError as error:
        assert error.hint == "pip install 'antlr4-python3-runtime==4.11.*'"
        pytest.skip(error.message)
    assert cell.verdict is not None
    for sample in samples.values():
        assert sample.messages[0]["content"].count("Problem:\n") == 5
        assert sample.stop == ("Problem:",)
        right = f"Final Answer: The final answer is ${sample.references[0]}$. I hope it is correct."
        assert cell.verdict(sample, Completion(sample.id, right, (), "stop")).value == 1.0
        assert cell.verdict(sample, Completion(sample.id, "I do not know.", (), "stop")).value == 0.0


# ------------------------------------------------------------------------------------------------------- kinds of tasks


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("name", ["choice", "mutual", "contexts", "last_word"])
def test_likelihoods_are_asked_and_judged_as_lm_eval_does(
    folder: Path, tiny: Path, tmp_path: Path, name: str, chat: bool
) -> None:
    prompter = Prompter(tiny, None if chat else "none")
    how = {"apply_chat_template": True, "fewshot_as_multiturn": False} if chat else {}

    def render(history: list[dict[str, str]], add_generation_prompt: bool) -> str:
        assert add_generation_prompt
        return prompter.render(history, "")

    logged = evaluated(folder, f"quiz_{name}", quiz_files(tmp_path), judge(chance, render), **how)
    cell, samples = by_item(f"lm_eval:{folder / name}.yaml", prompter)
    assert cell.verdict is not None and len(logged) == len(samples) == 5
    for row in logged:
        sample = samples[row["doc_id"]]
        asked = [
            (prompter.render(o.messages, o.answer_prefix) if o.messages else "", o.continuation) for o in sample.options
        ]
        assert asked == [tuple(a) for a in row["arguments"]]
        found = tuple(chance(*a) for a in asked)
        score = cell.verdict(sample, Completion(sample.id, "", (), "scored", likelihoods=found))
        assert score.value == row["acc"] and not score.flags
        others = {m for m in row["metrics"] if m.startswith("acc_")}
        assert score.beside == {f"{m},none": row[m] for m in others}
        assert sample.prompt_tokens == prompter.count(prompter.render(sample.messages, sample.answer_prefix))
    if name != "last_word":
        assert {samples[n].references for n in range(5)} == {(row["city"],) for row in QUIZ}


def test_what_an_option_is(folder: Path, plain: Prompter) -> None:
    _, samples = by_item(f"lm_eval:{folder / 'contexts'}.yaml", plain)
    assert [o.messages[0]["content"] for o in samples[0].options] == QUIZ[0]["choices"]
    assert {o.continuation for o in samples[0].options} == {" is a capital."}
    _, samples = by_item(f"lm_eval:{folder / 'mutual'}.yaml", plain)
    assert samples[0].options[4:] == tuple(Option((), "", f" {c}") for c in QUIZ[0]["choices"])  # type: ignore[attr-defined]


def test_a_rolling_likelihood_has_bits_per_byte_and_no_score(folder: Path, plain: Prompter, tmp_path: Path) -> None:
    def answer(text: str) -> float:
        return chance(text)[0]

    evaluated(folder, "quiz_rolling", quiz_files(tmp_path), judge(answer))
    cell, samples = by_item(f"lm_eval:{folder / 'rolling'}.yaml", plain)
    assert cell.verdict is not None
    assert cell.materials["lm_eval"]["notes"] == [
        "bits_per_byte is the mean over texts; lm-eval weighs each by its bytes",
        "computed over all items at once, and not here: word_perplexity, byte_perplexity",
    ]
    for n, sample in samples.items():
        text = str(QUIZ[n]["text"])
        assert sample.options == (Option((), "", text),) and sample.messages[0]["content"] == text
        score = cell.verdict(sample, Completion(sample.id, text, (), "scored", likelihoods=((-20.0, False),)))
        assert score.value is None
        assert score.beside == {"bits_per_byte,none": pytest.approx(20 / (len(text) * 0.6931471805599453))}


@pytest.mark.parametrize("chat", [False, True])
def test_answers_begin_with_the_tasks_own_prefix(folder: Path, tiny: Path, tmp_path: Path, chat: bool) -> None:
    prompter = Prompter(tiny, None if chat else "none")

    def render(history: list[dict[str, str]], add_generation_prompt: bool) -> str:
        assert not add_generation_prompt and history[-1] == {"role": "assistant", "content": "The answer is"}
        return prompter.render(history[:-1], history[-1]["content"])

    def answer(prompt: str, how: dict[str, Any]) -> str:
        return " Paris" if "France" in prompt.split("\n")[-1] else " the city of Rome" if "Italy" in prompt else "none"

    how = {"apply_chat_template": True, "fewshot_as_multiturn": False} if chat else {}
    logged = evaluated(folder, "quiz_open", quiz_files(tmp_path), judge(answer, render), **how)
    cell, samples = by_item(f"lm_eval:{folder / 'open'}.yaml", prompter)
    assert cell.verdict is not None
    for row in logged:
        sample, prompt = samples[row["doc_id"]], row["arguments"][0][0]
        assert sample.answer_prefix == "The answer is"
        assert prompter.render(sample.messages, sample.answer_prefix) == prompt
        assert (sample.stop, sample.max_new_tokens) == (("\n", "Question:"), 17)
        score = cell.verdict(sample, Completion(sample.id, answer(prompt, {}), (), "stop"))
        expected = score.value if row["filter"] == "flexible" else score.beside["exact_match,strict"]
        assert expected == row["exact_match"]
        if row["filter"] == "flexible":
            assert (score.extracted or "[invalid]") == row["filtered_resps"][0]
    assert "temperature 0.7" in cell.materials["lm_eval"]["notes"][0]


def test_examples_do_not_depend_on_which_items_are_taken(folder: Path, plain: Prompter) -> None:
    spec = f"lm_eval:{folder / 'choice'}.yaml"
    _, all_of_them = by_item(spec, plain, 5)
    for seed in range(1, 4):
        _, few = by_item(spec, plain, 2, seed=seed)
        assert all(all_of_them[n].options == sample.options for n, sample in few.items())
    assert len({s.messages[0]["content"].split("Question:")[1] for s in all_of_them.values()}) > 1
    _, none = by_item(f"{spec}:num_fewshot=0", plain, 2)
    assert all(s.messages[0]["content"].count("Question:") == 1 for s in none.values())


def test_a_number_of_tokens_that_was_asked_for_is_used(folder: Path, plain: Prompter) -> None:
    _, samples = by_item(f"lm_eval:{folder / 'open'}.yaml", plain, 1, max_new_tokens=5)
    assert next(iter(samples.values())).max_new_tokens == 5


def test_items_that_do_not_fit_the_context_are_passed_over(folder: Path, plain: Prompter) -> None:
    for name in ("open", "choice", "rolling"):
        spec = f"lm_eval:{folder / name}.yaml"
        _, cell = opened(spec, plain)
        cell.prepare(5)
        sizes = sorted(cell.sample(i).prompt_tokens + cell.sample(i).max_new_tokens for i in range(5))
        fitting = sum(size <= sizes[2] for size in sizes)
        assert opened(spec, plain, limit=sizes[2])[1].prepare(5) == (fitting, 5 - fitting)
        assert opened(spec, plain, limit=3)[1].prepare(5) == (0, 5)


# ---------------------------------------------------------------------------------------------------------- what breaks


def test_a_metric_that_fails_fails_its_item(folder: Path, plain: Prompter) -> None:
    cell, samples = by_item(f"lm_eval:{folder / 'broken'}.yaml", plain, 1)
    (sample,) = samples.values()
    assert cell.verdict is not None
    score = cell.verdict(sample, Completion(sample.id, "Paris", (), "stop"))
    assert (score.value, score.extracted, score.flags) == (0.0, None, ("metric failed: KeyError: 'no such thing'",))
    assert cell.verdict(sample, Completion(sample.id, "", (), "stop")).flags == ()


def test_what_is_no_share_is_said_and_left_out(folder: Path, plain: Prompter) -> None:
    cell, samples = by_item(f"lm_eval:{folder / 'percent'}.yaml", plain, 5)
    assert cell.verdict is not None
    score = cell.verdict(samples[0], Completion("", "It is Paris.", (), "stop"))
    assert (score.value, score.beside, score.flags) == (1.0, {}, ("rouge,none is not between 0 and 1",))


@pytest.mark.parametrize(
    "name, kind, told, hint",
    [
        ("whole_set", UsageError, "mcc, computed over all items at once", None),
        ("unsafe", UsageError, "runs the code that the model writes", None),
        ("lacking", MissingError, "a_module_that_is_not_here", "pip install a_module_that_is_not_here"),
        ("nowhere", UsageError, "no such file", None),
    ],
)
def test_what_cannot_run_says_why(
    folder: Path, plain: Prompter, name: str, kind: type[LcbenchError], told: str, hint: str | None
) -> None:
    with pytest.raises(kind, match=told) as refused:
        opened(f"lm_eval:{folder / name}.yaml", plain)
    assert refused.value.hint == hint


def test_examples_that_there_are_not(folder: Path) -> None:
    with pytest.raises(UsageError, match="num_fewshot=9"):
        load(LmEvalParams(task=f"{folder / 'choice'}.yaml", num_fewshot=9))


def test_names_that_are_no_tasks() -> None:
    with pytest.raises(UsageError, match=r"tag of lm-eval.*arc_challenge, arc_easy"):
        load(LmEvalParams(task="ai2_arc"))
    with pytest.raises(UsageError, match=r"group of lm-eval.*mmlu_abstract_algebra") as refused:
        load(LmEvalParams(task="mmlu"))
    assert "lm_eval:mmlu_abstract_algebra" in str(refused.value.hint)
    with pytest.raises(UsageError, match="did you mean gsm8k"):
        load(LmEvalParams(task="gsm8kk"))


def test_without_lm_eval_the_hint_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingError) as missing:
        load(LmEvalParams(task="gsm8k"))
    assert (missing.value.exit_code, missing.value.hint) == (3, "pip install 'lcbench[lm-eval]'")


def test_data_that_is_not_here_has_a_place_or_a_pull(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as missing:
        load(LmEvalParams(task="gsm8k"))
    assert missing.value.hint == "lcbench data pull gsm8k_train"
    with pytest.raises(MissingError) as missing:
        load(LmEvalParams(task="arc_easy"))
    place = tmp_path / "data" / "hub" / "allenai" / "ai2_arc" / "ARC-Easy" / "test.jsonl"
    assert missing.value.hint == f"put the rows at {place}"


def test_a_copy_in_csv_has_numbers(folder: Path, plain: Prompter, tmp_path: Path) -> None:
    copy = tmp_path / "data" / "hub" / "own" / "quiz"
    (copy / "test.jsonl").unlink()
    (copy / "test.csv").write_text("question,label\nWhich?,1\n")
    (folder / "csv.yaml").write_text(
        f"task: quiz_csv\n{COMMON}{CHOICES}".replace("doc_to_choice: choices", "doc_to_choice: [red, blue]")
    )
    _, samples = by_item(f"lm_eval:{folder / 'csv'}.yaml", plain, 1)
    assert samples[0].references == ("blue",)


def test_loading_leaves_the_generators_of_the_process_alone(folder: Path) -> None:
    import random

    import numpy as np

    random.seed(7)
    np.random.seed(7)
    expected = random.random(), float(np.random.rand())
    random.seed(7)
    np.random.seed(7)
    load(LmEvalParams(task=f"{folder / 'choice'}.yaml"))
    assert (random.random(), float(np.random.rand())) == expected


# ----------------------------------------------------------------------------------------------------------- whole runs


@pytest.fixture
def lcbench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    monkeypatch.chdir(tmp_path)
    yield lambda *a: CliRunner().invoke(app, [str(x) for x in a], prog_name="lcbench", terminal_width=100)


def test_a_run_has_one_record_an_item_with_lm_evals_verdict(
    lcbench: Callable[..., Result], folder: Path, tiny: Path, tmp_path: Path
) -> None:
    """The likelihoods in the records, given to lm-eval's evaluator as a model's, have the run's accuracy."""
    spec = f"lm_eval:{folder / 'choice'}.yaml"
    arguments = ["--model", tiny, "--tasks", spec, "--samples", 5, "--chat-template", "none", "--out", "out"]
    done = lcbench("run", *arguments, "--format", "json")
    assert done.exit_code == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert len(rows) == cell["n"] == 5 and {len(r["likelihoods"]) for r in rows} == {4}
    prompter = Prompter(tiny, "none")
    _, samples = by_item(spec, prompter)
    known = {
        (prompter.render(o.messages, o.answer_prefix), o.continuation): tuple(likelihood)
        for r in rows
        for o, likelihood in zip(samples[r["fields"]["doc"]].options, r["likelihoods"], strict=True)
    }
    logged = evaluated(folder, "quiz_choice", quiz_files(tmp_path), judge(lambda *a: known[a]))
    assert cell["score"] == pytest.approx(100 * sum(row["acc"] for row in logged) / 5)
    assert {r["fields"]["doc"]: r["score"] for r in rows} == {row["doc_id"]: row["acc"] for row in logged}


def test_a_run_of_a_generating_task(lcbench: Callable[..., Result], folder: Path, tiny: Path, tmp_path: Path) -> None:
    arguments = ["--model", tiny, "--tasks", f"lm_eval:{folder / 'open'}.yaml", "--samples", 5, "--out", "out"]
    done = lcbench("run", *arguments, "--attn", "softmax,lucid", "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert [c["n"] for c in json.loads(done.stdout)["cells"]] == [5, 5]
    rows = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert {r["new_tokens"] <= 17 for r in rows} == {True}
    assert all("\n" not in r["completion"] for r in rows)


def test_every_option_has_tokens_and_fits_its_samples_count_with_any_tokenizer(folder: Path) -> None:
    for kind in tokenizers_made.KINDS:
        target = folder.parent / kind.replace(" ", "_")
        prompter = Prompter(tokenizers_made.save(kind, target))
        _, samples = by_item(f"lm_eval:{folder / 'choice'}.yaml", prompter)
        for sample in samples.values():
            for option in sample.options:
                before, after = prompter.encode_option(option)
                assert before and after
                assert len(before) + len(after) <= sample.prompt_tokens + sample.max_new_tokens
