"""The report as a page for a terminal: a label a section, calm and aligned, and at the end what to do."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Final

from agent.probe.facts import Encoder, Facts, Format, Libcamera, Report, VideoNode
from protocol.printable import printable

_LABEL: Final = 11
_WIDTH: Final = 110
_FORMATS: Final = 4  # of a camera, that are named
_WANTED: Final = ("H264", "MJPG", "NV12", "YU12", "YUYV")
_PROBLEM: Final = 75  # characters of an encoder's; the JSON has the whole


def page(report: Report) -> str:
    """Lay the report out; a line ends within 110 columns, unless a single word is longer."""
    facts = report.facts
    sections: tuple[tuple[str, Iterator[str]], ...] = (
        ("Board", _board(facts)),
        ("Cameras", _cameras(facts)),
        ("Encoders", _encoders(facts)),
        ("Pins", _pins(facts)),
        ("Clock", _clock(facts)),
        ("TPM", _tpm(facts)),
        ("User", _user(facts)),
        ("Network", _network(facts)),
        ("Settings", _settings(facts)),
        ("", iter([])),
        ("Choice", _choice(report)),
        ("Next", (f"{number}. {step}" for number, step in enumerate(report.next, 1))),
    )
    lines = [printable(facts.board.model), ""]
    for label, found in sections:
        lines += _section(label, [printable(line) for line in found])
    return "\n".join(lines) + "\n"


def _section(label: str, found: list[str]) -> Iterator[str]:
    if not label:
        yield ""
    for number, line in enumerate(found):
        head = (label if number == 0 else "").ljust(_LABEL)
        yield textwrap.fill(
            line,
            _WIDTH,
            initial_indent=head,
            subsequent_indent=" " * (_LABEL + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )


def _board(facts: Facts) -> Iterator[str]:
    board = facts.board
    aes = "with AES instructions" if board.aes else "without AES instructions"
    yield f"{board.cores} x {board.cpu} ({board.architecture}) {aes}, {board.memory_mib or 'unknown'} MiB"
    software = f"camward {board.camward} (hot path: {board.hot_path})"
    yield f"{board.system}, Linux {board.kernel}, Python {board.python}, {software}"


def _cameras(facts: Facts) -> Iterator[str]:
    yield _libcamera(facts.libcamera)
    for node in facts.video:
        if node.role == "camera":
            used = f", used by {', '.join(node.used_by)}" if node.used_by else ""
            yield f"{node.path} {node.card} ({node.driver}): {_formats(node.formats)}{used}"
        elif node.problem is not None:
            yield f"{node.path}: {node.problem}"
    others = [node for node in facts.video if node.role == "other" and node.problem is None]
    if others:
        yield f"{len(others)} other nodes of {', '.join(sorted({node.driver for node in others}))}"
    elif not facts.video:
        yield "no /dev/video*"


def _libcamera(libcamera: Libcamera) -> str:
    version = f"picamera2 {libcamera.picamera2}" if libcamera.picamera2 else "without picamera2"
    if libcamera.sensors:
        sensors = ", ".join(f"{one.model} {one.size or ''}".strip() for one in libcamera.sensors)
        return f"libcamera: {sensors} (seen by {libcamera.seen_by}; {version})"
    return f"libcamera: none ({version})"


def _formats(formats: tuple[Format, ...]) -> str:
    """Name the formats that the agent would rather have, each with its largest size, and count the rest."""
    wanted = sorted(formats, key=lambda one: _WANTED.index(one.fourcc) if one.fourcc in _WANTED else len(_WANTED))
    named = [f"{one.fourcc} up to {_largest(one.sizes)}" if one.sizes else one.fourcc for one in wanted[:_FORMATS]]
    more = f" and {len(formats) - _FORMATS} formats more" if len(formats) > _FORMATS else ""
    return (", ".join(named) or "no format") + more


def _largest(sizes: tuple[str, ...]) -> str:
    """Give the size of the most pixels, of a range "32x32 to 1920x1080" its end."""
    return max((size.rpartition(" ")[2] for size in sizes), key=lambda size: math.prod(map(int, size.split("x"))))


def _encoders(facts: Facts) -> Iterator[str]:
    for node in facts.video:
        if node.role == "encoder":
            yield _hardware(node)
    width = max((len(encoder.codec) for encoder in facts.encoders), default=0)
    for encoder in facts.encoders:
        yield f"{encoder.codec.ljust(width)}  {_tried(encoder)}"


def _hardware(node: VideoNode) -> str:
    return f"{node.path} {node.card} ({node.driver}): H.264 in hardware"


def _tried(encoder: Encoder) -> str:
    if encoder.works is None:
        return "not tried"
    if not encoder.works:
        return f"no: {textwrap.shorten(encoder.problem or '', _PROBLEM, placeholder=' ...')}"
    size = f"{encoder.width}x{encoder.height}"
    return f"{encoder.fps:.0f} pictures of {size} a second, each {encoder.cpu_ms:.1f} ms of the processor"


def _pins(facts: Facts) -> Iterator[str]:
    for chip in facts.pins.chips:
        yield f"{chip.path} {chip.problem or f'{chip.label}, {chip.lines} lines'}"
    if not facts.pins.chips:
        yield "no /dev/gpiochip*"
    library = facts.pins.library
    yield f"gpiozero drives them with {library}" if library else f"gpiozero: {facts.pins.problem}"


def _clock(facts: Facts) -> Iterator[str]:
    kept = {True: "synchronised", False: "not synchronised", None: "nobody says whether synchronised"}
    clock = facts.clock
    yield f"{clock.now}, {kept[clock.synchronised]}, {f'RTC {clock.rtc}' if clock.rtc else 'no RTC'}"


def _tpm(facts: Facts) -> Iterator[str]:
    if not facts.tpm.there:
        yield "none; keys are kept in files"
    else:
        yield f"/dev/tpmrm0{'' if facts.tpm.usable else ', which this user may not open'}"


def _user(facts: Facts) -> Iterator[str]:
    privileges = facts.privileges
    yield f"{privileges.user} in {', '.join(privileges.groups)}"
    if service := privileges.service:
        groups, devices = ", ".join(service.groups) or "no group", ", ".join(service.devices) or "all devices"
        yield f"{service.path} runs as {service.user} in {groups}, and grants {devices}"
    else:
        yield "camward.service is not installed"


def _network(facts: Facts) -> Iterator[str]:
    offered = [f"{one.name} {', '.join(one.offered)}" for one in facts.network if one.offered]
    yield f"viewers are offered {'; '.join(offered) or 'nothing'}"
    if left_out := [one.name for one in facts.network if not one.offered]:
        yield f"and not {', '.join(left_out)}"


def _settings(facts: Facts) -> Iterator[str]:
    configuration = facts.configuration
    if configuration.problem is not None:
        yield f"{configuration.path} cannot be used"
    elif configuration.found:
        yield f'{configuration.path}, camera.source = "{configuration.source}"'
    else:
        yield f"no {configuration.path}, so the defaults"


def _choice(report: Report) -> Iterator[str]:
    choice = report.choice
    yield choice.why
    if choice.mode is not None:
        yield choice.mode
    if choice.source is not None:
        encoder = f"{choice.encoder} ({choice.encoder_kind})" if choice.encoder else "no encoder"
        yield f"{encoder}: {choice.encoder_why}"
