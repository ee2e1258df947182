"""Wild Mode's routes as typed calls: loops, their ledger, what a person wishes of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.wild import Loop
from ragent_jupyter.domain.wire_wild import (
    AnswerLoop,
    ChangeLimits,
    CreateLoop,
    JournalReply,
    LoopReply,
    LoopsReply,
    MergeLoop,
    MergeReply,
    PatchLoop,
    ReorderEvents,
    SetupReply,
    Steer,
    StopLoop,
)

_DRAFT_TIMEOUT_S = 120.0  # a script is read, a repository listed
_REPORT_TIMEOUT_S = 180.0  # a report may run a notebook
_MERGE_TIMEOUT_S = 120.0  # a hook may take its time


class WildCalls:
    """Mixed into `Client`, which makes the calls."""

    # What `Client` brings along.
    get: Any
    post: Any
    put: Any
    patch: Any
    _text: Any

    # --- looking -----------------------------------------------------------------------------------------------
    def loops(self) -> list[Loop]:
        """Newest first."""
        found = self.get("wild", type=LoopsReply).loops
        return sorted(found, key=lambda loop: loop.created_at, reverse=True)

    def loop(self, loop_id: str) -> LoopReply:
        return self.get(f"wild/{loop_id}", type=LoopReply)  # type: ignore[no-any-return]

    def find_loop(self, ref: str = "") -> Loop:
        """The loop that is meant: its id or the beginning of one; "" the newest that lives, else the newest.

        Raises NotFound, BadInput (with the candidates).
        """
        ref, known = ref.strip(), self.loops()
        if not ref:
            if not known:
                raise NotFound("There is no wild loop in this project.", 'Start one: ragent wild "GOAL" -- CMD')
            return next((loop for loop in known if not loop.over), known[0])
        found = [loop for loop in known if loop.id == ref]
        found = found or [loop for loop in known if loop.id.startswith(ref) or loop.id.startswith("wld_" + ref)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(f"No wild loop {ref!r} in this project.", "`ragent wild list` lists what there is.")
        raise BadInput(f"{ref!r} may mean {', '.join(loop.id for loop in found[:5])}.", "Give more of the id.")

    def journal(self, loop_id: str, after: int = 0) -> JournalReply:
        """Entries of the ledger with a number above `after`, oldest first."""
        return self.get(f"wild/{loop_id}/journal", type=JournalReply, query={"after": after or None})  # type: ignore[no-any-return]

    def diff_loop(self, loop_id: str, commit: str = "") -> str:
        """What a merge would change. commit: "" the one that would be merged."""
        return self._text(f"wild/{loop_id}/diff", {"commit": commit or None})  # type: ignore[no-any-return]

    # --- beginning ---------------------------------------------------------------------------------------------
    def draft_loop(self, body: CreateLoop) -> SetupReply:
        """What would be run and searched; nothing is started."""
        body = msgspec.structs.replace(body, draft=True)
        return self.post("wild", body, type=SetupReply, timeout=_DRAFT_TIMEOUT_S)  # type: ignore[no-any-return]

    def create_loop(self, body: CreateLoop) -> Loop:
        request_id = body.request_id or os.urandom(8).hex()
        body = msgspec.structs.replace(body, draft=False, request_id=request_id)
        return self.post("wild", body, type=Loop, timeout=_DRAFT_TIMEOUT_S)  # type: ignore[no-any-return]

    # --- wishes ------------------------------------------------------------------------------------------------
    def patch_loop(self, loop_id: str, body: PatchLoop) -> Loop:
        """Only the fields of `body` that are not None change."""
        fields = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
        return self.patch(f"wild/{loop_id}", fields, type=Loop)  # type: ignore[no-any-return]

    def pause_loop(self, loop_id: str) -> Loop:
        """Nothing new is decided or started; what runs goes on to its end."""
        return self.post(f"wild/{loop_id}/pause", type=Loop)  # type: ignore[no-any-return]

    def resume_loop(self, loop_id: str) -> Loop:
        return self.post(f"wild/{loop_id}/resume", type=Loop)  # type: ignore[no-any-return]

    def stop_loop(self, loop_id: str, *, runs: bool = True, now: bool = False) -> Loop:
        """runs: stop its runs too.  now: without grace."""
        return self.post(f"wild/{loop_id}/stop", StopLoop(runs=runs, now=now), type=Loop)  # type: ignore[no-any-return]

    def steer_loop(self, loop_id: str, text: str) -> Loop:
        """Say something that the next decision, and every later one, hears."""
        body = Steer(text=text, request_id=os.urandom(8).hex())
        return self.post(f"wild/{loop_id}/steer", body, type=Loop)  # type: ignore[no-any-return]

    def answer_loop(self, loop_id: str, question: str, choice: str = "", text: str = "") -> Loop:
        """question: its id.  choice: an option's id, or "" with a text. Raises WrongMoment if it is no longer open,
        NotAllowed where only a person may answer and this door has none."""
        body = AnswerLoop(question=question, choice=choice, text=text)
        return self.post(f"wild/{loop_id}/answer", body, type=Loop)  # type: ignore[no-any-return]

    def limits_loop(self, loop_id: str, limits: Mapping[str, Any], *, resume: bool = True) -> Loop:
        """Set limits anew; None removes one. resume: go on where a limit had ended it."""
        body = ChangeLimits(limits=dict(limits), resume=resume)
        return self.put(f"wild/{loop_id}/limits", body, type=Loop)  # type: ignore[no-any-return]

    def queue_loop(self, loop_id: str, order: Sequence[str] = (), drop: Sequence[str] = ()) -> Loop:
        """Reorder the events that wait, or drop some. order, drop: ids."""
        body = ReorderEvents(order=list(order), drop=list(drop))
        return self.put(f"wild/{loop_id}/queue", body, type=Loop)  # type: ignore[no-any-return]

    def merge_loop(self, loop_id: str, commit: str = "") -> MergeReply:
        """Put the loop's commits on the user's branch. commit: "" the confirmed candidate's."""
        return self.post(f"wild/{loop_id}/merge", MergeLoop(commit=commit), type=MergeReply, timeout=_MERGE_TIMEOUT_S)  # type: ignore[no-any-return]

    def wild_report(self, loop_id: str) -> Loop:
        """Write the loop's report anew; its path is `report` of what comes back."""
        return self.post(f"wild/{loop_id}/report", type=Loop, timeout=_REPORT_TIMEOUT_S)  # type: ignore[no-any-return]
