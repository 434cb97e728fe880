from __future__ import annotations

from pathlib import Path

import pytest

from agent.identity.errors import EnrollmentError
from agent.identity.hardware import hardware_serial

MACHINE = "0123456789abcdef0123456789abcdef"


def _machine(top: Path, **files: str) -> Path:
    paths = {
        "board": "proc/device-tree/serial-number",
        "firmware": "sys/firmware/devicetree/base/serial-number",
        "machine": "etc/machine-id",
    }
    for name, content in files.items():
        path = top / paths[name]
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return top


@pytest.mark.parametrize("where", ["board", "firmware"])
def test_a_board_has_the_serial_number_of_its_device_tree(tmp_path: Path, where: str) -> None:
    top = _machine(tmp_path, **{where: "10000000abcdef01\0", "machine": MACHINE})
    assert hardware_serial(top) == "10000000abcdef01"


def test_a_machine_without_one_has_one_made_from_its_id_which_stays_hidden(tmp_path: Path) -> None:
    serial = hardware_serial(_machine(tmp_path, machine=f"{MACHINE}\n"))
    assert serial.startswith("machine-")
    assert MACHINE not in serial
    assert serial == hardware_serial(tmp_path)


def test_a_serial_that_no_code_can_be_bound_to_is_passed_over(tmp_path: Path) -> None:
    assert hardware_serial(_machine(tmp_path, board="not: one", machine=MACHINE)).startswith("machine-")


@pytest.mark.parametrize("content", ["", "uninitialized\n"])
def test_a_machine_that_has_no_name_is_to_be_given_one(tmp_path: Path, content: str) -> None:
    with pytest.raises(EnrollmentError, match="--serial"):
        hardware_serial(_machine(tmp_path, machine=content))
