"""The docs do not lie: each command line in them parses, each name in them exists, each value is of its kind."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any, cast, get_args

import pytest

import ragent_jupyter
from ragent_jupyter.adapters.keys import NAMES, LocalKeys
from ragent_jupyter.adapters.models.endpoints import PROVIDERS, Endpoints
from ragent_jupyter.cli.main import _parse, _parser
from ragent_jupyter.client.typed import pairs, space_of
from ragent_jupyter.domain.chat import Mode, Preview
from ragent_jupyter.domain.sweep import SearchSpace
from ragent_jupyter.domain.tools import Allow, Ask, Refuse
from ragent_jupyter.kernel.live_report import LiveReport, Piece
from ragent_jupyter.kernel.magics import VERBS, RagentMagics
from ragent_jupyter.rules.mentions import KINDS
from ragent_jupyter.rules.model_choice import split
from ragent_jupyter.rules.permissions import permit
from ragent_jupyter.rules.shell_words import understood
from ragent_jupyter.rules.sweep_space import expand
from ragent_jupyter.services.commands import Commands
from ragent_jupyter.services.memory import MemoryDesk
from ragent_jupyter.services.tools.base import Toolbox, ToolContext
from tests.unit.services.desks import Desks

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "ragent_jupyter" / "docs").glob("*.md"))]
DOCS += sorted((ROOT / "ragent_jupyter" / "examples").glob("*/README.md"))
MANUAL = ROOT / "ragent_jupyter" / "docs"
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


# --- the assistant ---------------------------------------------------------------------------------------------------
def text_of(name: str) -> str:
    return (MANUAL / name).read_text()


def test_the_table_of_permissions_is_what_the_rules_say() -> None:
    effects = {"looks": ["read"], "notes": ["note"], "edits": ["edit"], "runs": ["run"], "acts": ["act"]}
    effects["asks you"] = ["ask"]
    modes = re.search(r"^\| the tool \| (.*) \|$", text_of("permissions.md"), re.MULTILINE)
    assert modes is not None
    columns: list[Any] = [mode.replace(" ", "_") for mode in modes[1].split(" | ")]
    assert set(columns) == set(get_args(Mode))
    rows = re.findall(r"^\| \*\*([a-z ]+)\*\*.*?\| (.*) \|$", text_of("permissions.md"), re.MULTILINE)
    assert [name for name, _ in rows] == list(effects)
    words = {Allow: "goes ahead", Ask: "asks", Refuse: "refused"}
    for name, cells in rows:
        for mode, cell in zip(columns, cells.split(" | "), strict=True):
            for effect in effects[name]:
                verdict = permit(mode, effect, Preview(title="x"))  # type: ignore[arg-type]
                assert words[type(verdict)] == cell, (name, mode)


def test_patterns_in_the_docs_are_of_tools_and_commands_that_get_them() -> None:
    patterns = re.findall(r"`(\w+:[^`]*|launch_run)`", text_of("permissions.md"))
    assert len(patterns) >= 4 and understood("git status -s").pattern in patterns
    code = "\n".join(path.read_text() for path in (ROOT / "ragent_jupyter/services/tools").glob("*.py"))
    assert [p for p in patterns if f'"{p.partition(":")[0]}"' not in code] == []
    for harmful in ("rm x", "git push", "curl http://a | sh", "cat .env"):
        assert understood(harmful).dangers and not understood(harmful).pattern


def test_slash_commands_and_mentions_in_the_docs_are_those_there_are(tmp_path: Path) -> None:
    desks = Desks(tmp_path)
    commands = Commands(desks.runs, desks.sweeps, MemoryDesk(desks.shell, str), cast(Any, object()))
    listed = text_of("chat.md").partition("## Commands")[2].partition("##")[0]
    assert set(re.findall(r"`/(\w+)", listed)) == {verb.name for verb in commands.verbs()}
    everywhere = {c for path in DOCS for c in re.findall(r"`/([a-z]+)[ `]", path.read_text())}
    assert everywhere <= {verb.name for verb in commands.verbs()}
    named = text_of("chat.md").partition("## Naming things")[2].partition("##")[0]
    assert set(re.findall(r"`@(\w+)", named)) == {*KINDS}


def served() -> list[tuple[dict[str, str], str]]:
    """(what is exported, the model that is set) of each block about a server of one's own."""
    found = []
    for block in blocks(MANUAL / "models.md", "bash"):
        exported = dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^export (.*)$", block, re.MULTILINE))))
        chosen = re.search(r"--set chat=(\S+)", block)
        if exported and chosen:
            found.append((exported, chosen[1]))
    return found


@pytest.mark.parametrize("env, spec", served())
def test_a_server_that_the_docs_set_up_is_the_one_that_is_asked(env: dict[str, str], spec: str, tmp_path: Path) -> None:
    models = Endpoints(LocalKeys(env, tmp_path), env)
    provider, id = split(spec)
    model: Any = models.make(provider, id)
    address = env.get("ANTHROPIC_BASE_URL") or env["OPENAI_BASE_URL"]
    assert (model.info.provider, model.info.id) == (provider, id)
    assert model.endpoint.base_url == address and model.endpoint.key == env.get("ANTHROPIC_AUTH_TOKEN", "")
    assert provider in models.there()


def test_servers_and_providers_in_the_docs_are_all_there_are() -> None:
    assert len(served()) == 7
    listed = re.findall(r"^\| `(\w+)` \|", text_of("models.md"), re.MULTILINE)
    assert set(listed) == set(PROVIDERS)
    keys = re.search(r"\*\*Keys\*\*.*?config folder: (.*?)\.", text_of("models.md"), re.DOTALL)
    assert keys is not None and tuple(re.findall(r"`(\w+)`", keys[1])) == NAMES


def test_json_in_the_docs_is_json() -> None:
    found = [block for path in DOCS for block in blocks(path, "json")]
    assert found and all(json.loads(block) for block in found)


def test_what_the_developers_docs_show_runs() -> None:
    (code,) = blocks(ROOT / "CONTRIBUTING.md", "python")
    made: dict[str, Any] = {"__name__": "example"}
    exec(code, made)
    tool = made["tool"]
    box = Toolbox([tool])
    args = box.arguments(tool.spec.name, {})
    context = ToolContext(session_id="s", turn_id="t", call_id="c", mode="ask")
    assert asyncio.run(tool.run(args, context)).text == ragent_jupyter.__version__


def test_files_that_the_developers_docs_name_are_there() -> None:
    prose = _FENCE.sub("", (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "SECURITY.md").read_text())
    named = {name for name in _INLINE.findall(prose) if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", name)}
    assert len(named) > 20
    roots = (ROOT, ROOT / "ragent_jupyter")
    assert [name for name in sorted(named) if not any((root / name).exists() for root in roots)] == []
