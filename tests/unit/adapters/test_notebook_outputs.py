"""Outputs as text: the file that holds the engine and the tab to the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragent_jupyter.adapters.notebook_hands.outputs import MAX_OUTPUT, digests

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "notebook_outputs.json").read_text())


@pytest.mark.parametrize("one", GOLDEN, ids=lambda one: repr(one["digests"])[:40])
def test_outputs_are_told_as_the_tab_tells_them(one: dict[str, list[dict[str, object]]]) -> None:
    assert digests(one["outputs"]) == one["digests"]


def test_no_output_is_long_and_no_picture_is_in_it() -> None:
    for one in GOLDEN:
        assert all(len(text) <= MAX_OUTPUT + 60 for text in one["digests"])
        assert "AAAAAAAA" not in "".join(one["digests"])
