"""Facts of a board on which all is well, for tests to change."""

from __future__ import annotations

from typing import Final

from agent.probe.facts import (
    Board,
    Boot,
    Chip,
    Clock,
    Configuration,
    Encoder,
    Facts,
    Interface,
    Libcamera,
    Pins,
    Privileges,
    Sensor,
    Service,
    Tpm,
    VideoNode,
)

ENCODER: Final = VideoNode(
    path="/dev/video11",
    driver="bcm2835-codec",
    card="bcm2835-codec-encode",
    role="encoder",
    formats=(),
    used_by=(),
    problem=None,
)
X264: Final = Encoder(codec="libx264", works=True, problem=None, width=1280, height=720, fps=90.0, cpu_ms=11.0)
FACTS: Final = Facts(
    board=Board(
        model="Raspberry Pi 4 Model B Rev 1.5",
        architecture="aarch64",
        cpu="Cortex-A72",
        cores=4,
        aes=False,
        memory_mib=3793,
        system="Debian GNU/Linux 13 (trixie)",
        kernel="6.12.47+rpt-rpi-v8",
        python="3.13.5",
        camward="0.1.0",
        hot_path="plain",
    ),
    boot=Boot(path="/boot/firmware/config.txt", auto_detect=True, overlays=(), legacy=False),
    libcamera=Libcamera(
        picamera2="0.3.31",
        problem=None,
        denied=False,
        seen_by="picamera2",
        sensors=(Sensor(model="imx708", size="4608x2592", path=None),),
    ),
    video=(ENCODER,),
    encoders=(X264,),
    pins=Pins(
        chips=(Chip(path="/dev/gpiochip0", label="pinctrl-bcm2711", lines=58, problem=None),),
        library="lgpio",
        problem=None,
    ),
    clock=Clock(now="2026-11-25T06:00:00+00:00", plausible=True, synchronised=True, rtc=None),
    tpm=Tpm(there=False, usable=False),
    privileges=Privileges(
        user="pi",
        groups=("gpio", "pi", "video"),
        service=Service(
            path="/etc/systemd/system/camward.service",
            user="camward",
            user_exists=True,
            groups=("gpio", "render", "video"),
            devices=("char-video4linux",),
        ),
    ),
    network=(Interface(name="wlan0", addresses=("192.0.2.7",), offered=("192.0.2.7",)),),
    configuration=Configuration(path="/etc/camward/agent.toml", found=True, problem=None, source="auto", pins=()),
)
