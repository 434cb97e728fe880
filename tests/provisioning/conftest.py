"""What several tests here share: the site of page, API and calls, and each of the two brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import ClientSession

from tests.kit.brokers import RunningBroker
from tests.kit.clients import KINDS, running
from tests.kit.site import Web, serving_site


@pytest.fixture(params=KINDS)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with running(request.param, tmp_path, []) as broker:
        yield broker


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with serving_site(tmp_path / "fleet") as web:
        yield web


@pytest.fixture
async def browser(web: Web) -> AsyncIterator[ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # takes cookies from an address, as a browser does
    async with ClientSession(web.origin, cookie_jar=jar, headers={"Origin": web.origin}) as session:
        yield session


@pytest.fixture
async def anna(web: Web, browser: ClientSession) -> ClientSession:
    async with browser.post("/v1/sign-in", json={"code": web.code()}) as response:
        assert response.status == 204
    return browser
