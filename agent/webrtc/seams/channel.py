"""SCTP beneath the data channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import SackChunk, parse_packet

HANDLE_DATA: Final = "_handle_data"
_SCTP_BYTES: Final = 64 * 1024  # what a viewer may have under way, as the receive window says too
_SCTP_CHUNKS: Final = 256
_SCTP_STREAMS: Final = 4


def bound_sctp(sctp: RTCSctpTransport, misused: Callable[[], None]) -> None:
    """Bound what a viewer can have SCTP keep, and tell `misused` of one who sends what a data channel has no use for.

    aiortc announces a receive window and does not hold anybody to it, and raises on what it does not expect.
    """
    handle = getattr(sctp, HANDLE_DATA)
    sctp._advertised_rwnd = _SCTP_BYTES

    async def handle_data(data: bytes) -> None:
        if _claims_too_much(data):
            misused()
            return
        try:
            await handle(data)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001  # its parser has as many kinds as that of SDP
            misused()
            return
        streams = sctp._inbound_streams
        chunks = sum(len(stream.reassembly) for stream in streams.values()) + len(sctp._sack_misordered)
        if sctp._advertised_rwnd < 0 or chunks > _SCTP_CHUNKS or len(streams) > _SCTP_STREAMS:
            misused()

    setattr(sctp, HANDLE_DATA, handle_data)


def _claims_too_much(data: bytes) -> bool:
    """Whether a SACK names more chunks than we ever have under way: aiortc counts through all of them, one by one."""
    try:
        *_, chunks = parse_packet(data)
    except ValueError:
        return False  # aiortc passes it over
    gaps = [gap for chunk in chunks if isinstance(chunk, SackChunk) for gap in chunk.gaps]
    return len(gaps) > _SCTP_CHUNKS or any(end > _SCTP_CHUNKS for _, end in gaps)
