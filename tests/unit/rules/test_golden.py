"""A recorded conversation is folded to the same by today's code; the browser's fold is held to the same files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.golden.record import HERE, folded, shown

RECORDINGS = sorted(HERE.glob("*.jsonl"))


def test_there_are_recordings() -> None:
    assert RECORDINGS


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_folds_to_what_it_did(path: Path) -> None:
    lines = path.read_text().splitlines()
    wanted = json.loads(path.with_suffix(".folded.json").read_text())
    assert shown(folded(lines)) == wanted and not wanted["gap"]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_so_does_one_that_is_heard_with_repetitions(path: Path) -> None:
    lines = path.read_text().splitlines()
    wanted = json.loads(path.with_suffix(".folded.json").read_text())
    random.seed(7)
    for _ in range(20):
        heard = list(lines)
        for _ in range(10):
            start = random.randrange(1, len(lines))
            again = lines[max(1, start - random.randrange(1, 30)) : start]
            place = max(i for i, line in enumerate(heard) if line is lines[start - 1]) + 1
            heard[place:place] = [line for line in again if '"snapshot"' not in line]
        assert shown(folded(heard)) == wanted
