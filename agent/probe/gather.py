"""The probe itself: asks everything, has the agent choose, and draws the conclusions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from agent.capture.choose import Choice as AgentsChoice
from agent.capture.source import CaptureError
from agent.capture.v4l2 import V4l2
from agent.config import CameraConfig, Config, ConfigError, NetworkConfig, PanelConfig
from agent.config_file import load
from agent.probe import judge, libcamera
from agent.probe.board import board, boot
from agent.probe.clock import clock
from agent.probe.encoders import encoders
from agent.probe.facts import SCHEMA, Configuration, Facts, Report, Taken
from agent.probe.network import network
from agent.probe.pins import pins
from agent.probe.privileges import privileges, tpm
from agent.probe.video import nodes


def report(path: Path, *, quick: bool, released: datetime, say: Callable[[str], None]) -> Report:
    """Probe with the configuration at `path`, or else with the defaults; `say` hears what is going on."""
    config, problem = _load(path)
    camera = next(iter(config.every_camera().values())) if config else CameraConfig()
    panel = config.panel if config else PanelConfig()
    say("looking at the board")
    video = nodes()
    m2m = any(node.role == "encoder" for node in video)
    facts = Facts(
        board=board(),
        boot=boot(),
        libcamera=libcamera.read(),
        video=video,
        encoders=encoders(camera, m2m=m2m, quick=quick, say=say),
        pins=pins(),
        clock=clock(released),
        tpm=tpm(),
        privileges=privileges(),
        network=network(config.network if config else NetworkConfig()),
        configuration=Configuration(
            path=str(path),
            found=path.exists(),
            problem=problem,
            # Of an IP camera the host alone: some makes want the login in the path, and people post what a probe says.
            source=f"rtsp://{urlsplit(camera.source).hostname}/…"
            if camera.source.startswith("rtsp:")
            else camera.source,
            pins=tuple(pin for pin in (panel.on_air_pin, panel.privacy_pin) if pin is not None),
        ),
    )
    chosen = judge.choice(facts, taken(camera))
    return Report(schema=SCHEMA, facts=facts, choice=chosen, next=tuple(judge.steps(facts, chosen)))


def taken(config: CameraConfig) -> Taken:
    """Have the agent's own code choose; the source that it makes is never run."""
    try:
        source, why = AgentsChoice(config)()
    except CaptureError as error:
        return Taken(source=None, why=str(error))
    if not isinstance(source, V4l2):
        return Taken(source=source.name, why=why)
    try:
        return Taken(source=source.name, why=why, mode=source.mode())
    except CaptureError as error:
        return Taken(source=source.name, why=why, problem=str(error))


def _load(path: Path) -> tuple[Config | None, str | None]:
    """Read the settings; a file that is missing is no problem, one that cannot be used is."""
    try:
        return load(path), None
    except ConfigError as error:
        return None, str(error) if path.exists() else None
