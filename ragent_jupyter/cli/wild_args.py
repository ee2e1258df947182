"""What `ragent wild` takes: a goal with options, or a verb about a loop."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable
from typing import Any

from ragent_jupyter.domain.errors import BadInput

VERBS = {
    "status": "[ID]", "follow": "[ID]", "pause": "[ID]", "resume": "[ID]", "stop": "[ID] [--now] [--keep-runs]",
    "steer": "TEXT", "answer": "CHOICE [TEXT]", "limits": "[NAME=VALUE …]", "journal": "[ID] [-f] [--jsonl]",
    "queue": "[ID]", "summary": "[ID]", "merge": "[ID] [--diff]", "report": "[ID]", "list": "",
}  # fmt: skip
USAGE = "ragent wild GOAL [options] -- CMD …   or   ragent wild VERB [ID] …"
ABOUT = (
    "Works towards a goal by itself, within limits, and tells what of it is real. First it shows what it would run and "
    "search; Enter starts it. It goes on without this terminal. Exit codes: 0 complete, or ended at a limit; 1 failed "
    "or stopped; 3 needs a human."
)
EPILOG = (
    "VERB is one of: "
    + "; ".join(f"{verb} {takes}".strip() for verb, takes in VERBS.items())
    + (
        ". ID is a loop's id or the beginning of one; default: the newest that lives. Beside words of your own: "
        "--loop ID."
    )
)
# Options that only a start takes, by the name of their value; all are None or [] or False where they were not given.
_START = (
    "command_line", "policy", "model", "autonomy", "max_runs", "max_iterations", "max_hours", "max_cost", "max_tokens",
    "max_gpu_hours", "max_cpu_hours", "max_disk", "until", "metric", "minimize", "maximize", "seed_flag", "seeds",
    "top", "set_range", "space", "input", "in_place", "eval_file", "may_edit", "holdout", "holdout_predictions",
    "holdout_score", "gpus", "parallel", "executor", "python", "cwd", "env", "dry_run", "yes", "detach", "goal",
)  # fmt: skip
# Options that only some verbs take.
_OF = {
    "now": ("stop",), "keep_runs": ("stop",), "jsonl": ("journal",), "diff": ("merge",), "commit": ("merge",),
    "follow": ("journal", "status"), "lines": ("journal",), "first": ("queue",), "drop": ("queue",),
}  # fmt: skip


def add_to(add: Callable[..., Any]) -> None:
    add("words", nargs="*", metavar="GOAL|VERB", help="what to reach, in words; or a verb about a loop, see below")
    add("--goal", default=None, metavar="TEXT", help="the goal, where it is a verb's name")
    add("--loop", default=None, metavar="ID", help="which loop the verb is about")
    add("--command", dest="command_line", default=None, metavar="CMD", help="the training command; or behind --")
    add("--cwd", default=None, metavar="DIR", help="where it runs (default: the current folder)")
    add("--policy", choices=("builtin", "llm", "hybrid"), default=None,
        help="who decides: rules, a model, both (default: a model where one is configured)")  # fmt: skip
    add("--model", default=None, metavar="PROVIDER:MODEL", help="which model decides")
    add("--autonomy", choices=("cautious", "balanced", "full"), default=None,
        help="asks before everything | critical alerts, large sweeps | nothing (default: balanced)")  # fmt: skip
    add("--max-runs", default=None, metavar="N", help="limits; where none is given: 8 hours, 100 runs")
    add("--max-iterations", default=None, metavar="N")
    add("--max-hours", default=None, metavar="H", help="wall clock, pauses excluded")
    add("--max-cost", default=None, metavar="USD", help="paid to models")
    add("--max-tokens", default=None, metavar="N")
    add("--max-gpu-hours", default=None, metavar="H")
    add("--max-cpu-hours", default=None, metavar="H")
    add("--max-disk", default=None, metavar="GB")
    add("--until", default=None, metavar="COND", help='a condition on a metric, such as "val/acc > 0.95"')
    add("--metric", default=None, metavar="M", help="what decides (default: found out)")
    add("--minimize", action="store_true", help="less of it is better")
    add("--maximize", action="store_true", help="more of it is better")
    add("--seed-flag", default=None, metavar="F", help='the flag of the random seed; "" for none (default: found out)')
    add("--seeds", type=int, default=None, metavar="N", help="fresh seeds that confirm a gain (default 5)")
    add("--top", type=int, default=None, metavar="K", help="candidates that are put to the test (default 3)")
    add("--set-range", action="append", default=[], metavar="F=RANGE", help="lr=1e-4..1e-1:log or width=16,32,64")
    add("--space", default=None, metavar="FILE", help="the whole space as JSON")
    add("--input", action="append", default=[], metavar="PATH", help="an ignored file or folder that runs need")
    add("--in-place", action="store_true", help="run in this folder as it is, not in a copy of a commit")
    add("--eval-file", action="append", default=[], metavar="PATH", help="a change of it makes a run void")
    add("--may-edit", action="append", default=[], metavar="GLOB", help="code that may be changed (default: none)")
    add("--holdout", default=None, metavar="FILE", help="labels that no run is given; the winner is scored on them")
    add("--holdout-predictions", default=None, metavar="FILE", help="what a run writes for them")
    add("--holdout-score", choices=("accuracy", "log_loss", "mse", "mae"), default=None)
    add("--gpus", type=int, default=None, metavar="N", help="GPUs a run")
    add("--parallel", type=int, default=None, metavar="N", help="so many at a time (default: cores or GPUs)")
    add("--executor", default=None, help="where runs execute: tmux, process, …")
    add("--python", default=None, help="interpreter, venv folder, conda:NAME or kernel:NAME")
    add("--env", action="append", default=[], metavar="K=V", help="a variable for every run")
    add("--dry-run", action="store_true", help="show what would be run and searched, start nothing")
    add("--yes", "-y", action="store_true", help="start without asking")
    add("--detach", "-d", action="store_true", help="start and return")
    add("--now", action="store_true", help="stop: without grace")
    add("--keep-runs", action="store_true", help="stop: its runs go on to their end")
    add("--follow", "-f", action="store_true", help="journal, status: go on as it grows")
    add("--lines", "-n", type=int, default=None, metavar="N", help="journal: only the last N (default 30)")
    add("--jsonl", action="store_true", help="journal: the whole ledger, one JSON object a line")
    add("--first", action="append", default=[], metavar="EVENT", help="queue: decide this one next")
    add("--drop", action="append", default=[], metavar="EVENT", help="queue: forget this one")
    add("--diff", action="store_true", help="merge: only show what it would change")
    add("--commit", default=None, metavar="COMMIT", help="merge: this one (default: the confirmed one)")


def split(args: argparse.Namespace) -> tuple[str, list[str], str]:
    """(verb, its words, "") or ("", [], the goal). Raises BadInput where the command line is neither."""
    words = list(args.words)
    if args.goal is not None:
        if words:
            raise BadInput("A goal was given twice.", "Leave out --goal, or the words.")
        words, verb = [args.goal], ""
    else:
        verb = words[0] if words and words[0] in VERBS else ""
    given = [name for name in _START if getattr(args, name)]
    if verb:
        if given or args.after:
            option = f"--{given[0].replace('_', '-').replace('command-line', 'command')}" if given else "a command"
            raise BadInput(
                f"`ragent wild {verb}` takes no {option}.",
                f"It takes: {VERBS[verb] or 'nothing'}. A goal of that name needs --goal {verb}.",
            )
        for name, verbs in _OF.items():
            if getattr(args, name) not in (None, False, []) and verb not in verbs:
                raise BadInput(
                    f"`ragent wild {verb}` takes no --{name.replace('_', '-')}.", f"`{verb}` takes: {VERBS[verb]}"
                )
        return verb, words[1:], ""
    stray = [name for name in (*_OF, "loop") if getattr(args, name) not in (None, False, [])]
    if not words and not args.after and not given:
        return "status", [], ""  # a bare `ragent wild` looks
    if stray:
        raise BadInput(
            f"Without a verb there is no --{stray[0].replace('_', '-')}.", "`ragent wild --help` lists verbs."
        )
    goal = " ".join(words).strip()
    if not goal:
        raise BadInput("No goal was given.", 'Say it: ragent wild "lower val_loss" -- python train.py')
    near = difflib.get_close_matches(goal, VERBS, 1, 0.75) if " " not in goal and args.goal is None else []
    if near:
        raise BadInput(f"There is no verb {goal!r}; {near[0]!r} is one.", f"If it is your goal: --goal {goal}")
    return "", [], goal


def reference(args: argparse.Namespace, words: list[str], *, own: bool = False) -> tuple[str, list[str]]:
    """(which loop, the other words). own: the words are the person's; a loop's id among them is its whole first word.

    Raises BadInput for more words than one where there are no own ones.
    """
    if args.loop is not None:
        ref, rest = args.loop, words
    elif words and (not own or words[0].startswith("wld_")):
        ref, rest = words[0], words[1:]
    else:
        ref, rest = "", words
    if rest and not own:
        raise BadInput(f"{rest[0]!r} is too much.", "One loop at a time: its id.")
    return ref, rest
