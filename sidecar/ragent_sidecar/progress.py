"""How far a run is: what its log says of itself (tqdm, step/max_steps, epoch i/n), else its own pace. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any

from ragent_jupyter.domain.run import Progress

_TOTAL_NAMES = (
    "max_steps", "max_iters", "num_steps", "total_steps", "n_steps", "steps", "num_iterations", "iterations", "iters",
    "max_iterations", "num_train_steps", "train_steps", "training_steps", "total_timesteps",
)  # fmt: skip
_KEEP = 32


def total_from(params: dict[str, Any], argv: list[str]) -> int | None:
    """The number of steps that a command asks for, by the usual names: `--max-steps 1000`, `max_iters=1000`.

    >>> total_from({}, ["python", "train.py", "--max-steps", "1000"])
    1000
    >>> total_from({"num_steps": 50}, []), total_from({}, ["train.py", "lr=0.1"])
    (50, None)
    """
    told: dict[str, str] = {}
    for i, word in enumerate(argv):
        name, equals, value = word.lstrip("-").partition("=")
        if equals:
            told[_plain(name)] = value
        elif word.startswith("-") and i + 1 < len(argv):
            told[_plain(name)] = argv[i + 1]
    told.update({_plain(name): str(value) for name, value in params.items()})
    for name in _TOTAL_NAMES:
        text = told.get(name, "").replace("_", "")
        if text.isdigit() and 0 < int(text) < 1 << 53:
            return int(text)
    return None


def _plain(name: str) -> str:
    return name.rsplit(".", 1)[-1].replace("-", "_").lower()


class Pace:
    """Fractions of a run as they were seen, and what they say about the time left."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEEP)

    def note(self, at: float, fraction: float) -> None:
        """at: seconds on any clock that does not run back."""
        if self._seen and fraction < self._seen[-1][1]:
            self._seen.clear()  # a new bar, or a restart
        if not self._seen or fraction > self._seen[-1][1]:
            self._seen.append((at, fraction))

    def eta_s(self, at: float) -> float | None:
        """Seconds left by the pace of the last sightings; None until there are two of them."""
        if len(self._seen) < 2:
            return None
        (t0, f0), (t1, f1) = self._seen[0], self._seen[-1]
        if t1 <= t0:
            return None
        left = (1.0 - f1) / ((f1 - f0) / (t1 - t0))
        return max(0.0, left - (at - t1))


def progress(
    told: tuple[int, int, str] | None, step: int | None, total: int | None, pace: Pace, at: float
) -> Progress | None:
    """told: (done, total, style) as the log said it.  step, total: newest step of the metrics; steps asked for.

    A count over the whole run beats one over an epoch or a bar that may be one of many.
    """
    if told is not None and told[2] not in ("tqdm", "keras"):
        done, of, style = told
        text = f"epoch {done + 1}/{of}" if style == "epoch" else f"{done}/{of}"
    elif step is not None and total and 0 <= step <= total:
        done, of, text = step, total, f"step {step}/{total}"
    elif told is not None:
        done, of, text = told[0], told[1], f"{told[0]}/{told[1]}"
    elif step is not None:
        return Progress(step=step, text=f"step {step}")
    else:
        return None
    fraction = min(1.0, done / of) if of else None
    if fraction is not None:
        pace.note(at, fraction)
    eta = pace.eta_s(at)
    return Progress(fraction=fraction, step=done, total=of, eta_s=None if eta is None else round(eta, 1), text=text)
