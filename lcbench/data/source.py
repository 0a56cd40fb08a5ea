"""What a source of data is: one file below `LCBENCH_DATA`, and the upstream files that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """One file of an upstream project: `path` below the source's `base` address, its size and its sha256.

    Size and hash are None for a file whose bytes we never saw. That is allowed only where the address holds a full
    commit hash, so that it names the same bytes for ever.
    """

    path: str
    bytes: int | None = None
    sha256: str | None = None

    @property
    def filename(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Source:
    """One file below `LCBENCH_DATA` and how it comes there.

    `sha256` is that of the file's content (decompressed, so that it does not depend on the machine's zlib), None where
    it was never computed: then the hash noted at pull counts. A source without downloads has to be put in place by
    hand; `by_hand` says what it must be. A converter takes the downloaded files and gives the content of the file,
    before compression.
    """

    name: str
    file: str
    purpose: str
    licence: str
    origin: str
    revision: str | None = None
    base: str | None = None
    downloads: tuple[Download, ...] = ()
    convert: Callable[[Source, Mapping[str, bytes]], bytes] | None = None
    sha256: str | None = None
    by_hand: str | None = None

    @property
    def download_bytes(self) -> int | None:
        """What a pull downloads, None where the size of a file is not known."""
        sizes = [download.bytes for download in self.downloads]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


def github(repository: str, revision: str) -> str:
    return f"https://raw.githubusercontent.com/{repository}/{revision}"


def hub(repository: str, revision: str) -> str:
    """A data set on the Hugging Face hub."""
    return f"https://huggingface.co/datasets/{repository}/resolve/{revision}"
