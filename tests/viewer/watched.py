"""What tests of whole calls have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from tests.kit.caller import Caller, Signer
from tests.viewer.conftest import granted
from viewer.call import Granted, IceServer
from viewer.watch import Watch

Make = Callable[..., Watch]


def regranted(caller: Caller, device: Signer, *ice_servers: IceServer) -> Granted:
    """A fresh grant, as the fleet gives it."""
    return replace(granted(caller, caller.grant(time.time()), device), ice_servers=ice_servers)


def relay(credential: str) -> IceServer:
    """A TURN server that nobody answers at."""
    return IceServer(urls=("turn:127.0.0.1:9",), username="somebody", credential=credential)


async def playing(watched: Watch, *, pictures: int = 1) -> asyncio.Task[str]:
    """Run it, and wait until so many pictures have been seen."""
    running = asyncio.create_task(watched.run())
    while watched.figures.frames < pictures:
        await asyncio.sleep(0.01)
    return running


def cut(watched: Watch) -> None:
    """Let nothing arrive any more over the connection that brings the pictures."""
    receiver = watched._media._carrying
    assert receiver is not None
    transport = receiver._peer.getReceivers()[0].transport

    async def lost(data: bytes, **_: object) -> None:
        pass

    transport._handle_rtp_data = transport._handle_rtcp_data = lost
