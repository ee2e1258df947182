"""Finds the metric files that a run writes outside its folder, and lets none in without proof that they are its own.

A file is this run's if
  * a process of this run, and of no other, holds it open for writing (or, an event file, bears that process's number);
  * or it lies in a folder that only this run names (an argument, an environment variable for outputs);
  * or it lies in the run's working folder, and no other run that lived since could write there.
Bytes and rows from before the launch never count. A file once proven stays so until another run holds it.
What is written meanwhile but cannot be proven is read for no run, and reported.
"""

from __future__ import annotations

import os
import re
import time
from binascii import crc32
from typing import Any

import msgspec
from msgspec import Struct, structs

from ..jsonl import atomic_write
from .births import birth
from .csv_file import csv_baseline, looks_like_metrics
from .hf_state import NAME, history_of
from .metrics_jsonl import STEP_KEYS, decode_line, split_row
from .neighbours import Neighbour, Neighbours, within
from .processes import processes_of, written_files
from .vocabulary import is_metric_name

_CLOCK_S = 0.011  # file systems stamp with a clock that lags by a tick of up to 10 ms
_DEPTH = 5  # folders below the one that is searched
_ENTRIES = 20_000
_NOTE = "baseline.json"
_MARK = 256  # bytes
_SKIP_FOLDERS = frozenset(
    {"node_modules", "__pycache__", "site-packages", "venv", "env", "datasets", "wandb", "mlruns", "dist", "build"}
)
_EVENT_PID = re.compile(r"\.tfevents\.\d+\..+?\.(\d+)(?:\.\d+)?(?:\.v2)?$")
_SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "eval", "test"})


class Baseline(Struct, omit_defaults=True):
    """A candidate as it stood at the launch. rows, first: of a CSV; entries, crc: of a Trainer's history.

    mark: a checksum of its last bytes then.  rough: rows and entries are still to be counted.
    """

    size: int = 0
    ino: int = 0
    mtime_ns: int = 0
    mark: int = 0
    rough: bool = False
    rows: int = 0
    first: int = 0
    entries: int = 0
    crc: int = 0


class Found(Struct, frozen=True):
    """A file of this run. options: for `make_source`."""

    path: str
    format: str
    id: str
    proof: str
    options: dict[str, Any] = {}


class Looked(Struct, frozen=True):
    """found: newly proven.  lost: ids that another run now holds.

    ambiguous: path -> ids of the runs that could have written it, this one among them.
    """

    found: list[Found]
    lost: list[str]
    ambiguous: dict[str, list[str]]


class Discovery:
    """Searches for one run. Make it as early as possible: it notes what was there before the job wrote anything.

    cwd: the job's.  named: folders that only it may name (`neighbours.named_folders`).  launched: unix seconds.
    known: path -> id of what was proven before a restart of the sidecar.
    """

    def __init__(
        self,
        run_dir: str,
        run_id: str,
        cwd: str,
        named: list[str],
        launched: float,
        known: dict[str, str] | None = None,
    ) -> None:
        self._run_dir = os.path.realpath(run_dir)
        self._run_id = run_id
        self._cwd = os.path.realpath(cwd)
        # A run may have a folder of its own to work in: what lies there is the job's, and nobody else's.
        self._work = _work_of(self._run_dir, self._cwd)
        self._named = [*named, self._work] if self._work else named
        self._launched = launched
        self._neighbours = Neighbours(os.path.dirname(self._run_dir), os.path.basename(self._run_dir), launched)
        self._known: dict[str, str] = dict(known or {})
        self._formats: dict[str, tuple[float, str | None]] = {}  # path -> (mtime, format) as it was judged last
        self._folders: set[str] = {os.path.dirname(path) for path, id in self._known.items() if "tfevents" in path}
        self._pids: set[int] = set()  # of this run, ever seen; an event file bears its writer's
        self._held_by: dict[str, set[str]] = {}
        self._shared: set[str] = set()  # seen open in two runs at once
        self._theirs: set[str] = set()  # seen open in another run only: still its own when that run has ended
        self._baseline = self._read_baseline()

    # -- before the launch ------------------------------------------------------------------------------------------
    def _read_baseline(self) -> dict[str, Baseline]:
        """Noted by whoever launches (`note_launch`), counted here once; later starts read the note."""
        path = os.path.join(self._run_dir, _NOTE)
        try:
            with open(path, "rb") as file:
                noted = msgspec.json.decode(file.read(), type=dict[str, Baseline])
        except (OSError, msgspec.DecodeError):
            # Nobody noted, or it cannot be read: note now, which can only leave rows out.
            noted = {c: _stand(c) for c in self._candidates() if self._was_there(c)}
        if not any(one.rough for one in noted.values()):
            return noted
        noted = {c: _counted(c, one) if one.rough else one for c, one in noted.items()}
        try:
            atomic_write(path, msgspec.json.encode(noted), fsync=False)
        except OSError:
            pass  # a full disk; this process still knows, and a later one counts again
        return noted

    def _was_there(self, path: str) -> bool:
        """Whether a file is older than the launch, as far as can be known: in doubt it is."""
        try:
            if os.stat(path).st_mtime < self._launched - 1.0:
                return True
        except OSError:
            return False
        born = birth(path)
        return born is None or born < self._launched - _CLOCK_S

    # -- looking ----------------------------------------------------------------------------------------------------
    def look(self, job_pid: int | None) -> Looked:
        """What is there now. Costs a walk through the run's folders; call it now and then."""
        pids = processes_of(job_pid) if job_pid is not None else []
        self._pids.update(pids)
        self._held_by = {}
        held = {os.path.realpath(path) for pid in pids for path in written_files(pid)}
        candidates = {path for path in self._candidates() if self._touched(path)}
        candidates |= {path for path in held if self._foreign(path) and _candidate_name(path)}
        fresh = {path for path in candidates if path not in self._known and self._format(path) is not None}
        others = self._neighbours.look() if fresh or self._known else []
        found: list[Found] = []
        ambiguous: dict[str, list[str]] = {}
        for path in sorted(fresh):
            proof, rivals = self._judge(path, path in held, others)
            if proof:
                one = self._found(path, proof)
                if one is not None:
                    found.append(one)
            elif rivals:
                ambiguous[path] = rivals
        live = [other for other in others if other.ended is None]
        lost = self._lost(live) if live and self._known else []
        return Looked(found, lost, ambiguous)

    def _foreign(self, path: str) -> bool:
        """Whether a file is none of those that we keep about the run."""
        return not within(path, self._run_dir) or bool(self._work and within(path, self._work))

    def _judge(self, path: str, held: bool, others: list[Neighbour]) -> tuple[str, list[str]]:
        """(why it is ours, or ""; if nobody can tell: the runs that could write it, we among them)."""
        rivals = [other for other in others if _could_write(other, path)]
        claimants = [self._run_id, *(other.run_id for other in rivals)]
        event = _EVENT_PID.search(os.path.basename(path))
        if held or (event and int(event[1]) in self._pids):
            if path in self._theirs or any(self._holds(other, path) for other in rivals):
                self._shared.add(path)  # and it stays so when one of them has ended: its rows are still in there
            return ("", claimants) if path in self._shared else ("a process of this run holds it open", [])
        mine = any(within(path, folder) for folder in self._named)
        theirs = any(within(path, folder) for other in rivals for folder in other.named)
        if mine and not theirs:
            return "in a folder that only this run names", []
        if theirs or not within(path, self._cwd):
            return "", claimants if mine else []
        if not rivals:
            return "in the run's working folder, which no other run shared", []
        if any(self._holds(other, path) for other in rivals):
            self._theirs.add(path)
        if path in self._theirs or self._was_there(path):
            return "", []  # theirs, or there before us beside others that live
        return "", claimants

    def _holds(self, other: Neighbour, path: str) -> bool:
        """Whether a process of another run holds a file open for writing."""
        if other.ended is not None:
            return False
        if other.run_id not in self._held_by:
            pids = processes_of(None, other.run_id)
            self._held_by[other.run_id] = {os.path.realpath(file) for pid in pids for file in written_files(pid)}
        return path in self._held_by[other.run_id]

    def _lost(self, live: list[Neighbour]) -> list[str]:
        """What another run was seen to hold open as well: from now on nobody can tell whose rows come."""
        lost = []
        for path, id in list(self._known.items()):
            if any(within(path, other.cwd) and self._holds(other, path) for other in live):
                lost.append(id)
                self._shared.add(path)
                del self._known[path]
        return lost

    def _touched(self, path: str) -> bool:
        """Written since the launch."""
        try:
            stat = os.stat(path)
        except OSError:
            return False
        noted = self._baseline.get(path)
        same = noted is not None and (stat.st_size, stat.st_ino) == (noted.size, noted.ino)
        if noted is not None and same and stat.st_mtime_ns == noted.mtime_ns:
            return False
        return stat.st_mtime >= self._launched - 1.0

    def _format(self, path: str) -> str | None:
        """The format of a candidate, judged anew when it has changed, until it has one."""
        try:
            mtime = os.stat(path).st_mtime
        except OSError:
            return None
        known = self._formats.get(path)
        if known is None or (known[1] is None and known[0] != mtime):
            known = self._formats[path] = (mtime, metric_format(path))
        return known[1]

    def _found(self, path: str, proof: str) -> Found | None:
        format = self._format(path)
        if format is None:
            return None
        options: dict[str, Any] = {}
        noted = self._baseline.get(path)
        if noted is not None and _rewritten(path, noted):
            noted = None  # nothing of it is from before the launch
        if format == "hf_state":
            folder = os.path.dirname(path)
            if os.path.basename(folder).startswith("checkpoint-"):
                folder = os.path.dirname(folder)
            self._known[path] = id = os.path.relpath(folder, self._cwd) + "/" + NAME
            old = [b for p, b in self._baseline.items() if within(p, folder) and b.entries]
            longest = max(old, key=lambda b: b.entries, default=None)
            options["since"] = self._launched
            if longest is not None:
                options["baseline"] = (longest.entries, longest.crc)
            return Found(folder, format, id, proof, options)
        id = os.path.relpath(path, self._cwd)
        self._known[path] = id
        if format == "tensorboard":
            options = {"since": self._launched, "prefix": self._prefix(os.path.dirname(path))}
        elif noted is not None and format == "csv":
            options = {"skip_rows": noted.rows, "first": noted.first}
        elif noted is not None and format == "metrics_jsonl":
            options = {"start": noted.size}
        return Found(path, format, id, proof, options)

    def _prefix(self, folder: str) -> str:
        """Keras writes the same tags into logs/train and logs/validation; the folder's name then tells them apart."""
        name = os.path.basename(folder)
        first = not self._folders or folder in self._folders
        self._folders.add(folder)
        return "" if first and name not in _SPLIT_FOLDERS else f"{name}/"

    def _candidates(self) -> list[str]:
        return _candidates(self._run_dir, self._cwd, self._named)


# -- the walk ---------------------------------------------------------------------------------------------------------
def _candidates(run_dir: str, cwd: str, named: list[str]) -> list[str]:
    """Files that may hold metrics, in the folders of a run. All paths are real ones."""
    found: list[str] = []
    left = _ENTRIES
    if work := _work_of(run_dir, cwd):
        named, run_dir = [*named, work], ""  # nothing of ours lies in there
    for root in [folder for folder in [cwd, *named] if os.path.isdir(folder)]:
        if root == cwd or not within(root, cwd):
            left = _walk(root, run_dir, 0, left, found)
    return found


def _work_of(run_dir: str, cwd: str) -> str:
    """The folder inside a run's folder that its job works in, "" where it works elsewhere. Real paths."""
    work = os.path.join(run_dir, "work")
    return work if within(cwd, work) else ""


def _walk(folder: str, run_dir: str, depth: int, left: int, found: list[str]) -> int:
    try:
        with os.scandir(folder) as entries:
            others: list[os.DirEntry[str]] = []
            for entry in entries:
                left -= 1
                if left <= 0:
                    return 0
                name = entry.name
                if _candidate_name(name):
                    if entry.is_file(follow_symlinks=False) and not (run_dir and within(entry.path, run_dir)):
                        found.append(entry.path)
                elif depth < _DEPTH and not name.startswith(".") and name not in _SKIP_FOLDERS:
                    others.append(entry)
    except OSError:
        return left
    for other in others:
        if other.is_dir(follow_symlinks=False) and not os.path.exists(os.path.join(other.path, "pyvenv.cfg")):
            left = _walk(other.path, run_dir, depth + 1, left, found)
    return left


def _candidate_name(path: str) -> bool:
    name = os.path.basename(path)
    return name.endswith((".csv", ".tsv", ".jsonl", ".ndjson")) or name == NAME or ".tfevents." in name


def metric_format(path: str) -> str | None:
    """The format of a file that may be a data set or predictions as well; None unless it looks like a training log."""
    name = os.path.basename(path)
    if ".tfevents." in name:
        return "tensorboard"
    if name == NAME:
        return "hf_state"
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return None
    lines = [line.strip("\0\r ") for line in head.decode("utf-8-sig", "replace").split("\n")[:-1]]
    if name.endswith((".csv", ".tsv")):
        return "csv" if looks_like_metrics(next((x for x in lines if x and not x.startswith("#")), "")) else None
    for line in lines[:20]:
        row = decode_line(line.encode()) if line else None
        if row is None:
            continue
        step, _, values = split_row(row)
        if (step is not None or any(key in row for key in (*STEP_KEYS, "epoch"))) and any(map(is_metric_name, values)):
            return "metrics_jsonl"
    return None


# -- before the launch ------------------------------------------------------------------------------------------------
def note_launch(run_dir: str, cwd: str, named: list[str]) -> None:
    """Note how the candidates stand before the job begins, so that a job of a tenth of a second loses no row.

    For whoever launches; costs a walk, parses nothing. named: as for `Discovery`.  Raises OSError.
    """
    found = _candidates(os.path.realpath(run_dir), os.path.realpath(cwd), named)
    noted = {path: _stand(path) for path in found}
    atomic_write(os.path.join(run_dir, _NOTE), msgspec.json.encode(noted), fsync=False)


def _stand(path: str) -> Baseline:
    try:
        stat = os.stat(path)
    except OSError:
        return Baseline()
    return Baseline(stat.st_size, stat.st_ino, stat.st_mtime_ns, _mark(path, stat.st_size), rough=True)


def _mark(path: str, size: int) -> int:
    """A checksum of the last bytes before `size`; 0 if they cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, size - _MARK))
            return crc32(file.read(min(_MARK, size)))
    except OSError:
        return 0


def _rewritten(path: str, noted: Baseline) -> bool:
    """Whether a file was begun anew since it was noted: then all of it is from after the launch."""
    try:
        stat = os.stat(path)
    except OSError:
        return True
    if stat.st_ino != noted.ino or stat.st_size < noted.size:
        return True
    if stat.st_size == noted.size and stat.st_mtime_ns != noted.mtime_ns:
        return True  # the same content again, as a program with a fixed seed writes it
    return _mark(path, noted.size) != noted.mark


def _counted(path: str, noted: Baseline) -> Baseline:
    """What is to be passed over of a file that was noted."""
    noted = structs.replace(noted, rough=False)
    if os.path.basename(path) == NAME:
        entries, crc = history_of(path) or (0, 0)
        return structs.replace(noted, entries=entries, crc=crc)
    small = path.endswith((".csv", ".tsv")) and noted.size <= 64 << 20
    if small and not _rewritten(path, noted) and metric_format(path) == "csv":
        rows, first = csv_baseline(path, noted.size)
        return structs.replace(noted, rows=rows, first=first)
    return noted


def _could_write(other: Neighbour, path: str) -> bool:
    """Whether another run may have written a file that we have seen written: it stood there, and it lived then."""
    if not (within(path, other.cwd) or any(within(path, folder) for folder in other.named)):
        return False
    born = birth(path)
    if other.ended is not None and born is not None and born > other.ended + 1.0:
        return False
    try:
        return other.started <= os.stat(path).st_mtime + 1.0
    except OSError:
        return True


def launch_time(run_dir: str) -> float:
    """When the run's wrapper claimed it (unix seconds): nothing of the job is older. Now, if it has not yet."""
    try:
        with open(os.path.join(run_dir, "claim.json"), "rb") as file:
            at = msgspec.json.decode(file.read()).get("at")
            if isinstance(at, (int, float)) and at > 0:
                return float(at)
        return os.stat(os.path.join(run_dir, "claim.json")).st_mtime
    except (OSError, msgspec.DecodeError, AttributeError):
        return time.time()
