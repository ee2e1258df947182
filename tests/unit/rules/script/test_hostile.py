"""Sources that nobody should write: none of them makes the reader fail, run code, or take long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.script.folding import UNKNOWN
from ragent_jupyter.rules.script.found import Found, usable
from ragent_jupyter.rules.script.roles import judge
from ragent_jupyter.rules.script.vocabulary import words
from ragent_jupyter.rules.sweep_space import command_for

PARSER = "import argparse\np = argparse.ArgumentParser()\n"


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("def broken(:\n", "no Python"),
        ("x = 1\0", "could not be read|no Python"),
        ("(" * 5000 + ")" * 5000, "could not be read|no Python"),
        ("x = " + "-" * 50_000 + "1", "could not be read|no Python|nested|"),
        ("a" * 1_100_000, "longer than"),
        ("x = [" + "[" * 150 + "]" * 150 + "]", "no Python|could not be read|"),
    ],
)
def test_what_cannot_be_read_is_said(source: str, note: str) -> None:
    import re

    script = read_script(source, "train.py", {}, "python train.py")
    assert script.flags == []
    assert re.search(note, " ".join(script.notes))


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = (
        PARSER
        + f"""
open({str(mark)!r}, "w").write("x")
__import__("os").system("touch {mark}")
p.add_argument("--lr", type=float, default=__import__("os").system("touch {mark}"))
p.add_argument("--" + str(open({str(mark)!r}, "w")), default=1)
"""
    )
    script = read_script(source, "train.py", {}, "python train.py")
    assert not mark.exists()
    assert [f.name for f in script.flags] == ["lr"] and script.flags[0].default is None


def test_names_that_are_made_at_run_time_are_noted() -> None:
    source = PARSER + 'args = names()\np.add_argument(*args)\nfor n in names():\n    p.add_argument("--" + n)\n'
    source += 'p.add_argument("--ok", **options)\np.add_argument("--bad;rm -rf ~", default=1)\n'
    script = read_script(source, "train.py", {}, "python train.py")
    assert [f.name for f in script.flags] == ["ok"]
    assert any(":6:" in note for note in script.notes) and any("spelt" in note for note in script.notes)


def test_what_would_grow_without_bound_is_left_alone() -> None:
    grown = ["9**9**9", "'a' * 10**12", "[0] * 10**10", "1 << 10**9", "10**400", "list(range(10**12))", "2**-10**9"]
    grown += ["'%1000000000d' % 1", "'{:>1000000000}'.format(1)", "f'{1:>1000000000}'", "sum(range(10**12))"]
    lines = "\n".join(f"p.add_argument('--x{i}', type=int, default={text})" for i, text in enumerate(grown))
    began = time.process_time()
    script = read_script(PARSER + lines, "train.py", {}, "python train.py")
    assert time.process_time() - began < 5
    assert [f.default for f in script.flags] == [None] * len(grown)


def test_recursion_of_helpers_ends() -> None:
    source = (
        PARSER
        + """
def add(parser, n=0):
    for i in range(100):
        add(parser, n + 1)
    parser.add_argument("--lr", type=float, default=0.1)
def even(p): odd(p); p.add_argument("--a")
def odd(p): even(p); p.add_argument("--b")
add(p); even(p)
"""
    )
    began = time.process_time()
    script = read_script(source, "train.py", {}, "python train.py")
    assert time.process_time() - began < 10
    assert {f.name for f in script.flags} >= {"lr", "a"}


def test_a_class_that_holds_itself() -> None:
    source = "import tyro\nclass A(A):\n    lr: float = 0.1\n    inner: 'A' = None\n"
    script = read_script(source + "tyro.cli(A)\n", "train.py", {}, "python train.py")
    assert script.flags[0].name == "lr" and len(script.flags) < 20


def test_yaml_that_bites() -> None:
    source = 'from omegaconf import OmegaConf\nOmegaConf.load("c.yaml"); OmegaConf.from_cli()\n'
    laughs = "a0: &a0 {x: 1}\n" + "".join(
        f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}, r: *a{i - 1}, s: *a{i - 1}}}\n" for i in range(1, 30)
    )
    for text in (laughs, "{" * 3000, "lr: !!python/object/apply:os.system ['touch x']", "a: [", "- 1\n- 2\n", "\t", ""):
        began = time.process_time()
        script = read_script(source, "t.py", {"c.yaml": text}, "python t.py")
        assert time.process_time() - began < 10
        assert len(script.flags) < 3000


def test_hydra_groups_that_include_each_other() -> None:
    source = 'import hydra\n@hydra.main(config_path="c", config_name="a")\ndef f(c): ...\n'
    files = {
        "c/a.yaml": "defaults: [b, a, {g: x}]\nlr: 0.1\n",
        "c/b.yaml": "defaults: [a]\n",
        "c/g/x.yaml": "defaults: [{g: x}]\nw: 1\n",
    }
    assert {f.name for f in read_script(source, "t.py", files, "python t.py").flags} >= {"lr", "g"}


@given(st.text(max_size=300))
def test_no_source_breaks_it(text: str) -> None:
    read_script(text, "t.py", {"c.yaml": text, "m.py": text}, text)


_PIECES = st.sampled_from(
    ["p.add_argument(", "'--lr'", "*a", "**k", ", default=", "1e-3", "[1,2]", ")", "\n", "for x in ", "fields(C)",
     ":", " ",
     "class C:\n  a: int = 1\n", "tyro.cli(C)", "@hydra.main(", "config_path='.'", "flags.DEFINE_float(",
     "'x'", ",", "None"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=25))
def test_no_piecework_breaks_it(pieces: list[str]) -> None:
    read_script("".join(pieces), "t.py", {}, "python t.py --lr 1")


@given(
    st.text(max_size=40),
    st.sampled_from(["int", "float", "bool", "str", "unknown"]),
    st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=20)),
    st.text(max_size=60),
)
def test_every_option_gets_a_role(name: str, kind: str, default: object, text: str) -> None:
    found = Found(name=name, style="argparse", template="--{name} {value}", kind=kind, help=text)  # type: ignore[arg-type]
    found.default = UNKNOWN if default is None else default
    verdict = judge(found, frozenset(words(text)))
    assert verdict.role in ("tune", "fidelity", "seed", "exclude") and verdict.why


@given(st.text(max_size=60))
def test_what_may_be_typed_is_one_word(name: str) -> None:
    if usable(name):
        assert command_for("x", {name: 1}, "--{name} {value}") == f"x --{name} 1"
