"""The device's configuration: frozen dataclasses, each setting with its text, its default and its bounds."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from protocol.errors import Malformed
from protocol.ice import MAX_SERVERS, parse_server


class ConfigError(Exception):
    """The configuration cannot be used; the message says which key, which value, and what is allowed."""


WHITE_BALANCES = {
    "auto": 0,
    "incandescent": 1,
    "tungsten": 2,
    "fluorescent": 3,
    "indoor": 4,
    "daylight": 5,
    "cloudy": 6,
}
"""By libcamera's AwbMode."""

OVERLAY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 :.,-+_/#()")

HDR = {"off": 0, "multi": 2, "single": 3, "night": 4}
"""By libcamera's HdrMode."""


def _setting(default: Any, doc: str, allowed: str, check: Callable[[Any], bool]) -> Any:
    return field(default=default, metadata={"doc": doc, "allowed": allowed, "check": check})


def _required(doc: str, allowed: str, check: Callable[[Any], bool]) -> Any:
    return field(metadata={"doc": doc, "allowed": allowed, "check": check})


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: low <= value <= high


def _source(value: str) -> bool:
    kind, colon, argument = value.partition(":")
    if "@" in argument and kind not in {"clip", "v4l2", "picamera"}:  # not shown: it may be a password
        raise ConfigError("a source with a username or a password in it: they belong into rtsp_login, a file")
    if kind == "rtsp":
        return _rtsp(value)
    if colon:
        return kind in {"clip", "v4l2", "picamera"} and bool(argument)
    return kind in {"auto", "pattern", "v4l2", "picamera"}


def _rtsp(value: str) -> bool:
    try:
        address = urlsplit(value)
        if address.hostname and (address.port is None or address.port > 0):
            return True
    except ValueError:  # a port that is none, or an IPv6 address that is none
        pass
    raise ConfigError("an rtsp:// source is rtsp://HOST/PATH or rtsp://HOST:PORT/PATH")  # a path may be a login, too


def _pin(value: int | None) -> bool:
    return value is None or 0 <= value <= 27


def _host(value: str) -> bool:
    try:
        return bool(value.encode("idna"))
    except UnicodeError:  # an empty label, or one of more than 63 characters
        return False


def _servers(*, relays: bool) -> Callable[[Any], bool]:
    def check(urls: tuple[str, ...]) -> bool:
        try:
            return len(urls) <= MAX_SERVERS and all(parse_server(url).relays == relays for url in urls)
        except Malformed:
            return False

    return check


def _interface(wanted: str) -> bool:
    if "/" not in wanted:
        return 0 < len(wanted.removesuffix("*")) < 16  # IFNAMSIZ
    try:
        return bool(ipaddress.ip_network(wanted))
    except ValueError:
        return False


def _https(value: str) -> bool:
    return value.startswith("https://") and len(value) > len("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig:
    """Who the device is, and who says so."""

    root: Path = _required("the fleet's root certificate, PEM", "a path", lambda value: bool(str(value)))
    est: str = _required("the fleet's enrolment service (EST)", "an https:// address", _https)
    directory: Path = _setting(
        Path("/var/lib/camward/identity"),
        "where keys and certificates are kept",
        "a path",
        lambda value: bool(str(value)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """The MQTT broker, on TLS with the device's operational certificate."""

    host: str = _required("the broker's host name, as its certificate has it", "a name", _host)
    port: int = _setting(8883, "the broker's TLS port", "1 to 65535", _between(1, 65535))
    keepalive_s: int = _setting(30, "MQTT keep alive, seconds", "5 to 1200", _between(5, 1200))


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """Where the picture comes from, and what it costs."""

    source: str = _setting(
        "auto",
        "the camera; auto takes the first real one, else pattern",
        "auto, pattern, clip:FILE, v4l2, v4l2:/dev/videoN, picamera, picamera:NAME or rtsp://HOST/PATH",
        _source,
    )
    rtsp_login: Path | None = _setting(
        None, "username and password for an rtsp:// source; TOML", "a path", lambda value: bool(str(value))
    )
    width: int = _setting(1280, "pixels", "an even number from 64 to 4096", lambda v: 64 <= v <= 4096 and v % 2 == 0)
    height: int = _setting(720, "pixels", "an even number from 64 to 4096", lambda v: 64 <= v <= 4096 and v % 2 == 0)
    fps: int = _setting(30, "frames a second", "1 to 120", _between(1, 120))
    bitrate_bps: int = _setting(2_000_000, "bits a second", "50000 to 50000000", _between(50_000, 50_000_000))
    min_bitrate_bps: int = _setting(
        300_000, "for weak viewers it is lowered, but not below this", "50000 to 50000000", _between(50_000, 50_000_000)
    )
    sub_bitrate_bps: int = _setting(
        600_000,
        "bits a second of the second, smaller picture for viewers who are weaker than others; 0 for none",
        "0, or 50000 to 50000000",
        lambda v: v == 0 or 50_000 <= v <= 50_000_000,
    )
    sub_scale: int = _setting(2, "the smaller picture has each side divided by this", "2 to 8", _between(2, 8))
    keyframe_interval_s: float = _setting(
        10.0,
        "a keyframe at the latest after so long; joins ask for their own",
        "0.5 to 60",
        _between(0.5, 60),
    )
    linger_s: float = _setting(
        10.0, "the camera sleeps so long after its last viewer, seconds", "0 to 3600", _between(0, 3600)
    )
    always_on: bool = _setting(False, "never let the camera sleep", "true or false", lambda value: True)
    hflip: bool = _setting(False, "picamera: mirror the picture, left to right", "true or false", lambda value: True)
    vflip: bool = _setting(False, "picamera: turn the picture upside down", "true or false", lambda value: True)
    exposure_us: int = _setting(
        0, "picamera: microseconds of exposure; 0 is automatic", "0 to 1000000", _between(0, 1_000_000)
    )
    gain: float = _setting(
        0.0, "picamera: analogue gain; 0 is automatic", "0, or 1 to 64", lambda v: v == 0 or 1 <= v <= 64
    )
    white_balance: str = _setting("auto", "picamera: the light", ", ".join(WHITE_BALANCES), WHITE_BALANCES.__contains__)
    focus_dpt: float | None = _setting(
        None,
        "picamera: dioptres, 0 is far away and 10 is 10 cm; without it the camera focuses by itself, where it can",
        "0 to 32",
        _between(0, 32),
    )
    zoom: float = _setting(1.0, "picamera: the middle of the picture, so many times larger", "1 to 16", _between(1, 16))
    overlay: str = _setting(
        "",
        "text in the upper left corner of pictures that are encoded by the processor; {time} in it is the time of day",
        "at most 64 letters, digits, spaces and :.,-+_/#() with {time} among them",
        lambda value: len(value) <= 64 and set(value.replace("{time}", "").upper()) <= OVERLAY_CHARACTERS,
    )
    hdr: str = _setting("off", "picamera: bright and dark in one picture", ", ".join(HDR), HDR.__contains__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """How many may watch, and for how long."""

    max_viewers: int = _setting(10, "viewers at once", "1 to 1000", _between(1, 1000))
    max_pending: int = _setting(4, "calls being set up at once", "1 to 100", _between(1, 100))
    setup_s: float = _setting(15.0, "a call that is not connected by then ends", "1 to 60", _between(1, 60))
    longest_s: int = _setting(3600, "a session without a fresh grant ends by then", "10 to 86400", _between(10, 86400))
    playout_delay_ms: int = _setting(
        0,
        "how long a browser may hold pictures back to smooth them; 0 shows each at once",
        "0 to 5000",
        _between(0, 5000),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Which addresses viewers may learn, and by which servers they are found. Errors: ConfigError."""

    addresses: str = _setting(
        "lan",
        "what viewers may learn: lan (all), direct (as seen from outside, and relays) or relay (relays alone)",
        "lan, direct or relay",
        {"lan", "direct", "relay"}.__contains__,
    )
    interfaces: tuple[str, ...] = _setting(
        (),
        "names, which may end in *, or ranges of addresses; none means all but those of containers and tunnels",
        'names such as "wlan0" or "eth*", or ranges such as "192.168.1.0/24"',
        lambda value: all(map(_interface, value)),
    )
    stun: tuple[str, ...] = _setting(
        (),
        "servers that say how this device is seen from outside",
        f"at most {MAX_SERVERS} of the form stun:HOST:PORT",
        _servers(relays=False),
    )
    turn: tuple[str, ...] = _setting(
        (),
        "servers that relay",
        f"at most {MAX_SERVERS} of the form turn:HOST:PORT, turn:HOST:PORT?transport=tcp or turns:HOST:PORT",
        _servers(relays=True),
    )
    turn_ca: Path | None = _setting(
        None, "whom turns: is trusted to, PEM; else the system's authorities", "a path", lambda value: bool(str(value))
    )
    turn_credential: Path | None = _setting(
        None, "username and password, or secret, for all of turn; TOML", "a path", lambda value: bool(str(value))
    )

    def __post_init__(self) -> None:
        """Check what one setting alone does not show."""
        if self.addresses == "relay" and not self.turn:
            raise ConfigError("network.addresses = 'relay' needs network.turn: without a relay nobody can watch")
        if self.addresses == "direct" and not (self.stun or self.turn):
            raise ConfigError("network.addresses = 'direct' needs network.stun or network.turn")
        if self.turn and self.turn_credential is None:
            raise ConfigError("network.turn needs network.turn_credential: a relay serves nobody without one")


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelConfig:
    """What is wired to the board's pins (BCM numbers)."""

    on_air_pin: int | None = _setting(None, "a light that is on while the camera is", "0 to 27", _pin)
    privacy_pin: int | None = _setting(None, "a switch to ground that closes the camera", "0 to 27", _pin)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What the journal hears."""

    level: str = _setting(
        "info",
        "how much",
        "debug, info, warning or error",
        {"debug", "info", "warning", "error"}.__contains__,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file, a table each."""

    identity: IdentityConfig
    broker: BrokerConfig
    camera: CameraConfig = field(default_factory=CameraConfig)
    cameras: Mapping[str, CameraConfig] = field(default_factory=dict)  # by name; what is left out is as in [camera]
    session: SessionConfig = field(default_factory=SessionConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    panel: PanelConfig = field(default_factory=PanelConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def every_camera(self) -> Mapping[str, CameraConfig]:
        """Give each camera by its name; the only one, where none has a table of its own, has none."""
        return self.cameras or {"": self.camera}
