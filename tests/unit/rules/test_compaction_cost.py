"""What making a long conversation fit costs: a stop waits for it, so it must not grow with the square of the chat."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.chat import Turn, UserMessage
from ragent_jupyter.rules import compaction


def test_no_text_of_a_long_chat_is_counted_more_than_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "研究 " * 4000
    turns = [
        Turn(
            id=f"trn_{n}",
            session_id="ses_a",
            n=n,
            message=UserMessage(id=f"msg_{n}", text=text, at=0.0),
            status="done",
            created_at=0.0,
        )
        for n in range(1, 201)
    ]
    counted = 0
    real = compaction.tokens_of_text

    def count(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return real(text)

    monkeypatch.setattr(compaction, "tokens_of_text", count)
    fitted = compaction.fit(turns, {}, "trn_200", {}, 60_000)
    assert fitted.level == 3 and fitted.tokens <= 60_000
    assert counted < 3 * sum(len(turn.message.text) for turn in turns)


def test_a_chat_whose_turns_do_not_fit_in_a_line_each_still_ends() -> None:
    turns = [
        Turn(
            id=f"trn_{n}",
            session_id="ses_a",
            n=n,
            message=UserMessage(id=f"msg_{n}", text="word " * 50, at=0.0),
            status="done",
            created_at=0.0,
        )
        for n in range(1, 3001)
    ]
    fitted = compaction.fit(turns, {}, "trn_3000", {}, 5000)
    assert fitted.level == 4 and fitted.folded == 2999 and fitted.tokens <= 5000
