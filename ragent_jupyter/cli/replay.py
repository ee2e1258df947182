"""`ragent replay PATH…`: what the alert rules say about recorded logs. Needs no engine and starts nothing."""

from __future__ import annotations

from pathlib import Path

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound

from .context import Context
from .output import DONE


def replay(context: Context) -> int:
    from ragent_sidecar.replay import replay as play

    out = context.out
    paths = [context.workdir / Path(path).expanduser() for path in context.args.paths]
    for path in paths:
        if not path.exists():
            raise BadInput(f"There is no {path}.", "Name a log, a metrics file, or a folder that holds some.")
    try:
        result = play(paths)
    except OSError as error:
        raise CannotBeDone(f"{error.filename or 'A file'} cannot be read: {error.strerror}.", "Look at it.") from error
    if not any(source.points for source in result.sources):
        raise NotFound(
            f"No metrics were found in {', '.join(context.args.paths)}.",
            "ragent reads metrics.jsonl, training logs, TensorBoard files, CSV and trainer_state.json.",
        )
    out.document(result)
    if out.json:
        return DONE
    for run in result.runs:
        sources = [source for source in result.sources if source.run == run]
        formats = ", ".join(f"{source.source} ({source.format}, {source.rows:,} rows)" for source in sources)
        alerts = [alert for alert in result.alerts if alert.run == run]
        out.say(f"{run}: {formats or 'no metrics'}")
        for alert in alerts:
            out.say(f"  {out.state(alert.severity.value)}  {alert.title}")
            if alert.text:
                out.say(f"    {alert.text}")
        if sources and not alerts:
            out.say("  no alert")
    n = len(result.alerts)
    out.say(f"{result.points:,} points, {n} alert{'' if n == 1 else 's'}")
    return DONE
