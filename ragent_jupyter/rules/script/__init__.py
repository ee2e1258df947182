"""What a training script lets one set: read from its source, its files of settings and the command. Nothing is run."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from ragent_jupyter.domain.script import Flag, Script

from .abslflags import read_absl, read_flag_helpers
from .classes import Classes, read_classes
from .command import Where, locate
from .configdicts import read_config_dicts
from .constants import read_configurator, read_constants
from .current import settings
from .docopts import read_docopt
from .folding import UNKNOWN
from .found import Found, Module, Reading, plain
from .functions import read_click, read_fire, read_typer
from .imported import imports, share, used_of
from .overrides import read_gin, read_lines, read_mmcv, read_named, read_sacred, read_yacs
from .parsers import asked_by, makes_options, module_of, read_argparse
from .ranges import searched
from .roles import judge
from .tables import Tables
from .uses import Uses
from .vocabulary import words
from .yamls import Files, read_hydra, read_omegaconf

__all__ = ["Where", "locate", "read_script"]

_LONGEST = 1_000_000  # characters of a file; a longer one was generated
_OTHERS = 40  # Python files beside the script that are looked into
_MOST = 1500  # options
_SETTINGS = 3  # constants that are surely hyper-parameters


def read_script(source: str, path: str, others: Mapping[str, str], command: str) -> Script:
    """The options of a script.

    source: its text.  path: relative to the working folder.  others: further files by path relative to the same folder:
    YAML of hydra, Python modules that it imports.  command: the base command, whose own arguments give `current`.
    What could not be read stands in the notes; no source makes this fail.
    """
    where = locate(command)
    reading = Reading([], [])
    if where.problem and command.strip():
        reading.note(where.problem)
    path = posixpath.normpath(path) if path else path
    main = _module(path, source, reading, main=True)
    if main is None:
        return Script(path=path, notes=reading.notes)
    modules = [main]
    for name in sorted(n for n in others if n.endswith(".py"))[:_OTHERS]:
        module = _module(posixpath.normpath(name), others[name], reading)
        if module is not None and module.path != path:
            modules.append(module)
    share(modules)
    try:
        found = _read(modules, others, where, reading)
    except RecursionError:
        reading.note(f"{path} is nested too deeply to be read whole.")
        found = reading.found
    return Script(path=path, flags=_flags(found, where, modules), notes=reading.notes)


def _module(path: str, source: str, reading: Reading, *, main: bool = False) -> Module | None:
    if len(source) > _LONGEST:
        reading.note(f"{path} is longer than {_LONGEST // 1000} kB: it was not read.")
        return None
    try:
        module = module_of(path, source.lstrip("\ufeff"), main=main)
        for line, why in module.over[:3]:
            reading.note(f"{path}:{line}: this is no Python that can be read: {why}. It was passed over.")
        return module
    except SyntaxError as error:
        reading.note(f"{path}:{error.lineno or 1}: this is no Python that can be read: {error.msg}.")
    except (ValueError, RecursionError, MemoryError) as error:
        reading.note(f"{path} could not be read: {str(error)[:200] or type(error).__name__}.")
    return None


def _read(modules: Sequence[Module], others: Mapping[str, str], where: Where, reading: Reading) -> list[Found]:
    main = modules[0]
    classes = Classes(modules)
    files = Files(others, reading)
    tables = Tables(classes, files, where.args)
    read_flag_helpers(modules, reading)
    for module in _asked(modules):
        read_argparse(module, classes, reading, tables)
        read_absl(module, reading)
        read_click(module, reading)
    if not reading.found:
        for module in modules[1:]:
            read_argparse(module, classes, reading, tables)
            read_absl(module, reading)
            read_click(module, reading)
    read_config_dicts(modules, reading, where.args)
    read_docopt(main, reading)
    for module in modules:  # a script may only call another module's
        if module is main or not reading.found:
            read_typer(module, classes, reading)
            read_fire(module, classes, reading)
    read_classes(classes, reading)
    read_named(modules, files, where.args, reading)
    read_yacs(modules, files, where.args, reading)
    read_mmcv(modules, where.args, reading)
    read_lines(modules, others, where.args, reading)
    read_gin(modules, others, where.args, reading)
    read_sacred(modules, files, where.args, reading)
    hydra = False
    for module in modules:
        hydra = ("hydra" in module.source and read_hydra(module, files, where.args, reading)) or hydra
        read_omegaconf(module, modules, files, where.args, reading)
    if not read_configurator(main, reading):
        read_constants(modules, classes, reading, alone=not hydra and not any(not f.positional for f in reading.found))
    return reading.found


def _asked(modules: Sequence[Module]) -> list[Module]:
    """The script, and the modules whose options it asks for, directly or through another. What else a module defines
    is for when it is executed itself."""
    chosen, left = [modules[0]], list(modules[1:])
    called = asked_by(modules[0])
    taken: dict[str, set[str]] = {}  # by module, what others take from it
    for module in modules:
        for one in imports(module, modules):
            names = {one.attr} if one.attr else used_of(module, one.local)
            taken.setdefault(one.module.path, set()).update(names)
    while more := [module for module in left if makes_options(module, called, taken.get(module.path, set()))]:
        chosen += more
        left = [module for module in left if module not in more]
        for module in more:
            called |= asked_by(module)
    return chosen


def kept_as(found: Found) -> str:
    """Under which name the script's code has an option."""
    return found.dest or found.name.rpartition(".")[2].replace("-", "_")


def _flags(found: list[Found], where: Where, modules: Sequence[Module]) -> list[Flag]:
    found = _of_command(found, where)
    unique: dict[str, Found] = {}
    for one in found:
        old = unique.get(one.name)
        # A constant of the module and an option of the same name are told apart by what sets them; the option is it.
        if old is None or (old.style == "constants" and one.style != "constants"):
            unique[one.name] = one
    kept = list(unique.values())[:_MOST]
    current = settings(kept, where.args)
    every = frozenset(word for one in kept for word in words(one.name))
    uses = Uses(modules, {kept_as(one) for one in kept})
    flags: list[Flag] = []
    judged = [(one, judge(one, every, uses.of(kept_as(one)))) for one in kept]
    doubtful = [(one, verdict) for one, verdict in judged if one.style == "constants" and one.group == "?"]
    # A script that keeps several hyper-parameters as constants keeps its settings so.
    settled = sum(verdict.role != "exclude" and not verdict.weak for _, verdict in doubtful) >= _SETTINGS
    for one, verdict in judged:
        unsure = verdict.weak or verdict.role == "exclude"
        if one.style == "constants" and one.group == "?" and unsure and not settled:
            continue  # a constant that nothing shows to be a setting
        default = None if one.default is UNKNOWN else plain(one.default)
        flag = Flag(
            name=one.name,
            role=verdict.role,
            why=verdict.why,
            style=one.style,
            template=one.template,
            kind=one.kind,
            default=default,
            current=current.get(one.name),
            choices=[plain(choice) for choice in one.choices],
            file=one.file,
            line=one.line,
        )
        flags.append(flag if one.fixed else searched(flag, many=one.many, weak=verdict.weak))
    return flags


def _of_command(found: list[Found], where: Where) -> list[Found]:
    """Without the options of subcommands that the command does not call."""
    groups = {one.group for one in found if one.group and one.group != "?"}
    called = next((word for word in where.args if word in groups), None)
    if called is None:
        return found
    return [one for one in found if one.group in ("", "?", called)]
