"""One line that this Python cannot read must not hide a script's options."""

from __future__ import annotations

import ast
import contextlib
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.script.readable import tree_of

LR = "parser.add_argument('--lr', type=float, default=0.1)"
UNREADABLE = {
    "a print statement": "print 'epoch %d' % epoch",
    "a print statement over lines": "print 'epoch %d' % (1,\n    2)",
    "an argument that is a keyword now": "x = x.cuda(async=True)",
    "a caught exception with a name": "try:\n    pass\nexcept IOError, e:\n    pass",
    "a raised exception with a text": "raise ValueError, 'x'",
    "exec without brackets": "exec 'b'",
    "an octal number": "os.chmod(path, 0755)",
    "a magic of a notebook": "%matplotlib inline",
    "a command of a notebook": "!pip install torch (",
    "syntax of a later Python": "def first[](x !: T) -> T:\n    return x",
    "a call with a slip on a line of its own": "f(\n    a,\n    b c,\n)",
    "a bracket that never closes": "f(a,",
}


@pytest.mark.parametrize("line", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a function"])
def test_an_unreadable_line_hides_no_option(line: str, inside: bool) -> None:
    begin = "import argparse\nparser = argparse.ArgumentParser()\n"
    middle = "def work(x):\n" + textwrap.indent(line, "    ") + "\n    return x" if inside else line
    source = f"{begin}{middle}\n{LR}\nargs = parser.parse_args()\n"
    with pytest.raises(SyntaxError):
        ast.parse(source)
    if line == "f(a,":
        source = f"{begin}{LR}\nargs = parser.parse_args()\n{line}\n"  # what follows it belongs to it
    script = read_script(source, "train.py", {}, "python train.py")
    assert [flag.name for flag in script.flags] == ["lr"]


def test_what_was_passed_over_is_said_with_its_line() -> None:
    source = f"import argparse\nparser = argparse.ArgumentParser()\n%time\n{LR}\nparser.parse_args()\n"
    assert any("train.py:3: this is no Python" in note for note in read_script(source, "train.py", {}, "").notes)


@pytest.mark.parametrize(
    "source",
    [
        '"""\nThat\'s ' + "\\alpha " * 80 + '\n"""\n%matplotlib inline\n',
        "x = '" + "\\" * 5000 + "\n",
        "\n" * 40_000 + "!\n",
        " \n" * 40_000 + "!x\n",
        "'" * 20_000 + "\n!x",
        "except " + "a, " * 20_000 + "\n!x",
        "print " * 20_000 + "\n!x",
    ],
    ids=["an apostrophe and formulas", "backslashes", "blank lines", "blanks", "quotes", "commas", "prints"],
)
def test_hostile_lines_take_no_long_time(source: str) -> None:
    began = time.process_time()
    with contextlib.suppress(SyntaxError, MemoryError):
        tree_of(source)
    assert time.process_time() - began < 5.0, "what is not linear here takes minutes"


def test_a_script_that_is_no_python_at_all_is_refused_with_its_first_error() -> None:
    with pytest.raises(SyntaxError) as told:
        tree_of("no python at all\n" * 100)
    assert told.value.lineno == 1


def test_what_can_be_read_is_read_as_it_stands() -> None:
    source = "print('x')\nprint\nprint ('a')\nprint = 1\nasync def f(): pass\n"
    tree, over = tree_of(source)
    assert ast.dump(tree) == ast.dump(ast.parse(source)) and over == []


@given(st.lists(st.sampled_from(["a = 1", "if a:", "    b = (", ")", "x y", "  c = 2", '"""', "print 'x'", ":", "%m"])))
def test_any_lines_end_in_a_tree_or_a_syntax_error(lines: list[str]) -> None:
    source = "\n".join(lines)
    try:
        tree, over = tree_of(source)
    except SyntaxError:
        return
    assert isinstance(tree, ast.Module) and all(1 <= line <= len(lines) for line, _ in over)
