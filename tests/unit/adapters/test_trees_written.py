"""A run that writes into the read-only tree it executes in: root may, and then its numbers do not count."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ragent_jupyter.adapters.trees import GitTrees


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "src").mkdir(parents=True)
    (place / "src" / "train.py").write_text("x = 1\n")
    (place / "evaluate.py").write_text("e = 1\n")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)
    return place


@pytest.mark.parametrize("how", ["altered", "removed", "added"])
def test_a_tree_that_was_written_voids_the_run(repository: Path, tmp_path: Path, how: str) -> None:
    trees = GitTrees(repository)
    base = trees.base(str(repository), "wld_1")
    run_dir = tmp_path / "run"
    trees.work(base.commit, run_dir, str(repository))
    assert trees.code_changed(run_dir) == []
    tree = trees.tree(base.commit)
    judge = tree / "evaluate.py"
    os.chmod(tree, 0o755)
    if how == "altered":
        os.chmod(judge, 0o644)
        judge.write_text("e = 2\n")
    elif how == "removed":
        judge.unlink()
    else:
        (tree / "random.py").write_text("seed = 1\n")
    found = trees.code_changed(run_dir)
    assert found == ["random.py" if how == "added" else "evaluate.py"]
