"""What can be fuzzed: a door that strangers' bytes come through, and what it may say to them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
NAMES: Final = tuple(sorted(path.stem for path in (Path(__file__).parent / "targets").glob("[a-z]*.py")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`take` gets a case; whatever it raises that is not in `refusals` is a finding.

    `most_bytes` is how long a case grows, `tokens` are words that the grammar on the other side knows.
    """

    take: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    most_bytes: int
    tokens: tuple[bytes, ...] = ()


def load(name: str) -> Target:
    """Import one of NAMES, and with it what it fuzzes."""
    target = importlib.import_module(f"tests.fuzz.targets.{name}").TARGET
    assert isinstance(target, Target)
    return target


def seeds(name: str) -> list[Path]:
    """The kept cases of a target: real messages, and whatever was once a finding."""
    return sorted((CORPUS / name).iterdir())
