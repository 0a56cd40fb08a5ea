"""The data sets that lm-eval's tasks name, split by split: our pinned sources, copies under LCBENCH_DATA, the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lcbench.data import rows, sources
from lcbench.data.rows import Rows
from lcbench.errors import LcbenchError, MissingError
from lcbench.paths import data_dir

# (data set, configuration) -> split -> the pinned source with the same rows in the same order.
PINNED = {
    ("openai/gsm8k", "main"): {"train": "gsm8k_train", "test": "gsm8k_test"},
    ("HuggingFaceH4/MATH-500", "default"): {"test": "math500"},
    ("HuggingFaceH4/MATH-500", None): {"test": "math500"},
}
# Builders of `datasets` over files of one's own, and arguments beside which a data set is still rows of the hub.
FILE_FORMATS = {"json", "csv", "parquet", "arrow", "text", "xml", "webdataset", "imagefolder", "audiofolder"}
HARMLESS = {"revision", "trust_remote_code"}


class Splits(dict[str, Any]):
    """Split -> its rows as lm-eval wants them, a datasets.Dataset, read when it is first asked for.

    used: where the rows of each split came from.
    """

    def __init__(self, path: str, config: str | None, revision: str | None):
        super().__init__()
        self.path, self.config, self.revision = path, config, revision
        self.used: dict[str, Rows] = {}

    def __missing__(self, split: str) -> Any:
        self.used[split] = found = split_rows(self.path, self.config, split, self.revision)
        self[split] = as_dataset(found)
        return self[split]


def splits_of(config: dict[str, Any]) -> Splits | None:
    """What stands in for a task's data set; None where lm-eval reads it by itself: files and scripts of the task's."""
    path, arguments = config.get("dataset_path"), config.get("dataset_kwargs") or {}
    if "custom_dataset" in config or not isinstance(path, str) or not path or "{" in path:
        return None
    if path in FILE_FORMATS or Path(path).exists() or set(arguments) - HARMLESS:
        return None
    return Splits(path, config.get("dataset_name"), arguments.get("revision"))


def split_rows(path: str, config: str | None, split: str, revision: str | None) -> Rows:
    """The rows of one split. Raises MissingError with what to pull or where to put a copy, where none is to be had."""
    pinned = PINNED.get((path, config), {}).get(split)
    if pinned and sources.inspect(pinned).state != "missing":
        return rows.named(pinned)
    if copy := rows.local_copy(path, split, config):
        return rows.from_file(copy)
    try:
        return rows.hub_rows(path, revision or "main", split, config)
    except LcbenchError as error:
        place = data_dir() / "hub" / path / (config or "") / f"{split}.jsonl"
        hint = f"lcbench data pull {pinned}" if pinned else f"put the rows at {place}"
        raise MissingError(error.message, hint=hint) from error


def as_dataset(found: Rows) -> Any:
    """Rows as a datasets.Dataset. CSV gets the types that `datasets` would give it: in `Rows` it is all text."""
    import datasets

    if found.source.endswith((".csv", ".csv.gz")):
        import pandas

        return datasets.Dataset.from_pandas(pandas.read_csv(found.source), preserve_index=False)
    return datasets.Dataset.from_list(found.rows)
