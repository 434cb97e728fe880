"""What follows from the facts (pure): which encoder serves the source that the agent took, and what to do next.

The source is the agent's own choice (agent/capture/choose.py), and never guessed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agent.capture.modes import kind_of
from agent.probe.facts import Choice, EncoderKind, Facts, Taken

_NOT_REAL: Final = {"pattern", "clip"}
_HARDWARE: Final = ("h264_v4l2m2m", "h264_rkmpp")
_PISP: Final = "pispbe"  # the camera pipeline of the Pi 5 and CM5, which have no H.264 encoder
_DENIED: Final = "Permission denied"
_SENSOR: Final = re.compile(r"imx|ov\d|arducam|camera-mux|adv7|tc358")  # of overlays that name a camera
_INSTALL: Final = (
    "sudo apt install python3-picamera2, and make camward's environment with python3 -m venv --system-site-packages"
)


def choice(facts: Facts, taken: Taken) -> Choice:
    """Say what the agent takes, and what will encode it."""
    if taken.source is None:
        return _nothing(taken.why)
    if facts.configuration.problem is not None:
        return _nothing("the configuration cannot be used, so the agent does not start")
    encoder, kind, encoder_why = _encoder(facts, taken, taken.source.split()[0])
    return Choice(
        source=taken.source,
        why=taken.why,
        real=taken.source.split()[0] not in _NOT_REAL,
        mode=taken.mode.why if taken.mode else None,
        encoder=encoder,
        encoder_kind=kind,
        encoder_why=encoder_why,
    )


def steps(facts: Facts, choice: Choice) -> Iterator[str]:
    """Give what to do next, a line each, the most useful first."""
    configuration = facts.configuration
    if configuration.problem is not None:
        yield f"mend the configuration: {configuration.problem}"
    if not choice.real:
        yield from _camera(facts, choice)
    else:
        if choice.encoder_kind is None:
            yield choice.encoder_why
        yield from _busy(facts)
    yield from _encoding(facts, choice)
    yield from _running(facts)
    if not configuration.found:
        yield f"put the settings there: sudo install -D -m 644 systemd/agent.toml {configuration.path}"


def _nothing(why: str) -> Choice:
    return Choice(source=None, why=why, real=False, mode=None, encoder=None, encoder_kind=None, encoder_why="")


def _encoder(facts: Facts, taken: Taken, kind: str) -> tuple[str | None, EncoderKind | None, str]:
    if kind in {"clip", "rtsp"}:
        return None, "camera", "its H.264 is passed on as it is"
    hardware = next((node for node in facts.video if node.role == "encoder"), None)
    if kind == "picamera":
        if hardware is not None:
            return hardware.card, "hardware", f"the board's own encoder at {hardware.path}"
        if any(node.driver == _PISP for node in facts.video):
            return "libx264", "software", "this board has no H.264 encoder, so the processor encodes"
        return "libx264", "software", "no /dev/video* encodes H.264, so the processor does"
    if kind == "v4l2":
        if taken.mode is None:
            return None, None, taken.problem or "its driver does not say in which format it would be taken"
        if kind_of(taken.mode.fourcc) == "h264":
            return None, "camera", "the camera gives H.264 itself"
        for encoder in facts.encoders:
            if encoder.codec in _HARDWARE and (encoder.works or (encoder.works is None and hardware is not None)):
                return encoder.codec, "hardware", "the board's own encoder, through FFmpeg"
        return "libx264", "software", "no hardware encoder works here, so the processor encodes"
    return "libx264", "software", "the test picture is encoded by the processor"


def _camera(facts: Facts, choice: Choice) -> Iterator[str]:
    """Say why there is no real camera, from the nearest cause to the farthest."""
    wanted = facts.configuration.source
    if wanted.partition(":")[0] in _NOT_REAL:
        yield f'camera.source is "{wanted}"; set it to "auto" for a real camera'
        return
    if any(node.problem == _DENIED for node in facts.video) or facts.libcamera.denied:
        yield f"this user may not open the cameras: sudo usermod -aG video {facts.privileges.user}, and log in again"
    if facts.libcamera.sensors:
        if facts.libcamera.seen_by != "picamera2":
            yield f"libcamera sees {facts.libcamera.sensors[0].model}, and this Python no picamera2: {_INSTALL}"
        elif choice.source is None:
            yield f"the camera is seen and cannot be taken: {choice.why}"
    elif facts.board.is_pi:
        yield from _no_sensor(facts)
    else:
        yield "plug in a USB camera (`v4l2-ctl --list-devices` then names it), or set camera.source to what you have"


def _no_sensor(facts: Facts) -> Iterator[str]:
    """Say why a Raspberry Pi does not see the camera at its connector."""
    boot = facts.boot
    if facts.libcamera.picamera2 is None:
        yield f"for a camera at the ribbon connector: {_INSTALL}"
    elif facts.libcamera.problem is not None and "sees no camera" not in facts.libcamera.problem:
        yield facts.libcamera.problem
    if boot is not None and boot.legacy:
        yield f"take start_x=1 out of {boot.path}: it hides the camera from libcamera; then reboot"
    elif boot is not None and not boot.auto_detect and not any(map(_SENSOR.match, boot.overlays)):
        yield f"write camera_auto_detect=1 into {boot.path}, and reboot"
    elif boot is not None:
        yield (
            "power off, seat the camera's ribbon at both ends (its contacts towards the connector's), and boot again; "
            f"a camera of another maker wants its dtoverlay= in {boot.path}"
        )
    yield "then `rpicam-hello --list-cameras` (sudo apt install rpicam-apps) names it; a USB camera does as well"


def _busy(facts: Facts) -> Iterator[str]:
    """Say who else has a camera, or libcamera's way to it; an agent that runs is the one that should."""
    others = sorted({one for node in facts.video for one in node.used_by if not one.startswith("camward ")})
    if others:
        paths = ", ".join(node.path for node in facts.video if set(node.used_by) & set(others))
        yield f"{', '.join(others)} uses {paths}: end it, or the camera is busy for the agent"


def _encoding(facts: Facts, choice: Choice) -> Iterator[str]:
    pisp = any(node.driver == _PISP for node in facts.video)
    encodes = any(node.role == "encoder" for node in facts.video)
    if facts.board.is_pi and choice.real and choice.encoder_kind == "software" and not pisp and not encodes:
        yield "this board's H.264 encoder is not there: sudo modprobe bcm2835_codec, and name it in /etc/modules"
    for encoder in facts.encoders:
        if encoder.codec != "libx264":
            continue
        if encoder.works is False:
            yield f"libx264 does not work ({encoder.problem}): pip install --force-reinstall av brings it"
        elif choice.encoder == "libx264" and encoder.fps is not None and encoder.fps < _wanted_fps(choice):
            yield (
                f"the processor encodes {encoder.fps:.0f} pictures of {encoder.width}x{encoder.height} a second: "
                "set a smaller camera.width and height, or fewer fps"
            )


def _wanted_fps(choice: Choice) -> int:
    found = re.search(r" at (\d+) fps", choice.source or "")
    return int(found[1]) if found else 0


def _running(facts: Facts) -> Iterator[str]:
    """Say what else keeps a camera from serving: time, network, pins, the service's user."""
    if not facts.clock.plausible:
        yield "the clock shows a time that has passed: connect the board to a network with time, or set it: timedatectl"
    elif facts.clock.synchronised is False:
        yield "nobody keeps the clock: sudo timedatectl set-ntp true, and see that the network lets it through"
    if not any(one.offered for one in facts.network):
        yield "no network interface has an address for viewers: connect it, or name one in network.interfaces"
    if facts.configuration.pins and facts.pins.library is None:
        yield f"pins are configured, and no GPIO library works ({facts.pins.problem}): sudo apt install python3-lgpio"
    elif facts.configuration.pins and any(chip.problem == _DENIED for chip in facts.pins.chips):
        yield f"this user may not use the pins: sudo usermod -aG gpio {facts.privileges.user}, and log in again"
    service = facts.privileges.service
    if service is not None and not service.user_exists:
        yield f"{service.path} runs as {service.user}, who is not there: sudo systemd-sysusers"
    elif service is not None and service.user != "root" and "video" not in service.groups:
        yield f"{service.path} runs as {service.user}, who may not open cameras: sudo usermod -aG video {service.user}"
