"""Files that judge a run: a run that changes them, or that was judged by others than the first one, does not count."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.wild import Limits
from tests.support.engine import Project

from .test_wild import SCRIPT, begin, ended

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

CHEAT = SCRIPT.replace("noise = random", "if a.lr != 0.01: open('judge.py', 'a').write('# kinder')\nnoise = random")


def test_a_run_that_changes_its_judge_is_void_and_confirms_nothing(one: Project) -> None:
    (one.folder / "judge.py").write_text("def score(x):\n    return x\n")
    command = one.script("cheat.py", CHEAT)
    loop = ended(one, begin(one, command=command, eval_files=["judge.py"], limits=Limits(runs=16)))
    runs = one.client.all_runs()
    touched = [run for run in runs if "lr" in run.params]
    assert touched and all("judge.py" in run.void for run in touched)
    assert all(verdict.verdict != "confirmed" for verdict in loop.verdicts)


def test_an_honest_run_counts(one: Project) -> None:
    (one.folder / "judge.py").write_text("def score(x):\n    return x\n")
    loop = ended(one, begin(one, eval_files=["judge.py"], limits=Limits(runs=5)))
    assert loop.baseline is not None and not any(run.void for run in one.client.all_runs())


SWAP = SCRIPT.replace(
    "noise = random",
    "judge = open('judge.py').read()\nif a.lr != 0.01:\n open('judge.py', 'w').write('# kinder')\n"
    " open('judge.py', 'w').write(judge)\nnoise = random",
)
HELPED = SCRIPT.replace(
    "noise = random", "if a.lr != 0.01: open('units/scale.py', 'a').write('# kinder')\nnoise = random"
)


def test_a_judge_that_is_swapped_and_put_back_within_a_run_voids_it(one: Project) -> None:
    (one.folder / "judge.py").write_text("def score(x):\n    return x\n")
    command = one.script("cheat.py", SWAP)
    loop = ended(one, begin(one, command=command, eval_files=["judge.py"], limits=Limits(runs=7)))
    touched = [run for run in one.client.all_runs() if "lr" in run.params]
    assert touched and all("judge.py was written or moved" in run.void for run in touched)
    assert loop.baseline is not None and loop.baseline.n >= 2, "runs that left it alone count"


def test_what_the_judge_imports_judges_too(one: Project) -> None:
    (one.folder / "judge.py").write_text("from units import scale\n")
    (one.folder / "units").mkdir()
    (one.folder / "units" / "scale.py").write_text("ONE = 1\n")
    command = one.script("cheat.py", HELPED)
    loop = ended(one, begin(one, command=command, eval_files=["judge.py"], limits=Limits(runs=7)))
    assert loop.setup.eval_files == ["judge.py", "units/scale.py"], "shown to the person and to the guard"
    touched = [run for run in one.client.all_runs() if "lr" in run.params]
    assert touched and all("units/scale.py" in run.void for run in touched)
