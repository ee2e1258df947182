"""`ragent report`: a notebook about a sweep or some runs, written by the engine."""

from __future__ import annotations

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.wire import CreateReport

from .context import Context
from .output import DONE


def report(context: Context) -> int:
    args, out = context.args, context.out
    client = context.client()
    sweep: str | None = None
    runs: list[str] = []
    for ref in args.subjects:
        if ref.startswith("swp_") or (len(args.subjects) == 1 and not ref.startswith("run_")):
            try:
                sweep = client.find_sweep(ref).id
                continue
            except NotFound:
                if ref.startswith("swp_"):
                    raise
        runs.append(client.find_run(ref).id)
    if sweep and len(args.subjects) > 1:
        raise BadInput("A report is about one sweep, or about runs.", "Name one sweep, or only runs.")
    path = str(context.workdir / args.path) if args.path else None
    made = client.create_report(CreateReport(sweep=sweep, runs=runs, path=path, title=args.title))
    out.document(made)
    out.say(made.title)
    for finding in made.findings:
        out.say(f"· {finding}")
    out.say(f"{'written to' if made.created else 'brought up to date:'} {made.path}")
    return DONE
