"""One way to seed everything: the first 8 bytes of sha256 over canonical JSON. Never `hash()`, never a global
generator.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def seed_of(*parts: Any) -> int:
    """A 64-bit seed for these parts."""
    return int.from_bytes(hashlib.sha256(canonical(list(parts)).encode()).digest()[:8], "big")


def generator(*parts: Any) -> random.Random:
    """A random generator of its own for these parts."""
    return random.Random(seed_of(*parts))
