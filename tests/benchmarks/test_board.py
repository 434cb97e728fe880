"""What is written of a board: its pages, and how light is measured, with light that a test makes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import av
import pytest

from agent.capture.encoder import Encoder
from agent.config import CameraConfig
from agent.media.access_unit import AccessUnit
from benchmarks.board import page
from benchmarks.board.contracts import _second, read
from benchmarks.board.light import brightness, delays
from benchmarks.board.running import measure
from benchmarks.child import Failed

DOCS = Path(__file__).parents[2] / "docs"
RECORD: dict[str, Any] = {
    "schema": 1,
    "name": "zero2w",
    "at": "2026-01-01",
    "board": {
        "model": "Raspberry Pi Zero 2 W Rev 1.0",
        "cpu": "Cortex-A53",
        "cores": 4,
        "aes": False,
        "memory_mib": 420,
        "architecture": "aarch64",
    },
    "software": {"system": "Debian", "kernel": "6.12", "python": "3.13.5", "camward": "0.1.0"},
    "libcamera": {"picamera2": "0.3.31", "sensors": ["imx219"]},
    "cameras": [],
    "choice": {"source": "picamera", "real": True, "encoder": "bcm2835-codec-encode", "kind": "hardware"},
    "encoders": [],
    "pins": {"chips": ["pinctrl-bcm2835"], "library": "lgpio"},
    "rtc": None,
    "tpm": False,
    "load_before": 0.1,
    "source": "auto",
    "real": True,
    "contracts": [
        {"test": "test_cameras: one", "outcome": "passed", "why": ""},
        {"test": "test_pins: a", "outcome": "skipped", "why": "no wire"},
        {"test": "test_pins: b", "outcome": "skipped", "why": "no wire"},
    ],
    "running": {
        "source": "picamera",
        "seconds": 8.0,
        "first_picture_ms": 900,
        "fps": 30.0,
        "kbps": 2000,
        "cores": 0.1,
        "rss_mb": 70.0,
        "dropped": 0,
    },
    "viewers": {
        "srtp": "cm",
        "least_fps": 29.1,
        "broke": "with 4 viewers 2 were late",
        "steps": [
            {"viewers": 2, "cores": 0.2, "receiver_cores": 0.1, "rss_mb": 90.0, "lost": 0, "fps": 30.0, "late": 0},
            {"viewers": 4, "cores": 0.9, "receiver_cores": 0.4, "rss_mb": 91.0, "lost": 0, "fps": 20.0, "late": 2},
        ],
    },
    "light": {"skipped": "no LED"},
}


def test_docs_boards_is_what_its_records_say() -> None:
    records = [json.loads(path.read_text()) for path in sorted((DOCS / "boards").glob("*.json"))]
    text = (DOCS / "boards.md").read_text()
    made = text.partition(page.BEGIN)[2].partition(page.END)[0]

    assert made.strip() == page.table(records), "run  python -m benchmarks.board.page"
    for record in records:
        assert (DOCS / "boards" / f"{record['name']}.md").read_text() == page.one(record)


def test_a_board_that_nobody_has_tried_has_an_empty_row() -> None:
    lines = page.table([RECORD]).splitlines()

    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[3:]] == list(page.WANTED)[1:]
    assert all(set(line.split(" | ")[2:]) <= {"", " |"} for line in lines[3:])


def test_a_board_s_row_has_its_figures_and_how_many_viewers_it_served_whole() -> None:
    row = page.table([RECORD]).splitlines()[2]

    assert "[Raspberry Pi Zero 2 W Rev 1.0](boards/zero2w.md), Cortex-A53 | imx219 | bcm2835-codec-encode" in row
    assert "1 held, 0 broken, 2 skipped | 900 | 30.0 | 0.1 | 70.0 | 2 | skipped | 2026-01-01 |" in row


def test_a_page_says_what_was_skipped_for_which_part_and_how_often() -> None:
    assert "| 2 of test_pins | skipped | no wire |" in page.one(RECORD)
    assert "pattern" not in page.one(RECORD)


def test_without_a_real_camera_the_page_and_the_row_say_so() -> None:
    record = copy.deepcopy(RECORD) | {"source": "pattern", "real": False}

    assert "the figures are of the test pattern" in page.one(record)
    assert "none: the test pattern" in page.table([record]).splitlines()[2]


def test_pytest_s_outcomes_are_read_with_their_reasons() -> None:
    xml = (
        '<testsuites><testsuite><testcase classname="hw-tests.test_pins" name="one"/>'
        '<testcase classname="hw-tests.test_pins" name="two"><skipped message="no wire"/></testcase>'
        '<testcase classname="hw-tests.test_pins" name="three"><failure message="assert 1\nmore">x</failure></testcase>'
        '<testcase classname="hw-tests.test_pins" name="four"><error message="broke"/></testcase>'
        "</testsuite></testsuites>"
    )

    assert [(one["test"], one["outcome"], one["why"]) for one in read(xml)] == [
        ("test_pins: one", "passed", ""),
        ("test_pins: two", "skipped", "no wire"),
        ("test_pins: three", "failed", "assert 1 more"),
        ("test_pins: four", "failed", "broke"),
    ]


def test_what_holds_at_the_second_try_is_said_to() -> None:
    first = {"test": "test_cameras: one", "outcome": "failed", "why": "35 units within 3.0 s"}
    held = {"test": "test_cameras: one", "outcome": "passed", "why": ""}
    record = copy.deepcopy(RECORD) | {"contracts": [_second(first, held)]}

    assert "| 1 of test_cameras | passed | at the second try; at first: 35 units within 3.0 s |" in page.one(record)
    assert _second(first, first) == first
    assert _second(held, None) == held


def test_a_source_that_gives_no_picture_is_skipped_with_its_own_words() -> None:
    with pytest.raises(Failed, match=r"nowhere\.mp4"):
        measure(CameraConfig(source="clip:/nowhere.mp4"), 0.5)


def _pictures(shades: list[int]) -> list[AccessUnit]:
    encoder, units = Encoder(CameraConfig(width=64, height=64)), []
    frame = av.VideoFrame(64, 64, "yuv420p")
    for index, shade in enumerate(shades):
        for plane, byte in zip(frame.planes, (shade, 128, 128), strict=True):
            plane.update(bytes([byte]) * plane.buffer_size)
        units += encoder.encode(frame, index * 33_333)
    return units


def test_light_is_seen_in_the_picture_that_shows_it() -> None:
    shades = [30, 30, 30, 200, 200, 200, 30, 30, 30, 30, 200, 200, 200]
    came = [index / 30 for index in range(len(shades))]  # and the LED goes on 50 and 80 ms before
    levels = brightness(_pictures(shades))

    found = delays(list(zip(came, levels, strict=True)), [3 / 30 - 0.05, 10 / 30 - 0.08])

    assert levels == pytest.approx(shades, abs=12)
    assert found == pytest.approx([0.05, 0.08])


@pytest.mark.parametrize(
    ("levels", "switched", "said"),
    [
        ([], [0.0], "no picture"),
        ([100.0] * 30, [0.1], "makes no difference"),
        ([30.0] * 15 + [200.0] * 15, [0.5, 2.0], "not seen each time"),
    ],
)
def test_light_that_is_not_seen_is_no_figure(levels: list[float], switched: list[float], said: str) -> None:
    with pytest.raises(Failed, match=said):
        delays([(index / 30, level) for index, level in enumerate(levels)], switched)
