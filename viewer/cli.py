"""The viewer's command: camward view."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import getpass
import json
import logging
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from protocol.printable import printable, to_stderr
from viewer.errors import INTERRUPTED, Usage, ViewError

if TYPE_CHECKING:
    from viewer.call import Granted, Line
    from viewer.options import Options

OK: Final = 0
STOPPED: Final = 130


def view(argv: list[str]) -> int:
    """`camward view`: watch or record one camera. Returns the exit code."""
    from viewer import options as command_line  # brings aiohttp and PyAV

    try:
        options = command_line.read(argv)
        code = "" if options.app else _code(options.code_file)
    except Usage as error:
        print(f"camward: {error}", file=sys.stderr)
        return error.exit_code
    logging.basicConfig(handlers=[to_stderr()])
    for name in ("aioice", "aiortc"):  # they speak of every candidate, and so of where we are
        logging.getLogger(name).setLevel(logging.WARNING)
    report: dict[str, Any] = {"device": options.device}
    try:
        report |= {"reason": asyncio.run(_view(options, code, report)), "exit_code": OK}
    except ViewError as error:
        exit_code = STOPPED if error.reason == INTERRUPTED else error.exit_code
        report |= {"reason": error.reason, "message": str(error), "exit_code": exit_code}
        print(f"camward: {printable(str(error))}", file=sys.stderr)
    if options.as_json:
        print(json.dumps(report))
    elif report.get("frames"):
        print(_sentence(report))
    return int(report["exit_code"])


async def _view(options: Options, code: str, report: dict[str, Any]) -> str:
    """Call and watch; `report` gets the figures, also when it ends in an error. Errors: ViewError."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from protocol import jws
    from protocol.certificates import thumbprint
    from viewer.call import Call
    from viewer.watch import Watch

    key = ec.generate_private_key(ec.SECP256R1())
    async with _way(options, code, jws.public_jwk(key.public_key())) as (granted, transport, regrant):
        watch = Watch(
            Call(
                device=options.device,
                root=options.root,
                key=key,
                granted=granted,
                camera=options.camera,
                random=secrets.token_bytes,
            ),
            transport,
            ice_servers=granted.ice_servers,
            seconds=options.seconds,
            record=options.record,
            say=lambda line: print(printable(line), file=sys.stderr),
            regrant=regrant,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, watch.stop)
        try:
            return await watch.run()
        finally:
            if watch.leaf is not None:
                report["certificate_sha256"] = thumbprint(watch.leaf).hex(":").upper()
                report["not_after"] = f"{watch.leaf.not_valid_after_utc:%FT%TZ}"
            report |= dataclasses.asdict(watch.figures.summary(watch.packets_lost))
            report["file"] = str(options.record) if options.record is not None and report["frames"] else None


@contextlib.asynccontextmanager
async def _way(
    options: Options, code: str, jwk: dict[str, str]
) -> AsyncIterator[tuple[Granted, Line, Callable[[], Awaitable[Granted]]]]:
    """Get the grant, the way to the device (an app's over MQTT, else over the gateway), and that to fresh grants."""
    from viewer.fleet import Fleet, tls
    from viewer.way import Way

    app = options.app
    context = tls(options.root_path, app.credentials if app else None)
    async with Fleet.connect(options.fleet, context) as fleet:

        async def regrant() -> Granted:
            return await fleet.grant(options.device, jwk)

        if app is not None:
            from viewer.mqtt import App

            granted = await regrant()
            root, device = options.root_path, options.device
            async with Way.open(lambda: App.connect(app, root, device)) as way:
                yield granted, way, regrant
        else:
            from viewer.gateway import Gateway

            await fleet.sign_in(code)
            granted = await regrant()
            async with Way.open(lambda: Gateway.connect(fleet, options.device)) as way:
                yield granted, way, regrant


def _code(path: Path | None) -> str:
    """Read the sign-in code: from a file, a terminal, or standard input. Errors: Usage."""
    try:
        if path is not None:
            code = path.read_text("utf-8")
        elif sys.stdin is None:
            code = ""
        elif sys.stdin.isatty():
            code = getpass.getpass("sign-in code: ")
        else:
            code = sys.stdin.readline()
    except (OSError, EOFError, ValueError) as error:
        raise Usage("usage", f"The sign-in code cannot be read: {error}.") from error
    if not code.strip():
        raise Usage("usage", "A sign-in code is wanted on standard input; `camward fleet grant` makes one.")
    return code.strip()


def _sentence(report: dict[str, Any]) -> str:
    saved = f", saved to {report['file']}" if report["file"] else ""
    return (
        f"{report['frames']} pictures of {report['width']}x{report['height']} in {report['duration_s']:.1f} s"
        f" ({report['fps'] or 0:.2f} fps, {(report['bitrate_bps'] or 0) / 1e6:.2f} Mbit/s,"
        f" {report['packets_lost']} packets lost), the first after {report['time_to_first_picture_ms']} ms{saved};"
        f" certificate {report['certificate_sha256']} until {report['not_after']}"
    )
