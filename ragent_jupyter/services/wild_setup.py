"""The desk of setups: from a goal and a command to what a loop would run and search. Reads files, starts nothing."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.domain.ports_wild import Ignored, Trees
from ragent_jupyter.domain.script import Flag, Script
from ragent_jupyter.domain.sweep import SearchSpace
from ragent_jupyter.domain.wild import Knob, Option, Question, Setup
from ragent_jupyter.domain.wire_wild import CreateLoop, SetupReply
from ragent_jupyter.rules import objective
from ragent_jupyter.rules.environment import shown_env
from ragent_jupyter.rules.script import Where, locate, read_script
from ragent_jupyter.rules.script.vocabulary import word_set, words
from ragent_jupyter.rules.search_space import propose
from ragent_jupyter.rules.sweep_space import expand
from ragent_jupyter.runfiles import with_constants

from . import wild_scripts
from .eval_imports import imported_by
from .runs import Interpreters, RunsDesk

_MOST_COMMAND = 64 * 1024
_MOST_INPUTS = 20  # named in the question; there may be more
_PARALLEL = 4
_SET = with_constants.OPTION + " "
# Names of what runs write, and what belongs to nobody's training: never offered as an input.
_OUTPUTS = word_set(
    "runs run outputs output out logs log wandb mlruns lightning_logs tb_logs tensorboard checkpoints checkpoint ckpt "
    "ckpts results result tmp temp build dist site node_modules venv env cache multirun figures plots images wheels "
    "eggs metrics.jsonl nohup.out optuna.db target htmlcov reports artifacts snapshots exp experiments"
)
_OUTPUT_ENDINGS = (
    ".log",
    ".out",
    ".err",
    ".pid",
    ".lock",
    ".tmp",
    ".egg-info",
    ".so",
    ".whl",
    ".ipynb",
    ".key",
    ".pem",
)
# Units of training length, the one whose lowering is surest first.
_UNITS = (
    "epoch",
    "step",
    "iter",
    "timestep",
    "update",
    "episode",
    "frame",
    "batch",
    "round",
    "estimator",
    "tree",
    "token",
)


class SetupDesk:
    """redact: what hides secrets in a text before it is stored or shown."""

    def __init__(
        self,
        runs: RunsDesk,
        interpreters: Interpreters,
        trees: Trees | None,
        project: Path,
        redact: Callable[[str], str],
    ) -> None:
        self.runs = runs
        self.interpreters = interpreters
        self.trees = trees
        self.project = project
        self.redact = redact

    async def propose(self, body: CreateLoop) -> SetupReply:
        """What would be run and searched, and what a person must say first. Raises BadInput, CannotBeDone."""
        _check(body)
        await self.runs.check_gpus(body.gpus)
        cwd = self.runs._cwd(body.cwd)
        if body.executor is not None:
            await asyncio.to_thread(self.runs.executor_for, body.executor)
        if not body.command.strip():
            return await self._without_command(body, cwd)
        where = locate(body.command)
        script = await asyncio.to_thread(self._script, where, cwd, body.command)
        interpreter = await asyncio.to_thread(self.interpreters.resolve, body.python, body.caller_python)
        if where.tail and "{" not in body.command:
            raise BadInput(
                f"The command goes on after the script ({where.tail[:60]}): parameters would be given to that.",
                "End the command with the script's own arguments; its output is kept anyway.",
            )
        script, notes = _settable(script, where)
        seed = _seed(body, script)
        space = _space(body, script, seed)
        fidelity = _fidelity(script, space)
        setup = Setup(
            command=body.command.rstrip(),
            cwd=str(cwd),
            python=interpreter.path or None,
            env=dict(body.env),
            executor=body.executor,
            gpus=body.gpus,
            share_gpu=body.share_gpu,
            parallel=body.parallel or (1 if body.gpus else max(1, min(_PARALLEL, os.cpu_count() or 1))),
            metric=body.metric,
            mode=body.mode or objective.direction(body.metric) or "min",
            score=body.score or "last",
            space=space,
            flags={flag.name: flag.template for flag in script.flags if flag.template and flag.role != "exclude"}
            | {name: flag.template for name in space if (flag := script.flag(name)) is not None and flag.template},
            fidelity=fidelity.name if fidelity else "",
            full=fidelity.value if fidelity else None,
            seed=seed,
            seeds=body.seeds if body.seeds is not None else 5,
            top=body.top if body.top is not None else 3,
            eval_files=await asyncio.to_thread(_eval_files, body, cwd, self.project),
            holdout=body.holdout,
            may_edit=list(body.may_edit),
        )
        setup = _with_helper(setup, script, where)
        notes += _said(setup, script, body)
        asks: list[Question] = []
        if body.metric and body.mode is None and objective.direction(body.metric) is None:
            asks.append(self._which_way(body.metric))
        isolation, inputs, ask = await asyncio.to_thread(self._isolation, body, str(cwd))
        if ask is not None:
            asks.append(ask)
        if isolation == "in_place" and body.may_edit:
            raise BadInput(
                "Code can only be edited in trees of their own, and the loop would run in place.",
                "Leave may_edit empty, or run in a git repository with isolation tree.",
            )
        script = self._shown(replace(script, notes=[*script.notes, *notes]))
        return SetupReply(
            setup=replace(setup, isolation=isolation, inputs=inputs),
            script=script,
            asks=asks,
            policy=body.policy or "builtin",
            limits=body.limits,
        )

    # --- the script ---------------------------------------------------------------------------------------------------
    def _script(self, where: Where, cwd: Path, command: str) -> Script:
        if where.problem:
            return Script(notes=[f"{where.problem} What it lets one set is not known."])
        path = wild_scripts.find(where, cwd)
        if path is None:
            named = where.module or where.script
            return Script(notes=[f"The source of {named[:100]} is not in {cwd}: what it lets one set is not known."])
        source = wild_scripts.text_of(path)
        relative = Path(os.path.relpath(path, cwd)).as_posix()
        return read_script(source, relative, wild_scripts.others(source, path, cwd, where.args), command)

    async def _without_command(self, body: CreateLoop, cwd: Path) -> SetupReply:
        found = await asyncio.to_thread(wild_scripts.likely, cwd)
        if not found:
            raise BadInput(
                f"The command is missing, and {cwd} holds no script that looks like training.",
                "Give the command that runs one training, such as `python train.py`.",
            )
        options = [Option(f"python {shlex.quote(path)}", f"python {path}") for path in found]
        ask = self._question("command", "Which command runs one training?", options, options[0].id)
        setup = Setup(command="", cwd=str(cwd), env=dict(body.env), executor=body.executor, metric=body.metric)
        return SetupReply(setup=setup, script=Script(), asks=[ask], policy=body.policy or "builtin", limits=body.limits)

    def _shown(self, script: Script) -> Script:
        """Without secrets that stand in the source or in the command."""

        def hidden(flag: Flag, value: Any) -> Any:
            if isinstance(value, str):
                return shown_env({flag.name: self.redact(value)})[flag.name] if value else value
            return value

        flags = [
            replace(
                flag,
                default=hidden(flag, flag.default),
                current=hidden(flag, flag.current),
                choices=[hidden(flag, choice) for choice in flag.choices],
                why=self.redact(flag.why),
            )
            if flag.kind in ("str", "unknown")
            else flag
            for flag in script.flags
        ]
        return replace(script, flags=flags, notes=[self.redact(note) for note in script.notes])

    # --- questions ----------------------------------------------------------------------------------------------------
    def _question(
        self, ref: str, text: str, options: Sequence[Option], default: str, held: Sequence[Any] = ()
    ) -> Question:
        return Question(
            id=f"setup:{ref}",
            text=text,
            options=list(options),
            default=default,
            asked_at=self.runs.shell.clock.now(),
            about="setup",
            held=list(held),
            ref=ref,
        )

    def _which_way(self, metric: str) -> Question:
        options = [Option("min", "lower is better"), Option("max", "higher is better")]
        return self._question("mode", f"Is a lower or a higher {metric[:80]} better?", options, "min")

    # --- where it runs ------------------------------------------------------------------------------------------------
    def _isolation(self, body: CreateLoop, cwd: str) -> tuple[Literal["tree", "in_place"], list[str], Question | None]:
        wanted = body.isolation
        given = None if body.inputs is None else [item.strip() for item in body.inputs if item.strip()]
        if given == ["in_place"]:
            wanted, given = wanted or "in_place", []
        root = ""
        if wanted != "in_place" and self.trees is not None:
            try:
                root = self.trees.repository(cwd)
            except RagentError:
                if wanted == "tree":
                    raise
        if wanted == "tree" and not root:
            raise CannotBeDone(
                f"{cwd} is in no git repository, so that there are no trees of its commits.",
                "Run `git init` there and commit, or choose isolation in_place.",
            )
        if not root:
            return "in_place", given or [], None
        if given is not None and given not in (["link_all"], ["all"], ["*"]):
            return "tree", [] if given == ["none"] else given, None
        assert self.trees is not None
        found = [one for one in self.trees.ignored(cwd) if plausible(one)]
        paths = [one.path for one in found]
        if given is not None or not found:
            return "tree", paths, None
        named = ", ".join(
            f"{one.path}{'/' if one.kind == 'folder' else ''} ({_size(one.size)})" for one in found[:_MOST_INPUTS]
        )
        more = f" and {len(found) - _MOST_INPUTS} more" if len(found) > _MOST_INPUTS else ""
        text = f"Git ignores {named}{more}: do runs read them?"
        options = [
            Option("link_all", "Yes: link them into each tree, read-only"),
            Option("none", "No: runs need none of them"),
            Option("in_place", "Run in my folder as it is, without trees"),
        ]
        return "tree", paths, self._question("inputs", text, options, "link_all", paths)


# --- what a body may say ----------------------------------------------------------------------------------------------
def _check(body: CreateLoop) -> None:
    if "\0" in body.command or len(body.command) > _MOST_COMMAND:
        raise BadInput("The command holds a NUL byte or is longer than 64 KiB.", "Put it into a script and run that.")
    if body.parallel is not None and not 1 <= body.parallel <= 1000:
        raise BadInput(f"parallel is {body.parallel}.", "Give a number from 1 to 1000.")
    if body.seeds is not None and not 1 <= body.seeds <= 100:
        raise BadInput(f"{body.seeds} seeds cannot be tested on.", "Give a number from 1 to 100; 5 is usual.")
    if body.top is not None and not 1 <= body.top <= 20:
        raise BadInput(f"{body.top} candidates cannot be confirmed.", "Give a number from 1 to 20; 3 is usual.")
    if body.isolation == "in_place" and body.may_edit:
        raise BadInput(
            "Code can only be edited in trees of their own, not in place.", "Leave may_edit empty, or choose tree."
        )


def _eval_files(body: CreateLoop, cwd: Path, project: Path) -> list[str]:
    """As given, once it is known that each is there, and the modules of the project that they import: shown, guarded
    and hashed like them. Raises CannotBeDone."""
    files = body.eval_files or []
    for name in files:
        path = cwd / os.path.expanduser(name)
        if not name.strip() or "\0" in name or not os.path.exists(path):  # False for a name too long to be one
            raise CannotBeDone(
                f"The evaluation file {name[:100]!r} does not exist in {cwd}.", "Name files relative to that folder."
            )
    wanted = Setup(command="", cwd=str(cwd), eval_files=list(files), may_edit=list(body.may_edit))
    return [*files, *imported_by(wanted, cwd, project if cwd.is_relative_to(project) else cwd)]


def plausible(one: Ignored) -> bool:
    """Whether what git ignores may be read by a run: not what runs write, no caches, no environments, no secrets."""
    parts = [part.lower() for part in one.path.split("/") if part]
    if not parts or one.size <= 0:
        return False
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and not set(parts) & _OUTPUTS and not parts[-1].endswith(_OUTPUT_ENDINGS)


def _size(n: float) -> str:
    """
    >>> _size(900), _size(3_400_000)
    ('900 B', '3.4 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


# --- what the script lets one set -------------------------------------------------------------------------------------
def _settable(script: Script, where: Where) -> tuple[Script, list[str]]:
    """Without what this command cannot reach: constants of a module that is run by `python -m`."""
    gone = [flag for flag in script.flags if flag.template.startswith(_SET)]
    if not gone or not where.module:
        return script, []
    note = f"{where.module} is run by -m: its constants cannot be set. Name the file instead (python {script.path})."
    return replace(script, flags=[flag for flag in script.flags if flag not in gone]), [note]


def _known(script: Script, name: str) -> Flag | None:
    """A flag by its name as anybody may spell it: --weight-decay, weight_decay."""
    plain = name.strip().lstrip("-")
    same = plain.replace("_", "-")
    return script.flag(plain) or next((f for f in script.flags if f.name.replace("_", "-") == same), None)


def _seed(body: CreateLoop, script: Script) -> str | None:
    """The seed's flag, "" where there is none, None where the script could not be read. Raises BadInput."""
    if body.seed_flag is not None:
        if not body.seed_flag.strip():
            return ""
        flag = _known(script, body.seed_flag)
        if flag is not None:
            return flag.name
        if script.path and script.flags and not script.notes:
            raise BadInput(f"{script.path} has no option {body.seed_flag[:60]!r}.", _options(script))
        return body.seed_flag.strip().lstrip("-")
    seeds = [
        flag
        for flag in script.flags
        if flag.role == "seed" and flag.template and flag.kind in ("int", "unknown", "str")
    ]
    seeds = [flag for flag in seeds if not isinstance(flag.value, list)]
    if not seeds:
        return "" if script.flags else None
    order = ("seed", "random", "manual", "rng", "train")
    return min(seeds, key=lambda f: (f.kind != "int", _rank(words(f.name)[:1], order), len(f.name))).name


def _rank(tokens: Sequence[str], order: Sequence[str]) -> int:
    return next((at for at, word in enumerate(order) if word in tokens), len(order))


def _fidelity(script: Script, space: dict[str, Knob]) -> Flag | None:
    """The option of training length: counted, above 0, and not searched. What the command sets itself goes first."""
    found = [
        flag
        for flag in script.flags
        if flag.role == "fidelity"
        and flag.template
        and flag.name not in space
        and isinstance(flag.value, (int, float))
        and not isinstance(flag.value, bool)
        and flag.value > 0
        and set(words(flag.name)) & set(_UNITS)
        and "patience" not in words(flag.name)
    ]
    return min(
        found,
        key=lambda f: (f.current is None, "per" in words(f.name), _rank(words(f.name), _UNITS), len(f.name)),
        default=None,
    )


def _options(script: Script) -> str:
    names = [flag.name for flag in script.flags if flag.template and flag.role != "exclude"] or [
        flag.name for flag in script.flags if flag.template
    ]
    return f"It has: {', '.join(names[:40])}." if names else "Give another script, or no such option."


def _space(body: CreateLoop, script: Script, seed: str | None) -> dict[str, Knob]:
    """What would be searched. Raises BadInput for names that the script does not have, CannotBeDone for bad ranges."""
    if body.space is None:
        return propose(script)
    found: dict[str, Knob] = {}
    for name, knob in body.space.items():
        flag = _known(script, name)
        if flag is None and "{" + name + "}" in body.command:
            found[name] = knob
            continue
        if flag is None and (script.flags or not name.strip()):
            raise BadInput(f"{script.path or 'The script'} has no option {name[:60]!r}.", _options(script))
        if flag is None:
            found[name.strip().lstrip("-")] = knob
            continue
        if flag.name == seed or flag.role == "seed":
            raise BadInput(f"{name!r} is a seed: it is repeated over, not searched.", "Leave it out of the space.")
        if not flag.template:
            raise BadInput(f"{name!r} is a positional argument and cannot be searched.", _options(script))
        if flag.value is True and flag.kind == "bool" and flag.template.endswith("|"):
            raise BadInput(
                f"The command itself sets {flag.name}, which cannot be taken back.", "Take it out of the command."
            )
        found[flag.name] = knob if knob.default is not None else replace(knob, default=flag.value)
    if found:
        expand(SearchSpace(method="random", parameters={name: knob.dim for name, knob in found.items()}), 1)
    return found


def _with_helper(setup: Setup, script: Script, where: Where) -> Setup:
    """The command with the helper before the script, where a constant is to be set."""
    used = [*setup.space, *filter(None, (setup.seed, setup.fidelity))]
    if not any(setup.flags.get(name, "").startswith(_SET) for name in used) or not where.script:
        return setup
    helper = shlex.quote(os.path.abspath(with_constants.__file__))
    start = setup.command[: where.start]
    # `FOO=1 ./train.py` names no interpreter: the helper is no program, so that one must be named.
    before = re.split(r"[;&|(\n]", start)[-1].split()
    direct = "python " if all(re.match(r"\w+=", word) for word in before) else ""
    return replace(setup, command=f"{start}{direct}{helper} {setup.command[where.start :]}")


def _said(setup: Setup, script: Script, body: CreateLoop) -> list[str]:
    notes = []
    if setup.seed == "" and body.seed_flag is None:
        notes.append("No seed option was found: noise is measured by plain repeats, and a best stays unconfirmed.")
    if not setup.space:
        notes.append("Nothing to search was found; name a space, or let a model edit the code.")
    if not setup.fidelity and script.flags:
        notes.append("No option of training length was found: every run trains in full.")
    return notes
