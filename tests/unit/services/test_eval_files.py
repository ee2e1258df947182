"""Hashes of what judges a run: any change is seen, whatever it is made by, and nothing about a file breaks it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ragent_jupyter.domain.wild import Setup
from ragent_jupyter.rules.wild_evidence import drifted, voided
from ragent_jupyter.services import eval_files
from ragent_jupyter.services.eval_files import EvalFiles


def setup(*files: str) -> Setup:
    return Setup(command="x", cwd="/", eval_files=list(files))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "evaluate.py").write_text("def score(): ...")
    (tmp_path / "data" / "val.csv").write_text("1\n2\n")
    (tmp_path / "data" / "deep" / "more.csv").write_text("3\n")
    return tmp_path


def test_files_and_folders_are_hashed(root: Path) -> None:
    found = asyncio.run(EvalFiles().snapshot(setup("evaluate.py", "data/"), root))
    assert set(found) == {"evaluate.py", "data/", "data/val.csv", "data/deep/", "data/deep/more.csv"}
    assert len(found["evaluate.py"]) == 64 and len(set(found.values())) == 4
    assert asyncio.run(EvalFiles().snapshot(setup(), root)) == {}


def edit(root: Path) -> None:
    (root / "evaluate.py").write_text("def score(): return 1")


def edit_in_secret(root: Path) -> None:
    """Same size, same time of change as far as it can be set."""
    path = root / "evaluate.py"
    about = path.stat()
    path.write_text("def score(): +++")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def swap(root: Path) -> None:
    (root / "evaluate.py").unlink()
    (root / "other.py").write_text("def score(): return 1")
    (root / "evaluate.py").symlink_to("other.py")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: None, ""),
        (edit, "evaluate.py changed while it ran."),
        (edit_in_secret, "evaluate.py changed while it ran."),
        (swap, "evaluate.py changed while it ran."),
        (lambda root: (root / "evaluate.py").unlink(), "evaluate.py went away while it ran."),
        (lambda root: (root / "data" / "new.csv").write_text("x"), "data/new.csv appeared while it ran."),
        (lambda root: os.utime(root / "evaluate.py", (1, 1)), ""),
        (lambda root: (root / "data" / "__pycache__").mkdir(), ""),
        (lambda root: (root / "data" / "val.csv").rename(root / "data" / "v.csv"),
         "data/v.csv appeared, data/val.csv went away while it ran."),
    ],
)  # fmt: skip
def test_every_change_is_seen_and_named(root: Path, change: Callable[[Path], object], says: str) -> None:
    hashes = EvalFiles()
    before = hashes.snapshot_now(setup("evaluate.py", "data"), root)
    change(root)
    assert voided(before, hashes.snapshot_now(setup("evaluate.py", "data"), root)) == says


def test_what_was_never_there_changes_nothing(root: Path) -> None:
    hashes = EvalFiles()
    before = hashes.snapshot_now(setup("none.py", "evaluate.py/x"), root)
    assert before == {"none.py": "missing", "evaluate.py/x": "missing"}
    assert voided(before, hashes.snapshot_now(setup("none.py", "evaluate.py/x"), root)) == ""


def test_links_in_circles_pipes_and_walls_end(root: Path) -> None:
    (root / "data" / "loop").symlink_to(root / "data")
    os.mkfifo(root / "data" / "pipe")
    (root / "data" / "broken").symlink_to("nowhere")
    found = EvalFiles().snapshot_now(setup("data"), root)
    assert found["data/pipe"] == "not a file" and found["data/broken"] == "missing"
    assert found["data/val.csv"] and "data/loop/val.csv" not in found


def test_a_known_file_is_not_read_again_and_a_young_one_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    digest = eval_files._digest

    def counted(handle: int, about: os.stat_result) -> str:
        reads.append(handle)
        return digest(handle, about)

    monkeypatch.setattr(eval_files, "_digest", counted)
    hashes = EvalFiles()
    hashes.snapshot_now(setup("evaluate.py"), root)
    hashes.snapshot_now(setup("evaluate.py"), root)
    assert len(reads) == 2  # written a moment ago: it could change without a new time stamp
    monkeypatch.setattr(eval_files, "_YOUNG_S", -1.0)
    hashes.snapshot_now(setup("evaluate.py"), root)
    hashes.snapshot_now(setup("evaluate.py"), root)
    assert len(reads) == 3
    edit_in_secret(root)
    hashes.snapshot_now(setup("evaluate.py"), root)
    assert len(reads) == 4


def test_huge_files_are_told_by_their_ends_and_folders_are_capped(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_files, "WHOLE_BYTES", 8)
    hashes = EvalFiles()
    before = hashes.snapshot_now(setup("evaluate.py"), root)
    assert before["evaluate.py"].startswith("ends ")
    edit_in_secret(root)
    assert voided(before, hashes.snapshot_now(setup("evaluate.py"), root))
    monkeypatch.setattr(eval_files, "MOST_FILES", 2)
    assert "too many files" in hashes.snapshot_now(setup("data"), root)


def test_many_changes_are_said_shortly() -> None:
    before = {f"f{i}": "a" for i in range(6)}
    assert voided(before, {}) == "f0 went away, f1 went away, f2 went away and 3 more while it ran."
    assert voided({"f": "unreadable"}, {"f": "a"}) == "f could not be read while it ran."
    assert drifted({"f": "a"}, {"f": "b"}) == "f changed since the first run of the loop."
