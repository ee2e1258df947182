"""A git repository of a test."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Repo:
    """`git init` in a folder; nobody's name is configured, as on a fresh machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve() if folder.exists() else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder = self.folder.resolve()
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str, check: bool = True) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        done = subprocess.run(["git", *who, *args], cwd=self.folder, env=_ENV, capture_output=True, check=False)
        if check:
            assert done.returncode == 0, done.stderr.decode()
        return os.fsdecode(done.stdout).rstrip("\n")

    def put(self, files: Mapping[str, str | bytes]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)

    def commit(self, files: Mapping[str, str | bytes] | None = None, message: str = "a change") -> str:
        self.put(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def state(self) -> dict[str, object]:
        """All that is the user's: every file outside .ragent and objects, with its time, what git says, and refs that
        are not ours."""
        found: dict[str, object] = {}
        private = self.folder / ".git"
        for place, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if name != ".ragent" and Path(place, name) != private]
            for name in names:
                found[os.path.relpath(os.path.join(place, name), self.folder)] = _fingerprint(Path(place, name))
        for name in ("index", "HEAD", "ORIG_HEAD", "MERGE_HEAD", "config", "logs/HEAD", "info/sparse-checkout"):
            if (private / name).exists():
                found[f".git/{name}"] = _fingerprint(private / name)
        found["refs"] = [
            line
            for line in self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
            if not line.startswith(("refs/heads/ragent/", "refs/ragent/"))
        ]
        found["status"] = self.git("--no-optional-locks", "status", "--porcelain=v2", "--branch")
        found["stash"] = self.git("stash", "list")
        return found


def _fingerprint(path: Path) -> object:
    about = os.lstat(path)
    data = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    return about.st_mode, about.st_ino, about.st_mtime_ns, hashlib.sha256(data).hexdigest()
