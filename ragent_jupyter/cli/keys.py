"""`ragent keys`: which keys there are, and setting one. A key is typed or piped in, never an argument."""

from __future__ import annotations

import sys

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.ports_mind import KeyState

from .context import Context
from .models import show_probe
from .output import DONE, NeedsHuman, Out


def keys(context: Context) -> int:
    args, out = context.args, context.out
    if args.action == "test":
        probe = context.client(create=True).test_model(args.name or "")
        out.document(probe)
        return show_probe(out, probe)
    if args.action == "list":
        if args.name:
            raise BadInput(f"`ragent keys list` takes nothing like {args.name!r}.", "See `ragent keys --help`.")
        states = context.client(create=True).keys()
        out.document({"keys": states})
        _list(out, states)
        return DONE
    if not args.name:
        raise BadInput("No key was named.", "For example: ragent keys set ANTHROPIC_API_KEY")
    value = _value(out, args.name) if args.action == "set" else None
    states = context.client(create=True, piped=True).put_key(args.name, value)
    out.document({"keys": states})
    _list(out, [state for state in states if state.name == args.name])
    return DONE


def _value(out: Out, name: str) -> str:
    """The key from stdin, or asked for without showing it. Not from argv: the process list is no secret."""
    if sys.stdin is not None and not sys.stdin.isatty():
        value = sys.stdin.readline().strip()
    elif sys.stdin is not None and not out.json:
        import getpass

        value = getpass.getpass(f"{name} (it is not shown): ").strip()
    else:
        raise NeedsHuman(
            f"{name} has no value, and nobody is here to be asked.", "Pipe it in: … | ragent keys set NAME"
        )
    if not value:
        raise BadInput("The value is empty.", f"`ragent keys remove {name}` forgets a key.")
    return value


def _list(out: Out, states: list[KeyState]) -> None:
    if out.json:
        return
    rows = [
        [state.name, out.paint("✓ set", "32") if state.set else "○ not set", state.source, state.hint]
        for state in states
    ]
    out.table(["KEY", "", "FROM", ""], rows)
