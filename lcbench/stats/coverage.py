"""How often the intervals hold and the tests cry wolf, by enumeration and by simulation: what `lcbench.stats` rests on.

`python -m lcbench.stats.coverage` takes seconds; `--full` runs 20,000 trials of each, in some minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcbench.stats import Comparison, confidence_sequence, hoeffding, mean_interval, paired, pooled, unpaired
from lcbench.stats.bootstrap import bca, resamples
from lcbench.stats.clusters import by_cluster, variance_of_mean
from lcbench.stats.differences import mcnemar
from lcbench.stats.intervals import score_interval
from lcbench.stats.sequence import log_capital, stakes

Sampler = Callable[[np.random.Generator], tuple[np.ndarray, list[int]]]  # verdicts, and the cluster of each
HALF_WIDTH = 0.03


@dataclass(frozen=True)
class Line:
    """One line of the study: a share of trials in percent, which is to lie within bounds; None: told, not judged.

    width: the mean width of the intervals, in points; None for tests.
    """

    what: str
    design: str
    percent: float
    trials: int | None  # None: enumerated
    least: float | None = None
    most: float | None = None
    width: float | None = None

    @property
    def ok(self) -> bool:
        """Within its bounds, or beyond them by no more than 3 standard errors of the simulation."""
        error = 0.0 if self.trials is None else 300 * math.sqrt(0.05 * 0.95 / self.trials)
        above = self.least is None or self.percent >= self.least - error
        return above and (self.most is None or self.percent <= self.most + error)


@dataclass(frozen=True)
class Stop:
    """What looking on the way costs or saves: samples until a half-width of 3 points, against Wilson's fixed n."""

    p: float
    most_samples: int
    fixed_n: int  # of a design that knows p
    cautious_n: int  # of one that does not, and takes what p = 0.5 needs
    mean_n: float
    reached: float  # share of trials that stopped before most_samples
    covered: float  # share of intervals, where it stopped, that hold p
    trials: int


# Wilson, enumerated


def wilson_lines() -> Iterator[Line]:
    """The coverage at 4,000 shares p, over all outcomes of n samples: its mean over p, and its least."""
    for n in (20, 100, 500):
        p = (np.arange(4000) + 0.5) / 4000
        outcomes = np.arange(n + 1)
        ways = np.concatenate([[0.0], np.cumsum(np.log(np.arange(n, 0, -1)) - np.log(np.arange(1, n + 1)))])
        likely = np.exp(ways[:, None] + outcomes[:, None] * np.log(p) + (n - outcomes[:, None]) * np.log1p(-p))
        ends = np.array([score_interval(k / n, n) for k in outcomes])
        inside = (ends[:, :1] <= p) & (p <= ends[:, 1:])
        covered = 100 * (likely * inside).sum(axis=0)
        width = float(100 * (likely.mean(axis=1) * (ends[:, 1] - ends[:, 0])).sum())
        yield Line("Wilson", f"n {n}, mean over p", float(covered.mean()), None, 94.5, 95.5, width)
        yield Line("Wilson", f"n {n}, least over p", float(covered.min()), None)


# clusters


def normal_clusters(rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """30 contexts of 5 graded verdicts, the contexts' means normal about 0.5."""
    of_context = rng.normal(0.5, 0.1, 30)
    return (of_context[:, None] + rng.normal(0, 0.1, (30, 5))).ravel(), [i // 5 for i in range(150)]


def beta_clusters(a: float, b: float, clusters: int = 30, uneven: bool = False) -> Sampler:
    """Contexts of 5 pass/fail verdicts each, or of 1 to 9; the contexts' shares from Beta(a, b)."""

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
        counts = rng.integers(1, 10, clusters) if uneven else np.full(clusters, 5)
        where = np.repeat(np.arange(clusters), counts)
        return (rng.random(len(where)) < rng.beta(a, b, clusters)[where]).astype(float), where.tolist()

    return sample


def cluster_lines(trials: int) -> Iterator[Line]:
    designs: list[tuple[str, Sampler, float, float, float]] = [
        ("30 clusters, normal means", normal_clusters, 0.5, 93.5, 96.5),
        ("30 clusters, Beta(1, 1)", beta_clusters(1, 1), 0.5, 93.5, 96.5),
        ("30 clusters, Beta(1, 1), uneven", beta_clusters(1, 1, uneven=True), 0.5, 93.5, 96.5),
        ("30 clusters, Beta(1.2, 6)", beta_clusters(1.2, 6), 1.2 / 7.2, 92.5, 100),
        ("30 clusters, Beta(1.2, 6), uneven", beta_clusters(1.2, 6, uneven=True), 1.2 / 7.2, 92.5, 100),
        ("30 clusters, Beta(4.5, 0.5)", beta_clusters(4.5, 0.5), 0.9, 92.5, 100),
        ("30 clusters, Beta(4.5, 0.5), uneven", beta_clusters(4.5, 0.5, uneven=True), 0.9, 92.5, 100),
        ("60 clusters, Beta(1, 1)", beta_clusters(1, 1, 60), 0.5, 93.5, 96.5),
        ("60 clusters, Beta(4.5, 0.5)", beta_clusters(4.5, 0.5, 60), 0.9, 92.5, 100),
    ]
    for name, sample, mean, least, most in designs:
        yield from covering(name, sample, mean, trials, least, most)


def covering(name: str, sample: Sampler, mean: float, trials: int, least: float, most: float) -> Iterator[Line]:
    """One design: `mean_interval`, judged, and beside it the bootstraps that it might have been."""
    rng = np.random.default_rng(1)
    drawn = [sample(rng) for _ in range(trials)]
    shipped = [mean_interval(values, clusters) for values, clusters in drawn]
    ends = np.array([(i.low, i.high) for i in shipped])
    yield _line(shipped[0].method, name, ends, mean, least, most)
    few = drawn[: max(50, trials // 10)]
    for method, interval in (("BCa", bca), ("bootstrap-t", bootstrap_t)):
        yield _line(f"beside it: {method}", name, np.array([interval(*by_cluster(*x)) for x in few]), mean)


def _line(
    what: str, design: str, ends: np.ndarray, mean: float, least: float | None = None, most: float | None = None
) -> Line:
    held = (ends[:, 0] <= mean) & (mean <= ends[:, 1])
    width = float(100 * np.median(ends[:, 1] - ends[:, 0]))
    return Line(what, design, float(100 * held.mean()), len(ends), least, most, width)


def bootstrap_t(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Efron and Tibshirani 1993, eq. 12.22, for sum(sums) / sum(counts), clusters resampled."""
    drawn, g, mean = resamples(len(sums)), len(sums), sums.sum() / counts.sum()
    totals = drawn @ np.column_stack([sums, counts, sums**2, sums * counts, counts**2])
    means = totals[:, 0] / totals[:, 1]
    squares = totals[:, 2] - 2 * means * totals[:, 3] + means**2 * totals[:, 4]
    errors = np.sqrt(g / (g - 1) * np.maximum(squares, 0)) / totals[:, 1]
    t = np.where(errors > 1e-9, (means - mean) / np.maximum(errors, 1e-9), 0.0)
    low, high = np.quantile(t, (0.025, 0.975))
    error = math.sqrt(variance_of_mean(sums, counts))
    return max(0.0, float(mean - high * error)), min(1.0, float(mean - low * error))


def graded_lines(trials: int) -> Iterator[Line]:
    """Graded verdicts that share no context."""
    kinds: list[tuple[str, Callable[[np.random.Generator, int], np.ndarray], float]] = [
        ("Beta(1.2, 6)", lambda rng, n: rng.beta(1.2, 6, n), 1.2 / 7.2),
        ("quarters, mean 0.9", lambda rng, n: rng.binomial(4, 0.9, n) / 4, 0.9),
    ]
    for n in (20, 100):
        for name, draw, mean in kinds:
            rng = np.random.default_rng(2)
            found = [mean_interval(draw(rng, n)) for _ in range(trials)]
            ends = np.array([(i.low, i.high) for i in found])
            yield _line(found[0].method, f"graded, n {n}, {name}", ends, mean, 92.5, 97.5)


# confidence sequences


def sequence_lines(trials: int, most: int) -> Iterator[Line]:
    """Whether the intervals of all n from 1 to most hold at once; and Wilson's, looked at from 20 samples on."""
    for p in (0.5, 0.9, 0.99):
        rng, held, naive = np.random.default_rng(3), 0, 0
        n = np.arange(1, most + 1)
        for _ in range(trials):
            x = (rng.random(most) < p).astype(float)
            held += never_refuted(x, p)
            off = np.abs(np.cumsum(x) / n - p) * np.sqrt(n / (p * (1 - p)))  # Wilson's interval inverts this score
            naive += bool((off[19:] <= 1.96).all())
        yield Line("sequence", f"all n to {most:,}, p {p}", 100 * held / trials, trials, 95.0, 100.0)
        yield Line("beside it: Wilson", f"all n from 20 to {most:,}, p {p}", 100 * naive / trials, trials)
    rng = np.random.default_rng(4)
    held = sum(never_refuted(rng.beta(1.2, 6, most), 1.2 / 7.2) for _ in range(trials))
    yield Line("sequence", f"all n to {most:,}, graded Beta(1.2, 6)", 100 * held / trials, trials, 95.0, 100.0)


def never_refuted(x: np.ndarray, mean: float) -> bool:
    """Whether `confidence_sequence` holds this mean at every n: its capital never reaches 2 / alpha, either way."""
    bets, bound = stakes(x, hoeffding(HALF_WIDTH), 0.05), math.log(2 / 0.05)
    return bool(log_capital(x, bets, mean).max() < bound and log_capital(1 - x, bets, 1 - mean).max() < bound)


def stops(trials: int) -> Iterator[Stop]:
    """Looking every 10 samples, until the half-width is 3 points or the samples end."""
    for most in (1000, 10_000):
        for p in (0.5, 0.9, 0.99):
            rng = np.random.default_rng(5)
            ended = [stopped((rng.random(most) < p).astype(float)) for _ in range(trials)]
            yield Stop(
                p=p,
                most_samples=most,
                fixed_n=fixed_n(p),
                cautious_n=fixed_n(0.5),
                mean_n=float(np.mean([n for n, _, _ in ended])),
                reached=float(np.mean([high - low <= 2 * HALF_WIDTH for _, low, high in ended])),
                covered=float(np.mean([low <= p <= high for _, low, high in ended])),
                trials=trials,
            )


def stopped(x: np.ndarray) -> tuple[int, float, float]:
    """The n at which a run of these verdicts ends, and its interval there."""
    low, high = 0.0, 1.0
    for n in range(10, len(x) + 1, 10):
        low, high = confidence_sequence(x[:n], hoeffding(HALF_WIDTH))
        if high - low <= 2 * HALF_WIDTH:
            return n, low, high
    return len(x), low, high


def fixed_n(p: float) -> int:
    """The least n at which Wilson's interval of a share p is 3 points to either side."""
    n = 1
    while np.ptp(score_interval(p, n)) > 2 * HALF_WIDTH:
        n += 1
    return n


# false positives


def false_positive_lines(trials: int) -> Iterator[Line]:
    """How often p <= 0.05 where there is no difference."""
    for n in (20, 100, 500):
        wolf = sum(math.comb(n, k) / 2**n for k in range(n + 1) if mcnemar(k, n - k) <= 0.05)
        yield Line("McNemar", f"p <= 0.05, {n} pairs that differ", 100 * wolf, None, 0.0, 5.5)
    designs: list[tuple[str, Callable[[np.random.Generator], Comparison], int]] = [
        ("pass/fail, n 100", lambda rng: paired(*twins(rng, 100)), trials),
        ("graded, n 30", lambda rng: paired(*rng.beta(1.2, 6, (2, 30))), trials),
        (
            "pass/fail, 30 clusters of 5",
            lambda rng: paired(*twins(rng, 150), clusters=[i // 5 for i in range(150)]),
            trials,
        ),
        ("pass/fail, n 50 and 80", lambda rng: unpaired(rng.random(50) < 0.8, rng.random(80) < 0.8), trials // 4),
        ("graded, n 20 and 40", lambda rng: unpaired(rng.beta(1.2, 6, 20), rng.beta(1.2, 6, 40)), trials // 4),
        ("pass/fail, 6 strata of n 20", lambda rng: pooled([(*twins(rng, 20), None) for _ in range(6)]), trials // 4),
    ]
    for name, compare, times in designs:
        rng = np.random.default_rng(6)
        found = [compare(rng) for _ in range(times)]
        rate, held = np.mean([c.p <= 0.05 for c in found]), np.mean([c.low <= 0 <= c.high for c in found])
        width = float(100 * np.median([c.high - c.low for c in found]))
        yield Line(found[0].method, f"p <= 0.05, {name}", 100 * float(rate), times, 0.0, 5.5)
        yield Line("its interval", name, 100 * float(held), times, 93.5, 100.0, width)


def twins(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pass/fail verdicts of two mechanisms of one ability on n samples, some of which are hard for both."""
    a, b = (rng.random((2, n)) < rng.beta(2, 1, n)).astype(float)
    return a, b


# the whole


def study(full: bool) -> dict[str, Any]:
    """{"full", "seconds", "ok", "lines", "stops"}."""
    trials, began = (20_000 if full else 200), time.perf_counter()
    lines = [
        *wilson_lines(),
        *cluster_lines(trials),
        *graded_lines(trials),
        *sequence_lines(trials, 10_000 if full else 1000),
        *false_positive_lines(trials),
    ]
    found = list(stops(trials // 100 if full else 2))
    return {
        "full": full,
        "seconds": round(time.perf_counter() - began, 1),
        "ok": all(line.ok for line in lines),
        "lines": [{**asdict(line), "ok": line.ok} for line in lines],
        "stops": [asdict(s) for s in found],
    }


def as_text(found: dict[str, Any]) -> str:
    """Two tables: what holds how often, and what looking on the way costs or saves."""
    rows = [["what", "design", "percent", "bounds", "width", "trials", ""]]
    for line in found["lines"]:
        bounds = "-" if line["least"] is None else f"{line['least']:g} to {line['most']:g}"
        width = "-" if line["width"] is None else f"{line['width']:.1f}"
        trials = "all" if line["trials"] is None else f"{line['trials']:,}"
        failed = "" if line["ok"] else "FAILED"
        rows.append([line["what"], line["design"], f"{line['percent']:.2f}", bounds, width, trials, failed])
    looks = [
        ["p", "most samples", "mean n", "fixed n, p known", "ratio", "p unknown", "ratio", "stopped before", "covered"]
    ]
    for s in found["stops"]:
        looks.append([
            f"{s['p']}", f"{s['most_samples']:,}", f"{s['mean_n']:,.0f}",
            f"{s['fixed_n']:,}", f"{s['mean_n'] / s['fixed_n']:.2f}",
            f"{s['cautious_n']:,}", f"{s['mean_n'] / s['cautious_n']:.2f}",
            f"{100 * s['reached']:.0f}%", f"{100 * s['covered']:.1f}%",
        ])  # fmt: skip
    return f"{_aligned(rows)}\n\nUntil a half-width of 3 points:\n{_aligned(looks)}\n\n{found['seconds']} s"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lcbench.stats.coverage", description=__doc__)
    parser.add_argument("--full", action="store_true", help="20,000 trials instead of 200")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there")
    args = parser.parse_args()
    found = study(args.full)
    print(as_text(found))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
