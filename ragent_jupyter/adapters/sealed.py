"""Where the labels of sealed hold-outs lie: 0600 files in a folder of Jupyter's configuration, outside any project.

What it is: no run and no policy is told where it is, the guard refuses whatever names it, and it is not in the folder
that is searched, edited and linked. What it is not: a wall. A process of the same user can read the file if it goes
looking. For a wall, give the labels to another user or another machine and score there.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ragent_jupyter.domain.errors import CannotBeDone, NotFound
from ragent_jupyter.runfiles.jsonl import atomic_write

FOLDER = "ragent_holdouts"
_ID = re.compile(r"hold_[0-9a-f]{16}")
_MOST = 128 * 2**20


class SealedLabels:
    """Bytes by id. All calls block. folder: for tests; else it is in Jupyter's configuration."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        if self._folder is None:
            from jupyter_core.paths import jupyter_config_dir  # looks at the disk when imported

            self._folder = Path(jupyter_config_dir()) / FOLDER
        return self._folder

    def keep(self, id: str, content: bytes) -> None:
        """Keep this under an id; the same again changes nothing. Raises CannotBeDone."""
        path = self._path(id)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.chmod(self.folder, 0o700)
            if path.exists() and self.read(id) == content:
                return
            atomic_write(path, content, mode=0o600)
        except OSError as error:
            raise CannotBeDone(
                f"The hold-out cannot be sealed in {self.folder}: {error.strerror or error}.",
                "Make that folder writable for you.",
            ) from None

    def read(self, id: str) -> bytes:
        """Raises NotFound, and CannotBeDone where the file is not ours alone."""
        path = self._path(id)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFound(f"No hold-out {id} is sealed here.", "Seal it again with its labels.") from None
        except OSError as error:
            raise CannotBeDone(f"The hold-out {id} cannot be read: {error.strerror}.", "Seal it again.") from None
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid() or about.st_size > _MOST:
            os.close(handle)
            raise CannotBeDone(f"The hold-out {id} is not the file that was sealed.", "Seal it again.")
        with os.fdopen(handle, "rb") as file:
            if stat.S_IMODE(about.st_mode) & 0o077:
                raise CannotBeDone(
                    f"Others can read the hold-out {id}, so it is no longer sealed.", "Seal another one, mode 0600."
                )
            try:
                return file.read()
            except OSError as error:
                raise CannotBeDone(f"The hold-out {id} cannot be read: {error.strerror}.", "Seal it again.") from None

    def _path(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise NotFound(f"{id[:60]!r} is no id of a hold-out.", "Ids look like hold_0123456789abcdef.")
        return self.folder / f"{id}.json"
