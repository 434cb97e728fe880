"""An app under an attacker: it forges calls as fast as it is told, as a process of its own.

`python -m tests.kit.flooder PLAN`: the plan is a JSON file, see `Plan`. Prints how many it sent.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import secrets
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiomqtt

from protocol import topics

_SIGNATURE_BYTES = 64
_TICK_S = 0.01
_POOL = 2000  # made before the first is sent; they come again after that, and nobody remembers them


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`templates` are compact offers; each is sent with a `sid` and a signature that were made up."""

    port: int
    root: str
    credentials: str
    device: str
    templates: list[str]
    per_s: int
    seconds: float

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(asdict(self)))
        return path


def forgeries(templates: list[str]) -> Iterator[bytes]:
    """Each is well formed, has a sid of its own, and is signed by nobody."""
    parts = [template.split(".") for template in templates]
    taken_apart = [(header, json.loads(base64.urlsafe_b64decode(payload + "=="))) for header, payload, _ in parts]
    for header, payload in itertools.cycle(taken_apart):
        changed = payload | {"sid": _encoded(secrets.token_bytes(16))}
        body = _encoded(json.dumps(changed, separators=(",", ":")).encode())
        yield f"{header}.{body}.{_encoded(os.urandom(_SIGNATURE_BYTES))}".encode()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def flood(plan: Plan) -> int:
    """Send at an even pace, whatever comes of it; gives how many."""
    context = ssl.create_default_context(cafile=plan.root)
    context.load_cert_chain(plan.credentials)
    messages, sent = itertools.cycle(list(itertools.islice(forgeries(plan.templates), _POOL))), 0
    async with aiomqtt.Client("localhost", plan.port, tls_context=context, timeout=10) as client:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < plan.seconds:
            while sent < passed * plan.per_s:
                await client.publish(topics.call(plan.device), next(messages), qos=0)
                sent += 1
            await asyncio.sleep(_TICK_S)
    return sent


if __name__ == "__main__":
    print(asyncio.run(flood(Plan(**json.loads(Path(sys.argv[1]).read_text())))))  # noqa: T201
