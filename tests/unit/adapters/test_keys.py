"""Keys: found in the right order, kept for their owner alone, told by their last four characters."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.adapters.keys import FILE, NAMES, LocalKeys, SystemKeyring
from ragent_jupyter.domain.errors import BadInput, CannotBeDone

KEY = "sk-ant-api03-0123456789-abcd"
NAME = "ANTHROPIC_API_KEY"


class Ring:
    """A keyring that works."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.held.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self.held[service, name] = value

    def delete_password(self, service: str, name: str) -> None:
        del self.held[service, name]


def keys(folder: Path, env: dict[str, str] | None = None, ring: Any = None, limit_s: float = 2.0) -> LocalKeys:
    keyring = SystemKeyring({}, (lambda: ring) if ring is not None else None, limit_s) if ring is not None else None
    return LocalKeys(env or {}, folder, keyring)


def state(held: LocalKeys, name: str = NAME) -> tuple[bool, str, str]:
    one = next(s for s in held.states() if s.name == name)
    return one.set, one.source, one.hint


def test_the_environment_comes_first_then_the_keyring_then_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({NAME: "from-the-file-00000001"}))
    ring = Ring()
    assert state(keys(tmp_path, ring=ring)) == (True, "file", "ends in 0001")
    ring.set_password("ragent", NAME, "from-the-keyring-0002")
    assert state(keys(tmp_path, ring=ring)) == (True, "keyring", "ends in 0002")
    held = keys(tmp_path, {NAME: " from-the-environment-0003 "}, ring)
    assert state(held) == (True, "env", "ends in 0003")
    assert held.get(NAME) == "from-the-environment-0003"
    assert set(held.values()) == {"from-the-environment-0003", "from-the-keyring-0002", "from-the-file-00000001"}


def test_without_a_keyring_a_key_goes_into_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    held = keys(tmp_path / "config")
    said = held.put(NAME, f" {KEY}\n")
    assert (said.set, said.source, said.hint) == (True, "file", "ends in abcd")
    path = tmp_path / "config" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert keys(tmp_path / "config").get(NAME) == KEY
    assert sorted(os.listdir(path.parent)) == [FILE, FILE + ".lock"]


def test_at_no_moment_can_others_read_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    replace = os.replace

    def watched(source: str, target: str) -> None:
        modes.append(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    keys(tmp_path).put(NAME, KEY)
    assert modes == [0o600]


def test_a_key_is_forgotten_everywhere(tmp_path: Path) -> None:
    ring = Ring()
    ring.set_password("ragent", NAME, KEY)
    (tmp_path / FILE).write_text(json.dumps({NAME: KEY, "TAVILY_API_KEY": "tvly-0123456789abcdef"}))
    held = keys(tmp_path, ring=ring)
    assert not held.put(NAME, None).set
    assert ring.held == {} and KEY not in (tmp_path / FILE).read_text()
    assert held.get("TAVILY_API_KEY") == "tvly-0123456789abcdef"


def test_with_a_keyring_nothing_is_left_in_the_file(tmp_path: Path) -> None:
    keys(tmp_path).put(NAME, "an-old-key-in-the-file")
    assert keys(tmp_path, ring=Ring()).put(NAME, KEY).source == "keyring"
    assert "an-old-key" not in (tmp_path / FILE).read_text()


class Broken(Ring):
    def get_password(self, service: str, name: str) -> str | None:
        raise RuntimeError("the keyring is locked")


def test_a_broken_keyring_is_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []

    class Counted(Broken):
        def get_password(self, service: str, name: str) -> str | None:
            asked.append(name)
            return super().get_password(service, name)

    held = keys(tmp_path, ring=Counted())
    assert held.put(NAME, KEY).source == "file"
    held.states()
    assert asked == [NAME]
    assert held.get(NAME) == KEY


def test_a_keyring_that_hangs_costs_its_limit_once(tmp_path: Path) -> None:
    never = threading.Event()
    asked: list[str] = []

    class Hanging(Ring):
        def get_password(self, service: str, name: str) -> str | None:
            asked.append(name)
            never.wait(120)
            return None

    held = keys(tmp_path, ring=Hanging(), limit_s=0.2)
    began = time.monotonic()
    assert held.get(NAME) is None
    assert all(not s.set for s in held.states())
    assert held.put(NAME, KEY).source == "file"
    assert time.monotonic() - began < 30
    assert asked == [NAME], "it was not asked again"
    never.set()


def test_without_a_display_the_keyring_is_not_even_loaded(tmp_path: Path) -> None:
    assert SystemKeyring({}).off == "no display" or os.uname().sysname != "Linux"
    assert SystemKeyring({"DISPLAY": ":0"}).off == ""
    assert SystemKeyring({"DISPLAY": ":0", "RAGENT_KEYRING": "0"}).off == "RAGENT_KEYRING=0"
    assert SystemKeyring({"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}).off == ""


def test_no_backend_at_all_is_no_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backends import fail

    monkeypatch.setattr(keyring, "get_keyring", lambda: fail.Keyring())
    held = LocalKeys({}, tmp_path, SystemKeyring({"DISPLAY": ":0"}))
    assert held.put(NAME, KEY).source == "file"


@pytest.mark.parametrize(
    "value", ["", "short", "with a blank in it", "k" * 5000, "zeile\numbruch-0000", "schlüssel-0000"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadInput):
        keys(tmp_path).put(NAME, value)
    assert not (tmp_path / FILE).exists()


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="PATH"):
        keys(tmp_path).put("PATH", KEY)
    assert keys(tmp_path).get("PATH") is None


def test_a_key_of_the_environment_is_not_hidden_by_another(tmp_path: Path) -> None:
    with pytest.raises(CannotBeDone, match="environment"):
        keys(tmp_path, {NAME: KEY}).put(NAME, KEY)


def test_a_file_that_others_could_read_is_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text(json.dumps({NAME: KEY}))
    (tmp_path / FILE).chmod(0o644)
    assert keys(tmp_path).get(NAME) == KEY
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert "replace them" in caplog.text and KEY not in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00", '{"ANTHROPIC_API_KEY": 7}'])
def test_a_file_that_holds_no_keys_gives_none_and_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    held = keys(tmp_path)
    assert [s for s in held.states() if s.set] == []
    if not text.startswith('{"'):
        with pytest.raises(CannotBeDone):
            held.put(NAME, KEY)
        assert (tmp_path / FILE).read_text() == text


def test_a_change_by_another_engine_is_seen(tmp_path: Path) -> None:
    here, there = keys(tmp_path), keys(tmp_path)
    assert here.get(NAME) is None
    there.put(NAME, KEY)
    assert here.get(NAME) == KEY
    here.put("TAVILY_API_KEY", "tvly-0123456789abcdef")
    assert there.get("TAVILY_API_KEY") == "tvly-0123456789abcdef" and there.get(NAME) == KEY


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotBeDone, match="cannot be written"):
        keys(tmp_path / "file").put(NAME, KEY)


def test_states_never_hold_a_key(tmp_path: Path) -> None:
    held = keys(tmp_path, {name: f"secret-{i}-0123456789abcdef{i}" for i, name in enumerate(NAMES)})
    told = repr(held.states())
    assert all(value not in told for value in held.values())
    assert state(keys(tmp_path, {NAME: "abcd1234"})) == (True, "env", "set")
