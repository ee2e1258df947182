from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_provider import FakeProvider
from tests.unit.gateway.running import KEY, RunningGateway


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Demands the real key."""
    with FakeProvider(key=KEY) as provider:
        yield provider


@pytest.fixture
def gateway(tmp_path: Path, provider: FakeProvider) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, provider) as running:
        yield running
