"""The docs do not lie: each command line in them parses, each name in them exists, each value is of its kind."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import ragent_jupyter
from ragent_jupyter.cli.main import _parse, _parser
from ragent_jupyter.client.typed import pairs, space_of
from ragent_jupyter.domain.sweep import SearchSpace
from ragent_jupyter.kernel.live_report import LiveReport, Piece
from ragent_jupyter.kernel.magics import VERBS, RagentMagics
from ragent_jupyter.rules.sweep_space import expand

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "ragent_jupyter" / "docs").glob("*.md"))]
DOCS += sorted((ROOT / "ragent_jupyter" / "examples").glob("*/README.md"))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


def blocks(path: Path, *languages: str) -> list[str]:
    return [text for language, text in _FENCE.findall(path.read_text()) if language in languages]


def command_lines(path: Path) -> list[str]:
    """Every `ragent …` in a document: lines of shell blocks, without their comments, and inline code."""
    found = []
    for block in blocks(path, "bash", ""):
        for line in block.splitlines():
            for part in re.split(r";|&&", re.sub(r"\s(#.*|  .*)$", "", line)):
                found.append(part.strip())
    prose = _FENCE.sub("", path.read_text())
    found += [inline for inline in _INLINE.findall(prose) if inline.startswith("ragent ")]
    return [line for line in found if line.startswith("ragent ")]


COMMANDS = [pytest.param(line, id=f"{path.name}: {line}") for path in DOCS for line in command_lines(path)]


def verbs() -> dict[str, Any]:
    subparsers: Any = _parser()._subparsers
    return dict(subparsers._group_actions[0].choices)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_in_the_docs_is_understood(line: str) -> None:
    words = shlex.split(line.removesuffix(" …"))[1:]
    if len(words) == 1:  # the verb's name, in a sentence
        assert words[0] in verbs()
        return
    args = _parse(words)
    if args.verb == "run":
        assert args.after, "what runs stands behind --"
    if args.verb == "sweep" and args.file is None:
        assert args.after, "neither a file nor a command"
        method: Any = "grid" if args.random is None else "random"
        points = expand(SearchSpace(parameters=space_of(args.param), method=method), args.random or 100)
        assert len(points) == (args.random or len(points)) >= 2
    pairs(getattr(args, "set", []), "--set")


def test_the_docs_name_commands_and_each_verb_is_in_them() -> None:
    assert len(COMMANDS) > 25
    text = "\n".join(path.read_text() for path in DOCS)
    assert len(verbs()) > 12
    assert [verb for verb in verbs() if not re.search(rf"\bragent {verb}\b", text)] == []


PYTHON = [
    pytest.param(code, id=f"{path.name} #{n}") for path in DOCS for n, code in enumerate(blocks(path, "python"), 1)
]


@pytest.mark.parametrize("code", PYTHON)
def test_python_in_the_docs_uses_what_there_is(code: str) -> None:
    tree = ast.parse(code)
    names: set[str] = set()
    reports: set[str] = set()  # variables that hold a report
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname or a.name for a in node.names if a.name == "ragent_jupyter"}
        if isinstance(node, ast.Assign) and is_report(node.value, names):
            reports |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert names, "an example that can be pasted imports ragent_jupyter"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Name) and node.value.id in names:
            assert hasattr(ragent_jupyter, node.attr), f"ragent.{node.attr}"
        elif is_report(node.value, names) or (isinstance(node.value, ast.Name) and node.value.id in reports):
            assert hasattr(LiveReport, node.attr), f"report.{node.attr}"
        elif isinstance(node.value, ast.Call) and node.attr == "data":
            assert "data" in vars(Piece({}, None))


def is_report(node: ast.expr, names: set[str]) -> bool:
    call = node.func if isinstance(node, ast.Call) else None
    return (
        isinstance(call, ast.Attribute)
        and call.attr == "report"
        and isinstance(call.value, ast.Name)
        and call.value.id in names
    )


def test_python_in_the_docs_is_found() -> None:
    assert len(PYTHON) >= 3


def test_magics_in_the_docs_exist() -> None:
    said = {verb for path in DOCS for verb in re.findall(r"%ragent (\w+)", path.read_text())}
    assert said and said <= set(VERBS)
    listed = re.search(r"`%ragent ([^`]*\|[^`]*)`", (ROOT / "README.md").read_text())
    assert listed is not None
    assert {part.split()[0] for part in listed[1].split("|")} <= set(VERBS)
    assert all(hasattr(RagentMagics, f"_{verb}") for verb in VERBS)


def test_each_file_of_a_run_that_the_docs_name_is_one_that_the_code_names() -> None:
    table = re.findall(r"^\| (`[^|]*`) \|", (ROOT / "ragent_jupyter/docs/trouble.md").read_text(), re.MULTILINE)
    files = [name.strip("`/ ") for row in table for name in row.split(",")]
    assert {"spec.json", "exit.json", "job.log"} <= set(files)
    folders = (ROOT / "ragent_jupyter", ROOT / "sidecar")
    code = "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("*.py")))
    assert [name for name in files if f'"{name}"' not in code and f"/{name}" not in code] == []


def test_stages_that_the_docs_name_are_stages_of_run_sh() -> None:
    script = (ROOT / "tests" / "run.sh").read_text()
    stages = set(re.findall(r"^stage_(\w+)\(\)", script, re.MULTILINE))
    named = re.findall(r"bash tests/run\.sh([\w ]*)", (ROOT / "CONTRIBUTING.md").read_text())
    words = {word for line in named for word in line.split()}
    assert {"static", "unit"} <= words <= stages | {"fast", "full"}
    header = re.search(r"single stages: ([a-z ]+)", script)
    assert header is not None and set(header[1].split()) == {s for s in stages if not s.endswith("_fast")}
