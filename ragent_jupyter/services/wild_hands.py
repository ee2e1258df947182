"""What a policy holds while it decides: every action goes through one guard, and leaves one line in the ledger."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.ports_wild import Outcome, Trees
from ragent_jupyter.domain.wild import Action, EditCode, LoopEvent, Option, Promise, Question, Seen, View
from ragent_jupyter.rules.wild_guard import NeedsPerson, Refused, check
from ragent_jupyter.rules.wild_loop import encode_actions

_ALERT_S = 300.0  # a question about a critical alert: then its safe answer is given, or a night ends with its first NaN
_NEED_S = 3600.0  # any other question


class Said(msgspec.Struct, frozen=True):
    """One action that was said, and what became of it."""

    action: Action
    outcome: str  # done, refused, asked
    result: str
    reasoning: str
    evidence: list[Seen]
    who: str


class DecisionHands:
    """For one decision about one event. `accepted` and `asked` are carried out by the driver once it is remembered."""

    def __init__(self, view: View, event: LoopEvent, trees: Trees | None, now: float) -> None:
        self.view = view
        self.event = event
        self.trees = trees
        self.now = now
        self.said: list[Said] = []
        self.accepted: list[Action] = []
        self.asked: list[tuple[Action, NeedsPerson]] = []
        self.commits: list[str] = []
        self.refusal = ""
        self._lock = asyncio.Lock()
        self._closed = False

    async def act(
        self, action: Action, *, reasoning: str = "", evidence: Sequence[Seen] = (), who: str = ""
    ) -> Outcome:
        # One after the other: what the first one takes of a budget, the second one cannot.
        async with self._lock:
            if self._closed:
                return Outcome(accepted=False, text="This decision is over.")
            outcome, result = "done", ""
            # What waits for a yes has taken its share as well.
            before = [*self.accepted, *(held for held, _ in self.asked)]
            verdict = check(self._seen(), self.event, action, before)
            if isinstance(verdict, Refused):
                outcome, result = "refused", f"{verdict.problem} {verdict.remedy}".strip()
                self.refusal = verdict.problem
            elif isinstance(verdict, NeedsPerson):
                outcome, result = "asked", f"A person is asked: {verdict.text}"
                self.asked.append((verdict.passed.action, verdict))  # as it was cut, not as it was asked for
            else:
                action, result = verdict.action, verdict.note
                try:
                    if isinstance(action, EditCode):
                        result = await self.edit(action)
                    self.accepted.append(action)
                except RagentError as error:
                    outcome, result = "refused", f"{error.problem} {error.remedy}"
                    self.refusal = error.problem
            self.said.append(Said(action, outcome, result, reasoning, list(evidence), who))
            return Outcome(accepted=outcome == "done", text=result or "Accepted.", asked=outcome == "asked")

    def _seen(self) -> View:
        """What the guard judges by: the view, with the commits of this decision. New code makes old points new."""
        if not self.commits:
            return self.view
        loop = msgspec.structs.replace(self.view.loop, commits=[*self.view.loop.commits, *self.commits])
        return msgspec.structs.replace(self.view, loop=loop)

    async def edit(self, action: EditCode) -> str:
        """Make the commit now, so that whoever decides learns whether it applies. Raises CannotBeDone."""
        commit = await make_edit(self.trees, self.view, action, [*self.view.loop.commits, *self.commits])
        self.commits.append(commit)
        return f"Committed as {commit[:12]} on {self.view.loop.branch or 'the loop branch'}."

    def close(self) -> None:
        """The decision is over: what a late call still says is not heard."""
        self._closed = True

    @property
    def question(self) -> Question | None:
        """What a person is asked after this decision: permissions first, else the policy's own question."""
        asked_for = f"{self.view.loop.id}:{self.event.id}:{self.view.loop.entries}"
        id = "qst_" + hashlib.sha256(asked_for.encode()).hexdigest()[:12]
        if self.asked:
            first = self.asked[0][1]
            more = len(self.asked) - 1
            text = first.text if not more else " ".join(verdict.text for _, verdict in self.asked)
            alert = self.event.kind in ("critical", "warning")
            return Question(
                id=id,
                text=text[:1000],
                options=list(first.options),
                default=first.default,
                asked_at=self.now,
                about="alert" if alert else "approval",
                held=encode_actions([action for action, _ in self.asked]),
                ref=self.event.ref,
                default_at=self._until(_ALERT_S if alert else _NEED_S),
            )
        for action in self.accepted:
            if isinstance(action, Promise) and action.word == "NEEDS_HUMAN":
                options = list(action.options) or [Option("continue", "Go on"), Option("stop", "Stop the loop")]
                default = action.default if action.default in {o.id for o in options} else options[0].id
                return Question(
                    id=id,
                    text=action.text or "It needs you, and did not say what for.",
                    options=options,
                    default=default,
                    asked_at=self.now,
                    about="need",
                    ref=self.event.ref,
                    default_at=self._until(_NEED_S),
                )
        return None

    def _until(self, seconds: float) -> float | None:
        """When the default is taken. A cautious loop waits for its person however long that takes."""
        return None if self.view.loop.autonomy == "cautious" else self.now + seconds


async def make_edit(trees: Trees | None, view: View, action: EditCode, commits: Sequence[str]) -> str:
    """One change as a commit of the loop's own branch. Raises CannotBeDone where it does not apply."""
    from ragent_jupyter.domain.errors import CannotBeDone

    loop = view.loop
    if trees is None or not loop.commits:
        raise CannotBeDone("This loop runs in your own folder and changes no code.", "Start one in a git repository.")
    parent = action.parent or commits[-1]
    if parent not in commits:
        full = [commit for commit in commits if commit.startswith(parent) and len(parent) >= 7]
        if len(full) != 1:
            raise CannotBeDone(f"{parent[:40]!r} is no commit of this loop.", f"Its commits: {', '.join(commits)}.")
        parent = full[0]
    made: dict[str, Any] = {"edits": msgspec.to_builtins(action.edits), "parent": parent}
    key = hashlib.sha256(msgspec.json.encode(made)).hexdigest()[:24]
    message = action.summary.strip() or "A change"
    if action.hypothesis.strip():
        message += f"\n\n{action.hypothesis.strip()}"
    return await asyncio.to_thread(trees.edit, loop.id, parent, action.edits, message, key)
