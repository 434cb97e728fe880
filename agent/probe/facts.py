"""What a probe finds: a dataclass for each section of the page and of the JSON (docs/reference/probe.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from agent.capture.modes import Chosen

SCHEMA: Final = 1
"""Rises when a field of the JSON goes or changes its meaning; a new field does not raise it."""

Role: TypeAlias = Literal["camera", "encoder", "other"]
EncoderKind: TypeAlias = Literal["hardware", "software", "camera"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The machine, and what runs on it."""

    model: str
    architecture: str
    cpu: str
    cores: int
    aes: bool  # whether the processor has AES instructions
    memory_mib: int
    system: str
    kernel: str
    python: str
    camward: str
    hot_path: Literal["compiled", "plain"]

    @property
    def is_pi(self) -> bool:
        """Whether it is a Raspberry Pi, of any kind."""
        return self.model.startswith("Raspberry Pi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What a Raspberry Pi's config.txt says of cameras."""

    path: str
    auto_detect: bool
    overlays: tuple[str, ...]
    legacy: bool  # start_x, the camera stack before libcamera


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A camera that libcamera sees."""

    model: str
    size: str | None  # of its whole picture, "4608x2592", where it was said
    path: str | None  # in the device tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Libcamera:
    """What libcamera sees, asked through picamera2, else through rpicam-hello."""

    picamera2: str | None  # its version, or "installed" where it has none
    problem: str | None
    denied: bool  # it may not open its memory, /dev/dma_heap
    seen_by: str | None  # whose answer `sensors` is
    sensors: tuple[Sensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A pixel format that a node gives, and in which sizes: "1280x720", or a range "32x32 to 1920x1920"."""

    fourcc: str
    sizes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoNode:
    """A /dev/videoN. Of one that cannot be opened, only path and problem are known."""

    path: str
    driver: str
    card: str
    role: Role
    formats: tuple[Format, ...]
    used_by: tuple[str, ...]  # programs that have it open, as far as this user may know
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """An H.264 encoder of FFmpeg's, and what it did in a second; nothing was tried where `works` is None."""

    codec: str
    works: bool | None
    problem: str | None
    width: int
    height: int
    fps: float | None  # pictures it made in a second, as fast as it could
    cpu_ms: float | None  # of the processor, a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A /dev/gpiochipN."""

    path: str
    label: str
    lines: int
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The pins, and which library gpiozero would drive them with."""

    chips: tuple[Chip, ...]
    library: str | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time, and where it comes from."""

    now: str  # ISO 8601, UTC
    plausible: bool  # not before this version was made
    synchronised: bool | None  # None where the kernel does not say
    rtc: str | None  # the name of the clock that runs without power


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm:
    """The TPM's resource manager, /dev/tpmrm0."""

    there: bool
    usable: bool  # by this user


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The installed systemd unit, and what it and its user's groups let it open."""

    path: str
    user: str
    user_exists: bool
    groups: tuple[str, ...]
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Privileges:
    """Who asks, and who will run."""

    user: str
    groups: tuple[str, ...]
    service: Service | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface that has addresses."""

    name: str
    addresses: tuple[str, ...]
    offered: tuple[str, ...]  # those of them that viewers would learn


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings that count here; those by default where there is no file, or none that can be used."""

    path: str
    found: bool
    problem: str | None
    source: str
    pins: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the agent takes."""

    source: str | None  # as the agent names it; None where there is none
    why: str
    real: bool  # neither the test pattern nor a file
    mode: str | None  # of a V4L2 camera: format, size and rate, and why those; None where its driver does not say
    encoder: str | None
    encoder_kind: EncoderKind | None
    encoder_why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was found, before anything is concluded from it."""

    board: Board
    boot: Boot | None
    libcamera: Libcamera
    video: tuple[VideoNode, ...]
    encoders: tuple[Encoder, ...]
    pins: Pins
    clock: Clock
    tpm: Tpm
    privileges: Privileges
    network: tuple[Interface, ...]
    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the agent's own choice gave: the name of a source and why, or no name and its error.

    Of a V4L2 camera also the mode that it would be taken in, or no mode and the problem.
    """

    source: str | None
    why: str
    mode: Chosen | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything: what was found, what follows, and what to do next, in the order of its use."""

    schema: int
    facts: Facts
    choice: Choice
    next: tuple[str, ...]
