"""What a running tool says is told now and then, whole lines of it, and no more once the tool has ended."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any

from ragent_jupyter.domain.chat import ToolPart, ToolProgress
from ragent_jupyter.services.tool_calls import _Saying

PART = ToolPart(id="p", session_id="s", turn_id="t", index=0, step=1, call_id="c", name="shell", status="running")


class Listening:
    def __init__(self) -> None:
        self.looked_through = 0
        self.told: list[ToolProgress] = []
        self.hushed: list[str] = []
        self.rang = asyncio.Event()

    def seat(self) -> Any:
        def redact(text: str) -> str:
            self.looked_through += 1
            return re.sub(r"sk-\w+", "[key]", text)

        def ring(topic: str, type_: str, key: str, data: ToolProgress) -> None:
            self.told.append(data)
            self.rang.set()

        shell = SimpleNamespace(
            ring_bell=ring,
            hush=lambda type_, key: self.hushed.append(key),
        )
        return SimpleNamespace(shell=shell, kit=SimpleNamespace(redact=redact))


def test_ten_thousand_lines_are_looked_through_once_and_the_newest_are_told() -> None:
    async def body() -> Listening:
        heard = Listening()
        saying = _Saying(heard.seat(), PART)
        for n in range(10_000):
            saying.say(f"line {n} sk-secret\n")
        await asyncio.wait_for(heard.rang.wait(), 10)
        saying.end()
        return heard

    heard = asyncio.run(body())
    assert heard.looked_through == 1 and len(heard.told) == 1 and heard.hushed == ["p"]
    assert heard.told[0].tail.endswith("line 9999 [key]\n") and "sk-secret" not in heard.told[0].tail


def test_a_key_that_is_cut_in_two_is_not_told_by_its_second_half() -> None:
    async def body() -> str:
        heard = Listening()
        saying = _Saying(heard.seat(), PART)
        saying.say(f"sk-{'x' * 104}\n" * 400)  # far more than is kept, and little once it is looked through
        await asyncio.wait_for(heard.rang.wait(), 10)
        saying.end()
        assert saying._newest.startswith("x")
        return heard.told[0].tail

    assert set(asyncio.run(body()).split()) == {"[key]"}


def test_nothing_is_told_after_the_end() -> None:
    async def body() -> Listening:
        heard = Listening()
        saying = _Saying(heard.seat(), PART)
        saying.say("late\n")
        saying.end()
        await asyncio.sleep(0.2)  # twice as long as it would have taken
        return heard

    assert asyncio.run(body()).told == []
