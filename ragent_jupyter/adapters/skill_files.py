"""Skills on disk: those that ragent ships, a project's own in `.ragent/skills`, installed ones beneath it.

Nothing is followed out of its folder: links are not read, names hold no separator, and of a git repository only the
blobs of regular Markdown files are read, without a checkout: no hook, filter, link or submodule of it comes to life.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, MissingPart, TooLarge

SHIPPED = Path(__file__).parent.parent / "skills"
MAX_FILE = 64_000  # bytes
MAX_FILES = 200
MAX_ALL = 2_000_000
MAX_CLONE = 200_000_000
_DEEPEST = 6
_SEEN = 20_000  # entries of a folder that is looked through
_TIMEOUT_S = 60.0
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_URL = re.compile(r"(?:https|ssh|file)://[^\s\x00-\x1f]+|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^\s\x00-\x1f]+")
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::?/?/?")


class SkillFolder:
    """All calls block. Raises BadInput, CannotBeDone, TooLarge, MissingPart."""

    def __init__(self, project: Path, shipped: Path = SHIPPED, timeout_s: float = _TIMEOUT_S) -> None:
        self.project = project
        self.timeout_s = timeout_s
        self._shipped = shipped
        self.own = project / ".ragent" / "skills"
        self.added = self.own / "installed"

    # --- reading ------------------------------------------------------------------------------------------------------
    def shipped(self) -> dict[str, str]:
        """Name → the file's text."""
        return self._texts(self._shipped)

    def edited(self) -> dict[str, str]:
        return self._texts(self.own)

    def installed(self) -> dict[str, str]:
        return self._texts(self.added)

    def path(self, name: str, source: str) -> str:
        """Where a skill lies, for people: relative to the project where it is in there."""
        folder = {"shipped": self._shipped, "project": self.own}.get(source, self.added)
        place = folder / f"{name}.md"
        return str(place.relative_to(self.project)) if place.is_relative_to(self.project) else str(place)

    def _texts(self, folder: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._leads_out(folder):
            return found
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return found
        for entry in entries:
            stem = entry.name.removesuffix(".md")
            if stem == entry.name or not _NAME.fullmatch(stem) or len(found) >= MAX_FILES:
                continue
            text = _read(Path(entry.path))
            if text is not None:
                found[stem] = text
        return found

    def _leads_out(self, folder: Path) -> bool:
        """Whether a link on the way to one of our folders leads out of the project."""
        if folder == self._shipped:
            return False
        parts = (self.project / ".ragent" / "skills", folder)
        return any(part.is_symlink() for part in parts)

    # --- writing ------------------------------------------------------------------------------------------------------
    def write(self, name: str, text: str, *, installed: bool = False) -> None:
        folder = self._ours(name, installed)
        data = text.encode("utf-8", "surrogatepass")
        if len(data) > MAX_FILE:
            raise TooLarge(f"The skill {name!r} has {len(data):,} bytes.", f"Write at most {MAX_FILE:,}.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Renamed over what is there: a link of that name is replaced, never written through.
            fd, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
            try:
                with os.fdopen(fd, "wb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                os.replace(temporary, folder / f"{name}.md")
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CannotBeDone(f"The skill {name!r} cannot be written: {why}.", "Look at .ragent/skills.") from error

    def remove(self, name: str, *, installed: bool = False) -> bool:
        """Whether there was one."""
        place = self._ours(name, installed) / f"{name}.md"
        try:
            place.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CannotBeDone(f"The skill {name!r} cannot be removed: {why}.", "Look at .ragent/skills.") from error
        return True

    def _ours(self, name: str, installed: bool) -> Path:
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name[:80]!r} is no name for a skill.", "Use small letters, digits and hyphens.")
        folder = self.added if installed else self.own
        if self._leads_out(folder):
            raise CannotBeDone(f"{folder.relative_to(self.project)} is a link.", "Make it a folder of the project.")
        return folder

    # --- from elsewhere -----------------------------------------------------------------------------------------------
    def fetch(self, source: str) -> list[tuple[str, str]]:
        """(path, text) of the Markdown files of a folder of this machine or a git repository."""
        source = source.strip()
        if not source or source.startswith("-") or "\x00" in source or len(source) > 2000:
            raise BadInput("That is no folder and no git address.", "Give a folder, or https://…, ssh://…, file://….")
        folder = Path(source).expanduser()
        if not folder.is_absolute():
            folder = self.project / folder
        if folder.is_dir():
            return self._capped(_walk(folder))
        if _URL.fullmatch(source):
            return self._clone(source)
        if _ANY_URL.match(source):
            raise BadInput(
                f"Skills do not come from {source[:120]!r}.", "Give an address with https://, ssh:// or file://."
            )
        raise CannotBeDone(f"There is no folder {source[:200]!r}.", "Give a folder, or a git address.")

    def _capped(self, files: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        size = 0
        for path, text in files:
            found.append((path, text))
            size += len(text)
            if len(found) > MAX_FILES or size > MAX_ALL:
                raise TooLarge(
                    f"There are more than {MAX_FILES} Markdown files there, or more than {MAX_ALL / 1e6:.0f} MB.",
                    "Give a folder that holds skills only.",
                )
        return found

    def _clone(self, url: str) -> list[tuple[str, str]]:
        with tempfile.TemporaryDirectory(prefix="ragent-skills-") as place:
            bare = Path(place) / "repository"
            self._git(
                ["clone", "--quiet", "--bare", "--depth", "1", "--single-branch", "--no-tags", "--template=", "--", url,
                 str(bare)],
                Path(place),
            )  # fmt: skip
            listed = self._git(["--git-dir", str(bare), "ls-tree", "-r", "-z", "-l", "HEAD"], Path(place))
            return self._capped(self._blobs(bare, listed))

    def _blobs(self, bare: Path, listed: bytes) -> Iterator[tuple[str, str]]:
        for line in listed.split(b"\0")[:_SEEN]:
            about, _, raw = line.partition(b"\t")
            fields = about.split()
            path = raw.decode("utf-8", "replace")
            # 100644 and 100755 are files; links (120000) and submodules (160000) are not taken.
            if len(fields) != 4 or fields[0] not in (b"100644", b"100755") or not path.endswith(".md"):
                continue
            if not fields[3].isdigit() or int(fields[3]) > MAX_FILE or path.count("/") >= _DEEPEST:
                continue
            data = self._git(["--git-dir", str(bare), "cat-file", "blob", fields[2].decode()], bare)
            text = _decoded(data)
            if text is not None:
                yield path, text

    def _git(self, words: list[str], place: Path) -> bytes:
        """git's stdout. Its settings cannot make it run anything: no hooks, no external transports, no prompts."""
        safe = [
            "git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never", "-c", "protocol.https.allow=always",
            "-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always", "-c", "core.fsmonitor=false",
            "-c", "submodule.recurse=false",
        ]  # fmt: skip
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file", "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "LC_ALL": "C",
        }  # fmt: skip
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                child = subprocess.Popen(
                    [*safe, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=place,
                    start_new_session=True,
                )  # fmt: skip
            except FileNotFoundError:
                raise MissingPart("git is not on PATH.", "Install git, or give a folder of this machine.") from None
            try:
                why = self._watched(child, place)
            finally:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
            err.seek(0)
            said = err.read(4000).decode("utf-8", "replace").strip().splitlines()
            if why or child.returncode:
                last = next((line for line in reversed(said) if line.strip()), "it ended without a word")
                problem = why or f"git could not read it: {last[:300]}"
                raise CannotBeDone(problem, "Check the address, and that this machine may read it.")
            out.seek(0)
            return out.read(MAX_ALL + MAX_FILE * 10)

    def _watched(self, child: subprocess.Popen[bytes], place: Path) -> str:
        """Why it had to be ended, "" if it ended by itself."""
        ends = time.monotonic() + self.timeout_s
        while True:
            try:
                child.wait(timeout=0.1)
                return ""
            except subprocess.TimeoutExpired:
                if time.monotonic() > ends:
                    return f"git did not answer within {self.timeout_s:.0f} s."
                if _size(place) > MAX_CLONE:
                    return f"The repository is larger than {MAX_CLONE / 1e6:.0f} MB."


def _size(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(base, name)).st_size
            except OSError:  # it was a temporary file
                continue
    return total


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """Regular Markdown files beneath a folder, no link followed; hidden folders are left out."""
    seen = 0
    for base, folders, names in os.walk(folder, followlinks=False):
        depth = len(Path(base).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < _DEEPEST else []
        for name in sorted(names):
            seen += 1
            if seen > _SEEN:
                raise TooLarge("The folder holds too many files.", "Give a folder that holds skills only.")
            if name.endswith(".md"):
                text = _read(Path(base) / name)
                if text is not None:
                    yield str((Path(base) / name).relative_to(folder)), text


def _read(path: Path) -> str | None:
    """A regular file's text; None for a link, a pipe, what is too large or no text."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_FILE:
            return None
        return _decoded(os.read(fd, MAX_FILE + 1))
    except OSError:
        return None
    finally:
        os.close(fd)


def _decoded(data: bytes) -> str | None:
    if len(data) > MAX_FILE or b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
