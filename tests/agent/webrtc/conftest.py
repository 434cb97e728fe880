from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpTransceiver

from agent.media.stream import Stream
from protocol.names import Role, device_id
from tests.kit.caller import Signer, TrustTree
from tests.kit.house import House, Recorded, open_house
from tests.kit.patterned import pattern_stream


@pytest.fixture(scope="module")
def device() -> Signer:
    return TrustTree().leaf(Role.DEVICE, device_id(bytes(16)))


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    """A test pattern on a thread of its own, for as long as the test."""
    async with pattern_stream() as stream:
        yield stream


@pytest.fixture
async def house(stream: Stream, device: Signer) -> AsyncIterator[House]:
    async with open_house(stream, device) as house:
        yield house


@pytest.fixture
async def camera(device: Signer) -> AsyncIterator[Recorded]:
    stream = Stream(ask=lambda: None)
    async with open_house(stream, device) as house:
        yield Recorded(stream, house)


@pytest.fixture
async def peer() -> AsyncIterator[RTCPeerConnection]:
    """A peer connection of aiortc as it is."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield peer
    await peer.close()


@pytest.fixture
def transceiver(peer: RTCPeerConnection) -> RTCRtpTransceiver:
    return peer.addTransceiver("video", direction="sendonly")
