"""What every workspace promises: the suite that the true folder and the fake in memory pass alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pytest

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.ports_mind import FileEntry, FileHit, Workspace

SECRET = "sk-test-0123456789abcdef"


class Hands(Workspace, Protocol):
    """What the file tools use beyond domain.ports_mind.Workspace."""

    def place(self, path: str, *, write: bool = False) -> str: ...
    def remove(self, path: str, *, expect: str) -> None: ...


class Ground(Protocol):
    """A project of one test."""

    hands: Any

    def put(self, files: Mapping[str, str | bytes]) -> None:
        """What another program writes."""

    def now(self, path: str) -> str | bytes | None: ...


def redact(text: str) -> str:
    return text.replace(SECRET, "[secret]")


def refused(kind: type[RagentError], what: Callable[[], object], *words: str) -> None:
    with pytest.raises(kind) as caught:
        what()
    for word in words:
        assert word in str(caught.value)


class WorkspaceContract:
    @pytest.fixture
    def ground(self) -> Ground:
        raise NotImplementedError

    # --- reading ------------------------------------------------------------------------------------------------
    def test_lines_are_read_by_number_and_counted(self, ground: Ground) -> None:
        ground.put({"a.txt": "one\ntwo\nthree\n"})
        assert ground.hands.read("a.txt") == ("one\ntwo\nthree", 3)
        assert ground.hands.read("a.txt", start=2, lines=1) == ("two", 3)
        assert ground.hands.read("a.txt", start=9) == ("", 3)

    def test_an_empty_file_has_no_lines(self, ground: Ground) -> None:
        ground.put({"empty": ""})
        assert ground.hands.read("empty") == ("", 0)

    def test_windows_line_ends_are_line_ends(self, ground: Ground) -> None:
        ground.put({"a.txt": "one\r\ntwo\r\n"})
        assert ground.hands.read("a.txt") == ("one\ntwo", 2)

    @pytest.mark.parametrize("start, lines", [(0, 1), (-1, 1), (1, 0)])
    def test_lines_count_from_one(self, ground: Ground, start: int, lines: int) -> None:
        ground.put({"a.txt": "x"})
        refused(BadInput, lambda: ground.hands.read("a.txt", start=start, lines=lines))

    def test_a_binary_file_is_described_not_shown(self, ground: Ground) -> None:
        ground.put({"w.bin": bytes(range(256))})
        refused(CannotBeDone, lambda: ground.hands.read("w.bin"), "no text", "256 bytes")

    def test_what_is_not_there_is_not_found(self, ground: Ground) -> None:
        refused(NotFound, lambda: ground.hands.read("no/such.txt"))
        refused(NotFound, lambda: ground.hands.text("nosuch.txt"))
        refused(NotFound, lambda: ground.hands.entries("nosuch"))
        assert ground.hands.sha256("nosuch.txt") == ""

    def test_a_secret_is_blacked_out_where_it_is_shown_and_kept_where_it_is_edited(self, ground: Ground) -> None:
        ground.put({"run.py": f"a = 1\nkey = '{SECRET}'\n"})
        assert ground.hands.read("run.py") == ("a = 1\nkey = '[secret]'", 2)
        assert SECRET in ground.hands.text("run.py")
        (hit,) = ground.hands.search("key")
        assert hit.text == "key = '[secret]'"
        assert ground.hands.search("sk-test") == [], "a search must not find a secret by guessing at it"

    # --- places -------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize(
        "path",
        ["../out.txt", "a/../../out.txt", "/etc/passwd", "//etc/passwd", "/proc/self/environ", "~/x", "..",
         "/proc/self/root/etc/passwd", "./../../../../../../etc/passwd"],
    )  # fmt: skip
    def test_what_lies_outside_is_refused(self, ground: Ground, path: str) -> None:
        ground.put({"a/b.txt": "x"})
        for look in (ground.hands.read, ground.hands.text, ground.hands.sha256, ground.hands.entries):
            refused(NotAllowed, lambda look=look: look(path))
        refused(NotAllowed, lambda: ground.hands.write(path, "x", expect=""))
        refused(NotAllowed, lambda: ground.hands.checkpoint([path], "trn_1"))

    @pytest.mark.parametrize(
        "path",
        [".env", ".env.local", "sub/.env", ".ENV", ".ssh/config", ".git/config", "sub/.git/config", ".ragent/ragent.db",
         ".netrc", "server.pem", "id_rsa", "id_ed25519.pub", "kernel-1234.json", ".jupyter/jupyter_server_config.py",
         ".env\u200b", "a/../.env", ".aws/credentials", "keyrings/login.keyring"],
    )  # fmt: skip
    def test_keepers_of_secrets_are_refused(self, ground: Ground, path: str) -> None:
        ground.put({"a/b.txt": "x", "sub/x": ""})
        refused(NotAllowed, lambda: ground.hands.read(path))
        refused(NotAllowed, lambda: ground.hands.text(path))
        refused(NotAllowed, lambda: ground.hands.sha256(path))
        refused(NotAllowed, lambda: ground.hands.write(path, "x", expect=""))
        refused(NotAllowed, lambda: ground.hands.remove(path, expect=""))

    def test_git_s_files_may_be_looked_at_but_not_changed(self, ground: Ground) -> None:
        ground.put({".git/HEAD": "ref: refs/heads/main\n"})
        assert ground.hands.read(".git/HEAD") == ("ref: refs/heads/main", 1)
        refused(NotAllowed, lambda: ground.hands.write(".git/hooks/pre-commit", "#!/bin/sh", expect=""))

    @pytest.mark.parametrize("path", ["", "a\0b"])
    def test_what_is_no_path_is_bad_input(self, ground: Ground, path: str) -> None:
        refused(BadInput, lambda: ground.hands.read(path))

    # --- lists and search ---------------------------------------------------------------------------------------
    def test_entries_are_a_tree_of_a_depth(self, ground: Ground) -> None:
        ground.put({"a.txt": "12345", "src/b.py": "x", "src/deep/c.py": "x", ".env": "KEY=1"})
        assert ground.hands.entries() == [
            FileEntry("a.txt", "file", 5),
            FileEntry("src", "folder", 0),
            FileEntry("src/b.py", "file", 1),
            FileEntry("src/deep", "folder", 0),
        ]
        assert [entry.path for entry in ground.hands.entries("src", depth=1)] == ["src/b.py", "src/deep"]

    def test_a_limit_cuts_what_lies_deepest(self, ground: Ground) -> None:
        ground.put({f"a/{n:02}": "" for n in range(20)} | {"b.txt": ""})
        assert [entry.path for entry in ground.hands.entries(limit=3)] == ["a", "a/00", "b.txt"]

    def test_a_file_has_no_entries(self, ground: Ground) -> None:
        ground.put({"a.txt": "x"})
        refused(CannotBeDone, lambda: ground.hands.entries("a.txt"))

    def test_a_search_names_file_line_and_text(self, ground: Ground) -> None:
        ground.put({"a.py": "import os\nlr = 0.1\n", "b.txt": "lr = 3\n", "c.bin": b"lr = \0"})
        assert ground.hands.search(r"lr\s*=\s*\d") == [FileHit("a.py", 2, "lr = 0.1"), FileHit("b.txt", 1, "lr = 3")]
        assert ground.hands.search("lr", glob="*.py") == [FileHit("a.py", 2, "lr = 0.1")]
        assert len(ground.hands.search("lr", limit=1)) == 1
        assert ground.hands.search("nowhere") == []

    def test_a_bad_pattern_says_so(self, ground: Ground) -> None:
        ground.put({"a.py": "x"})
        refused(BadInput, lambda: ground.hands.search("("), "regular expression")

    # --- writing ------------------------------------------------------------------------------------------------
    def test_a_file_is_created_and_replaced_if_it_is_what_was_read(self, ground: Ground) -> None:
        ground.hands.write("new/dir/a.txt", "one\n", expect="")
        assert ground.now("new/dir/a.txt") == "one\n"
        sha = ground.hands.sha256("new/dir/a.txt")
        assert sha == hashlib.sha256(b"one\n").hexdigest()
        ground.hands.write("new/dir/a.txt", "two\n", expect=sha)
        assert ground.now("new/dir/a.txt") == "two\n"

    def test_a_file_that_changed_since_is_left_alone(self, ground: Ground) -> None:
        ground.put({"a.txt": "mine"})
        sha = ground.hands.sha256("a.txt")
        ground.put({"a.txt": "theirs"})
        refused(WrongMoment, lambda: ground.hands.write("a.txt", "agent's", expect=sha))
        refused(WrongMoment, lambda: ground.hands.write("a.txt", "agent's", expect=""))
        refused(WrongMoment, lambda: ground.hands.remove("a.txt", expect=sha))
        refused(WrongMoment, lambda: ground.hands.write("gone.txt", "x", expect=sha))
        assert ground.now("a.txt") == "theirs"

    def test_a_file_is_removed_if_it_is_what_was_read(self, ground: Ground) -> None:
        ground.put({"a.txt": "x"})
        ground.hands.remove("a.txt", expect=ground.hands.sha256("a.txt"))
        assert ground.now("a.txt") is None
        refused(NotFound, lambda: ground.hands.remove("a.txt", expect=""))

    # --- taking back --------------------------------------------------------------------------------------------
    def test_a_turn_is_taken_back(self, ground: Ground) -> None:
        ground.put({"a.txt": "before", "gone.txt": "was here"})
        hands = ground.hands
        hands.checkpoint(["a.txt", "new.txt"], "trn_1")
        hands.write("a.txt", "first", expect=hands.sha256("a.txt"))
        hands.checkpoint(["a.txt", "gone.txt"], "trn_1")
        hands.write("a.txt", "second", expect=hands.sha256("a.txt"))
        hands.write("new.txt", "made", expect="")
        hands.remove("gone.txt", expect=hands.sha256("gone.txt"))
        assert sorted(hands.restore("trn_1")) == ["a.txt", "gone.txt", "new.txt"]
        assert (ground.now("a.txt"), ground.now("new.txt"), ground.now("gone.txt")) == ("before", None, "was here")
        assert hands.restore("trn_1") == [], "a second time there is nothing to do"

    def test_what_a_person_changed_since_stays(self, ground: Ground) -> None:
        ground.put({"a.txt": "a", "b.txt": "b"})
        hands = ground.hands
        hands.checkpoint(["a.txt", "b.txt"], "trn_1")
        for name in ("a.txt", "b.txt"):
            hands.write(name, "agent's", expect=hands.sha256(name))
        ground.put({"b.txt": "person's"})
        refused(WrongMoment, lambda: hands.restore("trn_1"), "b.txt")
        assert (ground.now("a.txt"), ground.now("b.txt")) == ("a", "person's")

    def test_turns_are_taken_back_newest_first(self, ground: Ground) -> None:
        ground.put({"a.txt": "0"})
        hands = ground.hands
        for turn in ("1", "2"):
            hands.checkpoint(["a.txt"], f"trn_{turn}")
            hands.write("a.txt", turn, expect=hands.sha256("a.txt"))
        refused(WrongMoment, lambda: hands.restore("trn_1"))
        assert hands.restore("trn_2") == ["a.txt"]
        assert ground.now("a.txt") == "1"
        assert hands.restore("trn_1") == ["a.txt"]
        assert ground.now("a.txt") == "0"

    def test_a_checkpoint_s_id_is_no_path(self, ground: Ground) -> None:
        ground.put({"a.txt": "x"})
        refused(BadInput, lambda: ground.hands.checkpoint(["a.txt"], "../../x"))
        refused(NotFound, lambda: ground.hands.restore("trn_none"))
