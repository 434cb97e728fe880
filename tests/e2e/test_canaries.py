"""A whole fleet at DEBUG, called by a shell and by a browser: no secret of theirs is in a log or on a command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Page, Response, expect

from protocol.ice import short_lived
from provisioning.people import People
from provisioning.registry import Registry
from provisioning.store import Fleet, load
from tests.kit.brokers import free_port
from tests.kit.canaries import Canaries, processes
from tests.kit.coturn import SECRET, Coturn, coturn
from tests.kit.demo import see_more
from tests.kit.pki import make_fleet, utc_now
from tests.kit.site import LIVE

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.xdist_group("demo"), pytest.mark.timeout(180)]

# As the command does it, with everything that any library has to say.
_DEBUG = "import logging; logging.getLogger().setLevel(logging.DEBUG); from camward.cli import main; exit(main())"
_CAMWARD = (sys.executable, "-c", _DEBUG)

# What a page's own script may not read, a test may: the descriptions that its connection was given.
_REMEMBER = """
window.descriptions = [];
for (const name of ["setLocalDescription", "setRemoteDescription"]) {
    const original = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = function (description) {
        if (description?.sdp) window.descriptions.push(description.sdp);
        return original.apply(this, arguments);
    };
}
"""


@dataclass
class World:
    """One fleet of processes; `logs` is what each of them has said."""

    directory: Path
    fleet: Fleet
    relay: Coturn
    canaries: Canaries = field(default_factory=Canaries)
    logs: dict[str, str] = field(default_factory=dict)
    ended: dict[str, int | None] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def started(self, name: str, *arguments: str, said: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
        """Run `camward` at DEBUG; `said` is for its standard input, and its log stands under `name`."""
        process = await asyncio.create_subprocess_exec(
            *_CAMWARD,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdin is not None
        process.stdin.write(said.encode())
        self.logs[name] = ""
        reading = asyncio.create_task(self._read(name, process))
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(30):
                await process.wait()
                await reading
            self.ended[name] = process.returncode

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not reached():
                await asyncio.sleep(0.05)

    async def _read(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while piece := await process.stdout.read(65536):
            self.logs[name] += piece.decode(errors="replace")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fleet on free ports, with a relay. Keys, the relay's secret and this machine's addresses are canaries."""
    directory = make_fleet(tmp_path / "fleet").directory
    ports = [f"{name} = {free_port()}\n" for name in ("https", "broker", "page")]
    settings = (directory / "fleet.toml").read_text().partition("[ports]")[0]
    (directory / "turn.secret").write_text(SECRET)
    with coturn("127.0.0.1", load(directory), tmp_path / "coturn", ports=(free_port(), free_port())) as relay:
        servers = f'[ice]\nturn = ["{relay.turn()}"]\nturn_secret = "turn.secret"\n'
        (directory / "fleet.toml").write_text(settings + servers + "[ports]\n" + "".join(ports))
        world = World(tmp_path, load(directory), relay)
        world.canaries.add_addresses()
        world.canaries.add("the relay's secret", SECRET)
        yield world


async def test_no_secret_is_in_a_log_on_a_command_line_or_in_an_environment(world: World, page: Page) -> None:
    fleet, canaries = world.fleet, world.canaries
    registry = Registry(fleet.registry_url)
    people, claim = People(registry.engine), registry.claim("SN1", "Door", utc_now())
    canaries.add("claim code", claim.code)
    people.permit("anna", device="*", scope=LIVE, is_app=False, now=utc_now())
    codes = [people.new_code("anna", utc_now()) for _ in range(2)]
    for number, code in enumerate(codes):
        canaries.add(f"sign-in code {number}", code)
    config = _write_config(world)

    async with world.started("fleet", "fleet", "serve", "--dir", str(fleet.directory)):
        await world.until(lambda: "serving " in world.logs["fleet"])
        enrolling = ("enroll", "--config", str(config), "--serial", "SN1")
        async with world.started("enrolment", *enrolling, said=f"{claim.code}\n") as enrolment:
            await enrolment.wait()
        assert "enrolled as" in world.logs["enrolment"]
        async with world.started("camera", "run", "--config", str(config)):
            await world.until(lambda: "Door: connected" in world.logs["fleet"])
            watching = ("view", "--device", claim.device, "--fleet", f"https://localhost:{fleet.ports.https}")
            watching += ("--root", str(fleet.directory / "root.pem"), "--json")
            async with world.started("shell", *watching, said=f"{codes[0]}\n"):
                world.logs["browser"] = await _browse(world, page, codes[1])
                await world.until(lambda: " fps" in world.logs["shell"])
                canaries.add_keys(world.directory)
                await world.until(lambda: len(world.relay.passwords()) == 3)  # the camera, the shell and the browser
                for name, password in world.relay.passwords().items():
                    canaries.add(f"TURN password of {name}", password)
                found = [(name, canary) for name, text in processes() for canary in canaries.in_process(text)]

    assert not found
    registry.close()
    seen = json.loads(world.logs["shell"].splitlines()[-1])
    assert seen["frames"] > 0, world.logs["shell"]
    assert " debug " in world.logs["camera"]
    assert " debug " in world.logs["fleet"]
    assert len([name for name in canaries.secrets if "key" in name]) > 10
    for name, text in world.logs.items():
        assert not canaries.in_log(text), f"in the log of {name}:\n{text}"


async def _browse(world: World, page: Page, code: str) -> str:
    """Watch in the browser, add its secrets to the canaries, and give what stood on its console."""
    said, grants = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))

    async def answered(response: Response) -> None:
        if response.url.endswith("/v1/grants"):
            grants.append((await response.json())["grant"])

    page.on("response", answered)
    await page.add_init_script(_REMEMBER)
    await page.goto(f"http://localhost:{world.fleet.ports.page}/#code={code}")
    await page.locator("#devices li[data-device] button").click()
    await expect(page.locator("#state")).to_have_text("Live", timeout=60_000)
    await see_more(page)
    for sdp in await page.evaluate("window.descriptions"):
        world.canaries.add_sdp(sdp)
    for number, cookie in enumerate(await page.context.cookies()):
        world.canaries.add(f"cookie {number}", str(cookie["value"]))
    (grant,) = grants
    world.canaries.add("grant", grant)
    return "\n".join(said)


def _write_config(world: World) -> Path:
    fleet, path = world.fleet, world.directory / "agent.toml"
    made = short_lived(SECRET, name="camera", until_s=int(time.time()) + 600)
    credential = world.directory / "turn.toml"
    credential.write_text(f'username = "{made.username}"\npassword = "{made.password}"\n')
    tables = {
        "identity": {
            "root": str(fleet.directory / "root.pem"),
            "est": f"https://localhost:{fleet.ports.https}",
            "directory": str(world.directory / "device"),
        },
        "broker": {"host": "localhost", "port": fleet.ports.broker},
        "camera": {"source": "pattern", "width": 320, "height": 180},
        "network": {"turn": [world.relay.turn()], "turn_credential": str(credential)},
        "log": {"level": "debug"},
    }
    lines = [
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        for table, settings in tables.items()
    ]
    path.write_text("\n".join(lines))
    return path
