"""Boards as others recorded them (README.md), turned into the facts that a probe finds there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agent.capture.devices import CAPABILITY
from agent.capture.modes import Mode
from agent.probe.facts import Format, VideoNode
from agent.probe.video import role
from tests.agent.capture.webcam import listed

HERE: Final = Path(__file__).parent
BOARDS: Final = HERE / "boards"

# The nodes of bcm2835-codec have fixed numbers; those of its ISP and effects are described like the decoder.
_CODEC: Final = {11: "bcm2835-codec-encode", 31: "bcm2835-codec-encode_image"}
_FORMAT: Final = re.compile(r"\[\d+\]: '(.{4})'[^\n]*((?:\n\t\tSize: [^\n]*)*)")
_CURRENT: Final = re.compile(r"Format Video Capture(?: Multiplanar)?:\n\tPixel Format      : '(.{4})'")


def video(board: str) -> tuple[VideoNode, ...]:
    """Give the nodes of a board, in the order of their numbers."""
    found = []
    for group in (BOARDS / board / "v4l2-devices.txt").read_text().strip().split("\n\n"):
        head, *paths = group.splitlines()
        nodes = [path.strip() for path in paths if "video" in path]
        found += [_node(path, _driver(head, path, first=path == nodes[0])) for path in nodes]
    return tuple(sorted(found, key=lambda node: (len(node.path), node.path)))


def capability(driver: str) -> bytes:
    """Lay out the struct v4l2_capability that was recorded of a driver's node."""
    said = _said(driver)
    names = [_value(name, said).encode() for name in ("Driver name", "Card type", "Bus info")]
    whole, own = (int(_value(name, said), 16) for name in ("Capabilities", "Device Caps"))
    return CAPABILITY.pack(*names, 0, whole, own)


def cameras(board: str) -> list[Path]:
    """Name the nodes that the agent's rule takes for cameras."""
    return [Path(node.path) for node in video(board) if node.role == "camera"]


def modes(device: Path, width: int, height: int, fps: float) -> list[Mode]:
    """List what the USB camera that was recorded offers, in place of devices.modes."""
    return listed(_said("usb"), width, height)


def listing(board: str) -> str:
    """Give what rpicam-hello listed."""
    return (BOARDS / board / "cameras.txt").read_text()


def _driver(head: str, path: str, *, first: bool) -> str:
    card = head.partition(" (")[0]
    if "usb" in head:
        return "usb" if first else "usb-metadata"
    return _CODEC.get(int(path.removeprefix("/dev/video")), card) if card.startswith("bcm2835-codec") else card


def _node(path: str, driver: str) -> VideoNode:
    said, description = _said(driver), capability(driver)
    found = tuple(
        Format(fourcc=name.strip(), sizes=tuple(re.findall(r"Discrete (\S+)", sizes)))
        for name, sizes in _FORMAT.findall(said)
    ) or tuple(Format(fourcc=name, sizes=()) for name in _CURRENT.findall(said))
    return VideoNode(
        path=path,
        driver=_value("Driver name", said),
        card=_value("Card type", said),
        role=role(description, found),
        formats=found,
        used_by=(),
        problem=None,
    )


def _said(driver: str) -> str:
    return (HERE / "drivers" / f"{driver}.txt").read_text()


def _value(name: str, said: str) -> str:
    found = re.search(rf"\t{name}\s+: (.*)", said)
    assert found is not None
    return found[1]
