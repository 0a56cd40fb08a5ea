"""`lcbench attn check`: it passes here, and notices a kernel that is a little wrong."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from lcbench_kernels import laser, lucid
from lcbench_kernels.softmax import api as softmax_api
from typer.testing import CliRunner

from lcbench.attention import MECHANISMS, checks, names
from lcbench.attention.base import Choice, MechanismInfo
from lcbench.attention.checks import exact, grid, measure, subjects
from lcbench.attention.checks.grid import Case
from lcbench.cli import app as lcbench
from lcbench.cli.attn import app

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"name", "attn", "impl", "error", "bound", "ok"}
cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")


@pytest.fixture
def few(monkeypatch):
    """Two small cases in place of the grid."""
    cases = [Case("clustered", 64, 65), Case("random", 80, 1)]
    monkeypatch.setattr(checks, "cases", lambda name: cases)


@cpu_only
def test_every_mechanism_passes_on_this_machine_in_30_seconds():
    """The command as a person runs it, start-up included."""
    started = time.monotonic()
    command = [sys.executable, "-m", "lcbench", "attn", "check", "--format", "json"]
    before = os.times()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    wall, after = time.monotonic() - started, os.times()
    report = json.loads(done.stdout)
    wrong = [check for check in report["checks"] if not check["ok"]]
    assert (done.returncode, report["ok"], wrong) == (0, True, []), done.stderr
    assert (report["grid"], report["device"]) == ("reduced", "cpu")
    assert {check["attn"] for check in report["checks"]} == set(names())
    told = done.stderr.splitlines()
    for name in names():
        counts = [f"{name} d{size}: {len(of_size(report, name, size))} checks, 0 failed" for size in grid.SIZES]
        assert [line for line in told if line.startswith(f"{name} d")] == counts
    assert all(set(check) == KEYS for check in report["checks"])
    # On two cores of its own it takes less than this of one; a machine that others use too may take longer.
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    assert min(wall, processor) < 30
    titles = {(c["attn"], c["impl"], c["name"].rsplit(" ", 3)[0]) for c in report["checks"]}
    for impl in ("reference", "sdpa"):
        for title in ("forward", "chunked", "ragged", "decode", "backward"):
            assert ("softmax", impl, title) in titles
    for title in ("forward", "chunked", "ragged", "packed", "decode", "backward"):
        assert ("lucid", "reference", title) in titles
    assert ("laser", "reference", "spread 60") in titles
    skipped = {(one["attn"], one["impl"]): one["reason"] for one in report["skipped"]}
    assert skipped["softmax", "flash"] == "it runs on CUDA devices only"


def of_size(report, attn, size):
    return [check for check in report["checks"] if check["attn"] == attn and f" d{size} " in check["name"]]


def test_the_reduced_grid_has_every_kind_size_and_length():
    reduced, full = grid.cases("reduced"), grid.cases("full")
    assert set(reduced) < set(full)
    assert len(full) == len(set(full)) == 4 * 5 * 5
    for name in ("kind", "size", "tokens"):
        assert {getattr(case, name) for case in reduced} == {getattr(case, name) for case in full}
    assert {case.kind for case in reduced if case.tokens == 500} == set(grid.KINDS)


def scaled(original):
    return lambda *args, **kwargs: 1.01 * original(*args, **kwargs)


def without_last_row(original):
    def wrong(*args, **kwargs):
        out = original(*args, **kwargs)
        return torch.cat([out[:, :, :-1], 0 * out[:, :, -1:]], dim=2)

    return wrong


def with_a_nan(original):
    def wrong(*args, **kwargs):
        out = original(*args, **kwargs)
        return torch.where(torch.arange(out.numel(), device=out.device).view(out.shape) == 0, torch.nan, out)

    return wrong


def unwritten(original):
    """Leaves what it allocated as it was, where old memory held the right answer."""
    return lambda *args, **kwargs: torch.empty_like(original(*args, **kwargs))


def raising(original):
    def wrong(*args, **kwargs):
        raise RuntimeError("out of resources\nand more")

    return wrong


FAULTS = [scaled, without_last_row, with_a_nan, unwritten, raising]
TARGETS = {
    "softmax": (softmax_api.IMPLS, "sdpa"),
    "lucid": (lucid, "precondition"),
    "laser": (laser, "attend"),
}


@cpu_only
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("attn", TARGETS)
def test_what_is_a_little_wrong_is_found_and_named(attn, fault, few, monkeypatch):
    owner, name = TARGETS[attn]
    original = owner[name] if isinstance(owner, dict) else getattr(owner, name)
    (monkeypatch.setitem if isinstance(owner, dict) else monkeypatch.setattr)(owner, name, fault(original))
    done = CliRunner().invoke(app, ["check", attn, "--format", "json"])
    assert done.exit_code == 1, done.output
    report = json.loads(done.stdout)
    assert not report["ok"]
    failed = [check for check in report["checks"] if not check["ok"]]
    assert "forward clustered d64 n65" in {check["name"] for check in failed}
    assert {check["attn"] for check in failed} == {attn}
    if attn == "softmax":
        assert {check["impl"] for check in failed} == {"sdpa"}
    if fault in (with_a_nan, unwritten, raising):
        assert all(check["error"] is None for check in failed if check["name"].startswith("forward"))
    table = CliRunner().invoke(app, ["check", attn])
    assert table.exit_code == 1
    assert f"FAILED {attn} " in table.output and "forward clustered d64 n65: " in table.output
    if fault is raising:
        assert "RuntimeError: out of resources" in table.output and "and more" not in table.output


@cpu_only
def test_a_wrong_gradient_is_found(few, monkeypatch):
    class Crooked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return 1.01 * grad

    original = softmax_api.IMPLS["sdpa"]
    monkeypatch.setitem(softmax_api.IMPLS, "sdpa", lambda q, *rest, **kw: original(Crooked.apply(q), *rest, **kw))
    told = []
    failed = [check for check in checks.run_checks(["softmax"], tell=told.append).checks if not check.ok]
    assert told[0].startswith("softmax d64: ") and told[0].endswith(" checks, 1 failed")
    assert [(check.name, check.impl) for check in failed] == [("backward clustered d64 n65", "sdpa")]


@cpu_only
def test_what_an_implementation_refuses_is_said_and_not_failed(few, monkeypatch):
    original = softmax_api.IMPLS["sdpa"]

    def odd(q, *rest, **kw):
        if q.shape[-1] == 80:
            raise ValueError("sdpa takes head sizes of powers of two")
        return original(q, *rest, **kw)

    monkeypatch.setitem(softmax_api.IMPLS, "sdpa", odd)
    report = checks.run_checks(["softmax"])
    assert report.ok
    assert report.skipped.count(("softmax", "sdpa", "sdpa takes head sizes of powers of two")) == 1
    assert not any(check.impl == "sdpa" and "d80" in check.name for check in report.checks)
    assert "not checked: softmax sdpa: sdpa takes head sizes of powers of two" in checks.as_table(report)


@cpu_only
def test_nothing_to_check_is_not_all_right(few, monkeypatch):
    monkeypatch.setattr(checks, "reason_against", lambda *_: "it is Sunday")
    done = CliRunner().invoke(app, ["check", "softmax"])
    assert done.exit_code == 1
    assert "FAILED softmax -: anything: no implementation of it runs here" in done.output
    assert "not checked: softmax sdpa: it is Sunday" in done.output


def test_an_unknown_name_is_refused_with_the_nearest():
    done = CliRunner().invoke(lcbench, ["attn", "check", "lucit"])
    assert done.exit_code == 2
    assert "no attention mechanism is called 'lucit'; did you mean lucid?" in done.output
    assert CliRunner().invoke(lcbench, ["attn", "check", "--grid", "huge"]).exit_code == 2


class Drifting:
    """Softmax attention by the seam, of which every call with a past scales its output by `drift`."""

    name, tensors, rotary, windows = "drifting", ("k", "v"), "after", False

    def __init__(self, drift):
        self.drift = drift

    def build(self, config, layer):
        return None

    def write(self, state, k, v):
        state.append("k", k)
        state.append("v", v)

    def attend(self, state, q):
        k, v = (state.tensors[name][:, :, : state.total_max] for name in self.tensors)
        out = softmax_api.attend(q, k, v, state.past, scale=state.scale, impl="reference")
        return out if state.past_max == 0 else self.drift * out


def outside(drift: float, rotary: str = "after") -> MechanismInfo:
    def make(impl, arguments):
        mechanism = Drifting(drift)
        mechanism.rotary = rotary
        return mechanism

    choose = lambda impl, device, dtype, windows, head_size: Choice("own", "the only one")  # noqa: E731
    return MechanismInfo("drifting", "", "", "", ("own",), make, choose, lambda impl, device: None)


@pytest.mark.parametrize("drift, code", [(1.0, 0), (1.01, 1)])
def test_a_mechanism_of_another_package_is_checked_through_the_seam(drift, code, few, monkeypatch):
    monkeypatch.setitem(MECHANISMS, "drifting", outside(drift))
    done = CliRunner().invoke(app, ["check", "drifting", "--format", "json"])
    (check,) = json.loads(done.stdout)["checks"]
    assert (done.exit_code, check["ok"]) == (code, code == 0)
    assert (check["name"], check["attn"], check["impl"]) == ("seam clustered d64 n65", "drifting", "own")


def test_a_mechanism_before_rotary_embedding_is_skipped_with_the_reason(few, monkeypatch):
    monkeypatch.setitem(MECHANISMS, "drifting", outside(1.0, rotary="before"))
    done = CliRunner().invoke(app, ["check", "drifting"])
    assert done.exit_code == 1
    assert "not checked: drifting own: it takes q, k, v before rotary embedding" in done.output


def test_dense_definitions_against_loops():
    """The yardstick itself, token by token."""
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(n, 7, 4, generator=draw, dtype=torch.float64) for n in (2, 1, 1))
    out, laser_out = exact.softmax_head(q, k[0], v[0], 0.5), exact.laser_head(q, k[0], v[0], 0.5)
    for i in range(7):
        weights = (0.5 * q[:, i] @ k[0, : i + 1].T).softmax(-1)
        torch.testing.assert_close(out[:, i], weights @ v[0, : i + 1])
        torch.testing.assert_close(laser_out[:, i], (weights @ v[0, : i + 1].exp()).log())
    y = exact.lucid_head(k[0], v[0])
    n = k[0] / (k[0].square().mean(-1, keepdim=True) + 1e-5).sqrt()
    for i in range(7):
        before = sum((torch.exp(n[i] @ n[j] / 2 - 2) * y[j] for j in range(i)), torch.zeros(4, dtype=torch.float64))
        torch.testing.assert_close(y[i], v[0, i] - before)


def test_nan_never_passes():
    exact_rows = torch.ones(1, 1, 3, 2, dtype=torch.float64)
    broken = exact_rows.clone()
    broken[0, 0, 1, 1] = torch.nan
    assert not measure.by_row(broken, exact_rows) <= 1e9
    assert not measure.by_head(broken, exact_rows) <= 1e9
    assert not measure.largest([0.0, float("nan"), 1.0]) <= 1e9


def test_one_wrong_row_stands_out_among_many():
    right = torch.randn(1, 2, 4097, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong = right.clone()
    wrong[:, :, -1] = 0
    assert measure.by_row(wrong, right) == pytest.approx(1)
    assert measure.by_head(wrong, right) > measure.solve_bound(64, torch.bfloat16)


def test_uninitialised_memory_is_poisoned_and_released():
    with measure.poisoned():
        made = [torch.empty(3), torch.empty_like(torch.ones(2)), torch.ones(1).new_empty(4)]
        made.append(torch.empty_strided((2, 2), (1, 2)))
        assert torch.empty(3, dtype=torch.int32).shape == (3,)
    assert all(x.isnan().all() for x in made)
    assert torch.empty.__module__ != measure.__name__
    assert not hasattr(torch.empty, "__wrapped__") and "built-in" in repr(torch.empty)


def test_every_bundled_mechanism_has_its_passes():
    assert set(subjects.SUBJECTS) == set(MECHANISMS)
    for name, passes in subjects.SUBJECTS.items():
        assert {impl for one in passes.values() for impl in one.impls} == set(MECHANISMS[name].impls)


WITHOUT = """
import sys
for name in ("pydantic", "datasets", "lm_eval", "hypothesis", "transformers", "yaml", "jinja2", "rich"):
    sys.modules[name] = None
from lcbench.attention import bench, checks
from lcbench.attention.bench import show
from lcbench.attention.checks.grid import Case
checks.cases = lambda name: [Case("clustered", 64, 65)]
print(checks.run_checks(["softmax", "lucid"]).ok, show.machine()["cpu"] != "")
"""


def test_check_and_bench_need_torch_alone():
    """A machine with a GPU may have little else."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_full_grid_on_a_gpu():
    report = checks.run_checks(names())
    assert (report.grid, report.device, report.dtype) == ("full", "cuda", "bfloat16")
    assert report.ok, checks.as_table(report)
