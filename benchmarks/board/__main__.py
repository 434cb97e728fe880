"""One board: what it is, whether the contracts hold on it, and what it can do. `make hw` runs this.

    python -m benchmarks.board [--name NAME] [--source SOURCE] [--pins OUT,IN] [--led PIN] [--seconds S] [--to N]

Without --source its own cameras are tried, the one that the agent would take is measured. Writes NAME.json and NAME.md
into --out, and makes docs/boards.md of all there are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.cli import RELEASED
from agent.config import CameraConfig
from agent.probe.facts import Report
from agent.probe.gather import report as probe
from benchmarks.board import contracts, light, running, viewers
from benchmarks.board.page import DOCS, collect, write
from benchmarks.child import Failed

_OUT: Final = DOCS / "boards"


def main() -> int:
    """Run everything that this board has the parts for; 1 where a contract does not hold."""
    arguments = _arguments()
    _say("looking at the board")
    # The defaults count here, and not what is in /etc: figures of two boards are to be of the same settings.
    with tempfile.TemporaryDirectory() as nowhere:
        found = probe(Path(nowhere) / "none.toml", quick=False, released=RELEASED, say=_say)
    config = CameraConfig(source=arguments.source or "auto")
    _say("trying the contracts")
    tried = contracts.run(arguments.source, arguments.pins)
    record: dict[str, Any] = {
        "schema": 1,
        "name": arguments.name or _name(found),
        "at": datetime.now(UTC).date().isoformat(),
        **_of(found),
        "load_before": round(os.getloadavg()[0], 2),
        "source": config.source,
        "real": found.choice.real and not config.source.startswith(("pattern", "clip:")),
        "contracts": tried,
    }
    _say(f"measuring {config.source}")
    record["running"] = _tried(lambda: running.measure(config, arguments.seconds))
    least_fps = 0.97 * record["running"].get("fps", config.fps)
    aes = found.facts.board.aes
    record["viewers"] = _tried(
        lambda: viewers.measure(config, aes=aes, to=arguments.to, seconds=arguments.seconds, least_fps=least_fps)
    )
    record["light"] = _tried(lambda: light.measure(config, arguments.led))
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{record['name']}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(write(path))
    if arguments.out == _OUT:
        collect()
    return 1 if any(one["outcome"] == "failed" for one in tried) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", type=_file_name, help="of the two files (default: the board's model)")
    parser.add_argument("--source", help='a camera.source instead of the board\'s own, such as "pattern"')
    parser.add_argument("--pins", help="OUT,IN: two pins (BCM numbers) that are wired together")
    parser.add_argument("--led", type=int, help="the pin (BCM number) of an LED that the camera looks at")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (default: 8)")
    parser.add_argument("--to", type=int, default=32, help="viewers at most (default: 32)")
    parser.add_argument("--out", type=Path, default=_OUT, help="the directory for the files (default: docs/boards)")
    return parser.parse_args()


def _of(found: Report) -> dict[str, Any]:
    """Take from a probe what anybody may read: no user, no address, no path of settings."""
    facts, choice = found.facts, found.choice
    board = facts.board
    return {
        "board": {
            name: getattr(board, name) for name in ("model", "cpu", "cores", "aes", "memory_mib", "architecture")
        },
        "software": {name: getattr(board, name) for name in ("system", "kernel", "python", "camward")},
        "libcamera": {
            "picamera2": facts.libcamera.picamera2,
            "sensors": [one.model for one in facts.libcamera.sensors],
        },
        "cameras": [f"{node.card} ({node.driver})" for node in facts.video if node.role == "camera"],
        "choice": {
            "source": choice.source,
            "real": choice.real,
            "encoder": choice.encoder,
            "kind": choice.encoder_kind,
        },
        "encoders": [
            {name: getattr(one, name) for name in ("codec", "works", "problem", "width", "height", "fps", "cpu_ms")}
            for one in facts.encoders
        ],
        "pins": {"chips": [chip.label for chip in facts.pins.chips], "library": facts.pins.library},
        "rtc": facts.clock.rtc,
        "tpm": facts.tpm.there,
    }


def _tried(measure: Any) -> dict[str, Any]:
    try:
        return dict(measure())
    except Failed as failure:
        _say(f"skipped: {failure}")
        return {"skipped": str(failure)}


def _name(found: Report) -> str:
    return _file_name(re.sub(r"[^a-z0-9]+", "-", found.facts.board.model.lower()).strip("-"))


def _file_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name):
        raise argparse.ArgumentTypeError("small letters, digits and hyphens, please")
    return name


def _say(doing: str) -> None:
    print(f"{doing} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
