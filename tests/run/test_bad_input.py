"""What cannot run is refused in one paragraph with a hint, by its exit code, before any model is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from lcbench import catalog
from lcbench.errors import UsageError
from lcbench.plan import lengths_of, selection, with_suite
from lcbench.schema import RunConfig, Suite
from tests.run.background import ROOT
from tests.run.conftest import Command, records
from tests.run.test_store import HOLDER


@pytest.fixture
def run(lcbench: Command, unreadable: Path, tmp_path: Path) -> Command:
    """`lcbench run` on a model that cannot be loaded, with what would be right if the test did not override it."""

    def command(*arguments: str | Path) -> Result:
        right = {"--model": unreadable, "--tasks": "niah_single_1", "--lengths": "1k", "--prompt": "builtin"}
        right |= {"--out": tmp_path / "out", "--samples": "2"}
        given = [a for pair in right.items() if pair[0] not in arguments for a in pair]
        return lcbench("run", *given, *arguments)

    return command


def check_refusal(done: Result, code: int, said: str, hint: str | None) -> None:
    """Exit code, one paragraph, perhaps one hint, and nothing else: no traceback, no table, no weights read."""
    assert isinstance(done.exception, SystemExit), done.exception
    lines = done.stderr.splitlines()
    assert done.exit_code == code, done.stderr
    assert lines[0].startswith("Error: ")
    assert said in lines[0]
    assert lines[1:] == ([] if hint is None else [f"hint: {hint}"])
    assert done.stdout == ""


SUITES = "suites: longcontext, quick, ruler"
REFUSED = {
    "task": ("--tasks nosuch", "Unknown task 'nosuch'", "lcbench tasks list"),
    "task, nearly": ("--tasks niah_singel_1", "did you mean niah_single_1", "lcbench tasks list"),
    "glob": ("--tasks nosuch*", "Unknown task 'nosuch*'", "lcbench tasks list"),
    "task file": ("--tasks nosuch.yaml", "No task file nosuch.yaml", None),
    "suite": ("--suite rulr --tasks=", "Unknown suite 'rulr'; did you mean ruler?", SUITES),
    "model": ("--model smollm2-136m", "No model 'smollm2-136m'", "did you mean smollm2-135m?"),
    "model folder": ("--model .", "has no config.json", None),
    "model argument": ("--model-args revisoin=3", "--model-args has no key 'revisoin'", "did you mean revision?"),
    "mechanism": ("--attn lucit", "no attention mechanism is called 'lucit'; did you mean lucid?", "lcbench attn list"),
    "argument": ("--attn lucid:budget=4", "no argument 'budget'", "lcbench attn list"),
    "argument, nearly": ("--attn lucid:layer=all", "did you mean layers?", "lcbench attn list"),
    "implementation": ("--attn softmax,lucid:impl=referense", "did you mean reference?", "lcbench attn list"),
    "layers": ("--attn softmax:layers=some", "no choice of layers 'some'", "lcbench attn list"),
    "strategy": ("--strategy gready", "--strategy gready", None),
    "engine": ("--engine vlm", "--engine vlm", None),
    "dtype": ("--dtype bf17", "No dtype is called bf17", "--dtype auto"),
    "device": ("--device tpu", "tpu", None),
    "rope scaling": ("--model-args rope_scaling=foo:3", "rope_scaling=foo:3", "--model-args rope_scaling=yarn:4"),
    "rope factor": ("--model-args rope_scaling=yarn:inf", "the factor is a number", "--model-args rope_scaling=yarn:4"),
    "length without a word": ("--tasks fwe --lengths 16", "ruler/fwe at 16: 16 tokens hold no word that is asked for",
                              "a longer --lengths"),
    "length": ("--lengths 4x", "'4x' is not a length", "write 512, 4k or 1M"),
    "length above the context": ("--lengths 1k,8k,16k", "--lengths 8k,16k: unreadable has a context of 4096 tokens",
                                 "--lengths 4k, or --model-args rope_scaling=yarn:4"),
    "length above the scaled context": ("--lengths 16k,32k --model-args rope_scaling=yarn:4",
                                        "--lengths 32k: unreadable has a context of 16384 tokens",
                                        "--lengths 16k, or --model-args rope_scaling=yarn:8"),
    "length below the least": ("--lengths 64", "ruler/niah_single_1 at 64: needs 258 tokens with this tokenizer, 64",
                               "a longer --lengths"),
    "answer above the length": ("--max-new-tokens 1024", "ruler/niah_single_1 at 1k: needs", "a longer --lengths"),
    "nothing is left": ("--tasks ruler/niah_single_? --lengths 64", "No cell is left to run: ruler/niah_single_1 at 64",
                        "longer --lengths, or other --tasks"),
    "chat template": ("--chat-template nosuch", "No chat template at nosuch", "--chat-template FILE, or none"),
    "run folder below a file": ("--out file/out", "Cannot make the run folder file/out: Not a directory", "--out DIR"),
    "run folder is a file": ("--out file", "Cannot make the run folder file: File exists", "--out DIR"),
    "run folder without a lock": ("--out locked", "Cannot write in locked: Is a directory", "--out DIR"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(run: Command, case: str) -> None:
    arguments, said, hint = REFUSED[case]
    Path("file").touch()
    Path("locked/lock").mkdir(parents=True)
    done = run(*arguments.split())
    anything = hint is None and "hint: " in done.stderr
    check_refusal(done, 2, said, done.stderr.splitlines()[1].removeprefix("hint: ") if anything else hint)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_a_model_folder_with_a_broken_file(run: Command, unreadable: Path, tmp_path: Path, file: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(unreadable, model)
    (model / file).write_text("{")
    done = run("--model", model)
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, str(model) in done.stderr, "loading" in done.stderr) == (2, True, False)


def test_what_is_asked_for_twice_runs_once(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = "run --tasks niah_single_1 --lengths 256,256 --attn softmax,softmax:impl=auto --prompt builtin --samples 1"
    done = lcbench(*given.split(), "--max-new-tokens", "1", "--model", tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert len(json.loads((tmp_path / "out/summary.json").read_text())["cells"]) == 1


def test_a_suite_without_lengths_takes_those_of_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ndescription: mine\ntasks: [ruler/niah_single_1]\nprompt: builtin\n"
    )
    monkeypatch.setenv("LCBENCH_SUITES", str(tmp_path))
    catalog.suites.cache_clear()
    config, suite = with_suite(RunConfig(model="m", suite="mine"))
    [chosen] = selection(config, suite)
    assert lengths_of(chosen.task, config, suite, 8192) == [512, 1024]
    catalog.suites.cache_clear()


def test_lengths_of_the_three_kinds_of_tasks() -> None:
    suite = Suite(name="s", description="", tasks=("gsm8k",), lengths=("4k", "8k"))
    tasks = {
        kind: catalog.tasks()[n] for kind, n in (("fill", "ruler/vt"), ("budget", "longbench_v2"), ("none", "gsm8k"))
    }
    silent, asked = RunConfig(model="m"), RunConfig(model="m", lengths=(2048, 2048))
    assert lengths_of(tasks["fill"], silent, suite, 8192) == [4096, 8192]
    assert lengths_of(tasks["budget"], silent, suite, 8192) == [8192]
    assert lengths_of(tasks["none"], silent, suite, 8192) == [None]
    assert lengths_of(tasks["fill"], asked, suite, 8192) == lengths_of(tasks["budget"], asked, suite, 8192) == [2048]
    assert lengths_of(tasks["none"], asked, suite, 8192) == [None]
    with pytest.raises(UsageError, match="longbench_v2 needs a budget"):
        lengths_of(tasks["budget"], silent, suite, None)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        ("--prompt official", "texts/ruler.json", "lcbench data pull ruler"),
        ("--tasks qa_1 --lengths 4k", "squad/dev-v2.0.json", "lcbench data pull squad"),
        ("--suite ruler --tasks= --prompt official", "texts/ruler.json", "lcbench data pull ruler hotpotqa squad"),
    ],
)
def test_what_is_missing_names_the_command_that_pulls_it(run: Command, arguments: str, said: str, hint: str) -> None:
    check_refusal(run(*arguments.split()), 3, said, hint)


@pytest.mark.parametrize("arguments", ["--samples 0", "--prompt foo", "--format xml", "--max-new-tokens 0", "--nosuch"])
def test_what_the_parser_refuses(run: Command, arguments: str) -> None:
    done = run(*arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert arguments.split()[0] in done.stderr


# ---------------------------------------------------------------------------------------------------- a task file's
# errors

TASK = """\
name: mine/needle
version: 1
benchmark: ruler.niah
description: A needle of mine.
source: mine
prompts: {texts: ruler, key: niah}
score: ruler.match_all
generate:
  max_new_tokens: 16
params: {haystack: noise, keys: words, values: numbers, num_k: 1, num_v: 1, num_q: 1}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("haystack: ", "haystak: ", "params.haystak: unknown key; did you mean haystack"),
        ("haystack: noise", "haystack: nose", "params.haystack: input should be 'noise', 'essay' or 'needle'"),
        ("score:", "scorer:", "mine.yaml:7: scorer: unknown key; did you mean score"),
        ("tokens: 16", "token: 16", "mine.yaml:9: generate.max_new_token: unknown key; did you mean max_new_tokens"),
        ("tokens: 16", "tokens: many", "mine.yaml:9: generate.max_new_tokens: input should be a valid integer"),
        ("score: ruler.match_all\n", "", "mine.yaml:1: score: is missing"),
        ("source: mine", "source: [", "mine.yaml:7: not YAML"),
        ("source: mine", "source: \x81", "mine.yaml:5: not UTF-8"),
    ],
)  # fmt: skip
def test_a_broken_task_file(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/mine.yaml").write_text(TASK.replace(old, new), encoding="latin-1")
    monkeypatch.setenv("LCBENCH_TASKS", str(tmp_path / "tasks"))
    for arguments in (["--tasks", "mine/needle"], ["--tasks", tmp_path / "tasks/mine.yaml"]):
        catalog.tasks.cache_clear()
        done = run(*arguments)
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ruler.niah\n", "ruler.nia\n", "mine/needle: no benchmark is called 'ruler.nia'; did you mean ruler.niah"),
        ("key: niah", "key: nia", "mine/needle: prompts.key 'nia' is none of niah, variable_tracking"),
        ("ruler.match_all", "ruler.match", "mine/needle: There is no scorer 'ruler.match'"),
    ],
)
def test_a_task_of_unknown_parts(run: Command, old: str, new: str, said: str) -> None:
    Path("mine.yaml").write_text(TASK.replace("mine/needle", "ruler/mine").replace(old, new))
    done = run("--tasks", "mine.yaml")
    assert done.exit_code == 2
    assert said.replace("mine/needle", "ruler/mine") in done.stderr


# ------------------------------------------------------------------------------------------------------------ run
# folders


def test_a_glob_passes_over_what_is_too_short(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = "run --tasks ruler/niah_single_1,ruler/niah_multikey_[13] --prompt builtin --samples 2 --max-new-tokens 1"
    done = lcbench(*given.split(), "--lengths", "220", "--model", tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "ruler/niah_multikey_3 at 220: n/a, needs" in done.stdout
    assert {r["sample_id"].split(":")[0] for r in records(tmp_path / "out")} == {
        "ruler/niah_single_1",
        "ruler/niah_multikey_1",
    }


def test_near_the_least_length_every_sample_fits(lcbench: Command, unreadable: Path, tmp_path: Path) -> None:
    """At 256 tokens few uuids are short enough; if one sample is to be had, all of them are."""
    given = "tasks build niah_multikey_3 --prompt builtin --samples 40 --max-new-tokens 1 --lengths 256 -o made.jsonl"
    done = lcbench(*given.split(), "--model", unreadable)
    assert done.exit_code == 0, done.stderr
    assert len(Path("made.jsonl").read_text().splitlines()) == 40


def test_a_folder_of_another_run(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = [
        "run",
        "--model",
        tiny,
        "--out",
        tmp_path / "out",
        "--prompt",
        "builtin",
        "--max-new-tokens",
        "1",
        "--tasks",
    ]
    assert lcbench(*given, "niah_single_1", "--lengths", "256", "--samples", "1").exit_code == 0
    before = (tmp_path / "out/samples.jsonl").read_bytes()
    for arguments, said in (
        ("niah_single_1 --lengths 256 --samples 2", "(samples: 1 there, 2 now)"),
        ("niah_single_1 --lengths 300 --samples 1", '(lengths: ["256"] there, ["300"] now)'),
        ("niah_single_1 --lengths 256 --samples 1 --seed 1", "(seed: 0 there, 1 now)"),
        ("niah_single_1 --lengths 256 --samples 1 --attn lucid", '(attn: ["softmax"] there, ["lucid"] now)'),
        ("niah_single_2 --lengths 256 --samples 1", "tasks: "),
    ):
        done = lcbench(*given, *arguments.split())
        hint = "--out DIR for another folder, or --fresh to start this one over"
        check_refusal(done, 2, said, hint)
        assert (tmp_path / "out/samples.jsonl").read_bytes() == before
    done = lcbench(*given, "niah_single_1", "--lengths", "256", "--samples", "1", "--seed", "1", "--fresh")
    assert done.exit_code == 0
    assert len(records(tmp_path / "out")) == 1
    assert (tmp_path / "out/samples.jsonl").read_bytes() != before


def test_a_folder_that_another_process_writes(run: Command, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        done = run()
        holder.kill()
    check_refusal(done, 2, f"is being written by process {holder.pid} on ", "wait for it, or choose another --out DIR")


def test_the_right_command_gets_as_far_as_the_weights(run: Command) -> None:
    """What the other tests change one thing in is right, and the model would notice being loaded."""
    done = run()
    assert "loading unreadable" in done.stderr
    assert done.exit_code != 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "mine/x: data: there are no rows in "),
        ("lengths: fill\n", "mine/x: lengths: rows of data do not fill a length"),
    ],
)
def test_a_task_over_rows_that_cannot_run(run: Command, more: str, said: str) -> None:
    Path("rows.csv").write_text("q,a\n")
    Path("mine.yaml").write_text(
        'name: mine/x\ndata: {file: rows.csv}\nprompt: "{{ q }}"\nreferences: a\nscore: includes\n'
        "generate: {max_new_tokens: 4}\n" + more
    )
    done = run("--tasks", "mine.yaml")
    assert (done.exit_code, "Traceback" in done.stderr) == (2, False)
    assert said in done.stderr
    assert not Path("results").exists()
