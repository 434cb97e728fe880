"""How the hot path runs: compiled, as CAMWARD_COMPILE=1 installs it, or as the plain Python that it is written in."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final, Literal

from agent.media import rtcp

HOW: Final[Literal["compiled", "plain"]] = "compiled" if rtcp.__file__.endswith(tuple(EXTENSION_SUFFIXES)) else "plain"
"""Of one module; a wheel has all of them compiled, or none (`make compiled` sees to it)."""
