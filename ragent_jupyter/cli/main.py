"""`ragent VERB …`: finds the verb, loads its file, and turns errors into an exit code.

Exit codes: 0 done, 1 failed, 2 usage, 3 needs a human, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.errors import BadInput, RagentError

from . import wild_args
from .output import DONE, FAILED, INTERRUPTED, NEEDS_HUMAN, USAGE, NeedsHuman, Out


class _Usage(BadInput):
    """The command line itself was wrong."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Usage(message[:1].upper() + message[1:].rstrip(".") + ".", f"`{self.prog} --help` shows what it takes.")


def _common() -> _Parser:
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout")
    common.add_argument("--workdir", "-C", metavar="DIR", default=argparse.SUPPRESS, help="work in this folder")
    return common


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ragent",
        description="Launch, watch and compare training runs. Runs go on when this program, or JupyterLab, ends.",
        epilog="A RUN is an id, the beginning of one, a name or an alias. Exit codes: 0 done, 1 failed, 2 usage, "
        "3 needs a human.",
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"ragent {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", parser_class=_Parser)

    def verb(name: str, call: str, help: str, **more: Any) -> Callable[..., Any]:
        sub = verbs.add_parser(name, help=help, description=more.pop("about", help), parents=[_common()], **more)
        sub.set_defaults(call=call)
        return sub.add_argument

    add = verb("quickstart", "quickstart:quickstart", "a finished experiment with a report, without key or network")
    add("folder", nargs="?", default=None, metavar="DIR", help="where (default: ./ragent-quickstart)")
    add("--lab", action="store_true", help="open JupyterLab on it at the end; what follows -- goes on to it")
    add = verb(
        "lab", "lab:lab", "open JupyterLab on this project", about="Other options are passed on to `jupyter lab`."
    )
    add("arguments", nargs="*", metavar="…", help="passed on to `jupyter lab`")
    add = verb("serve", "lab:serve", "run this project's engine in the foreground, or stop it")
    add("--port", type=int, default=None, help="start a Jupyter server with ragent on this port instead")
    add("--stop", action="store_true", help="stop the engine; runs are not affected")
    add(
        "--take-over", action="store_true", help="take the project from an engine on another host that is gone for good"
    )
    verb("status", "status:status", "what is running, what is best, what needs you")
    verb("doctor", "doctor:doctor", "check that everything ragent needs is in place")

    add = verb("run", "runs:run", "start a run", usage="ragent run [options] -- CMD … | NOTEBOOK.ipynb")
    add("--name", help="what to call it")
    add("--cwd", metavar="DIR", help="where the command runs (default: the current folder)")
    add("--gpus", type=int, default=0, metavar="N", help="how many GPUs it gets (default 0)")
    add("--executor", help="where it executes: tmux, process, …")
    add("--python", help="interpreter, venv folder, conda:NAME or kernel:NAME (default: yours)")
    add("--env", action="append", default=[], metavar="K=V", help="a variable for the run; K alone passes yours on")
    add("--primary", metavar="METRIC", help="the metric it is judged by")
    add("--mode", choices=("min", "max"), default="min", help="whether less or more of it is better")
    add("--follow", "-f", action="store_true", help="show its log until it ends")
    add("command", nargs=argparse.REMAINDER, metavar="CMD", help=argparse.SUPPRESS)
    add = verb("retry", "runs:retry", "run an ended run again")
    add("run", metavar="RUN")
    add("--set", action="append", default=[], metavar="K=V", help="with this parameter changed")
    add("--follow", "-f", action="store_true", help="show its log until it ends")

    add = verb(
        "sweep",
        "sweeps:sweep",
        "run a command over a search space",
        usage="ragent sweep FILE | -   or   ragent sweep --param lr=0.1,0.01 [options] -- CMD …",
        about="FILE is JSON, TOML or YAML with `command` and `parameters`; - reads JSON from stdin.",
    )
    add("--param", action="append", default=[], metavar="NAME=SPEC", help="0.1,0.01 or range(16,64,step=16)")
    add("--random", type=int, default=None, metavar="N", help="N random points instead of the whole grid")
    add("--seed", type=int, default=None, help="of the random points (default 0)")
    add("--max-runs", type=int, default=None, metavar="N", help="at most so many runs (default 100)")
    add("--parallel", type=int, default=None, metavar="N", help="so many at a time (default: cores or GPUs)")
    add("--primary", default=None, metavar="METRIC", help="the metric that decides (default: loss)")
    add("--mode", choices=("min", "max"), default=None, help="whether less or more of it is better")
    add("--name", default=None, help="what to call it")
    add("--cwd", default=None, metavar="DIR", help="where the command runs (default: the current folder)")
    add("--gpus", type=int, default=None, metavar="N", help="GPUs a run")
    add("--executor", default=None, help="where it executes: tmux, process, …")
    add("--python", default=None, help="interpreter, venv folder, conda:NAME or kernel:NAME")
    add("--env", action="append", default=[], metavar="K=V", help="a variable for every run")
    add("--flag", default=None, metavar="FORM", help='how a parameter is passed (default "--{name} {value}")')
    add("--no-smoke", action="store_true", help="do not wait for the first run to show that it works")
    add("--dry-run", action="store_true", help="show the trials, start nothing")
    add("--follow", "-f", action="store_true", help="show it until it ends")
    add("file", nargs="?", default=None, metavar="FILE", help="the sweep as a file; - for stdin")

    add = verb("runs", "runs:runs", "list runs, newest first")
    add("--status", default=None, help="only these: running,failed,…")
    add("--sweep", default=None, metavar="SWEEP", help="only this sweep's")
    add("--limit", type=int, default=30, metavar="N", help="at most so many (default 30)")
    add = verb("show", "runs:show", "all about one run")
    add("run", metavar="RUN")
    add = verb("logs", "runs:logs", "a run's output")
    add("run", metavar="RUN")
    add("--follow", "-f", action="store_true", help="go on until it ends")
    add("--lines", "-n", type=int, default=None, metavar="N", help="only the last N lines")
    add = verb("chart", "chart:chart", "draw a metric of some runs")
    add("metric", metavar="METRIC")
    add("runs", nargs="*", metavar="RUN", help="default: the newest runs that have it")
    add("--x", choices=("step", "time", "relative"), default="step")
    add("--log", action="store_true", help="logarithmic y axis")
    add = verb("stop", "runs:stop", "stop runs or sweeps: INT, then TERM, then KILL, with grace between")
    add("runs", nargs="+", metavar="RUN")
    add("--now", action="store_true", help="without grace")

    add = verb("alerts", "alerts:alerts", "what waits for an answer")
    add("--all", action="store_true", help="answered and expired ones too")
    add = verb("respond", "alerts:respond", "answer an alert")
    add("alert", metavar="ALERT")
    add("choice", nargs="?", default=None, metavar="CHOICE")
    add = verb("replay", "replay:replay", "run the alert rules over recorded logs")
    add("paths", nargs="+", metavar="PATH")
    add = verb("report", "report:report", "write a notebook about a sweep or some runs")
    add("subjects", nargs="+", metavar="SWEEP|RUN")
    add("--path", default=None, help="where to (default: reports/NAME.ipynb)")
    add("--title", default=None)
    add = verb("reproduce", "reproduce:reproduce", "run a claim of a wild loop's report again, and compare")
    add("claim", metavar="REPORT#CLAIM", help="a report's path or id, and a claim; without one they are listed")

    add = verb(
        "chat",
        "chat:chat",
        "ask the assistant",
        about="Without TEXT a conversation begins; with it the answer is printed. - reads the question from stdin.",
    )
    add("text", nargs="*", metavar="TEXT", help="what to ask; @run:…, @file:… name things, /help lists commands")
    add("--session", default=None, metavar="CHAT", help="go on with this one: its id, its title, or `last`")
    add("--mode", choices=("ask", "accept_edits", "plan"), default=None, help="what it may do without asking")
    add("--model", default=None, metavar="PROVIDER:MODEL", help="who answers (default: the chat role's model)")
    add("--list", action="store_true", help="the chats so far, newest first")
    wild_args.add_to(
        verb(
            "wild",
            "wild:wild",
            "work towards a goal by itself, within limits",
            usage=wild_args.USAGE,
            about=wild_args.ABOUT,
            epilog=wild_args.EPILOG,
        )
    )
    add = verb("memory", "memory:memory", "the rules that agents heed")
    actions = ("list", "add", "on", "off", "remove", "approve", "refuse", "import", "export")
    add("action", nargs="?", default="list", choices=actions, metavar="ACTION", help=" | ".join(actions))
    add("words", nargs="*", metavar="RULE|TEXT|FILE", help="a rule's id or title; the text of a new one; a MEMORY.md")
    add("--title", default=None, help="of a new rule (default: its first sentence)")
    add("--tags", default=None, metavar="A,B", help="of a new rule")
    add("--scope", default=None, help="what a new rule is for: a path, a script, a sweep (default: everything)")
    add = verb("skills", "skills:skills", "prompt templates: the agents' own, and yours",
               about="A text of yours takes the place of a shipped one in this project until it is reset.")  # fmt: skip
    of_skills = ("list", "show", "edit", "reset", "search", "install", "remove")
    add("action", nargs="?", default="list", choices=of_skills, metavar="ACTION", help=" | ".join(of_skills))
    add("words", nargs="*", metavar="SKILL|WORDS|SOURCE", help="install: a folder, or https://, ssh://, file:// of git")
    add("--file", default=None, metavar="FILE", help="edit: take this text (- is stdin) instead of opening $EDITOR")
    add = verb("keys", "keys:keys", "keys of model providers: which are set, set one, try it")
    add("action", nargs="?", default="list", choices=("list", "set", "remove", "test"), metavar="ACTION",
        help="list | set NAME (the value is asked for, or comes on stdin) | remove NAME | test [MODEL]")  # fmt: skip
    add("name", nargs="?", default=None, metavar="NAME", help="for example ANTHROPIC_API_KEY")
    add = verb("models", "models:models", "which model does what")
    add("--set", action="append", default=[], metavar="ROLE=MODEL", help="chat=anthropic:…; chat= resets it")
    add("--test", nargs="?", const="", default=None, metavar="MODEL", help="try it, and say what it can")
    add = verb("usage", "models:usage", "tokens and money, by day, role and model")
    add("--days", type=int, default=30, metavar="N", help="of the last N days (default 30)")
    add("--limit", default=None, metavar="USD", help="no paid call beyond so many US dollars a day; none: no limit")
    add = verb("gateway", "gateway:gateway", "keys stay here, programs get tokens",
               about="The engine of this project has a gateway; with --data it is one that stands alone.")  # fmt: skip
    add("action", choices=("serve", "token", "usage"), metavar="ACTION", help="serve one alone | a token | the table")
    add("--data", nargs="?", const="", default=None, metavar="DIR", help="the one that stands alone, in this folder")
    add("--host", default=None, help="serve: where to listen (default: 127.0.0.1)")
    add("--port", type=int, default=8642, help="serve: on which port (default 8642)")
    add("--log-bodies", action="store_true", help="serve: keep requests and answers too, without secrets")
    add("--name", default=None, help="token: who or what it is for")
    add("--budget", action="append", default=[], metavar="USD", help="token: 20 in all, or 2/day; or both")
    add("--expires", default="30d", metavar="TIME", help="token: 12h, 30d (default), 2030-12-31 or never")
    add("--rate", type=int, default=None, metavar="N", help="token: at most N requests a minute")
    add("--upstream", action="append", default=[], metavar="NAME", help="token: only this provider")
    add("--model", action="append", default=[], metavar="GLOB", help="token: only such models, e.g. 'claude-haiku*'")
    add("--base-url", default=None, metavar="URL", help="token: where clients reach it, if you know better")
    add("--list", action="store_true", help="token: all, with what they have spent")
    add("--revoke", default=None, metavar="TOKEN", help="token: end one, by id or name")
    add("--days", type=int, default=7, metavar="N", help="usage: of the last N days (default 7)")
    return parser


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; `after` is what follows the first `--`, untouched: it belongs to the run, or to JupyterLab."""
    mine, after = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = _parser()
    args, unknown = parser.parse_known_args(mine)
    if args.verb is None:
        raise _Usage("No verb was given.", "Try `ragent quickstart`, `ragent status` or `ragent --help`.")
    if args.verb == "lab":
        args.arguments = [*args.arguments, *unknown]
    elif args.verb == "wild" and not any(word.startswith("-") for word in unknown):
        args.words = [*args.words, *unknown]  # words behind an option: argparse gives the first ones only
    elif unknown:
        raise _Usage(f"Unknown argument {unknown[0]!r}.", f"`ragent {args.verb} --help` shows what it takes.")
    if after and args.verb == "chat":  # a question may begin with a dash
        args.text, after = [*args.text, *after], []
    if after and not (args.verb in ("run", "sweep", "lab", "wild") or getattr(args, "lab", False)):
        raise _Usage(f"`ragent {args.verb}` takes nothing after --.", f"See `ragent {args.verb} --help`.")
    args.after = list(after)
    args.json = getattr(args, "json", False)
    args.workdir = getattr(args, "workdir", None)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # Before they are parsed: a usage error must come in the form that was asked for, too.
    out = Out(json="--json" in (argv[: argv.index("--")] if "--" in argv else argv))
    try:
        args = _parse(argv)
        out = Out(json=args.json)
        file, name = args.call.split(":")
        from .context import Context

        call: Callable[[Context], int | None] = getattr(importlib.import_module(f".{file}", __package__), name)
        return call(Context(args, out)) or DONE
    except NeedsHuman as error:
        out.problem(error)
        return NEEDS_HUMAN
    except BadInput as error:
        out.problem(error)
        return USAGE
    except RagentError as error:
        out.problem(error)
        return FAILED
    except KeyboardInterrupt:
        out.note("\nInterrupted. Runs go on: `ragent status` shows them, `ragent stop RUN` ends one.")
        return INTERRUPTED
    except BrokenPipeError:
        # `ragent runs | head`: nobody reads on, and the interpreter must not complain about it at its exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE


if __name__ == "__main__":
    sys.exit(main())
