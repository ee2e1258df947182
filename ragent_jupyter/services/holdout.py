"""Sealed hold-outs: labels that no run is given, and the one score that the engine computes from them.

The score of the winner is taken once, when the loop has ended, from the predictions that its confirm runs have
written; a score that could be asked for again and again would tell the labels in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError
from ragent_jupyter.domain.ports_wild import Trees
from ragent_jupyter.domain.wild import Holdout, Loop, Setup, Verdict
from ragent_jupyter.rules.holdout_score import Table, labels_of, mode_of, scored, table
from ragent_jupyter.rules.stats import short
from ragent_jupyter.rules.student_t import mean
from ragent_jupyter.rules.wild_summary import UNSCORED

log = logging.getLogger("ragent.engine")
MOST_LABELS = 64 * 2**20
MOST_PREDICTIONS = 256 * 2**20
_MOST_CELLS = 50_000_000

SEALED_MEANS = (
    "Sealed: the labels are copied to a file outside the project that only you can read. No run and no policy is told "
    "where, and what names it is refused. A program of yours that goes looking for it could still read it."
)


def kept_out(labels: Path, trees: Trees, setup: Setup) -> None:
    """Raises CannotBeDone where the copies of the code that runs execute in would hold the labels as well."""
    root = Path(os.path.realpath(trees.repository(setup.cwd)))
    path = Path(os.path.realpath(labels))
    if not path.is_relative_to(root):
        return
    inside = path.relative_to(root)
    linked = any(inside.is_relative_to(name) for name in setup.inputs)
    if linked or not any(inside.is_relative_to(one.path) for one in trees.ignored(setup.cwd)):
        raise CannotBeDone(
            f"{inside} lies in the repository: every run's copy of the code would hold the labels.",
            f"Move it out of {root} (and out of the inputs), and name it there.",
        )


class Vault(Protocol):
    """Where sealed labels lie (adapters/sealed.py)."""

    def keep(self, id: str, content: bytes) -> None: ...
    def read(self, id: str) -> bytes: ...


class HoldoutDesk:
    """folders: where a run may have written its predictions, by the run's id: folders of its own, not the project."""

    def __init__(self, vault: Vault, folders: Callable[[str], Sequence[Path]]) -> None:
        self.vault = vault
        self.folders = folders

    # --- sealing (blocks) ---------------------------------------------------------------------------------------------
    def seal(self, path: Path, predictions: str, score: str, mode: Literal["min", "max"] | None = None) -> Holdout:
        """Copy the labels of this file away. The file itself stays: `advice` says what to do with it.

        path: a CSV with a column `label`, one value a line, or a .npy of numbers.  predictions: the file that a run
        writes, relative to its own folder.  Sealing the same labels again gives the same id.
        Raises BadInput, NotFound, CannotBeDone.
        """
        best = mode_of(score)
        if mode is not None and mode != best:
            raise BadInput(f"{score} is better when it is {'higher' if best == 'max' else 'lower'}.", f"Say {best}.")
        name = predictions.strip()
        steps = name.split("/")
        if not name or name.startswith(("/", "~")) or ".." in steps or len(name) > 200 or not name.isprintable():
            raise BadInput(f"{predictions[:80]!r} is no file of a run.", "Give a relative path, such as preds.csv.")
        labels = _labels(path)
        _check_labels(score, labels)
        content = msgspec.json.encode(labels)
        digest = hashlib.sha256(content).hexdigest()
        id = f"hold_{digest[:16]}"
        self.vault.keep(id, content)
        return Holdout(id=id, predictions=name, score=score, mode=best, sha256=digest, level="sealed")

    def advice(self, path: Path, project: Path, predictions: str = "") -> str:
        """What the person should do with the file that was sealed, and where runs write what is scored."""
        said = f"{path} still holds the labels, inside the project. Move it away, or every run can read them."
        if not path.resolve().is_relative_to(project.resolve()):
            said = f"{path} still holds the labels. Keep it where the script does not look."
        where = f" Each run writes {predictions} into $RAGENT_RUN_DIR; what lies in your own folder is not scored."
        return said + (where if predictions else "")

    # --- scoring ------------------------------------------------------------------------------------------------------
    def score(self, holdout: Holdout, predictions: Path) -> float:
        """How good a file of predictions is. Blocks. Raises NotFound, CannotBeDone; no error repeats a label."""
        content = self.vault.read(holdout.id)
        if holdout.sha256 and hashlib.sha256(content).hexdigest() != holdout.sha256:
            raise CannotBeDone("The sealed labels are not what was sealed.", "Seal them again, and say so.")
        try:
            labels = msgspec.json.decode(content, type=list[str])
        except msgspec.DecodeError:
            raise CannotBeDone("The sealed labels cannot be read.", "Seal them again.") from None
        return scored(holdout.score, labels, _predictions(predictions))

    def of_run(self, holdout: Holdout, run_id: str) -> float:
        """The score of one run's own predictions. Blocks. Raises NotFound, CannotBeDone."""
        places = self.folders(run_id)
        began = max((_written(place / "tree.json") for place in places), default=0)
        for folder in places:
            path = folder / holdout.predictions
            # Where a run executes in a copy of a commit, that may hold a file of this name: it is nobody's prediction.
            if os.path.lexists(path) and _written(path) > began:
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise CannotBeDone(f"{holdout.predictions} of {run_id} leads out of its folder.", "Write a file.")
                return self.score(holdout, path)
        raise NotFound(
            f"{run_id} wrote no {holdout.predictions}.",
            "Let the script write it into $RAGENT_RUN_DIR: a folder that all runs share is not looked at.",
        )

    def trouble(self, holdout: Holdout, run_id: str) -> str:
        """Why this run's predictions could not be scored, "" where they could: a person hears it after the first run,
        not after the night. Blocks. The score itself is forgotten."""
        try:
            self.of_run(holdout, run_id)
        except (RagentError, OSError) as error:
            return f"The hold-out of {run_id} could not be scored: {error}"
        return ""

    async def scored(self, loop: Loop, verdicts: list[Verdict]) -> list[Verdict]:
        """The verdicts, the best confirmed one with its hold-out score: the mean over its runs. Never raises.

        A loop that went on after an end may have another winner at the next one; that this is another look is said.
        """
        holdout = loop.setup.holdout
        won = [v for v in verdicts if v.verdict == "confirmed" and v.mean is not None]
        if holdout is None or not won:
            return verdicts
        sign = 1.0 if loop.setup.mode == "min" else -1.0
        winner = min(won, key=lambda v: sign * (v.mean or 0.0))
        if winner.holdout is not None or UNSCORED in winner.why:
            return verdicts
        looks = sum(v.holdout is not None for v in verdicts)
        ours, trouble = await asyncio.to_thread(self._each, holdout, winner.runs)
        theirs, _ = await asyncio.to_thread(self._each, holdout, winner.baseline_runs)
        if not ours:
            why = f"{winner.why} {UNSCORED}: {trouble}"
            return [replace(v, why=why) if v is winner else v for v in verdicts]
        said = f" On the sealed hold-out: {holdout.score} {short(mean(ours))} over {_runs(len(ours))}"
        said += f", the baseline {short(mean(theirs))}." if theirs else "."
        said += f" These labels were looked at {looks + 1} times by now." if looks else ""
        told = replace(winner, holdout=mean(ours), why=winner.why + said)
        return [told if v is winner else v for v in verdicts]

    def _each(self, holdout: Holdout, runs: Sequence[str]) -> tuple[list[float], str]:
        """(the score of each run that has one, why the first of the others has none)."""
        found: list[float] = []
        trouble = ""
        for run_id in runs:
            try:
                found.append(self.of_run(holdout, run_id))
            except (RagentError, OSError) as error:
                trouble = trouble or str(error)
                log.warning("no hold-out score of %s: %s", run_id, error)
        return found, trouble or "it has no runs."


def _written(path: Path) -> int:
    """When a file was written last, ns; 0 where there is none."""
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


def _runs(n: int) -> str:
    return f"{n} run{'' if n == 1 else 's'}"


def _check_labels(score: str, labels: Sequence[str]) -> None:
    if score in ("mse", "mae") and scored(score, labels, Table([], [[label] for label in labels])) != 0.0:
        raise BadInput("The labels are no numbers.", f"{score} compares numbers.")


def _labels(path: Path) -> list[str]:
    content = _read(path, MOST_LABELS, "labels", follow=True)
    if path.suffix == ".npy":
        rows = _array(content, "labels")
        if len(rows[0]) != 1:
            raise BadInput(f"The labels have {len(rows[0])} columns.", "Give one label a row.")
        return [row[0] for row in rows]
    return labels_of(_text(content, "labels"))


def _predictions(path: Path) -> Table:
    content = _read(path, MOST_PREDICTIONS, "predictions", follow=False)
    try:
        if path.suffix == ".npy":
            return Table([], _array(content, "predictions"))
        return table(_text(content, "predictions"), "predictions")
    except BadInput as error:
        raise CannotBeDone(error.problem, error.remedy) from None


def _read(path: Path, most: int, what: str, *, follow: bool) -> bytes:
    """A file's bytes. follow False: what a run wrote must be a file of its own; it might lead to the labels."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path.name} with {what}.", "Look at its path.") from None
    except (OSError, ValueError) as error:
        raise CannotBeDone(f"{path.name} cannot be read: {error}.", "Write an ordinary file.") from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or (not follow and about.st_nlink > 1):
        os.close(handle)
        raise CannotBeDone(f"{path.name} is no file of its own.", "Write an ordinary file.")
    with os.fdopen(handle, "rb") as file:
        if about.st_size > most:
            raise CannotBeDone(f"{path.name} has {about.st_size:,} bytes; {most:,} are the most.", "Write less.")
        try:
            return file.read(most)
        except OSError as error:
            raise CannotBeDone(f"{path.name} cannot be read: {error.strerror}.", "Look at its folder.") from None


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"The {what} are not text.", "Write a CSV file, one value a line, or a .npy file.") from None


def _array(content: bytes, what: str) -> list[list[str]]:
    """A .npy of one or two dimensions as rows of cells. Nothing is unpickled."""
    import io

    import numpy as np

    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadInput(f"The {what} are no array: {str(error)[:120]}.", "Save it by numpy.save.") from None
    if not isinstance(found, np.ndarray) or found.ndim not in (1, 2) or found.dtype.kind not in "iufbU":
        raise BadInput(f"The {what} are no table of numbers.", "Save one or two dimensions of numbers.")
    if found.size == 0 or found.size > _MOST_CELLS:
        raise BadInput(f"The {what} have {found.size:,} cells.", f"Give 1 to {_MOST_CELLS:,}.")
    flat = found.reshape(len(found), -1)
    if found.dtype.kind == "b":
        flat = flat.astype(int)
    return [[str(cell) for cell in row] for row in flat.tolist()]
