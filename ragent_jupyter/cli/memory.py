"""`ragent memory`: the rules that agents heed, and what they proposed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ragent_jupyter.domain.chat import MemoryRule
from ragent_jupyter.domain.errors import BadInput, CannotBeDone

from .chat_view import harmless
from .context import Context
from .output import DONE, Out, short

_FIELDS: dict[str, dict[str, object]] = {
    "on": {"on": True}, "off": {"on": False}, "approve": {"status": "active"}, "refuse": {"status": "refused"},
}  # fmt: skip
_SAID = {"on": "on", "off": "off", "approve": "approved", "refuse": "refused"}


def memory(context: Context) -> int:
    args, out = context.args, context.out
    action, words = args.action, args.words
    if action in ("list", "export") and words:
        raise BadInput(f"`ragent memory {action}` takes nothing like {words[0]!r}.", "See `ragent memory --help`.")
    if action == "add":
        return _add(context)
    if action == "import":
        return _import(context)
    client = context.client()
    if action == "list":
        rules = client.memory()
        out.document({"rules": rules})
        _list(out, rules)
        return DONE
    if action == "export":
        text = client.export_rules()
        out.document({"text": text})
        if not out.json:
            out.raw(harmless(text))
        return DONE
    if len(words) != 1:
        raise BadInput(f"`ragent memory {action}` takes one rule.", "Give its id, or its title in quotes.")
    rule = client.find_rule(words[0])
    if action == "remove":
        removed = client.remove_rule(rule.id)
        out.document(removed)
        out.say(f"removed  {rule.id}  {harmless(rule.title)}")
        return DONE
    changed = client.patch_rule(rule.id, **_FIELDS[action])
    out.document(changed)
    out.say(f"{_SAID[action]}  {changed.id}  {harmless(changed.title)}")
    return DONE


def _add(context: Context) -> int:
    args, out = context.args, context.out
    text = " ".join(args.words)
    if text in ("", "-"):
        if sys.stdin is None or sys.stdin.isatty():
            raise BadInput("There is nothing to remember.", 'Say it: ragent memory add "Warm up for 500 steps."')
        text = sys.stdin.read()
    rule = context.client(create=True).add_rule(
        text, title=args.title, tags=[tag for tag in (args.tags or "").split(",") if tag], scope=args.scope or ""
    )
    out.document(rule)
    out.say(f"added  {rule.id}  {harmless(rule.title)}")
    return DONE


def _import(context: Context) -> int:
    args, out = context.args, context.out
    if len(args.words) != 1:
        raise BadInput("`ragent memory import` takes one file.", "ragent memory import MEMORY.md")
    name = args.words[0]
    try:
        text = sys.stdin.read() if name == "-" else Path(os.path.join(context.workdir, name)).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotBeDone(f"{name} cannot be read: {why}.", "Name a Markdown file, such as MEMORY.md.") from error
    rules = context.client(create=True).import_rules(text)
    out.document({"rules": rules})
    if not out.json:
        out.say(f"{len(rules)} rule{'' if len(rules) == 1 else 's'} new or changed.")
        _list(out, rules)
    return DONE


def _list(out: Out, rules: list[MemoryRule]) -> None:
    if out.json:
        return
    shown = [rule for rule in rules if rule.status != "refused"]
    if not shown:
        out.say('No rules. `ragent memory add "…"` adds one; agents propose others.')
        return
    for rule in sorted(shown, key=lambda rule: rule.status != "proposed"):
        state = out.paint("? proposed", "33") if rule.status == "proposed" else out.paint(*_state(rule))
        about = [rule.source, *(f"#{tag}" for tag in rule.tags), f"for {rule.scope}" if rule.scope else ""]
        out.say(f"{state}  {rule.id}  {harmless(rule.title)}  {out.paint(' '.join(filter(None, about)), '2')}")
        if rule.text != rule.title:
            out.say(f"  {short(harmless(rule.text), 160)}")
        if rule.status == "proposed":
            out.say(f"  ragent memory approve {rule.id}   or   ragent memory refuse {rule.id}")


def _state(rule: MemoryRule) -> tuple[str, str]:
    return ("✓ on", "32") if rule.on else ("○ off", "90")
