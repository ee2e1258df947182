"""Questions that only a person answers. They stand in the record and outlive doors and engines; first answer wins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import Approval, FormField, Grant, Preview, ToolPart
from ragent_jupyter.domain.errors import BadInput, NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.wire_chat import AnswerApproval
from ragent_jupyter.rules.permissions import grant_of

from .shell import Change, Shell

PEOPLE = ("browser", "terminal")  # doors at which somebody sits


class Approvals:
    def __init__(self, shell: Shell, make_id: Callable[[str], str]) -> None:
        self.shell = shell
        self.make_id = make_id
        self._waiting: dict[str, asyncio.Event] = {}

    def grants(self, session_id: str) -> list[Grant]:
        """What is allowed in a session: by itself and for always."""
        return [grant for grant in self.shell.grants.values() if grant.session_id in ("", session_id)]

    def question(self, preview: Preview, hash: str) -> Approval:
        return Approval(id=self.make_id("apr"), shows=preview, hash=hash, asked_at=self.shell.clock.now())

    def expect(self, approval_id: str) -> asyncio.Event:
        """Set once it is answered. To be had before the question is seen: an answer may come at once."""
        return self._waiting.setdefault(approval_id, asyncio.Event())

    def forget(self, approval_id: str) -> None:
        self._waiting.pop(approval_id, None)

    def find(self, session_id: str, approval_id: str) -> ToolPart:
        self.shell.open_session(session_id)
        for part in self.shell.parts[session_id].values():
            if isinstance(part, ToolPart) and part.approval is not None and part.approval.id == approval_id:
                return part
        raise NotFound(f"There is no approval {approval_id!r} in this chat.", "Open the chat again; it was replaced.")

    async def answer(self, session_id: str, approval_id: str, said: AnswerApproval, by: str, door: str) -> ToolPart:
        """Raises NotAllowed for a door without a person, WrongMoment with who decided, BadInput for a wrong form."""
        if door not in PEOPLE and said.choice != "no":  # anybody may say no: nothing comes of it
            raise NotAllowed(
                "Only a person may answer this: code in a notebook or a script cannot.",
                "Answer in the sidebar, on the phone page, or in a terminal with `ragent chat`.",
            )
        part = self.find(session_id, approval_id)
        approval = part.approval
        assert approval is not None
        if approval.status != "pending" or part.status != "waiting":
            who = f" by {approval.answered_by}" if approval.answered_by else ""
            word = {"approved": "allowed", "refused": "refused"}.get(approval.status, "withdrawn")
            raise WrongMoment(f"This was already {word}{who}.", "Nothing more to do here.")
        if said.hash and said.hash != approval.hash:
            raise WrongMoment("The call is not the one that you were shown.", "Look at it again, then answer.")
        answers = filled(approval.shows.form, said.answers) if said.choice != "no" else {}
        decided = msgspec.structs.replace(
            approval,
            status="refused" if said.choice == "no" else "approved",
            scope=said.choice,
            answered_by=by or door,
            answered_at=self.shell.clock.now(),
            note=said.note[:2000],
            answers=answers,
        )
        changes = [Change("part_update", msgspec.structs.replace(part, approval=decided))]
        grant = grant_of(decided, session_id, self.make_id("grt"), self.shell.clock.now())
        if grant is not None and not any(g.pattern == grant.pattern for g in self.grants(session_id)):
            changes.append(Change("grant_changed", grant))
        committed = self.shell.commit(changes)
        await committed
        event = self._waiting.get(approval_id)
        if event is not None:
            event.set()
        return self.find(session_id, approval_id)

    async def revoke(self, grant_id: str) -> None:
        grant = self.shell.grants.get(grant_id)
        if grant is None:
            raise NotFound(f"Nothing is allowed under {grant_id!r}.", "List what is with GET grants.")
        await self.shell.commit([Change("grant_changed", grant, forget=True)])


def filled(form: list[FormField], answers: dict[str, Any]) -> dict[str, Any]:
    """A form as it was filled in, checked. Raises BadInput naming the field."""
    known = {field.name: field for field in form}
    for name in answers:
        if name not in known:
            raise BadInput(f"The form has no field {name!r}.", f"It has: {', '.join(known) or 'none'}.")
    out: dict[str, Any] = {}
    for field in form:
        value = answers.get(field.name, field.default)
        match field.kind:
            case "choice" if value is not None and field.options and value not in field.options:
                raise BadInput(
                    f"{field.label}: {value!r} is none of the choices.", f"Choose: {', '.join(field.options)}."
                )
            case "choices" if value is not None:
                if not isinstance(value, list) or any(item not in field.options for item in value):
                    raise BadInput(f"{field.label}: not all are choices.", f"Choose from: {', '.join(field.options)}.")
            case "number" if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise BadInput(f"{field.label}: {value!r} is not a number.", "Give a number.")
            case "yes_no" if value is not None and not isinstance(value, bool):
                raise BadInput(f"{field.label}: {value!r} is neither yes nor no.", "Send true or false.")
            case "text" if value is not None and (not isinstance(value, str) or len(value) > 20_000):
                raise BadInput(f"{field.label}: not a text of at most 20,000 characters.", "Send a shorter text.")
        out[field.name] = value
    return out
