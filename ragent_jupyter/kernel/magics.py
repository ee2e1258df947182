"""`%ragent VERB …`: the command line's verbs in a cell, returning values with a face. Nothing waits for a run."""

from __future__ import annotations

import io
import keyword
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import BadInput, RagentError
from ragent_jupyter.domain.run import RunKind
from ragent_jupyter.domain.wire import CreateRun

from . import surface, words
from .hide import hidden
from .views import (
    AlertsView,
    AlertView,
    ChartView,
    DoctorView,
    LogView,
    ReportView,
    RunsView,
    RunView,
    StatusView,
    SweepsView,
    View,
    tail,
)

VERBS: dict[str, tuple[str, str]] = {
    "status": ("", "what runs, what is best, what needs you"),
    "runs": ("[--status S] [--sweep SWEEP] [--limit N]", "the project's runs, newest first"),
    "run": (
        "[--name N] [--gpus N] [--primary METRIC] [--mode min|max] [--executor E] CMD",
        "start a run; returns at once",
    ),
    "show": ("RUN", "all about one run"),
    "logs": ("RUN [-n LINES]", "the end of its output"),
    "chart": ("METRIC [RUN …] [--x step|time|relative]", "curves, as a plotly figure"),
    "stop": ("RUN … [--now]", "stop runs or sweeps: INT, TERM, KILL, with grace between"),
    "retry": ("RUN [--set lr=0.001 …]", "run an ended run again"),
    "sweeps": ("", "the project's sweeps"),
    "alerts": ("[--all]", "what waits for an answer"),
    "respond": ("ALERT CHOICE", "answer an alert"),
    "report": ("SWEEP|RUN …", "write a notebook about them"),
    "wild": (
        '"GOAL" [--max-runs N] [--dry-run] … -- CMD | status | watch | pause | resume | stop | steer TEXT | …',
        "work towards a goal by itself, within limits; returns at once",
    ),
    # In quotes: IPython takes a line that ends in ? for a wish for help.
    "chat": ('"QUESTION"', "ask the assistant; %%ragent above a cell asks with all of it"),
    "fix": ("[-f code] [WISH]", "what was wrong with the cell that failed last, and the repaired cell"),
    "memory": ("[add TEXT | on RULE | off RULE | remove RULE]", "the rules that agents heed"),
    "panel": ("[METRIC]", "runs and a live chart, below the cell"),
    "doctor": ("", "is everything in place"),
    "help": ("", "this list"),
}


# Verbs whose words go to a person's assistant or memory: IPython's own {…} and $… are left alone in them.
_TALKS = frozenset({"chat", "fix", "memory"})
_CHAT_OPTIONS: dict[str, Any] = {"-f": str, "--session": str, "--mode": str, "-o": str}


class HelpView(View):
    def text(self) -> str:
        return words.columns([[f"%ragent {verb} {takes}", says] for verb, (takes, says) in VERBS.items()])

    def html(self) -> str:
        rows = [[words.code_html(f"%ragent {verb} {takes}"), words.esc(says)] for verb, (takes, says) in VERBS.items()]
        return words.table_html(["", ""], rows)


@magics_class
class RagentMagics(Magics):
    """The verbs of ragent. `%ragent help` lists them."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        from .fix import Failures

        self.ip = shell
        self.failures = Failures(shell)
        self.failures.listen()

    @no_var_expand  # what a chat is told is filled in by names alone; IPython would evaluate any expression
    @line_cell_magic
    def ragent(self, line: str, cell: str | None = None) -> Any:
        """`%ragent VERB …` (`%ragent help` lists the verbs), `%%ragent [-f …]` asks the assistant with the cell."""
        try:
            if cell is not None:
                return self._ask_with(line, cell)
            verb, _, rest = line.strip().partition(" ")
            verb = verb or "status"
            if verb not in VERBS:
                raise BadInput(f"There is no verb {verb!r}.", f"One of: {', '.join(VERBS)}.")
            if verb not in _TALKS:
                rest = self._expanded(rest)
            do: Callable[[str], Any] = getattr(self, f"_{verb}")
            return do(rest.strip())
        except RagentError as error:
            # IPython asks an exception how it wants to be shown: two lines instead of our call stack.
            shown = [f"ragent: {error.problem}", f"  {error.remedy}"]
            error._render_traceback_ = lambda: shown  # type: ignore[attr-defined]
            raise

    def _expanded(self, text: str) -> str:
        """{names} and $names filled in as IPython does for magics: from where the magic stands, not from in here."""
        depth, frame = 0, sys._getframe(0)
        while frame.f_back is not None and frame.f_code.co_name != "run_line_magic":
            depth, frame = depth + 1, frame.f_back
        return str(self.ip.var_expand(text, depth=depth + 1))

    # --- talking ------------------------------------------------------------------------------------------------
    def _ask_with(self, line: str, cell: str) -> Any:
        options, words_ = _options(line, _CHAT_OPTIONS)
        return self._asked(" ".join(words_), cell, options)

    def _chat(self, rest: str) -> Any:
        options, text = _leading_options(rest, _CHAT_OPTIONS)
        if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
            text = text[1:-1]
        return self._asked("", text, options)

    def _asked(self, head: str, text: str, options: dict[str, Any]) -> Any:
        from .chat_cell import ask, keep
        from .chat_text import interpolate, shown

        names = {**self.ip.user_ns, "Err": self.failures}
        filled = hidden(interpolate(f"{head}\n{text}".strip(), names, lambda v: shown(v, hidden)))
        value = ask(self.ip, filled, **_chat_fields(options))
        return keep(self.ip, value, options.get("o"))

    def _fix(self, rest: str) -> Any:
        from .chat_cell import ask, keep
        from .fix import question

        options, wish = _leading_options(rest, _CHAT_OPTIONS)
        value = ask(self.ip, question(self.failures.last(), hidden(wish)), **_chat_fields(options))
        return keep(self.ip, value, options.get("o"))

    def _memory(self, rest: str) -> Any:
        from .memory_view import memory

        return memory(rest)

    def _wild(self, rest: str) -> Any:
        from .wild_verbs import wild

        return wild(rest)

    # --- looking ------------------------------------------------------------------------------------------------
    def _help(self, rest: str) -> HelpView:
        return HelpView()

    def _status(self, rest: str) -> StatusView:
        _no_more(rest, "status")
        return StatusView(Client().status())

    def _doctor(self, rest: str) -> DoctorView:
        _no_more(rest, "doctor")
        return DoctorView(Client().doctor())

    def _runs(self, rest: str) -> RunsView:
        options, words_ = _options(rest, {"--status": str, "--sweep": str, "--limit": int})
        _no_more(" ".join(words_), "runs")
        sweep = options.get("sweep")
        if sweep is not None:
            options["sweep"] = Client().find_sweep(sweep).id
        return surface.runs(**({"limit": 30} | options))

    def _show(self, rest: str) -> RunView:
        client = Client()
        return RunView(client, client.find_run(_one(rest, "show")))

    def _logs(self, rest: str) -> LogView:
        options, names = _options(rest, {"-n": int})
        client = Client()
        run = client.find_run(_one(" ".join(map(shlex.quote, names)), "logs"))
        return LogView(run, tail(client, run.id, options.get("n", 40)))

    def _chart(self, rest: str) -> ChartView:
        options, names = _options(rest, {"--x": str})
        if not names:
            raise BadInput("No metric was named.", _usage("chart"))
        if options.get("x", "step") not in ("step", "time", "relative"):
            raise BadInput(f"x cannot be {options['x']!r}.", _usage("chart"))
        return surface.chart_view(names[0], names[1:] or None, **options)

    def _sweeps(self, rest: str) -> SweepsView:
        _no_more(rest, "sweeps")
        client = Client()
        return SweepsView(client, client.sweeps())

    def _alerts(self, rest: str) -> AlertsView:
        options, names = _options(rest, {"--all": None})
        _no_more(" ".join(names), "alerts")
        client = Client()
        return AlertsView(client, client.alerts(status=None if "all" in options else "pending").alerts)

    def _panel(self, rest: str) -> Any:
        return surface.panel(_one(rest, "panel") if rest else None)

    # --- doing --------------------------------------------------------------------------------------------------
    def _run(self, rest: str) -> RunView:
        options, command = _leading_options(
            rest, {"--name": str, "--gpus": int, "--primary": str, "--mode": str, "--executor": str, "--cwd": str}
        )
        if not command:
            raise BadInput("No command was given.", _usage("run"))
        if options.get("mode", "min") not in ("min", "max"):
            raise BadInput(f"--mode is min or max, not {options['mode']!r}.", _usage("run"))
        kind: RunKind = "command"
        path = command.strip("'\"")
        if path.endswith(".ipynb") and (" " not in command or path != command):
            kind, command = "notebook", path
        options.setdefault("cwd", os.getcwd())
        client = Client()
        caller: dict[str, Any] = {"caller_python": sys.executable, "caller_env": dict(os.environ)}
        body = CreateRun(command=command, kind=kind, **caller, **options)
        return RunView(client, client.create_run(body))

    def _stop(self, rest: str) -> Any:
        options, names = _options(rest, {"--now": None})
        if not names:
            raise BadInput("No run was named.", _usage("stop"))
        client = Client()
        stopped: list[Any] = []
        for name in names:
            if name.startswith("swp_"):
                client.stop_sweep(client.find_sweep(name).id)
                stopped += client.all_runs(sweep=client.find_sweep(name).id)
            else:
                stopped.append(client.stop(client.find_run(name).id, now="now" in options))
        return RunView(client, stopped[0]) if len(stopped) == 1 else RunsView(client, stopped, len(stopped))

    def _retry(self, rest: str) -> RunView:
        options, names = _options(rest, {"--set": list})
        client = Client()
        run = client.find_run(_one(" ".join(map(shlex.quote, names)), "retry"))
        changes = {}
        for text in options.get("set", []):
            name, equals, value = text.partition("=")
            if not equals:
                raise BadInput(f"--set {text} names no value.", "Write --set lr=0.001.")
            changes[name] = _literal(value)
        return RunView(client, client.retry(run.id, changes))

    def _respond(self, rest: str) -> AlertView:
        names = _split(rest)
        if len(names) != 2:
            raise BadInput("An alert and a choice are needed.", _usage("respond"))
        client = Client()
        alert = client.find_alert(names[0])
        if names[1] not in [choice.id for choice in alert.choices]:
            choices = ", ".join(f"{choice.id} ({choice.label})" for choice in alert.choices)
            raise BadInput(f"{names[1]!r} is not a choice of {alert.id}.", f"Choose: {choices}.")
        return AlertView(client, client.respond(alert.id, names[1]))

    def _report(self, rest: str) -> ReportView:
        names = _split(rest)
        if not names:
            raise BadInput("Nothing was named to report on.", _usage("report"))
        return surface.report(names[0] if len(names) == 1 else names).save()


def _chat_fields(options: dict[str, Any]) -> dict[str, Any]:
    mode = options.get("mode")
    if mode not in (None, "ask", "plan"):
        # One that asks less is chosen where a person sits, not by code that an agent may run.
        raise BadInput(f"--mode cannot be {mode!r} in a cell.", "One of: ask, plan. Others: in the sidebar.")
    name = options.get("o")  # now, not when the answer is there and paid for
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise BadInput(f"{name!r} is no name of a variable.", "Use -o answer.")
    return {"format": options.get("f", "markdown"), "session": options.get("session"), "mode": mode}


def _usage(verb: str) -> str:
    return f"Usage: %ragent {verb} {VERBS[verb][0]}"


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"The line cannot be read: {error}.", "Look at its quotes.") from error


def _one(text: str, verb: str) -> str:
    names = _split(text)
    if len(names) != 1:
        raise BadInput(f"%ragent {verb} takes one name, not {len(names)}.", _usage(verb))
    return names[0]


def _no_more(text: str, verb: str) -> None:
    if text:
        raise BadInput(f"%ragent {verb} takes nothing like {text!r}.", _usage(verb))


def _take(known: dict[str, Any], word: str, following: Callable[[], str], into: dict[str, Any]) -> None:
    """One option: `--name value`, `--name=value`, or a bare flag where `known` says None."""
    name, equals, value = word.partition("=")
    if name not in known:
        raise BadInput(f"There is no option {name}.", f"There are: {', '.join(known)}.")
    key, kind = name.lstrip("-"), known[name]
    if kind is None:
        into[key] = True
        return
    text = value if equals else following()
    if kind is list:
        into.setdefault(key, []).append(text)
        return
    try:
        into[key] = kind(text)
    except ValueError as error:
        raise BadInput(f"{name} takes a whole number, not {text!r}.", "") from error


def _options(text: str, known: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options and the other words of a line, in any order."""
    words_ = _split(text)
    found: dict[str, Any] = {}
    rest: list[str] = []
    while words_:
        word = words_.pop(0)
        if word == "--":
            rest += words_
            break
        if word.startswith("-") and len(word) > 1:

            def following(word: str = word) -> str:
                if not words_:
                    raise BadInput(f"{word} names no value.", "")
                return words_.pop(0)

            _take(known, word, following, found)
        else:
            rest.append(word)
    return found, rest


def _leading_options(text: str, known: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The options before a command, and the command as it was typed: a shell will read it, quotes and pipes and all."""
    found: dict[str, Any] = {}
    while text.startswith("-"):
        word, text = _first(text)
        if word == "--":
            break

        def following(word: str = word) -> str:
            nonlocal text
            if not text:
                raise BadInput(f"{word} names no value.", _usage("run"))
            value, text = _first(text)
            return value

        _take(known, word, following, found)
    return found, text


def _first(text: str) -> tuple[str, str]:
    """The first word of a line (quotes respected), and the rest untouched."""
    stream = io.StringIO(text)
    reader = shlex.shlex(stream, posix=True)
    reader.whitespace_split = True
    reader.commenters = ""
    try:
        word = reader.get_token() or ""
    except ValueError as error:
        raise BadInput(f"The line cannot be read: {error}.", "Look at its quotes.") from error
    return word, text[stream.tell() :].lstrip()


def _literal(text: str) -> Any:
    """A number or a truth value where it is one, else the text."""
    if text in ("true", "True", "false", "False"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
