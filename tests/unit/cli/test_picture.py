"""Ctrl-C at any moment leaves a terminal as it was: what draws by itself has begun, or it has ended."""

from __future__ import annotations

import io
import signal
import threading
from typing import Any

import pytest
from rich.live import Live

from ragent_jupyter.cli.output import Out
from ragent_jupyter.cli.picture import Picture


@pytest.fixture
def picture() -> Picture:
    return Picture(Out(out=io.StringIO()), lambda: "drawn")


def interrupt_in(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    inside = getattr(Live, where)

    def half(self: Live, *args: Any, **more: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return inside(self, *args, **more)

    monkeypatch.setattr(Live, where, half)


def test_an_interrupt_while_it_begins_comes_when_it_has_begun(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        interrupt_in(patched, "_enable_redirect_io")
        with pytest.raises(KeyboardInterrupt):
            picture.begin()
    assert picture.shown and signal.getsignal(signal.SIGINT) is handler
    picture.end()
    assert not picture.shown


def test_an_interrupt_while_it_ends_comes_when_it_has_ended(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    picture.begin()
    interrupt_in(monkeypatch, "_disable_redirect_io")
    with pytest.raises(KeyboardInterrupt):
        picture.end()
    assert not picture.shown
    picture.begin()  # nothing of the first one is left in the way
    with pytest.raises(KeyboardInterrupt):
        picture.end()


def test_twice_is_once_and_another_thread_may_show_it(picture: Picture) -> None:
    def all_of_it() -> None:
        picture.begin()
        picture.begin()
        picture.end()
        picture.end()

    thread = threading.Thread(target=all_of_it)
    thread.start()
    thread.join(10)
    assert not thread.is_alive() and not picture.shown
    text = picture.console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("drawn") == 1
