"""An IP camera of any make, over RTSP (RFC 2326): its H.264 passed on as it is.

FFmpeg's errors quote the address with the password in it, so no error of it is kept, chained or logged.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import av
from av.container import InputContainer

from agent.capture.clock import Clock
from agent.capture.source import CaptureError, PermanentCaptureError, TemporaryCaptureError
from agent.config import CameraConfig
from agent.media import annexb
from agent.media.access_unit import AccessUnit, StreamName
from agent.secret_file import secrets_in

_LOOKUP_S = 2.0
# FFmpeg looks at the time while it waits, and at nothing else: a stopped run ends with the next picture, or then.
_OPEN_S, _STALL_S = 2.0, 2.0  # each may pass twice: to connect and to look at the stream; to flush and to give up
# Cameras that save bits make a keyframe every twelve seconds or so; one that makes none at all cannot be watched.
_LONGEST_WITHOUT_IDR_S = 20.0
_OPTIONS = {
    "rtsp_transport": "tcp",  # what is lost on UDP is lost for all viewers
    "allowed_media_types": "video",
    # The SDP says it all: each picture that is looked at before the first is shown makes all of them late.
    "analyzeduration": "1",  # microseconds; 0 is as long as FFmpeg likes
    "probesize": "32",
    "fpsprobesize": "0",
    "reorder_queue_size": "0",
    "codec_whitelist": "none",  # nothing is decoded, not even to look at it
}
_SETTINGS = "set it to H.264, no B frames and a keyframe each second or two"


class Rtsp:
    """A Source of a camera at `rtsp://HOST[:PORT]/PATH`. Neither a keyframe nor a bitrate can be asked of it."""

    has_sub = False

    def __init__(self, config: CameraConfig) -> None:
        """Nothing is opened yet."""
        self._address = urlsplit(config.source)
        # For the owner's log: without the path, which may be a login. Viewers are told `name`, without the host too.
        self._shown = f"rtsp {self._address.hostname}"
        self._login_file = config.rtsp_login
        self.name = "rtsp, as it is"
        self._stopped = threading.Event()

    def run(self, emit: Callable[[AccessUnit], None]) -> None:
        """Emit what the camera sends until stopped. Errors: CaptureError.

        A camera that says nothing more holds up the end of `run` for up to four seconds.
        """
        if self._stopped.is_set():
            return
        fault: CaptureError | None = None
        try:
            with av.open(self._url(), options=_OPTIONS, timeout=(_OPEN_S, _STALL_S)) as container:
                self._pass_on(container, emit)
        except annexb.MalformedH264 as error:
            fault = TemporaryCaptureError(f"{self._shown}: the camera's H.264 is damaged ({error})")
        except (av.FFmpegError, OSError) as error:
            fault = self._fault(error)
        if self._stopped.is_set():
            return
        # Outside of the handler, so that FFmpeg's error is not chained.
        raise fault or TemporaryCaptureError(f"{self._shown}: the camera ended the connection")

    def stop(self) -> None:
        """End `run` with the camera's next picture."""
        self._stopped.set()

    def request_keyframe(self, stream: StreamName = "main") -> None:
        """Nothing: RTSP has no word for it. Viewers begin with the camera's own next keyframe."""

    def set_bitrate(self, bitrate_bps: int, stream: StreamName = "main") -> None:
        """Nothing: the camera has the bitrate that it was set to."""

    def want_sub(self, wanted: bool) -> None:
        """Nothing: one stream is asked for."""

    def _pass_on(self, container: InputContainer, emit: Callable[[AccessUnit], None]) -> None:
        if not container.streams.video:
            raise PermanentCaptureError(f"{self._shown}: nothing there has a picture")
        video = container.streams.video[0]
        codec = video.codec_context
        if codec.name != "h264":
            raise PermanentCaptureError(f"{self._shown}: the camera sends {codec.name}; {_SETTINGS}")
        self.name = f"rtsp {codec.width}x{codec.height}, as it is"
        # What the SDP says (RFC 6184, section 8.2.1) stands in front until the stream itself says it.
        clock, assembler = Clock(), annexb.Assembler(annexb.nal_units(codec.extradata) if codec.extradata else ())
        keyframe_at = time.monotonic()
        for packet in container.demux(video):
            if self._stopped.is_set():
                return
            if not packet.size:
                continue
            units = list(annexb.nal_units(bytes(packet)))
            if any(map(annexb.is_b_slice, units)):
                raise PermanentCaptureError(f"{self._shown}: B frames, which WebRTC cannot show; {_SETTINGS}")
            unit = assembler.access_unit(units, clock.pts_us(packet))
            if unit is not None:
                emit(unit)
            now = time.monotonic()
            if unit is not None and unit.keyframe:
                keyframe_at = now
            elif now - keyframe_at > _LONGEST_WITHOUT_IDR_S:
                raise TemporaryCaptureError(
                    f"{self._shown}: no keyframe (IDR) for {_LONGEST_WITHOUT_IDR_S:g} s; {_SETTINGS}"
                )

    def _url(self) -> str:
        host = looked_up(self._address.hostname or "", _LOOKUP_S)
        at = f"[{host}]" if ":" in host else host
        netloc = at if self._address.port is None else f"{at}:{self._address.port}"
        if self._login_file is None:
            return self._address._replace(netloc=netloc).geturl()
        try:
            match secrets_in(self._login_file):
                case {"username": str(username), "password": str(password), **others} if not others:
                    login = f"{quote(username, safe='')}:{quote(password, safe='')}"
                case _:
                    raise PermanentCaptureError(f"{self._login_file} holds username and password, and nothing else")
        except (OSError, ValueError) as error:
            raise PermanentCaptureError(f"camera.rtsp_login: {error}") from error
        return self._address._replace(netloc=f"{login}@{netloc}").geturl()

    def _fault(self, error: av.FFmpegError | OSError) -> CaptureError:
        if isinstance(error, (av.HTTPUnauthorizedError, av.HTTPForbiddenError)):
            # Not tried again: some cameras lock out who fails a few times.
            wrong = (
                "the username or the password is wrong" if self._login_file else "a username and a password are wanted"
            )
            return PermanentCaptureError(f"{self._shown}: {wrong}; see camera.rtsp_login")
        if isinstance(error, av.HTTPNotFoundError):
            why = "the camera has no such path; its manual names that of its stream"
        elif isinstance(error, av.ExitError):
            why = "the camera says nothing; is it on, and its address right?"
        elif error.errno == errno.EIO:
            why = "it ended the connection; is the camera on, and its address right?"
        else:
            why = f"{error.strerror}; is the camera on, and its address right?"
        return TemporaryCaptureError(f"{self._shown}: {why}")


def looked_up(host: str, within_s: float) -> str:
    """Find a host's address, an IPv4 one where it has any. Errors: TemporaryCaptureError.

    Left to FFmpeg, a name server that is silent would hold it up for as long as it likes.
    """
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    found: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found.put(None)
        else:
            found.put([str(answer[4][0]) for answer in sorted(answers, key=lambda answer: answer[0] != socket.AF_INET)])

    threading.Thread(target=ask, name="name lookup", daemon=True).start()
    try:
        addresses = found.get(timeout=within_s)
    except queue.Empty:
        raise TemporaryCaptureError(f"rtsp {host}: the name server says nothing; try the camera's address") from None
    if not addresses:
        raise TemporaryCaptureError(f"rtsp {host}: no such host; is the camera on, and its name right?")
    return addresses[0]
