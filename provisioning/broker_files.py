"""The files that a mosquitto runs with: `broker/` in the fleet's directory, all of them made anew each time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from protocol.names import Issuer
from provisioning import broker
from provisioning.broker import Listener
from provisioning.crl import make_crl
from provisioning.files import write_atomic
from provisioning.store import Fleet


def write_broker_files(
    fleet: Fleet,
    *,
    apps: Sequence[str],
    withdrawn: Sequence[int],
    now: datetime,
    address: str | None = None,
    user: str | None = None,
) -> Path:
    """Write mosquitto.conf and all it names into `broker/`, and give its path.

    `withdrawn` are the serial numbers for the CRL. A running mosquitto reads rules and CRL again at SIGHUP; once a
    CRL has ended it takes nobody, so that this is called at every start and every day.
    """
    directory = (fleet.directory / "broker").absolute()
    directory.mkdir(mode=0o700, exist_ok=True)
    server = fleet.ensure_server(now).path.absolute()
    listener = Listener(
        port=fleet.ports.broker,
        anchors=directory / "clients.pem",
        certificate=server,
        key=server,
        crl=directory / "clients.crl",
        rules=directory / "rules.acl",
        address=address,
        user=user,
    )
    write_atomic(listener.anchors, fleet.anchors_pem(Issuer.DEVICE, Issuer.CLIENT).encode())
    lists = (
        make_crl(fleet.authorities[Issuer.DEVICE], withdrawn, now),
        make_crl(fleet.authorities[Issuer.CLIENT], (), now),
    )
    write_atomic(listener.crl, b"".join(crl.public_bytes(Encoding.PEM) for crl in lists))
    write_atomic(listener.rules, broker.rules(apps).encode())
    path = directory / "mosquitto.conf"
    write_atomic(path, broker.configuration(listener).encode())
    return path
