"""The device's configuration file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agent.config import ConfigError
from agent.config_file import load
from tests.fuzz.target import Target

_DIRECTORY = tempfile.TemporaryDirectory(prefix="camward-fuzz-")
_FILE = Path(_DIRECTORY.name) / "agent.toml"


def _take(case: bytes) -> None:
    _FILE.write_bytes(case)
    try:
        load(_FILE)
    except ConfigError as error:
        if "\n" in str(error):
            raise AssertionError("a refusal of more than one line") from error
        raise


TARGET = Target(
    take=_take,
    refusals=(ConfigError,),
    most_bytes=4096,
    tokens=(
        *(b"[%b]\n" % table for table in (b"identity", b"broker", b"camera", b"session", b"panel", b"log")),
        *(b"root = ", b"est = ", b"https://", b"host = ", b"port = ", b"source = ", b'"clip:', b"true", b"nan", b"inf"),
        *(b'"""', b"'''", b"[[", b"]]", b"{", b"}", b"\\u", b"\\U", b"1979-05-27T07:32:00Z", b"0x", b"1e999"),
    ),
)
