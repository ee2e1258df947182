"""What a turn may cost, as the preferences say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ragent_jupyter.engine.mind import Mind


@pytest.mark.parametrize(("prefs", "cost"), [({}, None), ({"turn_cost_usd": 0}, 0.0), ({"turn_cost_usd": 2}, 2.0)])
def test_a_limit_of_nothing_is_a_limit(prefs: dict[str, Any], cost: float | None) -> None:
    mind: Any = SimpleNamespace(shell=SimpleNamespace(prefs=prefs))
    assert Mind._limits(mind).cost == cost
