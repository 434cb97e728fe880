"""The structures and numbers that the kernel is asked with, as its headers and this machine's compiler have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.capture import devices
from agent.probe import clock, commands, pins, privileges, video

_PROGRAM = r"""
#include <linux/gpio.h>
#include <linux/videodev2.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/timex.h>
int main(void) {
    printf("%lx %lx %lx %lx\n", VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT, VIDIOC_ENUM_FRAMESIZES, GPIO_GET_CHIPINFO_IOCTL);
    printf("%zu %zu %zu %zu\n", sizeof(struct v4l2_capability), sizeof(struct v4l2_fmtdesc),
           sizeof(struct v4l2_frmsizeenum), sizeof(struct gpiochip_info));
    printf("%zu %zu\n", offsetof(struct timex, maxerror), sizeof(struct timex));
    return 0;
}
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    directory = tmp_path_factory.mktemp("headers")
    (directory / "main.c").write_text(_PROGRAM)
    subprocess.run(["gcc", "-o", directory / "main", directory / "main.c"], check=True)
    said = subprocess.run([directory / "main"], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in said.splitlines()]


def test_the_requests_have_the_kernel_s_numbers(printed: list[list[str]]) -> None:
    ours = (devices.QUERYCAP, devices.ENUM_FMT, devices.ENUM_FRAMESIZES, pins.GET_CHIPINFO)

    assert [f"{number:x}" for number in ours] == printed[0]


def test_the_structures_have_the_kernel_s_sizes(printed: list[list[str]]) -> None:
    ours = (devices.CAPABILITY, devices.FORMAT, devices.SIZE, pins.CHIPINFO)

    assert [str(one.size) for one in ours] == printed[1]


def test_the_clock_s_error_is_where_the_kernel_writes_it(printed: list[list[str]]) -> None:
    offset, size = map(int, printed[2])

    assert clock.Timex.maxerror.offset == offset
    assert clock.ctypes.sizeof(clock.Timex) >= size


def test_what_is_no_video_device_is_named_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "video0").symlink_to("/dev/null")
    (tmp_path / "video10").symlink_to(tmp_path / "nowhere")
    (tmp_path / "video2").write_bytes(b"")

    found = {Path(node.path).name: (node.role, node.problem) for node in video.nodes(tmp_path)}

    assert list(found) == ["video0", "video2", "video10"]
    assert found["video0"] == ("other", "Inappropriate ioctl for device")
    assert found["video10"] == ("other", "No such file or directory")


def test_who_has_a_file_open_is_named_by_its_program_and_process(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    with (tmp_path / "video0").open("rb") as held:
        child = subprocess.Popen(["sleep", "60"], stdin=held)
        try:
            found = video.programs(f"{tmp_path}/video")
        finally:
            child.kill()
            child.wait()

    assert f"sleep ({child.pid})" in found[str(tmp_path / "video0")]
    assert video.programs(f"{tmp_path}/video") == {}


def test_a_program_that_hangs_or_is_missing_is_said_and_not_waited_for() -> None:
    hung = commands.python("-c", "import time; time.sleep(60)", within_s=0.5)

    assert (hung.code, hung.output) == (None, "")
    assert "gave no answer within 0.5 s" in hung.errors
    assert commands.said("no-such-program").errors == "no-such-program is not installed"


def test_the_unit_says_who_runs_and_what_it_may_open(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    unit = Path(__file__).parents[3] / "systemd" / "camward.service"
    (units / "camward.service").write_text(unit.read_text())
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ncamward:x:999:999::/var/lib/camward:/bin/false\n")
    (tmp_path / "etc/group").write_text("video:x:44:pi,camward\ngpio:x:997:camward\naudio:x:29:pi\ncamward:x:999:\n")

    found = privileges.service(tmp_path)

    assert found is not None
    assert (found.path, found.user, found.user_exists) == ("/etc/systemd/system/camward.service", "camward", True)
    assert found.groups == ("gpio", "video")
    assert "char-video4linux" in found.devices
    assert privileges.service(tmp_path / "nowhere") is None


def test_a_format_has_the_name_that_v4l2_ctl_gives_it() -> None:
    assert video.named(int.from_bytes(b"MJPG", "little")) == "MJPG"
    assert video.named(int.from_bytes(b"Y16 ", "little")) == "Y16"
    assert video.named(int.from_bytes(b"XR15", "little") | 1 << 31) == "XR15-BE"
    assert video.named(int.from_bytes(b"Y16 ", "little") | 1 << 31) == "Y16 -BE"
