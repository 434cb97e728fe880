"""The floor of Python: a bare loop that protects with libsrtp and sends many packets a system call, to bare sockets.

No ICE, no DTLS, no RTCP, no pacing.    main.py CLIP.h264
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

FPS = 30
CLOCK = 90_000
PAYLOAD_TYPE = 96
FRAGMENT = 1180  # bytes of a NAL unit in a packet, at most
PACKETS = 48  # in one system call
UDP_SEGMENT = 103
PROFILES = {
    "cm": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 10),
    "gcm": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16),
}
BUFFER = ffi.new("unsigned char[]", 65_536)
VIEW = memoryview(ffi.buffer(BUFFER))
LENGTH = ffi.new("int *")
HEADER = struct.Struct(">HII")


class Viewer:
    """A socket's address, and what protects the packets to it."""

    def __init__(self, offer: dict[str, Any]) -> None:
        profile, self.tag = PROFILES[offer["srtp"]]
        policy = Policy(key=bytes.fromhex(offer["secret"]), ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        self.session = Session(policy)
        self.address = (offer["host"], offer["port"])
        self.sequence = 1

    def send(self, wire: socket.socket, burst: Burst, timestamp: int) -> None:
        """Rewrite the headers of a burst, protect its packets in place, and send them at once."""
        stride = burst.size + self.tag
        at, last = 0, burst.count - 1
        protect, session = lib.srtp_protect, self.session._srtp[0]
        total = last * stride + burst.last + self.tag
        VIEW[:total] = burst.spread[self.tag]
        for index in range(burst.count):
            HEADER.pack_into(VIEW, at + 2, self.sequence, timestamp, 1)
            self.sequence = self.sequence + 1 & 0xFFFF
            LENGTH[0] = burst.last if index == last else burst.size
            if protect(session, BUFFER + at, LENGTH):
                raise RuntimeError("libsrtp refused a packet")
            at += stride
        segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", stride))] if last else []
        wire.sendmsg([VIEW[:total]], segment, 0, self.address)


class Burst:
    """Packets of equal size, but for the last one, ready for every viewer."""

    def __init__(self, packets: list[bytes]) -> None:
        self.count, self.size, self.last = len(packets), len(packets[0]), len(packets[-1])
        self.spread = {tag: b"".join(packet + bytes(tag) for packet in packets) for _, tag in PROFILES.values()}


def packets(unit: bytes, marker: bool) -> list[bytes]:
    """Cut a NAL unit into RTP packets (RFC 6184, sections 5.6 and 5.8), their own numbers left open."""
    head = bytes([0x80, PAYLOAD_TYPE]) + bytes(10)
    if len(unit) <= FRAGMENT:
        made = [head + unit]
    else:
        count = -(-(len(unit) - 1) // FRAGMENT)
        size = -(-(len(unit) - 1) // count)
        starts = range(1, len(unit), size)
        indicator, kind = unit[0] & 0x60 | 28, unit[0] & 0x1F
        made = [
            head + bytes([indicator, kind | 0x80 * (at == 1) | 0x40 * (at == starts[-1])]) + unit[at : at + size]
            for at in starts
        ]
    if marker:
        made[-1] = bytes([0x80, 0x80 | PAYLOAD_TYPE]) + made[-1][2:]
    return made


def pictures(clip: bytes) -> list[list[Burst]]:
    """Give the bursts of each picture of an Annex B file that has one slice a picture."""
    made: list[list[Burst]] = [[]]
    for unit in clip.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        ends = unit[0] & 0x1F in (1, 5)
        whole = packets(unit, ends)
        made[-1] += [Burst(whole[at : at + PACKETS]) for at in range(0, len(whole), PACKETS)]
        if ends:
            made.append([])
    return made[:-1]


def main() -> None:
    """Play until the input ends."""
    clip = pictures(Path(sys.argv[1]).read_bytes())
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    viewers: dict[str, Viewer] = {}
    commands = open(0, "rb", buffering=0)  # noqa: SIM115  # unbuffered, as select needs it
    waiting = selectors.DefaultSelector()
    waiting.register(commands, selectors.EVENT_READ)
    print(json.dumps({"ready": True}), flush=True)
    began, number = time.monotonic(), 0
    while True:
        if waiting.select(max(0.0, began + number / FPS - time.monotonic())):
            line = commands.readline()
            if not line:
                return
            command = json.loads(line)
            if command["op"] == "leave":
                del viewers[command["id"]]
            else:
                viewers[command["id"]] = Viewer(json.loads(command["sdp"]))
                print(json.dumps({"id": command["id"], "answer": ""}), flush=True)
            continue
        timestamp = number * CLOCK // FPS & 0xFFFF_FFFF
        for burst in clip[number % len(clip)]:
            for viewer in viewers.values():
                viewer.send(wire, burst, timestamp)
        number += 1


main()
