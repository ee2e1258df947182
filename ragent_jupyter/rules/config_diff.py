"""What differs between two runs' setups: settings, command, interpreter, code, environment, packages. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.alert import Alert, Severity
from ragent_jupyter.domain.run import Run, RunStatus

_SCRIPT = re.compile(r"\.(?:py|sh|ipynb|jl|R|m|lua)\Z")
_NAME = re.compile(r"[A-Za-z_][\w.\-/]*\Z")
_SEED = re.compile(r"(?:^|[._\-])(?:(?:random|rng|manual|global|np|torch)[_\-]?)?seed\Z|^random_state\Z", re.IGNORECASE)
_FILE = re.compile(r"^diff --git (?:\"?a/.*\"? )\"?b/(.*?)\"?$", re.MULTILINE)
_READ = 16_384  # characters of a command that are looked at: shlex takes time with the square of them


class Difference(Struct, frozen=True):
    """before: of the run that is compared with. None: not there."""

    kind: str  # setting, command, cwd, interpreter, commit, file, variable, package, device
    name: str
    before: str | None
    after: str | None


class Setup(Struct, frozen=True, kw_only=True):
    """How a run was set up, as far as it is recorded. diff: its git.diff.  packages: None where nobody knows."""

    run: Run
    diff: str = ""
    packages: dict[str, str] | None = None


def is_seed(name: str) -> bool:
    """Whether a setting only seeds chance.

    >>> [is_seed(n) for n in ("seed", "train.random_seed", "random_state", "seed_lr", "lr")]
    [True, True, True, False, False]
    """
    return bool(_SEED.search(name))


def words_of(command: str) -> list[str]:
    """A command's words as a shell would see them; split at blanks where its quotes do not close."""
    try:
        return shlex.split(command[:_READ], comments=False)
    except ValueError:
        return command[:_READ].split()


def flags_of(command: str) -> dict[str, str]:
    """Settings that stand in a command line, as text: `--name value`, `--name=value`, `name=value` after the script;
    a switch without a value is "true".

    >>> flags_of("CUDA=1 python train.py --lr 0.1 --bs=32 model.depth=4 --amp data.csv -v")
    {'lr': '0.1', 'bs': '32', 'model.depth': '4', 'amp': 'data.csv', 'v': 'true'}
    >>> flags_of("python -m trainer.main --offset -0.5 --quiet")
    {'offset': '-0.5', 'quiet': 'true'}
    """
    words = words_of(command)
    start = next((i + 1 for i, w in enumerate(words) if _SCRIPT.search(w)), None)
    if start is None:
        start = next((i + 2 for i, w in enumerate(words) if w == "-m"), 1)
    found: dict[str, str] = {}
    at = start
    while at < len(words):
        word = words[at]
        at += 1
        bare = word.lstrip("-")
        name, sign, value = bare.partition("=")
        if sign and _NAME.match(name):
            found[name] = value
        elif word.startswith("-") and _NAME.match(bare):
            following = words[at] if at < len(words) else None
            if (
                following is not None
                and (not following.startswith("-") or _is_number(following))
                and "=" not in following
            ):
                found[bare] = following
                at += 1
            else:
                found[bare] = "true"
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def script_of(run: Run) -> str:
    """What a run executes, so that runs of one script are known as such: its file, else `-m` module, else the program.

    >>> script_of(Run(id="r", name="", command="python src/train.py --lr 1", argv=[], cwd="/p", created_at=0.0))
    '/p/src/train.py'
    """
    words = words_of(run.command)
    script = next((w for w in words if _SCRIPT.search(w)), None)
    if script is None:
        at = words.index("-m") if "-m" in words else -1
        if at >= 0 and at + 1 < len(words):
            return f"-m {words[at + 1]}"
        return words[0] if words else ""
    parts: list[str] = []
    for part in (script if script.startswith("/") else f"{run.cwd}/{script}").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def settings_of(run: Run) -> dict[str, Any]:
    """A run's parameters and, beside them, what its command line sets; a declared parameter goes first."""
    declared = {_plain(name) for name in run.params}
    flags = {name: value for name, value in flags_of(run.command).items() if _plain(name) not in declared}
    return {**run.params, **flags}


def _plain(name: str) -> str:
    return name.lstrip("-").replace("-", "_").casefold()


def said(value: Any) -> str:
    """A setting's value as text that equals for equal values, however it was written.

    >>> said(0.1) == said("0.10"), said("1e-3") == said(0.001), said(True) == said("true"), said("a")
    (True, True, True, 'a')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("true", "false"):
            return text.lower()
        try:
            return repr(float(text)) if re.search(r"\d", text) else text
        except ValueError:
            return value
    if isinstance(value, (int, float)):
        return repr(float(value)) if abs(value) < 1e300 else repr(value)
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, UnicodeEncodeError):
        return repr(value)


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings that are not the same in all the runs: name -> each run's value as it was given, None where not set."""
    each = [{_plain(name): (name, value) for name, value in settings_of(run).items()} for run in runs]
    found: dict[str, list[Any]] = {}
    for plain in dict.fromkeys(name for one in each for name in one):
        values = [one[plain][1] if plain in one else None for one in each]
        if len({said(v) if plain in one else None for v, one in zip(values, each, strict=True)}) > 1:
            name = next(one[plain][0] for one in each if plain in one)
            found[name] = values
    return found


def last_good(run: Run, runs: Iterable[Run], alerts: Iterable[Alert]) -> Run | None:
    """The newest run of the same script that was made before `run`, finished, and met no critical alert."""
    script = script_of(run)
    marred = {a.run_id for a in alerts if a.severity is Severity.CRITICAL}
    found = [
        other
        for other in runs
        if other.status is RunStatus.FINISHED
        and other.id != run.id
        and (other.created_at, other.id) < (run.created_at, run.id)
        and other.id not in marred
        and script_of(other) == script
    ]
    return max(found, key=lambda r: (r.created_at, r.id), default=None)


def compare(good: Setup, other: Setup) -> list[Difference]:
    """What `other` has otherwise than `good`: settings first, then how, with what and on what it ran."""
    a, b = good.run, other.run
    found = [
        Difference("setting", name, _text(values[0]), _text(values[1])) for name, values in differing([a, b]).items()
    ]
    rest_a, rest_b = _beside_flags(a.command), _beside_flags(b.command)
    if rest_a != rest_b or (not found and _meaning(a.command) != _meaning(b.command)):
        found.append(Difference("command", "command", a.command, b.command))
    if a.cwd != b.cwd:
        found.append(Difference("cwd", "cwd", a.cwd, b.cwd))
    for name in ("path", "version"):
        before = getattr(a.interpreter, name) if a.interpreter else None
        after = getattr(b.interpreter, name) if b.interpreter else None
        if before != after:
            found.append(Difference("interpreter", name, before, after))
    for name, one, two in (("executor", a.executor, b.executor), ("gpus", str(a.gpus), str(b.gpus))):
        if one != two:
            found.append(Difference("device", name, one, two))
    found += _map_diff("variable", a.env, b.env)
    if a.git or b.git:
        commits = (a.git.commit if a.git else None, b.git.commit if b.git else None)
        if commits[0] != commits[1]:
            found.append(Difference("commit", "commit", *commits))
        found += _map_diff("file", files_of(good.diff), files_of(other.diff))
    if good.packages is not None and other.packages is not None:
        found += _map_diff("package", good.packages, other.packages)
    return found


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else said_plainly(value)


def said_plainly(value: Any) -> str:
    """A value as it would be typed.

    >>> said_plainly(0.1), said_plainly(32), said_plainly([1, "a"])
    ('0.1', '32', '[1,"a"]')
    """
    return repr(value) if isinstance(value, float) else said(value) if not isinstance(value, int) else str(value)


def _beside_flags(command: str) -> list[str]:
    """The words of a command that are no settings."""
    flags = flags_of(command)
    taken = {*flags.values()}
    return [
        w
        for w in words_of(command)
        if w not in taken
        and not (w.startswith("-") and _NAME.match(w.lstrip("-").partition("=")[0]))
        and not ("=" in w and w.partition("=")[0] in flags)
    ]


def _meaning(command: str) -> list[str]:
    """The command's words, however settings are written, in no order: what is left after all else was compared."""
    parts = [part for w in words_of(command) for part in w.lstrip("-").split("=", 1)]
    return sorted(said(part).replace("-", "_").casefold() for part in parts if part.lower() != "true")


def _map_diff(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    names = sorted({*before, *after})
    return [Difference(kind, n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def files_of(diff: str) -> dict[str, str]:
    """A `git diff` by file: the path and its part of the diff, without the lines that only name blobs.

    >>> files_of("diff --git a/t.py b/t.py\\nindex 1..2 100644\\n--- a/t.py\\n+++ b/t.py\\n@@ -1 +1 @@\\n-a\\n+b\\n")
    {'t.py': '@@ -1 +1 @@\\n-a\\n+b'}
    """
    marks = list(_FILE.finditer(diff))
    found = {}
    for number, mark in enumerate(marks):
        end = marks[number + 1].start() if number + 1 < len(marks) else len(diff)
        body = diff[mark.end() : end]
        hunk = body.find("\n@@")
        found[mark[1]] = (body[hunk + 1 :] if hunk >= 0 else body).strip("\n")
    return found
