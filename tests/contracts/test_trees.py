"""git and the fake keep the same promises."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ragent_jupyter.adapters.trees import GitTrees
from tests.support.fake_trees import FakeTrees
from tests.support.git_repo import Repo

from .trees import FILES, Ground, TreesContract


class GitGround:
    def __init__(self, folder: Path) -> None:
        self.repo = Repo(folder)
        self.folder = self.repo.folder
        self.repo.commit({**FILES, ".gitignore": "weights/\n__pycache__/\n"})
        (self.folder / ".ragent").mkdir()
        (self.folder / ".ragent" / ".gitignore").write_text("*\n")
        self.trees = GitTrees(self.folder)

    def put(self, files: Mapping[str, str]) -> None:
        self.repo.put(files)


class FakeGround:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder.resolve()
        self.put(FILES)
        self.trees = FakeTrees(self.folder, FILES)

    def put(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


class TestGit(TreesContract):
    @pytest.fixture
    def ground(self, tmp_path: Path) -> Iterator[Ground]:
        assert shutil.which("git"), "git is missing: apt-get install git"
        yield GitGround(tmp_path / "repo")


class TestFake(TreesContract):
    @pytest.fixture
    def ground(self, tmp_path: Path) -> Iterator[Ground]:
        yield FakeGround(tmp_path / "repo")
