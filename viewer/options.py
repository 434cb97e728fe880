"""What `camward view` takes on its command line, read and checked."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from yarl import URL

from protocol.certificates import role_of
from protocol.errors import Malformed, Untrusted
from protocol.names import Role, check_device_id
from viewer.errors import Usage
from viewer.fleet import parse_fleet
from viewer.record import check_path

BROKER_PORT: Final = 8883

_ABOUT: Final = """\
Watch a camera from a shell: its picture is received, verified and counted, and with --record saved as it was encoded.
A person signs in with a one-time code, which is asked for or read from standard input. An app shows its certificate.
"""
_MORE: Final = """\
exit codes:
  0    pictures came, for as long as was asked for
  1    a fault on this machine, or on the way to the fleet
  2    wrong usage
  3    the camera or the fleet refused
  4    somebody could not prove to be this camera, or this fleet
  5    the camera is offline, or no picture came in time, or none any more
  130  interrupted before the first picture

examples:
  camward view --device ID --fleet https://camera.example:8443 --root root.pem
  camward view --device ID --fleet https://camera.example:8443 --root root.pem --record out.mp4 --seconds 10 < code
  camward view --device ID --fleet https://camera.example:8443 --root root.pem --app door.pem --broker camera.example
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """An app's own way to call."""

    credentials: Path
    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One call."""

    device: str
    fleet: URL
    root_path: Path
    root: x509.Certificate
    camera: str
    app: AppOptions | None
    code_file: Path | None
    record: Path | None
    seconds: float | None
    as_json: bool


def read(argv: list[str]) -> Options:
    """Read the command line; ends the process for `--help`, and for what argparse finds wrong. Errors: Usage."""
    given = _parser().parse_args(argv)
    if (given.app is None) != (given.broker is None):
        raise Usage("usage", "--app and --broker go together: an app calls over the broker.")
    if given.app is not None and given.code_file is not None:
        raise Usage("usage", "An app shows its certificate and has no sign-in code: --app or --code-file, not both.")
    if given.seconds is not None and not 0 < given.seconds < float("inf"):
        raise Usage("usage", "--seconds is a number above 0.")
    if given.record is not None:
        check_path(given.record)
    try:
        device = check_device_id(given.device)
    except Malformed as error:
        raise Usage("usage", f"--device: {error}; `camward fleet devices` lists them.") from error
    fleet = parse_fleet(given.fleet)
    if given.app is not None and fleet.scheme != "https":
        raise Usage("usage", "An app shows its certificate over TLS: --fleet with https.")
    return Options(
        device=device,
        fleet=fleet,
        root_path=given.root,
        root=_certificate(given.root, "root.pem of the fleet's directory"),
        camera=given.camera,
        app=None if given.app is None else _app(given.app, given.broker),
        code_file=given.code_file,
        record=given.record,
        seconds=given.seconds,
        as_json=given.json,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="camward view",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--device", required=True, metavar="ID", help="the camera, by its id")
    add("--camera", default="", metavar="NAME", help="which of its cameras, where it has several; else the first")
    add("--fleet", required=True, metavar="URL", help="the fleet service; plain http only on localhost")
    add("--root", type=Path, required=True, metavar="FILE", help="whom to trust: root.pem of the fleet's directory")
    add("--code-file", type=Path, metavar="FILE", help="where the sign-in code stands")
    add("--app", type=Path, metavar="FILE", help="call over MQTT as an app: its key and certificates")
    add("--broker", metavar="HOST[:PORT]", help=f"the broker that an app calls over (port {BROKER_PORT})")
    add("--record", type=Path, metavar="FILE", help="save the H.264: .mp4, .mkv, or .h264 (which has no times)")
    add("--seconds", type=float, metavar="N", help="so much picture and no more; otherwise until Ctrl-C")
    add("--json", action="store_true", help="one line of JSON on standard output at the end")
    return parser


def _app(credentials: Path, broker: str) -> AppOptions:
    leaf = _certificate(credentials, "the file that `camward fleet grant NAME --app` made")
    try:
        role, name = role_of(leaf)
    except Untrusted as error:
        raise Usage("usage", f"{credentials} holds no certificate of an app: {error}.") from error
    if role is not Role.APP:
        raise Usage("usage", f"{credentials} holds a certificate of the role {role}, not of an app.")
    try:
        url = URL(f"mqtts://{broker}")
        host, port = url.host, url.explicit_port or BROKER_PORT
    except ValueError as error:
        raise Usage("usage", f"--broker is HOST or HOST:PORT, not {broker!r}.") from error
    if not host or url.path not in {"", "/"}:
        raise Usage("usage", f"--broker is HOST or HOST:PORT, not {broker!r}.")
    return AppOptions(credentials=credentials, name=name, host=host, port=port)


def _certificate(path: Path, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Usage("file", f"{path} holds no certificate that can be read ({error}); it is {what}.") from error
