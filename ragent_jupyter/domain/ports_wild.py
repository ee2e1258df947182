"""Protocols of Wild Mode: who decides, who proposes points, who keeps code apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from .model import Usage
from .wild import Action, FileEdit, Knob, LoopEvent, Seen, View


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of an action. text: for the model or the ledger: what happens now, or why not and what would do."""

    accepted: bool
    text: str
    asked: bool = False  # a person decides; it is neither done nor refused


class Thought(Struct, frozen=True, kw_only=True):
    """How a decision came about. who: "rule:tpe", "anthropic:claude-…"."""

    reasoning: str = ""
    who: str = ""
    usage: Usage = Usage()
    turn_id: str = ""


class Hands(Protocol):
    """What a policy holds while it decides about one event. Nothing is launched before the decision is remembered."""

    async def act(
        self, action: Action, *, reasoning: str = "", evidence: Sequence[Seen] = (), who: str = ""
    ) -> Outcome:
        """Put one action through the guard. Accepted actions are carried out, in order, once the decision is over."""


class Policy(Protocol):
    """Decides what a loop does next. The same Protocol for rules, a model, and both together."""

    async def decide(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        """Everything to do about this event, said to `hands`. Raises ModelFailed where the model cannot be reached."""

    def watch(self, view: View) -> list[tuple[Action, str]]:
        """Between events, while runs live: what streamed metrics call for (halving), with the reason. Pure and
        cheap."""


class Suggested(Struct, frozen=True):
    params: dict[str, Any]
    who: str = ""


class Tried(Struct, frozen=True, kw_only=True):
    """A finished point. value None: it failed; infeasible: it broke a constraint (out of memory), which is no bad
    value."""

    params: dict[str, Any]
    value: float | None
    infeasible: bool = False


class Optimiser(Protocol):
    """Proposes points of a space. Stateless: everything it knows is given; the same input, the same answer."""

    def suggest(
        self, space: dict[str, Knob], tried: Sequence[Tried], n: int, *, mode: Literal["min", "max"], seed: int
    ) -> list[dict[str, Any]]:
        """n points that are not in `tried`, fewer where the space runs dry."""

    def importance(
        self, space: dict[str, Knob], tried: Sequence[Tried], *, mode: Literal["min", "max"], seed: int
    ) -> dict[str, float]:
        """Share of the variation by parameter, 0..1; {} where too little is known."""


# --- code apart from the user's ---------------------------------------------------------------------------------------
class Base(Struct, frozen=True, kw_only=True):
    """The commit a loop starts from. dirty: it holds changes that the user had not committed. branch: the loop's
    own."""

    commit: str
    branch: str
    dirty: bool = False
    root: str = ""  # of the repository


class Ignored(Struct, frozen=True):
    """A file or folder that git does not know and a run may need. path: relative to the repository. size: bytes,
    capped."""

    path: str
    size: int
    kind: Literal["file", "folder"]


class Proof(Struct, frozen=True, kw_only=True):
    """Whether the run's interpreter would really execute the tree's files. problem: which module it takes from
    where."""

    ok: bool
    problem: str = ""
    modules: dict[str, str] = {}  # module -> file it resolves to


class Trees(Protocol):
    """Git, used without touching the user's tree, index, stash, HEAD or branch. All calls block. Raise CannotBeDone,
    NotFound, WrongMoment."""

    def repository(self, cwd: str) -> str:
        """Root of the repository that holds cwd, "" where there is none."""

    def ignored(self, cwd: str) -> list[Ignored]: ...
    def base(self, cwd: str, loop_id: str) -> Base:
        """HEAD with the user's uncommitted changes on top, as a commit on branch ragent/LOOP. Repeating it for a loop
        that has a branch gives what it gave."""

    def edit(self, loop_id: str, parent: str, edits: Sequence[FileEdit], message: str, key: str) -> str:
        """A commit with these edits, made in the loop's own worktree; hooks run. key: the same key again gives the same
        commit. Where an edit does not apply or a hook refuses: CannotBeDone, and the failed diff is kept (its path is
        in
        the problem)."""

    def tree(self, commit: str, inputs: Sequence[str] = ()) -> Path:
        """`.ragent/trees/COMMIT`, complete and read-only, with inputs linked; made once."""

    def work(self, commit: str, run_dir: Path, cwd: str) -> tuple[Path, dict[str, str]]:
        """A run's own writable folder over the tree, and the environment that makes the tree come first."""

    def prove(self, commit: str, python: str, cwd: str, env: dict[str, str]) -> Proof: ...
    def changed(self, commit: str) -> list[str]:
        """Paths of the tree that are not what the commit says."""

    def diff(self, old: str, new: str) -> str: ...
    def merge(self, loop_id: str, commit: str, by: str) -> str:
        """Put the loop's commits up to this one on the user's branch, if that is clean; a sentence about what was
        done."""

    def forget(self, loop_id: str) -> None: ...
