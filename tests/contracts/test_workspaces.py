"""The workspaces' contract on a true folder and on the fake; and what only a true folder can be asked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ragent_jupyter.adapters.workspace import FolderWorkspace
from ragent_jupyter.adapters.workspace.checkpoints import Checkpoints
from ragent_jupyter.domain.errors import (
    BadInput,
    CannotBeDone,
    NotAllowed,
    NotFound,
    RagentError,
    TooLarge,
    WrongMoment,
)

from ..support.fake_workspace import FakeWorkspace
from .workspace import SECRET, Ground, WorkspaceContract, redact, refused


class FakeGround:
    def __init__(self) -> None:
        self.hands = FakeWorkspace(redact=redact)

    def put(self, files: Mapping[str, str | bytes]) -> None:
        self.hands.files.update(files)

    def now(self, path: str) -> str | bytes | None:
        return self.hands.files.get(path)


class FolderGround:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "secret.txt").write_text("outside\n")
        self.hands = FolderWorkspace(self.folder, redact)

    def put(self, files: Mapping[str, str | bytes]) -> None:
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def now(self, path: str) -> str | bytes | None:
        file = self.folder / path
        return file.read_bytes().decode() if file.exists() else None


class TestFake(WorkspaceContract):
    @pytest.fixture
    def ground(self) -> Ground:
        return FakeGround()


class TestFolder(WorkspaceContract):
    @pytest.fixture
    def ground(self, tmp_path: Path) -> Ground:
        return FolderGround(tmp_path)


@pytest.fixture
def ground(tmp_path: Path) -> FolderGround:
    return FolderGround(tmp_path)


def everything_refuses(ground: FolderGround, path: str, kind: type[RagentError] = NotAllowed) -> None:
    hands = ground.hands
    for look in (hands.read, hands.text, hands.sha256):
        refused(kind, lambda look=look: look(path))
    refused(kind, lambda: hands.write(path, "x", expect=""))
    refused(kind, lambda: hands.checkpoint([path], "trn_1"))


# --- links -----------------------------------------------------------------------------------------------------------
def test_a_link_inside_leads_to_what_it_means(ground: FolderGround) -> None:
    ground.put({"real/a.txt": "one"})
    (ground.folder / "link").symlink_to("real")
    (ground.folder / "abs").symlink_to(ground.folder / "real" / "a.txt")
    assert ground.hands.read("link/a.txt") == ("one", 1)
    assert ground.hands.place("abs") == "real/a.txt"
    assert ground.hands.place("link/../real/a.txt") == "real/a.txt"
    assert ground.hands.place(str(ground.folder / "link" / "a.txt")) == "real/a.txt"
    ground.hands.write("abs", "two", expect=ground.hands.sha256("abs"))
    assert (ground.folder / "abs").is_symlink() and ground.now("real/a.txt") == "two"


def test_a_link_out_is_refused(ground: FolderGround) -> None:
    for name, target in {
        "file": ground.outside / "secret.txt",
        "relative": "../outside/secret.txt",
        "new": ground.outside / "not-there.txt",
        "proc": f"/proc/self/root{ground.outside}/secret.txt",
        "cwd": "/proc/self/cwd",
        "dots": "../project/../outside/secret.txt",
    }.items():
        (ground.folder / name).symlink_to(target)
        everything_refuses(ground, name)
    (ground.folder / "folder").symlink_to(ground.outside)
    everything_refuses(ground, "folder/secret.txt")
    everything_refuses(ground, "folder/new.txt")
    refused(NotAllowed, lambda: ground.hands.entries("folder"))
    assert [path.name for path in ground.outside.iterdir()] == ["secret.txt"]
    assert ground.hands.search("outside") == []


def test_a_link_to_a_refused_name_is_refused_too(ground: FolderGround) -> None:
    ground.put({".env": "A=1", ".git/config": "[remote]"})
    (ground.folder / "notes.txt").symlink_to(".env")
    (ground.folder / "cfg").symlink_to(".git")
    everything_refuses(ground, "notes.txt")
    everything_refuses(ground, "cfg/config")
    refused(NotAllowed, lambda: ground.hands.write("cfg/hooks/pre-commit", "x", expect=""))
    (ground.folder / ".env.d").mkdir()
    (ground.folder / ".env.d" / "plain").symlink_to("../a.txt")
    ground.put({"a.txt": "x"})
    everything_refuses(ground, ".env.d/plain")


def test_links_in_a_ring_end(ground: FolderGround) -> None:
    (ground.folder / "a").symlink_to("b")
    (ground.folder / "b").symlink_to("a")
    refused(CannotBeDone, lambda: ground.hands.read("a"), "links")


def test_a_folder_swapped_for_a_link_at_any_moment_leads_nowhere(ground: FolderGround) -> None:
    """The classic race: `data` is a folder when it is checked and a link out when it is opened."""
    (ground.outside / "data").mkdir()
    shutil.copy(ground.outside / "secret.txt", ground.outside / "data" / "a.txt")
    ground.put({"data/a.txt": "inside"})
    link, real = ground.folder / "data-link", ground.folder / "data"
    link.symlink_to(ground.outside / "data")
    over = threading.Event()

    def swap() -> None:
        aside = ground.folder / "data-aside"
        while not over.is_set():
            os.rename(real, aside)
            os.rename(link, real)
            os.rename(real, link)
            os.rename(aside, real)

    swapper = threading.Thread(target=swap)
    seen: set[str] = set()
    sha = ground.hands.sha256("data/a.txt")
    swapper.start()
    try:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            try:
                seen.add(ground.hands.read("data/a.txt")[0])
                ground.hands.write("data/a.txt", "inside", expect=sha)
            except (NotAllowed, NotFound, WrongMoment, CannotBeDone):
                continue
    finally:
        over.set()
        swapper.join()
    assert seen == {"inside"}
    assert (ground.outside / "data" / "a.txt").read_text() == "outside\n"
    assert len(list((ground.outside / "data").iterdir())) == 1


# --- what is no file --------------------------------------------------------------------------------------------------
def test_pipes_sockets_and_devices_are_not_opened(ground: FolderGround) -> None:
    os.mkfifo(ground.folder / "pipe")
    sock = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(ground.folder)
    try:
        sock.bind("sock")
    finally:
        os.chdir(here)
    began = time.monotonic()
    for name, kind in (("pipe", "a pipe"), ("sock", "a socket"), (".", "a folder")):
        refused(CannotBeDone, lambda name=name: ground.hands.read(name), kind)
        refused(CannotBeDone, lambda name=name: ground.hands.write(name, "x", expect=""), kind)
    assert ground.hands.search("x") == []
    assert ground.hands.entries() == []
    assert time.monotonic() - began < 5
    sock.close()


def test_a_pipe_that_takes_a_file_s_place_does_not_block(ground: FolderGround, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragent_jupyter.adapters.workspace import tree

    ground.put({"a.txt": "x"})
    look = tree._look

    def then_swap(folder: int, name: str, path: str) -> os.stat_result | None:
        about = look(folder, name, path)
        if name == "a.txt":
            os.unlink(ground.folder / "a.txt")
            os.mkfifo(ground.folder / "a.txt")
        return about

    monkeypatch.setattr(tree, "_look", then_swap)
    refused(WrongMoment, lambda: ground.hands.read("a.txt"))


def test_a_file_is_no_folder(ground: FolderGround) -> None:
    ground.put({"a.txt": "x"})
    refused(NotFound, lambda: ground.hands.read("a.txt/b"), "not a folder")
    refused(NotFound, lambda: ground.hands.write("a.txt/b", "x", expect=""))
    refused(NotFound, lambda: ground.hands.read("no/../a.txt"))


def test_folders_kept_out_are_refused_wherever_they_lie(ground: FolderGround) -> None:
    ground.put({"rt/kernel.txt": "key", "a.txt": "x"})
    hands = FolderWorkspace(ground.folder, redact, keep_out=[ground.folder / "rt", ground.folder / "not-made"])
    (ground.folder / "way").symlink_to("rt")
    for path in ("rt/kernel.txt", "way/kernel.txt"):
        refused(NotAllowed, lambda path=path: hands.read(path), "runtime")
    assert hands.read("a.txt") == ("x", 1)
    assert hands.search("key") == []


@pytest.mark.parametrize("path", ["a" * 300, "b/" * 300, "x" * 5000, "\ud800", "\udc00"])
def test_impossible_names_are_errors_not_crashes(ground: FolderGround, path: str) -> None:
    with pytest.raises(RagentError):
        ground.hands.read(path)
    with pytest.raises(RagentError):
        ground.hands.write(path, "x", expect="")


def test_a_name_that_is_no_text_is_listed_escaped(ground: FolderGround) -> None:
    (ground.folder / "two\nlines\u202e.txt").write_text("needle")
    os.close(os.open(os.fsencode(ground.folder) + b"/\xff", os.O_CREAT))
    assert [entry.path for entry in ground.hands.entries()] == ["\\xff", "two\\nlines\\u202e.txt"]
    assert [hit.path for hit in ground.hands.search("needle")] == ["two\\nlines\\u202e.txt"]


# --- sizes, encodings -------------------------------------------------------------------------------------------------
def test_a_huge_file_is_not_read_whole(ground: FolderGround) -> None:
    with open(ground.folder / "huge", "wb") as file:
        file.truncate(3 << 30)
    refused(TooLarge, lambda: ground.hands.read("huge"), "tail")
    refused(TooLarge, lambda: ground.hands.text("huge"))
    refused(TooLarge, lambda: ground.hands.write("b.txt", "x" * 6_000_000, expect=""))
    assert not (ground.folder / "b.txt").exists()


def test_a_very_long_line_is_cut(ground: FolderGround) -> None:
    ground.put({"min.js": "x" * 1_000_000})
    text, lines = ground.hands.read("min.js")
    assert lines == 1 and len(text) < 5_000 and "1,000,000 characters" in text
    (hit,) = ground.hands.search("x{5}")
    assert len(hit.text) <= 2_000


@pytest.mark.parametrize(
    "data", [b"caf\xe9\r\n", "café\n".encode(), b"\xef\xbb\xbfone\n", "é\n".encode("utf-16"), b"no end", b"\r\n\n"]
)
def test_an_edit_keeps_encoding_line_ends_and_mode(ground: FolderGround, data: bytes) -> None:
    ground.put({"a.sh": data})
    os.chmod(ground.folder / "a.sh", 0o751)
    sha = ground.hands.sha256("a.sh")
    ground.hands.write("a.sh", ground.hands.text("a.sh"), expect=sha)
    assert (ground.folder / "a.sh").read_bytes() == data
    assert stat.S_IMODE((ground.folder / "a.sh").stat().st_mode) == 0o751


def test_a_character_that_the_file_s_encoding_lacks_is_said(ground: FolderGround) -> None:
    ground.put({"a.txt": b"caf\xe9"})
    refused(CannotBeDone, lambda: ground.hands.write("a.txt", "€", expect=ground.hands.sha256("a.txt")), "latin-1")
    assert (ground.folder / "a.txt").read_bytes() == b"caf\xe9"


def test_a_private_key_is_blacked_out_whole_even_from_its_middle(ground: FolderGround) -> None:
    body = "\n".join(f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{n:04}" for n in range(30))
    ground.put({"notes.md": f"a\n-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\nb\n"})
    text, lines = ground.hands.read("notes.md", start=10, lines=25)
    assert "MII" not in text and text.endswith("\nb") and lines == 34
    assert ground.hands.search("MII") == []


# --- writing ----------------------------------------------------------------------------------------------------------
def test_a_write_leaves_no_scraps_and_a_full_disk_changes_nothing(
    ground: FolderGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.put({"a.txt": "old"})
    sha = ground.hands.sha256("a.txt")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        refused(CannotBeDone, lambda: ground.hands.write("a.txt", "new", expect=sha), "No space left")
        refused(CannotBeDone, lambda: ground.hands.checkpoint(["a.txt"], "trn_1"), "No space left")
    assert ground.now("a.txt") == "old"
    assert [path.name for path in ground.folder.iterdir() if path.name != ".ragent"] == ["a.txt"]


def test_of_two_who_create_at_once_one_wins(ground: FolderGround) -> None:
    results: list[str] = []

    def create(text: str) -> None:
        try:
            FolderWorkspace(ground.folder, redact).write("one.txt", text, expect="")
            results.append(text)
        except WrongMoment:
            pass  # the other one was first; what counts is who won

    threads = [threading.Thread(target=create, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [ground.now("one.txt")]


def test_a_checkpoint_survives_a_torn_line_and_a_new_process(ground: FolderGround) -> None:
    ground.put({"a.txt": "before"})
    ground.hands.checkpoint(["a.txt"], "trn_1")
    ground.hands.write("a.txt", "after", expect=ground.hands.sha256("a.txt"))
    journal = ground.folder / ".ragent" / "checkpoints" / "trn_1" / "kept.jsonl"
    with open(journal, "a") as file:
        file.write('{"path": "a.t')
    again = FolderWorkspace(ground.folder, redact)
    again.checkpoint(["b.txt"], "trn_1")
    assert again.restore("trn_1") == ["a.txt"]
    assert ground.now("a.txt") == "before"
    assert stat.S_IMODE(journal.parent.stat().st_mode) == 0o700


def test_a_damaged_copy_is_not_put_back(ground: FolderGround) -> None:
    ground.put({"a.txt": "before"})
    ground.hands.checkpoint(["a.txt"], "trn_1")
    ground.hands.write("a.txt", "after", expect=ground.hands.sha256("a.txt"))
    (kept,) = Checkpoints(str(ground.folder)).kept("trn_1")
    (ground.folder / ".ragent" / "checkpoints" / "trn_1" / kept.before).write_text("other")
    refused(WrongMoment, lambda: ground.hands.restore("trn_1"), "a.txt")
    assert ground.now("a.txt") == "after"


# --- searching --------------------------------------------------------------------------------------------------------
@pytest.fixture
def repository(ground: FolderGround) -> Iterator[FolderGround]:
    assert shutil.which("git"), "git is missing: apt-get install git"
    subprocess.run(["git", "init", "-q", str(ground.folder)], check=True)
    yield ground


def test_what_git_ignores_is_not_searched(repository: FolderGround) -> None:
    repository.put(
        {".gitignore": "data/\n*.log\n", "a.py": "needle", "b.log": "needle", "data/c.txt": "needle", ".env": "needle"}
    )
    repository.put({"nested/x.txt": "needle"})
    subprocess.run(["git", "init", "-q", str(repository.folder / "nested")], check=True)
    assert [hit.path for hit in repository.hands.search("needle")] == ["a.py", "nested/x.txt"]


def test_without_git_heavy_folders_are_not_searched(ground: FolderGround) -> None:
    ground.put({"a.py": "needle", "node_modules/b.js": "needle", "x/__pycache__/c.txt": "needle"})
    assert [hit.path for hit in ground.hands.search("needle")] == ["a.py"]


def test_a_repository_s_own_settings_start_no_program(repository: FolderGround, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    subprocess.run(
        ["git", "-C", str(repository.folder), "config", "core.fsmonitor", f"touch {mark}; false"], check=True
    )
    repository.put({"a.py": "needle"})
    assert len(repository.hands.search("needle")) == 1
    assert not mark.exists()


@pytest.mark.slow
def test_a_pattern_that_never_ends_is_ended(ground: FolderGround, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragent_jupyter.adapters.workspace import search

    monkeypatch.setattr(search, "SECONDS", 1.0)
    ground.put({"a.txt": "a" * 60 + "!"})
    began = time.monotonic()
    refused(CannotBeDone, lambda: ground.hands.search("(a+)+$"), "took longer")
    assert time.monotonic() - began < 20  # by itself it would take years


@pytest.mark.parametrize("pattern", ["", "x" * 2000, "[", "(?P<", "a\0b", "a{99999999999}", "(" * 500])
def test_patterns_that_are_none(ground: FolderGround, pattern: str) -> None:
    ground.put({"a.txt": "a"})
    refused(BadInput, lambda: ground.hands.search(pattern))


def test_an_empty_line_and_a_secret_s_neighbours_are_found(ground: FolderGround) -> None:
    ground.put({"a.txt": f"x\n\nuse {SECRET} well\n", "b.txt": ""})
    assert [(hit.path, hit.line) for hit in ground.hands.search("^$")] == [("a.txt", 2), ("b.txt", 1)]
    assert [hit.text for hit in ground.hands.search("well")] == ["use [secret] well"]


def test_globs_cross_folders_only_with_two_stars(ground: FolderGround) -> None:
    ground.put(dict.fromkeys(("a.py", "src/b.py", "src/deep/c.py", "src/d.txt"), "x"))

    def found(glob: str) -> list[str]:
        return [hit.path for hit in ground.hands.search("x", glob=glob)]

    assert found("*.py") == ["a.py", "src/b.py", "src/deep/c.py"]
    assert found("src/*.py") == ["src/b.py"]
    assert found("src/**/*.py") == ["src/b.py", "src/deep/c.py"]
    assert found("src/**") == ["src/b.py", "src/d.txt", "src/deep/c.py"]
    assert found("**/*a*a*a*a*a*a*a*a*a*a*a*a*b") == []
    refused(BadInput, lambda: found("x" * 1000))


def test_the_matcher_is_a_process_of_its_own_that_ends(ground: FolderGround) -> None:
    import psutil

    ground.put({"a.txt": "needle"})
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    ground.hands.search("needle")
    assert {child.pid for child in psutil.Process().children(recursive=True)} - before == set()
    assert json.dumps([hit.text for hit in ground.hands.search("needle")]) == '["needle"]'
