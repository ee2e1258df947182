"""What a person is asked, what an answer allows, and what no answer allows."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.errors import NotAllowed, WrongMoment
from ragent_jupyter.domain.model import Text
from ragent_jupyter.domain.wire_chat import AnswerApproval, PatchSession
from tests.support.mind import Desk, ToldModel, approve, call, run


def test_an_edit_waits_for_a_person_and_yes_means_this_very_call() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("write", "x")], [Text("Done.")]))
        session = await desk.begin()
        await desk.say(session, "write it")
        part = await desk.until(lambda: (t := desk.tool(session) if desk.parts(session) else None) and t.approval and t)
        assert (part.status, part.approval.shows.diff, desk.hands.done) == ("waiting", "+x on 1", [])
        assert desk.sessions.get(session).status == "waiting" and desk.turns(session)[0].status == "waiting"
        id = part.approval.id
        with pytest.raises(NotAllowed):
            await desk.approvals.answer(session, id, AnswerApproval(choice="once"), "kernel", "kernel")
        with pytest.raises(WrongMoment):
            await desk.approvals.answer(session, id, AnswerApproval(choice="once", hash="other"), "ann", "browser")
        await desk.approvals.answer(
            session, id, AnswerApproval(choice="once", hash=part.approval.hash), "ann", "browser"
        )
        with pytest.raises(WrongMoment, match="allowed by ann"):
            await desk.approvals.answer(session, id, AnswerApproval(choice="no"), "bob", "browser")
        turn = await desk.over(session)
        assert (turn.status, desk.hands.done, desk.tool(session).status) == ("done", [("write", "x")], "done")
        assert not desk.shell.grants

    run(body)


def test_a_script_may_say_no_and_nothing_else() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("write", "x")], [Text("Then not.")]))
        session = await desk.begin()
        await desk.say(session, "write it")
        part = await desk.until(lambda: desk.parts(session) and (t := desk.tool(session)).approval and t)
        for choice in ("once", "session", "always"):
            with pytest.raises(NotAllowed):
                await desk.approvals.answer(session, part.approval.id, AnswerApproval(choice=choice), "", "script")
        await desk.approvals.answer(session, part.approval.id, AnswerApproval(choice="no"), "", "script")
        assert (await desk.over(session)).status == "done" and desk.hands.done == []

    run(body)


def test_a_no_is_told_to_the_model_and_nothing_is_done() -> None:
    async def body() -> None:
        model = ToldModel([call("write", "x")], [Text("Then not.")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "write it")
        await approve(desk, session, "no", "use b instead")
        assert (await desk.over(session)).status == "done"
        assert desk.hands.done == [] and desk.tool(session).status == "refused"
        assert "use b instead" in str(model.asked[1].messages[-1])

    run(body)


def test_what_is_allowed_in_a_session_is_not_asked_again_there_but_elsewhere() -> None:
    async def body() -> None:
        replies = [
            [call("write", "x", "a")],
            [call("write", "y", "b")],
            [Text("ok")],
            [call("write", "z")],
            [Text("ok")],
        ]
        desk = Desk(ToldModel(*replies))
        first = await desk.begin()
        await desk.say(first, "write twice")
        # The pattern is one of a path; a session's grant covers it.
        await approve(desk, first, "session")
        await desk.over(first)
        assert desk.hands.done == [("write", "x"), ("write", "y")]
        second = await desk.begin()
        await desk.say(second, "write")
        await approve(desk, second, "once")
        await desk.over(second)
        (grant,) = desk.shell.grants.values()
        await desk.approvals.revoke(grant.id)
        assert not desk.shell.grants and not Desk(ToldModel(), desk.disk).shell.grants

    run(body)


def test_a_file_that_changed_while_it_was_asked_about_is_asked_about_again() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("write", "x")], [Text("ok")]))
        session = await desk.begin()
        await desk.say(session, "write")
        first = await desk.until(lambda: desk.parts(session) and (t := desk.tool(session)).approval and t)
        desk.hands.version = "2"
        await desk.approvals.answer(session, first.approval.id, AnswerApproval(choice="once"), "ann", "browser")
        second = await desk.until(lambda: (t := desk.tool(session)).approval.id != first.approval.id and t)
        assert second.approval.shows.diff == "+x on 2" and desk.hands.done == []
        await desk.approvals.answer(session, second.approval.id, AnswerApproval(choice="once"), "ann", "browser")
        await desk.over(session)
        assert desk.hands.done == [("write", "x")]

    run(body)


def test_modes_accept_edits_plan_and_bypass() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("write", "x")], [Text("ok")], [call("write", "y")], [Text("I only plan.")]))
        session = await desk.begin(mode="accept_edits")
        await desk.say(session, "write")
        await desk.over(session)
        assert desk.hands.done == [("write", "x")]
        await desk.say(session, "write again", mode="plan")
        await desk.over(session)
        assert desk.hands.done == [("write", "x")] and desk.tool(session).status == "refused"
        with pytest.raises(NotAllowed):
            await desk.sessions.patch(session, PatchSession(mode="bypass"))
        with pytest.raises(NotAllowed):
            await desk.say(session, "x", mode="bypass")
        with pytest.raises(NotAllowed):
            await desk.begin(mode="bypass")

    run(body)


def test_stop_while_a_person_is_asked_withdraws_the_question() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("write", "x")]))
        session = await desk.begin()
        await desk.say(session, "write")
        part = await desk.until(lambda: desk.parts(session) and (t := desk.tool(session)).approval and t)
        await desk.chat.stop(session)
        with pytest.raises(WrongMoment, match="withdrawn"):
            await desk.approvals.answer(session, part.approval.id, AnswerApproval(choice="once"), "ann", "browser")
        assert desk.hands.done == []

    run(body)
