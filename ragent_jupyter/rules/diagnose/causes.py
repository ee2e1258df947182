"""From what was recorded to ranked causes.

Three witnesses are heard: how it ended, what its log says, what its curves show. Each gives causes with a score; those
of one kind become one, with all their citations. What a log says counts most where it is the exception that the run
ended with, and little in a run that ended well: an exception that was survived is no cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import structs

from ragent_jupyter.domain.run import Run, RunStatus

from ..config_diff import said_plainly, settings_of
from .curves import curve_causes
from .ends import end_causes, verdict
from .matching import WRAPPER, of_exception, of_line, pip_name
from .patterns import Pattern
from .tracebacks import Trace, main_trace, read_tracebacks
from .words import KINDS, Case, Cause, Cite, Diagnosis, LogLine

_CITES = 3
_KEPT = 4  # causes that are told
_FINAL = 40.0  # the exception that the run ended with
_NEAR_END, _FAR = 25.0, 5.0
_SURVIVED = -70.0
_LEAST = 45.0
_CODE = 45.0
_QUOTE = 300
_ERROR = re.compile(
    r"^(?:[\w.]+(?:Error|Exception)\b.*|.*\b(?:ERROR|FATAL|[Ff]atal error|Fatal|[Ee]rror):? .*|.*\b(?:failed"
    r"|aborted)\b.*)$"
)
_BATCH = re.compile(
    r"(?:^|[._\-])(?:(?:micro|train|per_device_train|device|mini)[_\-]?)?(?:batch(?:[_\-]?size)?|bs)$", re.IGNORECASE
)
_GENERIC = {
    "KeyError": "A name is looked up that is not there: print the keys, and compare with what wrote them.",
    "IndexError": "An index lies beyond the end: print the length next to it.",
    "AttributeError": "The object is not what the code takes it for (often None, or another version of a package).",
    "TypeError": "A function got an argument that it does not take: compare with the installed version's signature.",
    "NameError": "A name is used before it is given a value; most often a typing mistake.",
    "NotImplementedError": "A part that this setting needs is not there; choose another setting.",
}


def diagnose(case: Case) -> Diagnosis:
    """Ranked causes of how a run ended, or of what is wrong while it lives; [] where nothing says anything."""
    groups = read_tracebacks(case.log)
    found = [*_from_exceptions(case, groups), *_from_lines(case, groups), *end_causes(case)]
    finished = case.run.status is RunStatus.FINISHED
    for cause in curve_causes(case.run, case.curves):
        found.append(structs.replace(cause, score=cause.score + (30.0 if finished else 0.0)))
    causes = [cause for cause in _in_order(_merged(found)) if cause.score >= _LEAST]
    if not causes and case.run.status is RunStatus.FAILED:
        causes = _last_words(case)
    causes = [_with_settings(cause, case.run) for cause in causes[:_KEPT]]
    return Diagnosis(verdict=verdict(case), causes=causes, checked=_checked(case, groups))


def _merged(found: Sequence[Cause]) -> list[Cause]:
    """One cause a kind, best first; the words are those of the best, the citations of all."""
    by_kind: dict[str, Cause] = {}
    for cause in sorted(found, key=lambda c: -c.score):
        first = by_kind.get(cause.kind)
        if first is None:
            by_kind[cause.kind] = cause
            continue
        seen = {(c.source, c.offset, c.text) for c in first.cites}
        more = [c for c in cause.cites if (c.source, c.offset, c.text) not in seen]
        by_kind[cause.kind] = structs.replace(
            first,
            cites=[*first.cites, *more][:_CITES],
            next=first.next or cause.next,
            frame=first.frame or cause.frame,
            code=first.code or cause.code,
        )
    return list(by_kind.values())


def _in_order(causes: list[Cause]) -> list[Cause]:
    """By score, after what is known of how one trouble leads to another."""
    by_kind = {cause.kind: cause for cause in causes}
    # A loss that is no number makes scales zero and assertions fail: those are what it led to.
    nan = by_kind.get("not_finite")
    if nan is not None and nan.score > _LEAST:
        after = [c.score for kind in ("zero_division", "assertion") if (c := by_kind.get(kind)) is not None]
        by_kind["not_finite"] = structs.replace(nan, score=max([nan.score, *(score + 1.0 for score in after)]))
    # Workers lose each other because one of them failed first; what it said stands above.
    lost = by_kind.get("collective")
    if lost is not None:
        at = min((c.offset for c in lost.cites if c.offset is not None), default=0)
        first = [
            c.score
            for c in causes
            if c.frame
            and c.kind not in ("collective", "interrupted")
            and c.cites[0].offset is not None
            and c.cites[0].offset < at
            and c.score > _LEAST
        ]
        if first:
            by_kind["collective"] = structs.replace(lost, score=min(lost.score, max(first) - 1.0))
    return sorted(by_kind.values(), key=lambda c: -c.score)


# --- exceptions ------------------------------------------------------------------------------------------------------
def _from_exceptions(case: Case, groups: list[list[Trace]]) -> list[Cause]:
    if not groups:
        return []
    final = _final_groups(groups) if case.run.status is RunStatus.FAILED else []
    causes = []
    for number, group in enumerate(groups[-200:]):
        causes.append(_of_group(case, group, _place(case, group, final) - 0.001 * number))
    return causes


def _final_groups(groups: list[list[Trace]]) -> list[list[Trace]]:
    """The tracebacks that the run ended with: the last one; with it those of other ranks, and, where the last one only
    says that something below failed, those before it."""
    last = groups[-1]
    final = [last]
    only_wraps = all(WRAPPER.search(trace.text[:4000]) for trace in last)
    for group in reversed(groups[:-1]):
        gap = final[-1][0].span[0] - group[-1].span[1]
        ranks = bool(group[0].rank) and bool(last[0].rank)
        if not ((ranks and gap < 30) or (only_wraps and gap < 400)):
            break
        final.append(group)
        only_wraps = only_wraps and all(WRAPPER.search(trace.text[:4000]) for trace in group)
        if len(final) >= 64:
            break
    return final


def _place(case: Case, group: list[Trace], final: list[list[Trace]]) -> float:
    """How much the place of a traceback says: it ended the run, it came near its end, the run survived it."""
    if case.run.status is RunStatus.FINISHED:
        return _SURVIVED
    if any(group is one for one in final):
        near = group[-1].span[1] >= len(case.log) - 60
        return _FINAL if near or not case.run.signal else _FAR
    return _FAR - 30.0 if case.run.status is RunStatus.FAILED else 0.0


def _of_group(case: Case, group: list[Trace], bonus: float) -> Cause:
    """One cause of chained exceptions: of that which says most, else of the one to believe."""
    best: tuple[float, Trace, Pattern, int] | None = None
    for trace in group:
        hit = of_exception(line.text for line in trace.message)
        if hit is not None and (best is None or hit[0].weight > best[0]):
            best = (hit[0].weight, trace, *hit)
    if best is None:
        trace = main_trace([t for t in group if not WRAPPER.search(t.text[:4000])] or group)
        wraps = bool(WRAPPER.search(trace.text[:4000]))
        cause = Cause(
            kind="code",
            title=_cut(trace.at.text),
            cites=[_cite(trace.at)],
            next=[_GENERIC[trace.name]] if trace.name in _GENERIC else [],
            score=(5.0 if wraps else _CODE) + bonus,
        )
    else:
        weight, trace, pattern, number = best
        cites = [_cite(trace.at)]
        if number:
            cites.insert(0, _cite(trace.message[number]))
        wraps = bool(WRAPPER.search(trace.at.text[:4000])) and len(group) > 1
        cause = Cause(
            kind=pattern.kind,
            title=_title(pattern, trace.message[number].text),
            cites=cites,
            next=_next(pattern, trace.message[number].text, case.run),
            score=weight + bonus - (20.0 if wraps else 0.0),
        )
    frame = trace.own_frame or next((t.own_frame for t in group if t.own_frame is not None), None)
    if frame is None:
        return cause
    return structs.replace(cause, frame=frame.shown, code=_cut(frame.code))


# --- other lines -----------------------------------------------------------------------------------------------------
def _from_lines(case: Case, groups: list[list[Trace]]) -> list[Cause]:
    inside: set[int] = set()
    for group in groups:
        for trace in group:
            inside.update(range(*trace.span))
    found: dict[str, list[tuple[float, LogLine, Pattern]]] = {}
    count = len(case.log)
    for index, line in enumerate(case.log):
        if index in inside:
            continue
        pattern = of_line(line.text)
        if pattern is None:
            continue
        if case.run.status is RunStatus.FINISHED:
            bonus = _SURVIVED
        else:
            bonus = _NEAR_END if index >= count - 40 else _FAR if index >= count - 400 else -10.0
        found.setdefault(pattern.kind, []).append((pattern.weight + bonus, line, pattern))
    causes = []
    for kind, hits in found.items():
        score, line, pattern = max(hits, key=lambda hit: (hit[0], -hit[1].offset))
        cites = [_cite(line)]
        cites += [_cite(other) for _, other, _ in hits if other.text != line.text][: _CITES - 1]
        causes.append(
            Cause(
                kind=kind,
                title=_title(pattern, line.text),
                cites=cites,
                next=_next(pattern, line.text, case.run),
                score=score,
            )
        )
    return causes


def _last_words(case: Case) -> list[Cause]:
    """Where nothing is known: the last line that says error, else the last line, and no pretence."""
    lines = [line for line in case.log if line.text.strip()]
    if not lines:
        return []
    line = next((one for one in reversed(lines[-50:]) if _ERROR.match(one.text[:2000])), lines[-1])
    named = _ERROR.match(line.text[:2000]) is not None
    title = "the log's last error is not one that I know" if named else "the log names no error; this is its last line"
    return [Cause(kind="error_line", title=title, cites=[_cite(line)], score=20.0)]


# --- words -----------------------------------------------------------------------------------------------------------
def _cite(line: LogLine) -> Cite:
    return Cite(source="job.log", text=_cut(line.text), line=line.number, offset=line.offset)


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _QUOTE else text[:_QUOTE] + "…"


def _title(pattern: Pattern, text: str) -> str:
    if pattern.kind == "missing_module":
        found = pattern.regex.search(text)
        name = next((g for g in found.groups() if g), "") if found else ""
        if name:
            return f"the Python module {name[:80]!r} is not installed"
    return KINDS[pattern.kind]


def _next(pattern: Pattern, text: str, run: Run) -> list[str]:
    if pattern.kind != "missing_module":
        return list(pattern.next)
    found = pattern.regex.search(text)
    name = next((g for g in found.groups() if g), "") if found else ""
    python = run.interpreter.path if run.interpreter else "python"
    return [
        f"`{python} -m pip install {pip_name(name)}`, in the environment that the run uses."
        if name
        else "Install it in the environment that the run uses.",
        "Or start the run with the interpreter that has it (--python); for a module of the project check the working "
        "directory and PYTHONPATH.",
    ]


def _with_settings(cause: Cause, run: Run) -> Cause:
    """Where the batch size is known it is named, halved."""
    if cause.kind not in ("gpu_memory", "memory"):
        return cause
    for name, value in settings_of(run).items():
        if not _BATCH.search(name.lstrip("-")):
            continue
        try:
            size = int(str(value))
        except ValueError:
            continue
        if size > 1:
            word = f"Set {name[:60]} to {size // 2} (it was {said_plainly(size)}) and retry."
            return structs.replace(cause, next=[word, *cause.next])
    return cause


def _checked(case: Case, groups: list[list[Trace]]) -> list[str]:
    lines = len(case.log)
    done = [
        f"{lines} lines of its log" + (f", {len(groups)} tracebacks in them" if groups else "")
        if lines
        else "its log, which is empty"
    ]
    if case.curves:
        done.append(f"{len(case.curves)} metrics")
    if case.alerts:
        done.append(f"{len(case.alerts)} alerts")
    if case.run.status.terminal:
        done.append("its exit")
    if case.good is not None:
        done.append(f"the last good run {case.good.id}")
    return done
