"""Finished samples in a file, for use anywhere: the samples that a run would score, built with the tokenizer alone."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

from lcbench import models
from lcbench.catalog import Selected
from lcbench.errors import CannotBuild, LcbenchError, UsageError
from lcbench.lengths import show_length
from lcbench.plan import DEFAULT_SAMPLES, check_texts, context_length, lengths_of, open_cell, prompter_of, selection
from lcbench.prompting import Prompter, sample_json
from lcbench.schema import RunConfig
from lcbench.store import disk_full


def build_samples(config: RunConfig, out: Path) -> Iterator[str]:
    """Write every sample of every cell to `out`, one line each; yields a line a cell for the person who waits.

    The file appears whole or not at all. Raises LcbenchError as `make_plan` does; a length above the model's context
    is built, with a warning.
    """
    if not config.tasks:
        raise UsageError("Which tasks?", hint="lcbench tasks build ruler --lengths 4k -o samples.jsonl")
    chosen = selection(config, None)
    if not config.lengths and any(selected.task.lengths == "fill" for selected in chosen):
        raise UsageError("At which lengths?", hint="--lengths 4k")
    check_texts([selected.task for selected in chosen], config)
    model = models.resolve(config.model, config.model_args, tokenizer_only=True)
    context = context_length(model, config)
    for length in config.lengths:
        if context is not None and length > context:
            yield f"warning: {show_length(length)} is above the context of {model.name}, {context} tokens"
    prompter = prompter_of(model, config)
    if not out.parent.is_dir():
        raise UsageError(f"No folder {out.parent} to write {out.name} in.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder.", hint=f"-o {out / 'samples.jsonl'}")
    partial = out.with_name(f".{out.name}.tmp")
    try:
        file = partial.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {out}: {error.strerror}.", hint="-o FILE") from error
    try:
        with disk_full(out), file:
            written = yield from _write(file, chosen, context, prompter, config)
        if written == 0:
            raise UsageError("No sample of this length can be built.", hint="longer --lengths")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _write(
    file: IO[str],
    chosen: list[Selected],
    context: int | None,
    prompter: Prompter,
    config: RunConfig,
) -> Generator[str, None, int]:
    """Every sample of every cell; returns how many were written."""
    written = 0
    for selected in chosen:
        for length in lengths_of(selected.task, config, None, context):
            where = f"{selected.task.name} at {show_length(length)}"
            try:
                _, cell = open_cell(selected.task, length, prompter, config, context)
                n, skipped = cell.prepare(config.samples or DEFAULT_SAMPLES)
                if n == 0:
                    raise CannotBuild("none of its items fits")
                for index in range(n):
                    file.write(sample_json(cell.sample(index)) + "\n")
            except CannotBuild as error:
                if selected.named:
                    raise LcbenchError(f"{where}: {error.message}.", hint="a longer --lengths") from error
                yield f"{where}: n/a, {error.message}"
                continue
            written += n
            yield f"{where}: {n} samples" + (f", {skipped} items passed over" if skipped else "")
    return written
