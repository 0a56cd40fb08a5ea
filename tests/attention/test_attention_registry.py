"""Names, arguments and packages that bring mechanisms."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lcbench.attention import AttentionSpec, find, names, parse
from lcbench.cli.attn import app
from lcbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "example-mechanism"


def run_python(code: str, *folders: Path) -> subprocess.CompletedProcess:
    paths = [str(folder) for folder in (*folders, ROOT, ROOT / "kernels")]
    set_path = f"import sys; sys.path[:0] = {paths!r}\n"
    return subprocess.run([sys.executable, "-c", set_path + code], capture_output=True, text=True)


def test_names_and_find():
    assert names()[:3] == ["softmax", "lucid", "laser"]
    assert [find(name).name for name in names()] == names()
    assert find("lucid").trained and not find("softmax").trained


@pytest.mark.parametrize(
    "text, spec, canonical",
    [
        ("softmax", AttentionSpec("softmax"), "softmax"),
        ("softmax:impl=auto,layers=all", AttentionSpec("softmax"), "softmax"),
        (
            "lucid:layers=full,impl=reference",
            AttentionSpec("lucid", "reference", "full"),
            "lucid:impl=reference,layers=full",
        ),
    ],
)
def test_parse(text, spec, canonical):
    assert parse(text) == spec
    assert str(spec) == canonical
    assert parse(canonical) == spec
    assert hash(parse(canonical)) == hash(spec)


def test_arguments_follow_in_order():
    spec = AttentionSpec("quest", layers="full", arguments={"page": "16", "budget": "1024"})
    assert str(spec) == "quest:layers=full,budget=1024,page=16"


@pytest.mark.parametrize(
    "text, message",
    [
        ("lucit", "no attention mechanism is called 'lucit'; did you mean lucid?"),
        ("xyz", "no attention mechanism is called 'xyz'; there are: softmax, lucid, laser"),
        ("lucid:impl=cuda", "no implementation 'cuda'; there are: auto, reference, triton, gluon"),
        ("softmax:impl=flush", "no implementation 'flush'; did you mean flash?"),
        ("lucid:layers=fulls", "no choice of layers 'fulls'; did you mean full?"),
        ("lucid:layer=full", "no argument 'layer'; did you mean layers?"),
        ("lucid:full", "'full' is not key=value"),
        ("lucid:impl=", "'impl=' is not key=value"),
        ("lucid:impl=auto,impl=auto", "impl is given twice"),
    ],
)
def test_what_is_unknown_is_refused(text, message):
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert message in refused.value.message
    assert refused.value.hint


def test_importing_the_package_imports_no_torch():
    done = run_python("import lcbench.attention, lcbench.cli.attn; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_kernels_need_neither_lcbench_nor_triton():
    blocked = "sys.modules['lcbench'] = sys.modules['triton'] = None\n"
    packages = "lcbench_kernels.laser, lcbench_kernels.lucid, lcbench_kernels.softmax"
    done = run_python(blocked + f"import {packages}; print('fine')")
    assert done.stdout.strip() == "fine", done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The example package, installed by pip into a folder of its own."""
    pytest.importorskip("hatchling", reason="the example is built by hatchling, which is not installed")
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


USE_THE_EXAMPLE = """
import torch
from lcbench.attention import LayerState, names, parse, resolve

assert names() == ["softmax", "lucid", "laser", "uniform_decay"], names()
spec = parse("uniform_decay:slope=0.5")
mechanism, choice = resolve(spec, "cpu", "float64")
print(spec, choice.impl)

torch.manual_seed(0)
q, k, v = (torch.randn(2, heads, 9, 4, dtype=torch.float64) for heads in (4, 2, 2))
lengths = [9, 6]

def drive(passes):
    tensors = {name: torch.full((2, 2, 20, 4), 1e4, dtype=torch.float64) for name in mechanism.tensors}
    past, outputs = [0, 0], [[], []]
    for new in passes:
        steps = max(new)
        q_new, k_new, v_new = (torch.full((2, x.shape[1], steps, 4), 1e4, dtype=torch.float64) for x in (q, k, v))
        for row in range(2):
            for padded, x in ((q_new, q), (k_new, k), (v_new, v)):
                padded[row, :, : new[row]] = x[row, :, past[row] : past[row] + new[row]]
        total = [p + n for p, n in zip(past, new)]
        state = LayerState(tensors, torch.tensor(past), torch.tensor(new), max(past), max(total), False, 0.5)
        mechanism.write(state, k_new, v_new)
        out = mechanism.attend(state, q_new)
        for row in range(2):
            outputs[row].append(out[row, :, : new[row]])
        past = total
    return [torch.cat(parts, 1) for parts in outputs]

distance = torch.arange(9)[:, None] - torch.arange(9)
scores = 0.5 * q @ k.repeat_interleave(2, 1).mT - 0.5 * distance
whole = scores.masked_fill(distance < 0, -torch.inf).softmax(-1) @ v.repeat_interleave(2, 1)
schedules = [[[9, 6]], [[4, 4], [3, 2], [2, 0]], [[1, 1]] * 6 + [[1, 0]] * 3]
for passes in schedules:
    for row, out in enumerate(drive(passes)):
        torch.testing.assert_close(out, whole[row, :, : lengths[row]], rtol=1e-12, atol=1e-12)
print("agrees")
"""


def test_a_package_brings_a_mechanism(installed):
    done = run_python(USE_THE_EXAMPLE, installed)
    assert done.stdout.split("\n")[:2] == ["uniform_decay:slope=0.5 sdpa", "agrees"], done.stderr


def entry_points_of(folder: Path, package: str, line: str) -> Path:
    """A folder that importlib.metadata takes for an installed package with one entry point."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lcbench.attention]\n{line}\n")
    return folder


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "lucid = theirs:INFO",
            "two attention mechanisms are called 'lucid': one of lcbench itself, one of theirs 1.0",
        ),
        ("mine = nowhere_to_be_found:INFO", "attention mechanism 'mine' of theirs 1.0 cannot be imported"),
        ("mine = json:dumps", "entry point 'mine' (json:dumps) of theirs 1.0 is not a MechanismInfo named 'mine'"),
    ],
)
def test_packages_that_cannot_be_used_are_named(line, message, tmp_path):
    folder = entry_points_of(tmp_path, "theirs", line)
    code = "from lcbench.attention import find\nfrom lcbench.errors import LcbenchError\ntry:\n    find('mine')\n"
    done = run_python(code + "except LcbenchError as error:\n    print(error.message, '|', error.hint)", folder)
    assert message in done.stdout, done.stderr
    assert "theirs" in done.stdout.split("|")[1] or "entry-points" in done.stdout.split("|")[1]


def test_two_packages_with_one_name_are_both_named(tmp_path):
    first = entry_points_of(tmp_path / "a", "ours", "mine = json:dumps")
    second = entry_points_of(tmp_path / "b", "theirs", "mine = json:dumps")
    code = "from lcbench.attention import names\nfrom lcbench.errors import LcbenchError\ntry:\n    names()\n"
    done = run_python(code + "except LcbenchError as error:\n    print(error.message)", first, second)
    assert done.stdout.strip() == "two attention mechanisms are called 'mine': one of ours 1.0, one of theirs 1.0"


def test_attn_list_json():
    done = CliRunner().invoke(app, ["list", "--format", "json"])
    assert done.exit_code == 0, done.output
    listed = json.loads(done.stdout)
    by_name = {mechanism["name"]: mechanism for mechanism in listed["mechanisms"]}
    assert by_name["lucid"]["trained"] and not by_name["softmax"]["trained"]
    reasons = {impl["name"]: impl["reason"] for impl in by_name["softmax"]["impls"]}
    assert list(reasons) == ["reference", "sdpa", "flash", "flex", "triton"]
    assert reasons["sdpa"] is None and reasons["reference"] is None
    if listed["device"] == "cpu":
        assert reasons["flash"] == reasons["flex"] == reasons["triton"] == "it runs on CUDA devices only"


def test_attn_list_table():
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "softmax" and "lucid" in lines
    assert "  weights    must be trained under it" in lines
    assert any(line.startswith("  layers ") for line in lines)


def test_attn_list_refuses_another_format():
    assert CliRunner().invoke(app, ["list", "--format", "xml"]).exit_code == 2
