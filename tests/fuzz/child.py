"""The fuzzer of one target, a process of its own: `python -m tests.fuzz.child TARGET CASES SEED DIRECTORY`.

Its last line on stdout is a JSON object: what it did, and `finding` where there is one, whose case stands in DIRECTORY.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final, NoReturn

import atheris

from tests.fuzz.judge import Finding, Judge
from tests.fuzz.target import CORPUS, load

# Where branches count: ours, and what reads the same bytes behind it.
_INSTRUMENTED: Final = ["agent", "protocol", "provisioning", "aiortc.sdp", "aioice", "joserfc", "tomllib"]
_HANGS_S: Final = 60  # wall time after which libFuzzer itself ends a case


def fuzz(name: str, cases: int, seed: int, directory: Path) -> NoReturn:
    """Judge so many cases of a target, and leave; what the fuzzer found worth keeping stays in `directory`."""
    with atheris.instrument_imports(include=_INSTRUMENTED):
        target = load(name)
    judge = Judge(target)
    found, words = directory / "corpus" / name, directory / f"{name}.words"
    found.mkdir(parents=True, exist_ok=True)
    # libFuzzer refuses an empty dictionary, so there is always one word.
    words.write_text("".join(f'"{_escaped(token)}"\n' for token in target.tokens or (b"\0",)), encoding="ascii")
    logging.basicConfig(filename=os.devnull, level=logging.DEBUG)  # a line that cannot be written is a finding too
    began = time.monotonic()

    def leave(**more: object) -> NoReturn:
        record = {
            "target": name,
            "cases": judge.cases,
            "refused": judge.refused,
            "seconds": round(time.monotonic() - began, 1),
            "slowest_ms": round(judge.slowest_s * 1e3, 2),
        }
        print(json.dumps(record | more), flush=True)
        os._exit("finding" in more)  # libFuzzer has no way to be told that it is enough

    def take(case: bytes) -> None:
        try:
            judge.take(case)
            if judge.cases == max(1, cases // 5):
                judge.settled()
            if judge.cases >= cases:
                objects, rss = judge.growth()
                leave(objects_grown=objects, rss_grown=rss)
        except Finding as finding:
            traceback.print_exc()
            kept = directory / f"{name}-{hashlib.sha256(case).hexdigest()[:12]}"
            kept.write_bytes(case)
            leave(finding=str(finding), case=kept.name)

    options = [f"-seed={seed}", f"-max_len={target.most_bytes}", f"-dict={words}", f"-timeout={_HANGS_S}"]
    options += ["-runs=-1", "-verbosity=0", f"-artifact_prefix={directory}/{name}-"]
    atheris.Setup(["fuzz", *options, str(found), str(CORPUS / name)], take, enable_python_coverage=True)
    atheris.Fuzz()
    raise AssertionError("libFuzzer came back")


def _escaped(token: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
