"""The optimisers' contract, passed by TPE and by the random draw it has to beat."""

from __future__ import annotations

import pytest

from ragent_jupyter.adapters.optimiser import OptunaOptimiser, RandomOptimiser
from ragent_jupyter.domain.ports_wild import Optimiser

from .optimiser import OptimiserContract


class TestRandom(OptimiserContract):
    @pytest.fixture
    def optimiser(self) -> Optimiser:
        return RandomOptimiser()


class TestOptuna(OptimiserContract):
    @pytest.fixture
    def optimiser(self) -> Optimiser:
        return OptunaOptimiser()
