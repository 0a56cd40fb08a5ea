"""`lcbench attn bench` with a fake clock, on a CPU: what it refuses to time, its figures, the table and the JSON."""

import json
from dataclasses import replace

import pytest
import torch
from lcbench_kernels import laser, lucid, softmax
from lcbench_kernels.common import counts
from typer.testing import CliRunner

from lcbench.attention import MECHANISMS
from lcbench.attention.bench import Options, contenders, judges, peers, run_bench, show
from lcbench.attention.bench import clock as clocks
from lcbench.attention.bench.contenders import Contender
from lcbench.attention.bench.problem import Shape, make_problem
from lcbench.attention.checks import exact
from lcbench.cli import app as lcbench
from lcbench.errors import UsageError

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
TOKENS = (96, 161)
OPTIONS = Options(("softmax", "lucid", "laser"), lengths=TOKENS, q_heads=4, kv_heads=2, size=16, dtype=torch.float32)
MS = 2.0


def clock(call) -> float:
    """Two milliseconds for everything, but for the peer that takes one."""
    call()
    return getattr(call, "ms", MS)


def attend(x, q, k, v):
    return softmax.attend(q, k, v, x.past, scale=x.scale, uniform=True, impl="reference")


def fast(x):
    def call():
        return attend(x, x.q, x.k, x.v)

    call.ms = 1.0
    return call


def lucid_layer(x, q, k, v):
    return attend(x, q, k, lucid.precondition(k, v, impl="reference"))


def laser_layer(x, q, k, v):
    return laser.attend(q, k, v, x.past, scale=x.scale, uniform=True, impl="reference")


def newest(function):
    return lambda x: lambda: function(x.q, x.k, x.v, x.lengths, scale=x.scale, impl="reference")


def lucid_newest(x):
    return lambda: lucid.decode(x.q, x.k, x.y, x.lengths, scale=x.scale, impl="reference")


def entry(attn, impl, prepare, judge, **rest) -> Contender:
    return Contender(attn, impl, prepare, judge, missing=peers.always, **rest)


def table() -> dict[str, list[Contender]]:
    """The shape of the real one, of what a CPU can run."""
    c, j = contenders, judges
    return {
        "prefill": [
            entry("softmax", "plain", fast, c.SOFTMAX_OUT, flops=c.attention_flops, peer=True),
            entry("lucid", "own", lambda x: c.precondition("reference", x), j.solved, flops=c.solve_flops, solve=True),
            entry(
                "lucid",
                "solve_triangular",
                peers.solve_triangular,
                j.solved,
                flops=c.solve_flops,
                peer=True,
                solve=True,
                longest=100,
            ),
            entry("deltaformer", "other", fast, None, flops=c.solve_flops, peer=True, solve=True),
            entry("laser", "own", lambda x: c.laser_prefill("reference", x), c.LASER_OUT, flops=c.attention_flops),
        ],
        "decode": [
            entry("softmax", "own", newest(softmax.decode), c.SOFTMAX_NEWEST, moved=c.decode_bytes, peer=True),
            entry("lucid", "own", lucid_newest, j.newest_solved, moved=c.decode_bytes),
        ],
        "train": [
            entry("softmax", "plain", lambda x: c.step(attend, x), c.SOFTMAX_STEP, flops=c.step_flops, peer=True),
            entry("lucid", "own", lambda x: c.step(lucid_layer, x), c.LUCID_STEP, flops=c.lucid_step_flops),
            entry("laser", "own", lambda x: c.step(laser_layer, x), c.LASER_STEP, flops=c.step_flops),
        ],
    }


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(clocks, "MATMUL", 8)
    monkeypatch.setattr(clocks, "COPY_BYTES", 64)
    monkeypatch.setattr(contenders, "CONTENDERS", table())


def bench(**changes):
    return run_bench(replace(OPTIONS, **changes), device="cpu", clock=clock)


def test_everything_is_checked_then_timed_and_counted():
    done = bench()
    assert done.ok
    assert done.ceilings == {"tflops": 2 * 8**3 / MS / 1e9, "tbps": 2 * 64 / MS / 1e9}
    rows = {(row.name, row.attn, row.impl, row.tokens): row for row in done.rows}
    assert len(rows) == len(done.rows) == 2 * (5 + 2 + 3)
    timed = [row for row in done.rows if row.ms is not None]
    assert {row.impl for row in done.rows if row.ms is None} == {
        "solve_triangular"
    }  # 161 tokens: its matrices are too large
    for row in timed:
        assert (row.ok and row.error <= row.bound and row.checked == row.tokens) or row.attn == "deltaformer"
        assert (row.tflops is None) != (row.tbps is None)
    own = rows["prefill", "lucid", "own", 96]
    assert own.tflops == pytest.approx(counts.precondition_forward(1, 2, 96, 16) / 2e-3 / 1e12)
    assert own.of_ceiling == pytest.approx(own.tflops / done.ceilings["tflops"])
    # The preconditioner takes 2 ms, plain softmax 1: (2 + 1) / 1. Two ways to solve are compared as they are.
    assert own.ratios == {"softmax plain": 3.0, "lucid solve_triangular": 1.0, "deltaformer other": 2.0}
    assert rows["prefill", "laser", "own", 96].ratios == {"softmax plain": 2.0, "deltaformer other": 2.0}
    step = rows["decode", "lucid", "own", 161]
    assert step.tbps == pytest.approx(2 * 2 * 161 * 16 * 4 / 2e-3 / 1e12)
    assert step.ratios == {"softmax own": 1.0}
    assert rows["train", "softmax", "plain", 96].tflops == pytest.approx(7 * 4 * 96**2 * 16 / 2e-3 / 1e12)
    assert rows["prefill", "lucid", "solve_triangular", 161].note == "its matrices fit up to 100 tokens"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_judged_by_its_own_bounds(dtype):
    done = bench(dtype=dtype, lengths=(96,), keys="duplicated")
    assert done.ok
    bounds = {(row.name, row.attn): row.bound for row in done.rows}
    assert bounds["prefill", "lucid"] == 8e-3
    assert bounds["train", "lucid"] == 2e-2
    assert 0 < bounds["prefill", "softmax"] < 0.1


def wrong_by_a_percent(prepare):
    def changed(x):
        call = prepare(x)

        def wrong():
            out = call()
            return tuple(1.01 * t for t in out) if isinstance(out, tuple) else 1.01 * out

        return wrong

    return changed


def without_its_last_token(prepare):
    def changed(x):
        def wrong():
            out = prepare(x)().clone()
            out[:, :, -1] = 0
            return out

        return wrong

    return changed


def with_a_nan(prepare):
    def changed(x):
        def wrong():
            out = prepare(x)().clone()
            out[0, 0, -1, 0] = torch.nan
            return out

        return wrong

    return changed


def stopping(prepare):
    def changed(x):
        raise RuntimeError("no kernel image\nis available")

    return changed


CASES = [
    *((wrong_by_a_percent, name, at) for name, several in table().items() for at, _ in enumerate(several)),
    *(
        (fault, name, at)
        for fault in (without_its_last_token, with_a_nan)
        for name, at in (("prefill", 0), ("prefill", 1))
    ),
    *((fault, "decode", 0) for fault in (without_its_last_token, with_a_nan)),
    (stopping, "prefill", 1),
]


@pytest.mark.parametrize("fault, name, at", CASES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_what_is_wrong_gets_no_speed(fault, name, at, monkeypatch):
    entries = table()
    one = entries[name][at]
    entries[name][at] = replace(one, prepare=fault(one.prepare))
    monkeypatch.setattr(contenders, "CONTENDERS", entries)
    done = bench(passes=(name,), lengths=(96,))
    if one.judge is None:
        assert done.ok
        return
    assert not done.ok
    wrong = done.rows[at]
    assert (wrong.ok, wrong.ms, wrong.tflops, wrong.tbps, wrong.of_ceiling, wrong.ratios) == (
        False,
        None,
        None,
        None,
        None,
        {},
    )
    assert all(row.ok for row in done.rows if row is not wrong and row.attn != "deltaformer")
    assert not any(f"{one.attn} {one.impl}" in row.ratios for row in done.rows)
    shown = show.as_table(done)
    assert "FAILED: something above is wrong" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith(f"{one.attn} {one.impl} ")]
    assert "WRONG" in line and " ms" not in line
    expected = "RuntimeError: no kernel image" if fault is stopping else "its output is wrong: no speed is given"
    assert f"{one.attn} {one.impl}: {expected}" in shown
    assert show.as_json(done, "x")["ok"] is False


def test_a_peer_that_cannot_run_is_said_and_not_failed(monkeypatch):
    entries = table()
    entries["prefill"][0] = replace(entries["prefill"][0], prepare=stopping(None))
    monkeypatch.setattr(contenders, "CONTENDERS", entries)
    done = bench(passes=("prefill",), lengths=(96,))
    assert done.ok
    assert (done.rows[0].ok, done.rows[0].note) == (None, "RuntimeError: no kernel image")


def test_lucid_decode_is_judged_on_what_it_writes_too(monkeypatch):
    def stale(x):
        def call():
            out = lucid.decode(x.q, x.k, x.y.clone(), x.lengths, scale=x.scale, impl="reference")
            return out

        return call

    entries = table()
    entries["decode"][1] = replace(entries["decode"][1], prepare=stale)
    monkeypatch.setattr(contenders, "CONTENDERS", entries)
    done = bench(passes=("decode",), lengths=(96,))
    assert [row.ok for row in done.rows] == [True, False]


def test_the_table():
    shown = show.as_table(bench(passes=("prefill",), lengths=(96,)))
    lines = shown.splitlines()
    assert "2 KV heads of 16, clustered keys" in lines[0]
    assert lines[1].startswith("ceilings of this run: ")
    assert "prefill, batch 1, 96 tokens" in lines
    heading = next(line for line in lines if "of ceiling" in line)
    for column in ("ms", "rate", "error", "bound", "check", "/ softmax plain", "/ lucid solve_triangular"):
        assert column in heading
    own = next(line for line in lines if line.startswith("lucid own"))
    assert "2.000" in own and "TFLOP/s" in own and "ok" in own and "3.00" in own
    assert "deltaformer other: computes another function, which nothing here checks" in lines


def test_the_json():
    document = json.loads(json.dumps(show.as_json(bench(passes=("decode",)), "lcbench attn bench --pass decode")))
    assert set(document) == {"ok", "command", "machine", "versions", "options", "ceilings", "rows"}
    assert document["command"] == "lcbench attn bench --pass decode"
    assert set(document["machine"]) == {"gpu", "multiprocessors", "driver", "cpu"}
    assert set(document["versions"]) == {"torch", "triton", "cuda", "cudnn", "lcbench"}
    assert document["options"]["dtype"] == "float32" and document["options"]["keys"] == "clustered"
    assert len(document["rows"]) == 4
    assert {
        "pass",
        "attn",
        "impl",
        "batch",
        "tokens",
        "ms",
        "tbps",
        "of_ceiling",
        "error",
        "bound",
        "ok",
        "ratios",
    } <= set(document["rows"][0])


def test_only_the_mechanisms_and_peers_that_are_named():
    rows = bench(names=("laser",), passes=("prefill",), lengths=(96,), peers=("plain",)).rows
    assert [(row.attn, row.impl) for row in rows] == [("softmax", "plain"), ("laser", "own")]


def test_batches_and_lengths():
    rows = bench(names=(), passes=("decode",), batches=(1, 3)).rows
    assert [(row.batch, row.tokens) for row in rows] == [(1, 96), (1, 161), (3, 96), (3, 161)]
    assert rows[2].tbps == pytest.approx(3 * rows[0].tbps)


def test_finished_rows_are_told():
    told = []
    run_bench(replace(OPTIONS, passes=("decode",), lengths=(96,)), device="cpu", clock=clock, tell=told.append)
    assert [show.line(row) for row in told] == [
        "decode batch 1 96 softmax own: 2.000 ms",
        "decode batch 1 96 lucid own: 2.000 ms",
    ]


def test_inputs_are_what_is_asked_for():
    shape = Shape(2, 4, 2, 50, 16)
    x = make_problem(shape, one_query=False, keys="duplicated", dtype=torch.bfloat16, device="cpu")
    assert (x.q.shape, x.k.shape, x.v.shape, x.grad.shape) == (
        (2, 4, 50, 16),
        (2, 2, 50, 16),
        (2, 2, 50, 16),
        (2, 4, 50, 16),
    )
    assert x.k.flatten(0, 2).unique(dim=0).shape[0] == 5
    assert x.v.abs().mean() > 0.5  # never zeros
    again = make_problem(shape, one_query=True, keys="duplicated", dtype=torch.bfloat16, device="cpu")
    assert torch.equal(again.k, x.k) and again.q.shape == (2, 4, 1, 16)
    cut = x.first(20)
    assert cut.shape.tokens == 20 and torch.equal(cut.k, x.k[:, :, :20])


def test_the_real_table_is_whole(monkeypatch):
    monkeypatch.undo()
    for name, entries in contenders.CONTENDERS.items():
        keys = [(one.attn, one.impl) for one in entries]
        assert len(keys) == len(set(keys)), name
        assert {one.attn for one in entries} >= set(MECHANISMS)
        for one in entries:
            assert (one.flops is None) != (one.moved is None)
            assert one.peer == (one.missing is not None) or (one.attn, one.impl) == ("softmax", "triton")
    assert {one.impl for one in contenders.CONTENDERS["prefill"] if one.peer} == {
        "cudnn",
        "flash",
        "flex",
        "solve_triangular",
        "fla",
    }


def test_dense_peer_is_lucid():
    k, v = torch.randn(1, 2, 40, 8, dtype=torch.float64), torch.randn(1, 2, 40, 8, dtype=torch.float64)
    torch.testing.assert_close(peers.dense_y(k.float(), v.float()), exact.lucid(k, v).float(), rtol=1e-4, atol=1e-5)


@cpu_only
@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "attn bench times CUDA kernels, and torch sees no CUDA device"),
        (["lucit"], "did you mean lucid?"),
        (["--heads", "32"], "--heads 32: not positive whole numbers, written as in 32/8"),
        (["--heads", "32/0"], "--heads 32/0"),
        (["--heads", "32/5"], "32 query heads cannot share 5 KV heads evenly"),
        (["--batch", "1;8"], "--batch 1;8"),
        (["--lengths", "8q"], "'8q' is not a length"),
        (["--peers", "plane"], "no peer is called 'plane'; did you mean plain?"),
        (["--pass", "sideways"], "sideways"),
    ],
)
def test_what_cannot_run_is_refused(arguments, said):
    done = CliRunner().invoke(lcbench, ["attn", "bench", *arguments])
    assert done.exit_code == 2
    assert said in done.output


def test_a_mechanism_that_nothing_times_is_refused(monkeypatch):
    monkeypatch.setitem(MECHANISMS, "mine", replace(MECHANISMS["softmax"], name="mine"))
    with pytest.raises(UsageError, match="nothing of 'mine' is timed"):
        bench(names=("mine",))


def test_run_bench_itself_refuses_a_machine_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="torch sees no CUDA device"):
        run_bench(OPTIONS, clock=clock)


@pytest.fixture
def on_cpu(monkeypatch):
    """The command with the device and the clock of these tests."""
    import lcbench.attention.bench as package

    real = package.run_bench
    monkeypatch.setattr(
        package, "run_bench", lambda options, tell: real(replace(options, dtype=torch.float32), "cpu", clock, tell)
    )


ARGUMENTS = ["attn", "bench", "lucid", "--pass", "decode", "--lengths", "96", "--heads", "4/2", "--head-dim", "16"]


def test_the_command_writes_json(on_cpu, tmp_path):
    out = tmp_path / "new" / "bench.json"
    done = CliRunner().invoke(lcbench, [*ARGUMENTS, "--format", "json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert json.loads(out.read_text()) == document
    assert [row["attn"] for row in document["rows"]] == ["softmax", "lucid"]
    assert "decode batch 1 96 lucid own: 2.000 ms" in done.stderr


def test_the_command_exits_with_1_when_a_check_is_red(on_cpu, monkeypatch):
    entries = table()
    entries["decode"][1] = replace(entries["decode"][1], prepare=wrong_by_a_percent(lucid_newest))
    monkeypatch.setattr(contenders, "CONTENDERS", entries)
    done = CliRunner().invoke(lcbench, ARGUMENTS)
    assert done.exit_code == 1
    assert "lucid own: its output is wrong: no speed is given" in done.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_small_shapes_on_a_gpu(monkeypatch):
    monkeypatch.undo()
    options = Options(tuple(MECHANISMS), lengths=(2048,), q_heads=8, kv_heads=2)
    done = run_bench(options)
    assert done.ok, show.as_table(done)
    assert all(0 < row.of_ceiling < 1.2 for row in done.rows if row.ms is not None)
