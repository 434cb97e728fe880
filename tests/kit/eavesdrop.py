"""tshark on a network device: what was on the wire, and whether an address was among it in any form."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.link import Namespace

_COOKIE = 0x2112A442
_FIELDS = ("ip.src", "ip.dst", "udp.dstport", "udp.payload", "tcp.payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One IPv4 packet. `payload` is what UDP or TCP carries; `data` is that without a TURN channel's header."""

    source: str
    destination: str
    port: int  # where it goes to; 0 when it is not UDP
    payload: bytes

    @property
    def data(self) -> bytes:
        return self.payload[4:] if self.payload and 0x40 <= self.payload[0] < 0x50 else self.payload

    @property
    def is_stun(self) -> bool:
        return any(data and data[0] < 4 for data in (self.payload, self.data))

    @property
    def is_rtp(self) -> bool:
        """RTP, plain or protected, and no RTCP (RFC 7983, RFC 5761)."""
        return len(self.data) > 12 and 128 <= self.data[0] < 192 and not 192 <= self.data[1] < 224


@dataclass
class Wire:
    """What was heard; complete once the listening has ended."""

    packets: list[Packet] = field(default_factory=list)

    def mentions(self, address: str) -> list[Packet]:
        """All packets to or from an address, or that carry it as text, or in STUN as it is or as STUN hides it."""
        packed = ipaddress.IPv4Address(address).packed
        xored = struct.pack("!I", struct.unpack("!I", packed)[0] ^ _COOKIE)  # RFC 8489, section 14.2
        return [
            packet
            for packet in self.packets
            if address in (packet.source, packet.destination)
            or address.encode() in packet.payload
            or (packet.is_stun and (packed in packet.payload or xored in packet.payload))
        ]


@contextlib.asynccontextmanager
async def listening(directory: Path, *places: Namespace, interface: str = "eth0") -> AsyncIterator[list[Wire]]:
    """Hear all IPv4 packets but ICMP's of an interface in each of these networks meanwhile."""
    files = [directory / f"{number}.pcap" for number, _ in enumerate(places)]
    commands = [
        place.command("dumpcap", "-q", "-i", interface, "-f", "ip", "-w", file)
        for place, file in zip(places, files, strict=True)
    ]
    ears = await asyncio.gather(*map(_start, commands))
    wires = [Wire() for _ in places]
    try:
        yield wires
    finally:
        for ear in ears:
            ear.send_signal(signal.SIGINT)
        await asyncio.gather(*(ear.communicate() for ear in ears))
    for wire, packets in zip(wires, await asyncio.gather(*map(_read, files)), strict=True):
        wire.packets += packets


async def _start(command: list[str]) -> asyncio.subprocess.Process:
    """Start to listen; dumpcap is tshark's own ear, and says when it hears."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr
    async with asyncio.timeout(20):
        while not (await process.stderr.readline()).startswith(b"File:"):
            pass
    return process


async def _read(file: Path) -> list[Packet]:
    fields = [argument for name in _FIELDS for argument in ("-e", name)]
    process = await asyncio.create_subprocess_exec(
        "tshark",
        *("-r", file, "-Y", "not icmp", "-T", "fields", "-E", "separator=|", "-E", "occurrence=f", *fields),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    packets = []
    for line in said.decode().splitlines():
        source, destination, port, udp, tcp = line.split("|")
        payload = bytes.fromhex((udp or tcp).replace(":", ""))
        packets.append(Packet(source=source, destination=destination, port=int(port or 0), payload=payload))
    return packets
