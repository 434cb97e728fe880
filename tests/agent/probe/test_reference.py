"""docs/reference/probe.md names every field of the JSON, and none that is not there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from agent.probe import facts

_PAGE = (Path(__file__).parents[3] / "docs/reference/probe.md").read_text()
_SECTIONS = {  # the heading under which a dataclass stands
    "# What `camward probe --json` prints": [facts.Report],
    "## `choice`": [facts.Choice],
    "## `facts.board`": [facts.Board],
    "## `facts.boot`": [facts.Boot],
    "## `facts.libcamera`": [facts.Libcamera, facts.Sensor],
    "## `facts.video`": [facts.VideoNode, facts.Format],
    "## `facts.encoders`": [facts.Encoder],
    "## `facts.pins`": [facts.Pins, facts.Chip],
    "## `facts.clock` and `facts.tpm`": [facts.Clock, facts.Tpm],
    "## `facts.privileges`": [facts.Privileges, facts.Service],
    "## `facts.network`": [facts.Interface],
    "## `facts.configuration`": [facts.Configuration],
}


def _section(heading: str) -> str:
    return re.split(r"^#", _PAGE.partition(heading)[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_field_stands_under_its_heading() -> None:
    for heading, kinds in _SECTIONS.items():
        named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", _section(heading)))))
        for kind in kinds:
            missing = {entry.name for entry in dataclasses.fields(kind)} - named
            assert not missing, (heading, missing)


def test_every_row_is_a_field() -> None:
    for heading, kinds in _SECTIONS.items():
        fields = {entry.name for kind in kinds for entry in dataclasses.fields(kind)}
        for row in re.findall(r"^\| (`.*?) \|", _section(heading), re.MULTILINE):
            assert set(re.findall(r"`(\w+)`", row)) <= fields, (heading, row)


def test_every_section_of_the_facts_has_a_heading() -> None:
    headings = " ".join(_SECTIONS)

    assert all(f"`facts.{entry.name}`" in headings for entry in dataclasses.fields(facts.Facts))
