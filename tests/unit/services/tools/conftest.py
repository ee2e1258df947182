from __future__ import annotations

from pathlib import Path

import pytest

from .hands import Hands


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    return Hands(tmp_path)
