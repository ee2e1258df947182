"""`ragent skills`: prompt templates, the agents' own and yours."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.wire_wild import Skill, SkillsReply

from .chat_view import harmless
from .context import Context
from .output import DONE, NeedsHuman, Out

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

ACTIONS = ("list", "show", "edit", "reset", "search", "install", "remove")


def skills(context: Context) -> int:
    args, out = context.args, context.out
    action, words = args.action, args.words
    if action == "list" and words:
        raise BadInput(f"`ragent skills list` takes nothing like {words[0]!r}.", "Use `ragent skills search WORDS`.")
    if action in ("list", "search"):
        if action == "search" and not words:
            raise BadInput("There is nothing to search for.", "ragent skills search WORDS")
        found = context.client(create=True).get("skills", type=SkillsReply, query={"q": " ".join(words) or None})
        out.document(found)
        _list(out, found.skills)
        return DONE
    if len(words) != 1:
        what = "one folder or git address" if action == "install" else "one skill"
        raise BadInput(f"`ragent skills {action}` takes {what}.", "See `ragent skills --help`.")
    (name,) = words
    if action == "show":
        skill = context.client(create=True).get(f"skills/{_name(name)}", type=Skill)
        out.document(skill)
        if not out.json:
            out.raw(harmless(skill.text if skill.text.endswith("\n") else skill.text + "\n"))
        return DONE
    if action == "edit":
        return _edit(context, _name(name))
    if action == "install":
        source = _source(context, name)
        added = context.client(create=True).post("skills/install", {"source": source}, type=SkillsReply, timeout=120.0)
        out.document(added)
        for skill in added.skills:
            out.say(f"installed  {skill.name}  {harmless(skill.title)}")
        return DONE
    return _forget(context, _name(name), action)


def _name(name: str) -> str:
    if "/" in name or not name.strip():
        raise BadInput(f"{name!r} is no name of a skill.", "List them with `ragent skills`.")
    return name


def _source(context: Context, said: str) -> str:
    """A folder is meant as seen from here; the engine may live elsewhere in the tree."""
    folder = Path(os.path.join(context.workdir, os.path.expanduser(said)))
    return str(folder.resolve()) if folder.is_dir() else said


def _edit(context: Context, name: str) -> int:
    """In $EDITOR, or from --file (- is stdin). What is not valid is refused and kept for another try."""
    out = context.out
    client = context.client(create=True, piped=True)
    if context.args.file:
        text = _text(context, context.args.file)
        return _saved(out, client, name, text)
    if not out.asks:
        raise NeedsHuman("Nobody is here to edit it.", f"ragent skills edit {name} --file FILE (or - for stdin)")
    before = client.get(f"skills/{name}", type=Skill).text
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=f"-{name}.md", delete=False, encoding="utf-8") as file:
        file.write(before)
    place = Path(file.name)
    try:
        code = subprocess.call([*shlex.split(editor), str(place)])
    except OSError as error:
        raise CannotBeDone(f"{editor} cannot be started: {error.strerror}.", "Set EDITOR, or use --file.") from error
    text = place.read_text("utf-8")
    if code or text == before:
        place.unlink()
        out.say("Nothing was changed.")
        return DONE
    try:
        done = _saved(out, client, name, text)
    except Exception:
        out.note(f"Your text is kept in {place}.")
        raise
    place.unlink()
    return done


def _saved(out: Out, client: Client, name: str, text: str) -> int:
    skill = client.put(f"skills/{name}", {"text": text}, type=Skill)
    out.document(skill)
    out.say(f"saved  {skill.name}  {skill.version}  {skill.path}")
    return DONE


def _text(context: Context, name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(os.path.join(context.workdir, name)).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotBeDone(f"{name} cannot be read: {why}.", "Name a Markdown file with front matter.") from error


def _forget(context: Context, name: str, action: str) -> int:
    out = context.out
    client = context.client(create=True)
    skill = client.get(f"skills/{name}", type=Skill)
    if action == "remove" and skill.edited:
        raise BadInput(f"{name} is one of ragent's own.", f"`ragent skills reset {name}` takes your changes back.")
    if action == "reset" and skill.source != "shipped" and not skill.edited:
        raise BadInput(f"{name} is not one of ragent's own.", f"`ragent skills remove {name}` removes it.")
    left = client.delete(f"skills/{name}", type=SkillsReply)
    out.document(left)
    out.say(f"{'reset' if left.skills else 'removed'}  {name}")
    return DONE


def _list(out: Out, found: list[Skill]) -> None:
    if out.json:
        return
    if not found:
        out.say("No skill fits.")
        return
    for skill in found:
        state = "edited" if skill.edited else skill.source
        out.say(f"{skill.name}  {out.paint(state, '33' if skill.edited else '90')}  {harmless(skill.title)}")
        if skill.description:
            out.say(f"    {harmless(skill.description)}")
