import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from systemd.journal import JournalHandler

from agent.config import LogConfig
from agent.service import log

HOSTILE = "bob\n12:00:00 error fake\x1b[2J\r\x9b1m\u202e\u2028\x00"
ESCAPED = "bob\\n12:00:00 error fake\\x1b[2J\\r\\x9b1m\\u202e\\u2028\\x00"


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[logging.Logger]:
    """The process's logging, put back as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers.clear()
    yield root
    root.handlers[:], root.level = before
    for name in ("aioice", "aiortc", "libav", "mqtt"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root_logger: logging.Logger
) -> Iterator[list[dict[str, Any]]]:
    """Entries as journald would get them, where JOURNAL_STREAM says that stderr is the journal."""
    with (tmp_path / "stderr").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        seen = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{seen.st_dev}:{seen.st_ino}")
        log.set_up(LogConfig())
        [handler] = root_logger.handlers
        assert isinstance(handler, JournalHandler)
        entries: list[dict[str, Any]] = []
        handler.send = lambda message, **fields: entries.append({"MESSAGE": message, **fields})
        yield entries


def test_a_line_on_stderr_has_the_time_the_level_and_the_logger(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(LogConfig())
    logging.getLogger("agent.signaling").warning("the broker is away for %d s", 3)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d warning agent\.signaling: the broker is away for 3 s\n", capsys.readouterr().err
    )


def test_what_strangers_send_stays_in_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(LogConfig())
    logging.getLogger("agent").info("refused %s", HOSTILE)
    said = capsys.readouterr().err
    assert said.endswith(f" info agent: refused {ESCAPED}\n")
    assert said.count("\n") == 1


def test_readable_text_of_any_language_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(LogConfig())
    logging.getLogger("agent").info("Kamera „Tür“ 门 100%% C:\\x")
    assert capsys.readouterr().err.endswith(" info agent: Kamera „Tür“ 门 100%% C:\\x\n")


def test_a_traceback_is_indented_and_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(LogConfig())
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("agent").exception("a call failed")
    first, *rest = capsys.readouterr().err.removesuffix("\n").split("\n")
    assert first.endswith(" error agent: a call failed")
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert rest[0] == "  Traceback (most recent call last):"


def test_a_record_is_left_as_it_was_for_other_handlers(
    capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    log.set_up(LogConfig())
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    root_logger.addHandler(Keeping())
    logging.getLogger("agent").info("from %s", "a\nb")
    assert [(record.levelname, record.getMessage()) for record in records] == [("INFO", "from a\nb")]


def test_the_level_is_the_configured_one(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(LogConfig(level="error"))
    logging.getLogger("agent").warning("not heard")
    logging.getLogger("agent").error("heard")
    said = capsys.readouterr().err
    assert said.endswith("agent: heard\n")
    assert "not heard" not in said


@pytest.mark.parametrize(
    ("level", "quietest"), [("info", "WARNING"), ("warning", "WARNING"), ("error", "ERROR"), ("debug", "DEBUG")]
)
def test_talkative_libraries_speak_from_warnings_on_unless_everything_is_wanted(
    capsys: pytest.CaptureFixture[str], level: str, quietest: str
) -> None:
    log.set_up(LogConfig(level=level))
    for name in ("libav", "mqtt"):
        assert logging.getLevelName(logging.getLogger(name).getEffectiveLevel()) == quietest


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_those_that_would_say_where_a_viewer_is_speak_from_warnings_on(
    capsys: pytest.CaptureFixture[str], level: str
) -> None:
    log.set_up(LogConfig(level=level))
    for name in ("aioice.ice", "aiortc.rtcdtlstransport"):
        assert logging.getLogger(name).getEffectiveLevel() == logging.WARNING


def test_setting_up_twice_says_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(LogConfig())
    log.set_up(LogConfig())
    logging.getLogger("agent").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_the_journal_gets_the_priority_and_the_name_as_fields(journal: list[dict[str, Any]]) -> None:
    logging.getLogger("agent.identity").warning("renewal is late")
    [entry] = journal
    assert entry["MESSAGE"] == "renewal is late"
    assert (entry["SYSLOG_IDENTIFIER"], entry["LOGGER"], entry["PRIORITY"]) == ("camward", "agent.identity", "4")


def test_the_journal_gets_no_control_characters_either(journal: list[dict[str, Any]]) -> None:
    logging.getLogger("agent").info("refused %s", HOSTILE)
    assert journal[0]["MESSAGE"] == f"refused {ESCAPED}"


def test_a_journal_stream_that_is_not_stderr_means_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root_logger: logging.Logger
) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        seen = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{seen.st_dev}:{seen.st_ino + 1}")
        log.set_up(LogConfig())
    assert [type(handler) for handler in root_logger.handlers] == [logging.StreamHandler]
