"""What a line of a training log says. Pure text in, numbers out.

The danger here is to invent: logs print source code, configurations, paths, times and prose. So a line counts only if
it is built like a report of progress:
  * a step-like anchor at its start ("step 10", "iter 100:", "Epoch [3/10]", "s:12"), then name-number pairs; or
  * a dictionary or a progress bar's postfix; or
  * nothing but name-number pairs, one of which is named like a metric ("loss=0.3 acc=0.9").
Between name and number without ":" or "=" the name must be a metric's ("train loss 1.9"), or prose would count.
"""

from __future__ import annotations

import re

from msgspec import Struct

from .protocol import to_float
from .vocabulary import EPOCH_NAMES, NO_METRIC, QUALIFIERS, STEP_NAMES, WEAK_WORDS, is_metric_name, tidy, words_of

# Control sequences: CSI, OSC (also unfinished), and the short escapes. Backspaces are what Keras 2 folds its bar with.
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]|[\x00\x08\x07]")

_NUM = r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|(?:nan|inf(?:inity)?)\b)"
_UNITS = (
    r"(?:\s?(?:ms|us|s|sec|secs|seconds|min|h|%|x|[KMGT]i?B|[kKMGT]?tok/s|tok/sec|it/s|s/it|steps/s|samples/s|img/s|"
    r"[TG]?FLOPS?|C|W)(?![\w/]))?"
)
_AFTER = r"(?:\s*\([^()]{0,40}\))?"  # "0.5 (0.6)", "9.72GiB(10.23%)": the running mean, the share

_ANCHOR = re.compile(
    r"(?P<phase>(?:train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?|test)(?:\s+|\s*[:|]\s*))?"
    r"[\[(<{|]?\s*"
    r"(?P<name>global[ _]?step|train(?:ing)?[ _]step|steps?|iter(?:ation)?s?|epochs?|episode|batch|update|round|"
    r"timestep|ep(?=\s*[:=#])|it(?=\s*[:=#])|s(?=:\d))"
    r"\s*[:=#]?\s*\[?\s*(?P<n>\d{1,15})(?![\w.]|,\d)(?:\s*(?:/|of|\|)\s*(?P<total>\d{1,15})(?![\w.]))?\s*[\])>}]?",
    re.IGNORECASE,
)
_INNER = re.compile(  # "[10/100]", "[640/60000 (1%)]" after an epoch
    r"\s*[:,]?\s*\[\s*(?P<n>\d{1,12})\s*/\s*(?P<total>\d{1,12})\s*(?:\(\s*[\d.]+%\s*\))?\s*\]"
)
_GAP = re.compile(r"\s*[,|;:\-–\t ]\s*")
_BRACKETS = re.compile(r"\[\s*(?P<n>\d{1,12})\s*/\s*(?P<total>\d{1,12})\s*\]")
_PAIR = re.compile(
    rf"(?P<name>[A-Za-z][\w./@%-]*(?: [A-Za-z][\w./@%-]*){{0,3}})\s*(?P<sep>[:=]|\s)\s*(?P<value>{_NUM})"
    rf"(?P<unit>{_UNITS}){_AFTER}(?=$|[\s,;|)\]}}])",
    re.IGNORECASE,
)
_SEGMENTS = re.compile(r"\s*(?:,(?!\d{3}(?!\d))|(?<!\d),|[;|\t])\s*|\s+[-–—]\s+|\s{2,}(?![\s\d.+-])")
_TQDM = re.compile(
    r"^(?P<desc>[^|]*?)[:\s]*(?P<pct>\d{1,3})%\|[^|]*\|\s*(?P<n>[\d.]+)(?P<nu>[kMGT]?)/(?P<total>[\d.]+)(?P<tu>[kMGT]?)"
    r"\s*\[(?P<rest>[^\]]*)\]?(?P<after>.*)$"
)
_KERAS = re.compile(r"^\s*(?P<n>\d+)/(?P<total>\d+)\s+(?:\[[=>.\s]*\]|[━╺╸─\s]+)\s*(?P<rest>.*)$")
_KERAS_EPOCH = re.compile(r"^\s*Epoch\s+(\d+)/(\d+)\s*$")
_KERAS_PAIR = re.compile(
    rf"(?:^|\s-\s)\s*(?P<name>[A-Za-z_][\w./@ -]*?):\s*(?P<value>{_NUM})(?=\s+-\s|\s*$)", re.IGNORECASE
)
_DICT = re.compile(r"^\{.*\}$")
_DICT_PAIR = re.compile(
    r"""(['"])(?P<name>[^'"]{1,200})\1\s*:\s*(?:(['"])(?P<text>[^'"]*)\3|(?P<value>[^,{}\[\]'"]+)|(?P<other>[\[{]))"""
)
_CALL = re.compile(r"^(?:np\.|torch\.|numpy\.)?(?:float\d*|tensor|int\d*)\((?P<value>[^()]+)\)$")
_PREFIX = re.compile(
    r"""(?:
      \[(?!\s*\d+\s*/\s*\d+\s*\])(?![^\]]*\b(?:step|epoch|iter)\b)[^\]]{1,80}\]      # [rank0], [2024-10-13 …], [INFO]
    | \((?:\w+\s)?(?:pid|rank|ip)[=:][^)]{1,60}\)                                    # (trainer pid=123)
    | \d{4}[-/]\d\d?[-/]\d\d?(?:[T\s]\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?
    | (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)?\s?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d\d?\s\d\d:\d\d:\d\d
    | \d\d?:\d\d:\d\d(?:[.,]\d+)?
    | (?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|TRACE|NOTICE)\b(?::[\w.]+:)?
    | [IWE]\d{4}\s
    | [\w./-]+\.py:\d+\]?(?::\w+)?
    | [A-Za-z_][\w.]*\s+-(?=\s)                                                      # root -
    | \d{1,4}:(?=\s)                                                                 # srun -l
    | >>>
    )\s*[-:|>]*\s*""",
    re.VERBOSE,
)
_DIGIT_OR_WORD = re.compile(r"[\d]|nan|inf", re.IGNORECASE)
MAX_TEXT = 4096  # characters; what is longer is no report of progress
MOST = 10**15  # what a step, an epoch or a total can be; more is another kind of number


class Parsed(Struct, frozen=True):
    """What one line said. step: as printed. epoch: beside a step, as printed. progress: (done, total) if it told both.

    lap: the step counts within an epoch or a bar, and begins anew with the next one. values may be empty: progress.
    """

    values: dict[str, float]
    step: int | None = None
    epoch: int | None = None
    progress: tuple[int, int] | None = None
    lap: bool = False
    style: str = ""


def clean(text: str) -> str:
    """Without control sequences and outer spaces."""
    if "\x1b" in text or "\x08" in text or "\0" in text or "\x07" in text:
        text = _ANSI.sub("", text)
    return text.strip()


def strip_prefix(text: str) -> str:
    """Without what loggers put before the message: times, levels, ranks, places.

    >>> strip_prefix("[rank0]:2024-10-13 12:00:01,123 - root - INFO - step:  1  loss:  8.0")
    'step:  1  loss:  8.0'
    """
    for _ in range(8):
        match = _PREFIX.match(text)
        if not match:
            break
        text = text[match.end() :]
    return text


def parse(text: str) -> Parsed | None:
    """The metrics of one line (already `clean`), None if it reports none.

    >>> parse("iter 100: loss 2.31, time 12ms").values
    {'loss': 2.31, 'time_ms': 12.0}
    >>> parse("see epoch 3 of the paper, loss 2") is None
    True
    """
    if len(text) > MAX_TEXT or not _DIGIT_OR_WORD.search(text):
        return None
    if "%|" in text:
        return _tqdm(text)
    text = strip_prefix(text)
    if text.startswith("{"):
        return _dict(text)
    if "/" in text[:24] and text[:1].isdigit():
        keras = _keras(text)
        if keras is not None:
            return keras
    epoch = _KERAS_EPOCH.match(text)
    if epoch:
        n, total = int(epoch[1]), int(epoch[2])
        return Parsed({}, epoch=n, progress=(max(0, n - 1), total), style="epoch")
    return _anchored(text) or _bare(text)


# -- one style each ---------------------------------------------------------------------------------------------
def _anchored(text: str) -> Parsed | None:
    phase, step, epoch, total, lap, style = "", None, None, None, False, "anchored"
    at = 0
    brackets = _BRACKETS.match(text)
    if brackets:
        step, total, at = int(brackets["n"]), int(brackets["total"]), brackets.end()
        style = "brackets"
    else:
        for _ in range(2):  # "Epoch 2, Step 10", "Epoch: [2][10/100]", "step 10 epoch 2"
            match = _ANCHOR.match(text, at)
            if not match:
                break
            name = match["name"].lower().replace(" ", "_")
            n = int(match["n"])
            if name in EPOCH_NAMES:
                if epoch is not None:
                    break
                epoch = n
                inner = _INNER.match(text, match.end())
                if inner and step is None:
                    step, total, at, lap = int(inner["n"]), int(inner["total"]), inner.end(), True
                    phase = phase or (match["phase"] or "")
                    break
            elif step is not None:
                break
            else:
                step, lap = n, epoch is not None
            if match["total"] and (total is None or name not in EPOCH_NAMES):
                total = int(match["total"])
            phase = phase or (match["phase"] or "")
            at = match.end()
            gap = _GAP.match(text, at)
            if gap:
                at = gap.end()
    if step is None and epoch is None:
        return None
    rest = text[at:]
    values = _pairs(rest, anchored=True)
    if values is None or (style == "brackets" and not any(is_metric_name(n) for n in values)):
        return None
    values = _with_phase(phase, values)
    count = step if step is not None else epoch
    progress = (count, total) if count is not None and total and not lap and total >= count else None
    if not any(name not in EPOCH_NAMES for name in values):
        return Parsed({}, progress=progress, style=style) if progress and not rest.strip(" .:-|") else None
    if step is None:
        step, epoch = epoch, None
    return Parsed(values, step=step, epoch=epoch, progress=progress, lap=lap, style=style)


def _bare(text: str) -> Parsed | None:
    """A line of nothing but pairs, one of them a metric."""
    if not text or text[-1] in ",;({[":
        return None
    values = _pairs(text, anchored=False)
    if not values:
        return None
    step = _count_among(values, STEP_NAMES)
    epoch = _count_among(values, EPOCH_NAMES)
    values = {n: v for n, v in values.items() if n.lower() not in STEP_NAMES}
    if step is None and epoch is not None:
        step, epoch = epoch, None
        values = {n: v for n, v in values.items() if n.lower() not in EPOCH_NAMES}
    if not any(is_metric_name(name) and not WEAK_WORDS.issuperset(words_of(name)[-1:]) for name in values):
        return None
    return Parsed(values, step=step, epoch=epoch, lap=epoch is not None, style="pairs")


def _count_among(values: dict[str, float], names: set[str]) -> int | None:
    return next((int(v) for n, v in values.items() if n.lower() in names and v.is_integer()), None)


def _tqdm(text: str) -> Parsed | None:
    match = _TQDM.match(text)
    if not match:
        return None
    n, total = _count(match["n"], match["nu"]), _count(match["total"], match["tu"])
    if n is None or not total:
        return None
    # "00:01<00:09, 9.90it/s, loss=2.3": what follows the rate is the postfix; some print it after the bracket.
    postfix = ",".join(part for part in match["rest"].split(",")[1:] if "=" in part or ":" in part)
    postfix = ", ".join(part for part in (postfix, match["after"].strip(" ,|:")) if part)
    values = _pairs(postfix, anchored=True, loose=True) or {}
    desc = re.search(r"\b(?:epoch|ep)\b\D{0,3}(\d+)", match["desc"], re.IGNORECASE)
    values = _with_phase(_phase_of(match["desc"]), values)
    return Parsed(values, step=n, epoch=int(desc[1]) if desc else None, progress=(n, total), lap=True, style="tqdm")


def _count(number: str, unit: str) -> int | None:
    value = to_float(number)
    if value is None or value >= MOST:
        return None
    return int(value * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit])


def _keras(text: str) -> Parsed | None:
    match = _KERAS.match(text)
    if not match:
        return None
    n, total = int(match["n"]), int(match["total"])
    values = {}
    for pair in _KERAS_PAIR.finditer(match["rest"]):
        value = to_float(pair["value"])
        name = pair["name"].strip()
        if value is not None and name.upper() != "ETA" and " " not in name:
            values[name] = value
    # Before the bar is full the numbers are running means over a part of an epoch: no measured value yet.
    return Parsed(values if n >= total else {}, progress=(n, total), lap=True, style="keras")


def _dict(text: str) -> Parsed | None:
    if not _DICT.match(text):
        return None
    values: dict[str, float] = {}
    names: set[str] = set()
    for pair in _DICT_PAIR.finditer(text):
        names.add(pair["name"])
        raw = (pair["text"] if pair["text"] is not None else pair["value"] or "").strip()
        call = _CALL.match(raw)
        value = to_float(call["value"] if call else raw)
        if value is not None:
            values[pair["name"]] = value
    step = next((n for n in ("step", "_step", "global_step", "iter", "iteration") if n in values), None)
    has_anchor = step is not None or "epoch" in values
    metrics = [n for n in values if is_metric_name(n) or n.startswith(("eval_", "train_", "val_", "test_"))]
    if not metrics or (not has_anchor and len(metrics) * 2 < len(names)):
        return None  # a configuration: {"lr": 0.1, "batch_size": 32}
    printed = values.pop(step) if step else None
    if not any(n != "epoch" for n in values):
        return None
    return Parsed(values, step=int(printed) if printed is not None and printed.is_integer() else None, style="dict")


# -- pairs ------------------------------------------------------------------------------------------------------
def _pairs(text: str, *, anchored: bool, loose: bool = False) -> dict[str, float] | None:
    """name -> value of a text that is a list of pairs. None: not that.

    anchored: other segments (words, units alone) may stand between the pairs; else every character must belong to one.
    """
    values: dict[str, float] = {}
    for segment in _SEGMENTS.split(text.strip(" :|-,\t")):
        segment = segment.strip(" |[]{}")
        if not segment:
            continue
        found = _segment(segment, anchored or loose)
        if found is None:
            if not anchored:
                return None
            found = _unit_only(segment)
        values.update(found)
    return values


def _segment(segment: str, anchored: bool) -> dict[str, float] | None:
    values: dict[str, float] = {}
    at = 0
    while at < len(segment):
        match = _PAIR.match(segment, at)
        if not match:
            return None
        name, spaced = match["name"], match["sep"].isspace()
        words = name.split()
        if spaced or len(words) > (2 if anchored else 1):
            known = is_metric_name(name) and all(w.lower() in QUALIFIERS or is_metric_name(w) for w in words)
            if not known and not (anchored and name.lower() in ("time", "dt", "mem")):
                return None
        elif not anchored and match["sep"] == "=" and segment[match.start("sep") - 1].isspace():
            return None  # "loss = 0.0" is a line of source code
        value = to_float(match["value"].replace(",", ""))
        if value is None:
            return None
        name = tidy(name, match["unit"].strip())
        at = match.end()
        while at < len(segment) and segment[at] in " )]}|":
            at += 1
        if name.lower() in NO_METRIC:
            continue
        if name.lower() in STEP_NAMES and anchored:
            continue
        values[name] = value
    return values


def _unit_only(segment: str) -> dict[str, float]:
    """llm.c ends its line with "300.1 ms | 50.1% bf16 MFU | 170000 tok/s": the last two have a unit for a name."""
    match = re.fullmatch(
        rf"({_NUM})\s*(tok/s|tokens/s|it/s|samples/s|img/s|%\s*(?:bf16|fp16|fp32)?\s*MFU)", segment, re.I
    )
    value = to_float(match[1].replace(",", "")) if match else None
    if match is None or value is None:
        return {}
    return {"mfu" if match[2].lower().endswith("mfu") else match[2].lower(): value}


def _phase_of(text: str) -> str:
    match = re.match(r"\s*(train|val|eval|test)", text, re.IGNORECASE)
    return match[1] if match else ""


def _with_phase(phase: str, values: dict[str, float]) -> dict[str, float]:
    """A line that says "Val: … loss 2" reports the val_loss."""
    phase = phase.strip(" :|\t").lower()[:4]
    prefix = {"val": "val", "vali": "val", "eval": "eval", "test": "test"}.get(phase)
    if prefix is None:
        return values
    return {n if n.lower().startswith(("val", "eval", "test")) else f"{prefix}_{n}": v for n, v in values.items()}
