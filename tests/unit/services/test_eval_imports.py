"""What evaluation files import belongs to them: it is found by reading, and a change of it is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ragent_jupyter.domain.wild import Setup
from ragent_jupyter.rules.wild_evidence import put_back, voided
from ragent_jupyter.services import eval_imports
from ragent_jupyter.services.eval_files import EvalFiles
from ragent_jupyter.services.eval_imports import named


def setup(*files: str, may_edit: list[str] | None = None) -> Setup:
    return Setup(command="x", cwd="/", eval_files=list(files), may_edit=may_edit or [])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """evaluate.py → scoring/{__init__,tables}.py, then src/deep.py and late.py, which an f-string cannot hide."""
    project = tmp_path / "project"
    for name, text in {
        "evaluate.py": "import json, numpy\nfrom scoring.tables import rows\ndef f():\n    import_module('late')\n",
        "scoring/__init__.py": "",
        "scoring/tables.py": "from . import other\nimport deep\n",
        "scoring/other.py": "import evaluate\n",
        "src/deep.py": "from ...... import nothing\n",
        "late.py": "this is no Python (",
        "unused.py": "",
        "train.py": "import unused",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (tmp_path / "outside.py").write_text("")
    return project


def look(root: Path, *files: str, may_edit: list[str] | None = None) -> dict[str, str]:
    return EvalFiles().snapshot_now(setup(*files, may_edit=may_edit), root)


IMPORTED = {"evaluate.py", "scoring/__init__.py", "scoring/tables.py", "scoring/other.py", "src/deep.py", "late.py"}


def test_all_that_is_imported_from_the_project_counts_and_nothing_else(root: Path) -> None:
    assert set(look(root, "evaluate.py")) == IMPORTED
    assert set(look(root, "scoring/")) == {"scoring/", *IMPORTED}, "a folder's files import too"
    assert set(look(root, "train.py")) == {"train.py", "unused.py"}


def test_a_line_of_another_python_hides_no_import(root: Path) -> None:
    (root / "evaluate.py").write_text("from scoring.tables import rows\nprint 'the score'\nx = rows(async=True) !\n")
    assert "scoring/tables.py" in look(root, "evaluate.py")


def test_nothing_outside_the_project_is_taken_along(root: Path) -> None:
    (root / "evaluate.py").write_text("from .. import outside\nfrom ..outside import x\nimport os.path")
    assert set(look(root, "evaluate.py")) == {"evaluate.py"}
    files = EvalFiles()
    (root / "evaluate.py").write_text("import late")
    assert set(files.snapshot_now(setup("../evaluate.py"), root / "scoring", root)) == {"../evaluate.py", "../late.py"}


def test_what_a_person_let_the_loop_change_is_not_held_against_it(root: Path) -> None:
    assert "src/deep.py" not in look(root, "evaluate.py", may_edit=["src/**"])
    assert "late.py" in look(root, "evaluate.py", may_edit=["src/**"])
    assert "late.py" in look(root, "late.py", may_edit=["late.py"]), "what was named itself stays"
    within = EvalFiles().look_now(setup("../evaluate.py", may_edit=["scoring/*"]), root / "scoring", root).files
    assert "../late.py" in within and "tables.py" not in within, "globs may be meant from the project's folder"


@pytest.mark.parametrize("name", ["late/__init__.py", "late.cpython-311-x86_64-linux-gnu.so", "evaluate/__init__.py"])
def test_what_would_be_imported_in_its_place_is_seen(root: Path, name: str) -> None:
    before = look(root, "evaluate.py")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("score = 1")
    assert voided(before, look(root, "evaluate.py")) == f"{name} appeared while it ran."


def test_a_change_of_an_import_is_a_change(root: Path) -> None:
    files = EvalFiles()
    before = files.snapshot_now(setup("evaluate.py"), root)
    (root / "src" / "deep.py").write_text("X = 2")
    assert voided(before, files.snapshot_now(setup("evaluate.py"), root)) == "src/deep.py changed while it ran."


def test_imports_in_circles_and_by_the_thousand_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_imports, "MOST_MODULES", 10)
    for n in range(30):
        (root / f"m{n}.py").write_text(f"import m{(n + 1) % 30}")
    assert 10 < len(look(root, "m0.py")) <= 12


def test_what_an_import_may_look_like() -> None:
    source = (
        b"from . import a\nfrom ..b import c as d\nimportlib.import_module('.e', 'p')\n__import__(name)\nimport f, g.h"
    )
    assert set(named(source)) == {(1, ""), (1, "a"), (2, "b"), (2, "b.c"), (1, "e"), (0, "f"), (0, "g.h")}
    assert named(b"\xff\0") == named(b"def (") == []


# --- swapped, and put back --------------------------------------------------------------------------------------------
def rewritten(path: Path) -> None:
    text = path.read_bytes()
    about = path.stat()
    path.write_text("def score(): return 0")
    path.write_bytes(text)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def moved(path: Path) -> None:
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.write_text("def score(): return 0")
    path.unlink()
    aside.rename(path)


def relinked(path: Path) -> None:
    to = os.readlink(path)
    path.unlink()
    path.symlink_to(to)


@pytest.mark.parametrize("swap", [rewritten, moved, relinked])
def test_a_judge_that_was_swapped_and_put_back_is_seen(root: Path, swap: object) -> None:
    judge = root / "late.py"
    if swap is relinked:
        judge.rename(root / "real.py")
        judge.symlink_to("real.py")
    files = EvalFiles()
    before = files.look_now(setup("evaluate.py"), root)
    swap(judge)  # type: ignore[operator]
    after = files.look_now(setup("evaluate.py"), root)
    assert voided(before.files, after.files) == ""
    said = put_back(before.files, after.files, before.times, after.times)
    assert said == "late.py was written or moved while it ran, and is what it was again."
    again = files.look_now(setup("evaluate.py"), root)
    assert put_back(after.files, again.files, after.times, again.times) == "", "reading is no writing"
