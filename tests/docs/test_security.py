"""The security pages claim nothing without a test's name, and no name without a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "security").glob("*.md"))
TABLES = ["threat-model.md", "standards.md"]
_TEST = re.compile(r"`((?:tests|hw-tests)/[\w/.-]+\.py)(?:::(\w+))?`")
_NOT_MET = re.compile(r"(?:not met(?: yet)?|does not apply), because \S")


def _rows(page: str) -> list[str]:
    """The rows of all tables of a page, without their heads."""
    lines = (ROOT / "docs" / "security" / page).read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    heads = {number - 1 for number, line in enumerate(tables) if set(line) <= set("|- ")}
    return [line for number, line in enumerate(tables) if number not in heads and number - 1 not in heads]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name in _TEST.findall(page.read_text(encoding="utf-8")):
        path = ROOT / file
        assert path.is_file(), f"{page.name} names {file}"
        if name:
            assert re.search(rf"^(?:async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("page", TABLES)
def test_every_row_has_a_test_or_says_why_not(page: str) -> None:
    rows = _rows(page)

    assert len(rows) > 20
    for row in rows:
        last = row.rstrip("| ").rpartition(" | ")[2]
        assert _TEST.search(last) or _NOT_MET.search(last), row


def test_a_row_has_as_many_cells_as_the_table_has_columns() -> None:
    for page, columns in zip(TABLES, (4, 3), strict=True):
        assert {row.count(" | ") + 1 for row in _rows(page)} == {columns}, page


def test_how_to_report_names_no_person_and_no_address() -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())

    assert "private vulnerability report" in text
    assert "@" not in text
