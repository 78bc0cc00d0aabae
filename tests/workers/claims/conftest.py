"""Gives the tests of claims a clearinghouse behind a real SFTP server, and partners that reach it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.apps.insurance.models import TradingPartner
from backend.apps.insurance.tests import factories
from integrations.x12.fake import FakeClearinghouse
from tests.integrations.clearinghouse.api_double import KEY, ApiDouble


@pytest.fixture
def secrets(settings: Any, tmp_path: Path) -> Path:
    settings.PARTNER_SECRETS = tmp_path / "secrets"
    settings.PARTNER_SECRETS.mkdir()
    return tmp_path / "secrets"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FakeClearinghouse]:
    with FakeClearinghouse(tmp_path / "house") as running:
        running.order(checks=False)
        yield running


@pytest.fixture
def over_sftp(house: FakeClearinghouse, secrets: Path, db: None) -> TradingPartner:
    (secrets / "house").write_text(house.client_key)
    return factories.partner(
        transport="sftp",
        host=house.host,
        port=house.port,
        host_key=house.host_key,
        username=house.username,
        secret_name="house",
        outbound_folder="inbound",  # the partner's own names
        inbound_folder="outbound",
    )


@pytest.fixture
def api(secrets: Path) -> Iterator[ApiDouble]:
    (secrets / "api").write_text(f"Authorization: {KEY}\n")
    with ApiDouble() as double:
        yield double


@pytest.fixture
def over_https(api: ApiDouble, db: None) -> TradingPartner:
    return factories.partner(transport="https", base_url=f"{api.url}/v1", secret_name="api")
