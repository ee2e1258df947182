"""Rules of the repository that no compiler checks: what is tracked, how long it is, and that names agree."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import ragent_jupyter

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "install.json", "labextension",
    "notebooks", "pyproject.toml", "ragent_jupyter", "sidecar", "tests",
}  # fmt: skip
LONGEST = 500
LONG = {
    "ragent_jupyter/runfiles/wrapper.py": "one file: any Python runs it by its path, with nothing beside it",
    "labextension/src/wire.ts": "written by make_wire.py",
    "tests/unit/runfiles/test_wrapper.py": "one program, one file of its tests",
    "tests/unit/cli/test_verbs.py": "every verb, against one stand-in for the engine",
    "tests/unit/runfiles/test_columns.py": "one format, one file of its tests",
    "tests/e2e/fake_door.py": "a whole server for the browser's tests",
}
# Recorded logs of other programs: what stands in them is theirs.
DATA = "tests/data/"


def tracked() -> list[str]:
    """The paths that git knows and that are there; in an unpacked sdist, where there is no git, all of it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


FILES = tracked()


def text_of(name: str) -> str:
    try:
        return (ROOT / name).read_text()
    except UnicodeDecodeError:
        return ""  # a picture, an event file


def hits(pattern: str, names: list[str], flags: int = 0) -> list[str]:
    """`path:line: text` of each line that matches."""
    wanted = re.compile(pattern, flags)
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name in names
        for number, line in enumerate(text_of(name).splitlines(), 1)
        if wanted.search(line)
    ]


def test_the_top_level_is_what_it_is() -> None:
    assert {name.split("/")[0] for name in FILES if not name.startswith(".")} == TOP


def test_no_lock_and_no_setting_names_a_registry() -> None:
    """Whoever builds this has a registry of their own; an address in a lock would bypass it."""
    named = [name for name in FILES if Path(name).name in ("yarn.lock", ".yarnrc.yml", ".npmrc", "package-lock.json")]
    assert "labextension/yarn.lock" in named
    assert hits(r"__archiveUrl|https?:|https?%3A|\bregistry|npmRegistry", named, re.IGNORECASE) == []
    lists = [name for name in FILES if re.search(r"requirements.*\.txt$|constraints.*\.txt$|pip\.conf$", name)]
    assert hits(r"index-url|find-links|trusted-host", [*lists, "pyproject.toml"]) == []


def test_no_path_of_a_builder_s_machine_is_tracked() -> None:
    ours = [name for name in FILES if not name.startswith(DATA)]
    # /home/ada is nobody's: the examples live there.
    folders = "|".join(["root", r"home/(?!ada\b)\w+", r"Users/\w+", r"opt/pypi[\w-]*", "wo" + "rk"])
    assert hits(rf"(?<![\w.<>{{}}~-])/({folders})/", ours) == []


def test_nothing_that_is_built_is_tracked() -> None:
    built = re.compile(
        r"(^|/)(node_modules|lib|static|__pycache__|dist|build|\.ipynb_checkpoints|\.hypothesis)/|\.pyc$"
    )
    assert [name for name in FILES if built.search(name)] == []
    assert [name for name in FILES if (ROOT / name).stat().st_size > 2_000_000] == []


def test_no_file_is_longer_than_a_reader_s_patience() -> None:
    code = [name for name in FILES if name.endswith((".py", ".ts", ".tsx", ".sh"))]
    long = {name for name in code if text_of(name).count("\n") > LONGEST}
    assert long - set(LONG) == set()
    assert set(LONG) - long == set(), "shorter by now, or gone: take it off the list"


def test_one_version() -> None:
    version = ragent_jupyter.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert json.loads(text_of("labextension/package.json"))["version"] == version
    assert re.search(rf"^## {re.escape(version)}\b", text_of("CHANGELOG.md"), re.MULTILINE)


def test_one_licence() -> None:
    assert text_of("LICENSE").startswith("MIT License\n")
    assert re.search(r'^license = "MIT"$', text_of("pyproject.toml"), re.MULTILINE)
    assert json.loads(text_of("labextension/package.json"))["license"] == "MIT"
    assert re.search(r"^MIT\b.*\(LICENSE\)", text_of("README.md"), re.MULTILINE)


def test_the_names_of_the_house_agree() -> None:
    install = json.loads(text_of("install.json"))
    assert install["packageName"] == "ragent-jupyter" == json.loads(text_of("labextension/package.json"))["name"]
    assert re.search(r'^name = "ragent-jupyter"$', text_of("pyproject.toml"), re.MULTILINE)
    assert ragent_jupyter._jupyter_labextension_paths() == [{"src": "labextension", "dest": "ragent-jupyter"}]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".md") and not name.startswith(DATA)])
def test_what_a_document_links_to_is_there(name: str) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(name), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        there = (ROOT / name).parent / path if path else ROOT / name
        inside = os.path.relpath(there, ROOT)
        assert there.is_dir() or inside in FILES, f"{target} is not in the repository"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]


def test_no_placeholder_is_left() -> None:
    """A promise to write something later is not the thing."""
    ours = [name for name in FILES if not name.startswith(DATA) and not name.endswith("yarn.lock")]
    words = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "lorem ip" + "sum", "coming so" + "on"])
    assert hits(rf"\b({words})\b", ours) == []
    assert hits(r"^[A-Z]{4,}$", [name for name in ours if name.endswith(".md")]) == []


def swallows(text: str) -> list[int]:
    """Lines of handlers that take any error, do nothing, and do not say why that is right."""
    broad = {"Exception", "BaseException"}
    lines = text.splitlines()
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            takes_all = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in broad)
            idle = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            if takes_all and idle and "  # " not in lines[node.lineno - 1]:
                found.append(node.lineno)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            found += [node.lineno for arg in node.args if ast.unparse(arg) in broad]
    return found


def test_no_error_is_swallowed_whole() -> None:
    assert swallows("try:\n    x()\nexcept Exception:\n    pass") == [3]
    assert swallows("with contextlib.suppress(Exception):\n    x()") == [1]
    assert swallows("try:\n    x()\nexcept FileNotFoundError:\n    pass") == []
    code = [name for name in FILES if name.endswith(".py")]
    assert [f"{name}:{line}" for name in code for line in swallows(text_of(name))] == []


def test_a_test_is_left_out_only_where_the_machine_lacks_something() -> None:
    """Never because it fails; and where it is left out, it says what is missing."""
    tests = [name for name in FILES if name.startswith("tests/") and name.endswith(".py")]
    assert hits(r"\bxfa" + r"il\b|mark\.sk" + r"ip\b(?!if)|pytest\.sk" + r"ip\(\s*\)", tests) == []
    unexplained = []
    for name in tests:
        for node in ast.walk(ast.parse(text_of(name))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.skipif"):
                reasons = [ast.unparse(k.value) for k in node.keywords if k.arg == "reason"]
                unexplained += [] if reasons and len(reasons[0]) > 8 else [f"{name}:{node.lineno}"]
    assert unexplained == []
    specs = [name for name in FILES if ".spec.ts" in name]
    assert specs and hits(r"\b(it|test|describe)\.(skip|only|todo)\b|\bxit\(", specs) == []


def test_ci_runs_what_people_run() -> None:
    ci = text_of(".ci/run")
    assert "tests/run.sh full" in ci and os.access(ROOT / ".ci/run", os.X_OK)
    assert "bash tests/run.sh" in text_of("README.md") and "bash tests/run.sh" in text_of("CONTRIBUTING.md")
    script = text_of("tests/run.sh")
    full = re.search(r"full\) STAGES=\(([^)]*)\)", script)
    assert full is not None
    stages = full[1].split()
    defined = {name for name in re.findall(r"^stage_(\w+)\(\)", script, re.MULTILINE) if not name.endswith("_fast")}
    assert set(stages) == defined and stages[0] == "setup"
    limits = re.search(r"LIMIT=\((.*?)\)", script, re.DOTALL)
    assert limits is not None and set(stages) <= set(re.findall(r"\[(\w+)\]", limits[1]))


def test_every_folder_of_tests_belongs_to_a_stage() -> None:
    script = text_of("tests/run.sh")
    folders = {name.split("/")[1] for name in FILES if re.match(r"tests/\w+/(.*/)?test_\w+\.py$", name)}
    assert [folder for folder in sorted(folders) if not re.search(rf"pytest .*tests/{folder}\b", script)] == []
