"""A whole call through a relay, with the daemon, mosquitto, coturn and the viewer for the shell."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from protocol import jws
from protocol.certificates import thumbprint
from protocol.names import Role
from provisioning.registry import Registry
from tests.kit.brokers import RunningBroker, make_fleet, mosquitto
from tests.kit.caller import Caller, Signer
from tests.kit.device import device_config, running
from tests.kit.link import needs_root
from tests.kit.pki import EnrolledDevice, enrol, issue_leaf
from tests.kit.town import Town, network
from viewer.call import Call, Granted
from viewer.errors import Declined
from viewer.mqtt import App
from viewer.options import AppOptions
from viewer.watch import Watch
from viewer.way import Way

pytestmark = [pytest.mark.broker, needs_root, pytest.mark.xdist_group("town")]
APP = "phone"


@asynccontextmanager
async def relayed(place: Town, directory: Path, *, life_s: int) -> AsyncIterator[Watch]:
    """A camera that is reached by TURN over TLS alone, and an app that is about to watch it."""
    async with mosquitto(make_fleet(directory / "fleet"), apps=[APP]) as broker:
        device = enrol(broker.fleet, Registry(broker.fleet.registry_url), "SN1")
        made = network(place, directory, "relay", "tls", life_s=life_s)
        settings = {
            "addresses": made.addresses,
            "turn": list(made.turn),
            "turn_ca": str(made.turn_ca),
            "turn_credential": str(made.turn_credential),
        }
        root = broker.fleet.directory / "root.pem"
        app = AppOptions(
            credentials=broker.leaf(Role.APP, APP), name=APP, host="localhost", port=broker.fleet.ports.broker
        )
        async with (
            running(device_config(broker.fleet, device, directory, network=settings)),
            Way.open(lambda: App.connect(app, root, device.id)) as way,
        ):
            yield Watch(_call(broker, device), way, ice_servers=(), seconds=1.0, record=None, say=lambda line: None)


def _call(broker: RunningBroker, device: EnrolledDevice) -> Call:
    authoriser = issue_leaf(broker.fleet, Role.AUTHORISER, "fleet")
    key = ec.generate_private_key(ec.SECP256R1())
    caller = Caller(
        device=device.id, authoriser=Signer(key=authoriser.key, chain=list(authoriser.chain)), reply=APP, key=key
    )
    granted = Granted(
        token=caller.grant(time.time()),
        caller=APP,
        certificates=frozenset({jws.base64url(thumbprint(device.operational.chain[0]))}),
        ice_servers=(),
    )
    return Call(device=device.id, root=broker.fleet.root, key=key, granted=granted, random=secrets.token_bytes)


async def test_a_viewer_takes_the_relay_that_followed_the_answer_and_sees_the_picture(
    place: Town, tmp_path: Path
) -> None:
    async with relayed(place, tmp_path, life_s=600) as watch, asyncio.timeout(40):
        assert await watch.run() == "done"


async def test_a_viewer_is_told_that_the_relay_takes_the_camera_s_credential_no_more(
    place: Town, tmp_path: Path
) -> None:
    async with relayed(place, tmp_path, life_s=-1) as watch, asyncio.timeout(40):
        with pytest.raises(Declined) as refusal:
            await watch.run()

    assert refusal.value.reason == "relay-refused"
    assert "credential" in str(refusal.value)
