"""Attention mechanisms by name: what there is, what `name:key=value,..` means, and the mechanism that runs.

Importing this package imports no torch; `find` and `names` read the entry points of installed packages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from lcbench.attention.base import Choice, LayerState, Mechanism, MechanismInfo
from lcbench.attention.laser import LASER
from lcbench.attention.lucid import LUCID
from lcbench.attention.softmax import SOFTMAX
from lcbench.errors import MissingError, UsageError

__all__ = [
    "COMMON_ARGUMENTS",
    "MECHANISMS",
    "AttentionSpec",
    "Choice",
    "LayerState",
    "Mechanism",
    "MechanismInfo",
    "find",
    "names",
    "parse",
    "resolve",
]

MECHANISMS: dict[str, MechanismInfo] = {"softmax": SOFTMAX, "lucid": LUCID, "laser": LASER}
GROUP = "lcbench.attention"
LAYERS = ("all", "full")
COMMON_ARGUMENTS = {
    "impl": "which implementation computes it; auto (the default) picks one and says why",
    "layers": "all (the default), or full: only the layers without a sliding window",
}


@dataclass(frozen=True)
class AttentionSpec:
    """One mechanism as asked for on the command line. `str` gives it back in its one canonical spelling."""

    name: str
    impl: str = "auto"
    layers: str = "all"
    arguments: dict[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        given = {"impl": self.impl, "layers": self.layers, **dict(sorted(self.arguments.items()))}
        defaults = {"impl": "auto", "layers": "all"}
        behind_colon = ",".join(f"{key}={value}" for key, value in given.items() if defaults.get(key) != value)
        return f"{self.name}:{behind_colon}" if behind_colon else self.name


def names() -> list[str]:
    """Every mechanism: the bundled ones, then those of installed packages. Raises UsageError on a clash of names."""
    return [*MECHANISMS, *sorted(_outside())]


def find(name: str) -> MechanismInfo:
    """The mechanism of that name.

    Raises UsageError for an unknown name, a clash of names, or an entry point that is no MechanismInfo of that name,
    and MissingError where an installed package cannot be imported.
    """
    outside = _outside()
    if name in MECHANISMS:
        return MECHANISMS[name]
    if name not in outside:
        known = [*MECHANISMS, *sorted(outside)]
        raise UsageError(f"no attention mechanism is called {name!r}{_nearest(name, known)}", hint="lcbench attn list")
    entry = outside[name]
    try:
        info = entry.load()
    except ImportError as error:
        raise MissingError(
            f"attention mechanism {name!r} of {_origin(entry)} cannot be imported: {error}",
            hint=f"pip install --force-reinstall {entry.dist.name if entry.dist else entry.module}",
        ) from error
    if not isinstance(info, MechanismInfo) or info.name != name:
        raise UsageError(
            f"entry point {name!r} ({entry.value}) of {_origin(entry)} is not a MechanismInfo named {name!r}",
            hint=f"[project.entry-points.'{GROUP}'] takes NAME = 'module:INFO' with INFO.name == NAME",
        )
    return info


def parse(spec: str) -> AttentionSpec:
    """'lucid:impl=reference,layers=full' as an AttentionSpec. Raises UsageError for unknown names, with the nearest."""
    name, _, behind_colon = spec.partition(":")
    info = find(name)
    given: dict[str, str] = {}
    for part in behind_colon.split(",") if behind_colon else []:
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise UsageError(f"--attn {spec}: {part!r} is not key=value", hint=f"--attn {name}:impl=auto")
        if key in given:
            raise UsageError(f"--attn {spec}: {key} is given twice", hint=f"--attn {name}:{key}={value}")
        given[key] = value
    impl, layers = given.pop("impl", "auto"), given.pop("layers", "all")
    _known(spec, "implementation", impl, ["auto", *info.impls])
    _known(spec, "choice of layers", layers, list(LAYERS))
    for key in given:
        _known(spec, "argument", key, [*COMMON_ARGUMENTS, *info.arguments])
    return AttentionSpec(name, impl, layers, given)


def resolve(
    spec: AttentionSpec, device: str, dtype: str, windows: bool = False, head_size: int | None = None
) -> tuple[Mechanism, Choice]:
    """The mechanism that runs on `device` ("cpu", "cuda:0") in `dtype` ("bfloat16"), and what was picked and why.

    windows: whether it has to stand in sliding-window layers. head_size: the model's largest, None without a model.
    Raises UsageError or MissingError where the implementation cannot run here.
    """
    info = find(spec.name)
    choice = info.choose(spec.impl, device, dtype, windows, head_size)
    return info.make(choice.impl, spec.arguments), choice


def _outside() -> dict[str, EntryPoint]:
    """Mechanisms of installed packages, not yet imported. A name stands for one mechanism, whoever brings it."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in MECHANISMS or entry.name in found:
            first = _origin(found[entry.name]) if entry.name in found else "lcbench itself"
            raise UsageError(
                f"two attention mechanisms are called {entry.name!r}: one of {first}, one of {_origin(entry)}",
                hint=f"pip uninstall {entry.dist.name if entry.dist else entry.module}",
            )
        found[entry.name] = entry
    return found


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _known(spec: str, kind: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise UsageError(f"--attn {spec}: no {kind} {value!r}{_nearest(value, known)}", hint="lcbench attn list")


def _nearest(value: str, known: list[str]) -> str:
    near = get_close_matches(value, known, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are: {', '.join(known)}"
