"""The process between the two TUN devices of a link. It ends with its standard input, and the devices with it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import sys
import time
from dataclasses import asdict

from tests.kit.link_path import Conditions, Path

_LARGEST = 65_535  # an IP packet
_COMMANDS = 0  # standard input


def carry(near: int, far: int, seed: int) -> None:
    """Carry packets between two TUN devices, and obey a JSON line of conditions with one of counts."""
    chance = random.Random(seed)  # noqa: S311  # loss that can be repeated
    paths = {near: Path(Conditions(), chance), far: Path(Conditions(), chance)}  # by the device that they lead to
    names = {"to_near": paths[near], "to_far": paths[far]}
    other = {near: far, far: near}
    while True:
        due = [at for path in paths.values() if (at := path.next_at) is not None]
        wait_s = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([near, far, _COMMANDS], [], [], wait_s)
        for device in readable:
            if device == _COMMANDS:
                line = sys.stdin.buffer.readline()
                if not line:
                    return
                _obey(line, names)
                continue
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet = os.read(device, _LARGEST)
                    paths[other[device]].take(packet, time.monotonic())
        now = time.monotonic()
        for device, path in paths.items():
            for packet in path.arrived(now):
                os.write(device, packet)


def _obey(line: bytes, paths: dict[str, Path]) -> None:
    for name, conditions in json.loads(line).items():
        paths[name].change(Conditions(**conditions), time.monotonic())
    print(json.dumps({name: asdict(path.counts) for name, path in paths.items()}), flush=True)  # noqa: T201
    for path in paths.values():
        path.counts.longest_wait_s = 0.0


if __name__ == "__main__":
    with contextlib.suppress(PermissionError):  # on time, whatever else the machine does
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    carry(*map(int, sys.argv[1:]))
