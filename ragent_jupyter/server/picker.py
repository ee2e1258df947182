"""Which folder this server's ragent works on, where that is not plain from the server's root."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.runfiles.project import find_project

from .base import RagentHandler

_LOOKED_AT = 2000  # folders that are looked into for a project inside; a home folder may hold a million
_DEPTH = 2


class ProjectChoice:
    """The project of a server whose files begin at `root`: chosen, configured, or found.

    A choice made in the picker is remembered per root in Jupyter's data folder; Jupyter's root is often the home
    folder, which is never silently taken for a project.
    """

    def __init__(self, root: str, configured: str = "") -> None:
        self.root = Path(root).expanduser().resolve()
        self._configured = configured
        self._chosen: Path | None = None
        self._asked = False

    def find(self) -> Path:
        """Raises CannotBeDone with the remedy where a person has to choose."""
        if self._configured:
            return find_project(self.root / Path(self._configured).expanduser())
        chosen = self._remembered()
        if chosen is not None:
            return find_project(chosen)
        try:
            return find_project(self.root)
        except CannotBeDone as error:
            raise CannotBeDone(
                error.problem,
                "Choose a folder below it for ragent (in the panel), or start Jupyter in the folder of your project.",
            ) from error

    def choose(self, path: str) -> Path:
        """Take `path` (relative to the root, as in Jupyter's file browser) as the project.

        Raises BadInput, CannotBeDone: outside the root, no folder, the home folder, or around another project.
        """
        try:
            folder = (self.root / path.lstrip("/")).resolve(strict=True)
        except OSError as error:
            raise BadInput(f"{path!r} cannot be opened: {error.strerror or error}.", "Choose a folder.") from error
        if not folder.is_dir():
            raise BadInput(f"{path!r} is not a folder.", "Choose a folder.")
        if folder != self.root and self.root not in folder.parents:
            raise BadInput(f"{path!r} is outside of this server's files.", f"Choose a folder below {self.root}.")
        project = find_project(folder)
        inside = [found for found in projects_below(project) if found != project]
        if inside and not (project / ".ragent").is_dir():
            raise CannotBeDone(
                f"{project} holds the project {inside[0]}, and projects are never nested.",
                f"Choose {inside[0]}, or a folder beside it.",
            )
        self._chosen, self._asked = project, True
        try:
            place = self._file()
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.write_text(json.dumps({"root": str(self.root), "project": str(project)}))
        except OSError:
            return project  # a read-only home: the choice holds for as long as this server does
        return project

    def _file(self) -> Path:
        key = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(jupyter_data_dir()) / "ragent" / f"project-{key}.json"

    def _remembered(self) -> Path | None:
        if not self._asked:
            self._asked = True
            try:
                self._chosen = Path(json.loads(self._file().read_text())["project"])
            except (OSError, ValueError, KeyError, TypeError):
                self._chosen = None
        # A project that was moved away since is asked for anew.
        return self._chosen if self._chosen is not None and self._chosen.is_dir() else None


def projects_below(folder: Path) -> list[Path]:
    """Folders that hold `.ragent/`, at most two levels down; hidden folders and links are not followed."""
    found: list[Path] = []
    looked = 0
    level = [folder]
    for _ in range(_DEPTH + 1):
        deeper: list[Path] = []
        for here in level:
            looked += 1
            if looked > _LOOKED_AT:
                return found
            try:
                entries = [entry for entry in os.scandir(here) if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            if any(entry.name == ".ragent" for entry in entries):
                found.append(here)
            else:
                deeper += [Path(entry.path) for entry in entries if not entry.name.startswith(".")]
        level = deeper
    return found


class ProjectHandler(RagentHandler):
    """`api/v1/project`, answered here, for the engine belongs to a project already.

    GET: {"root", "project": path or null, "problem", "remedy", "candidates": [paths below the root]}
    PUT {"path": relative to the root}: the same, with the new project; every tab reconnects.
    """

    def initialize(self, choice: ProjectChoice) -> None:
        self._choice = choice

    @authenticated
    @authorized
    async def get(self) -> None:
        self.finish(json.dumps(self._state()))

    @authenticated
    @authorized(action="execute")  # type: ignore[untyped-decorator]
    async def put(self) -> None:
        try:
            body = json.loads(self.request.body or b"{}")
        except ValueError:
            body = None
        path = body.get("path") if isinstance(body, dict) else None
        if not isinstance(path, str):
            return self.refuse(BadInput("No folder was named.", 'Send {"path": "folder/below/the/root"}.'))
        try:
            self._choice.choose(path)
        except RagentError as error:
            return self.refuse(error)
        self.link.close_sockets("another project was chosen")
        self.finish(json.dumps(self._state()))

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"root": str(self._choice.root), "project": None, "problem": "", "remedy": ""}
        try:
            state["project"] = str(self._choice.find())
        except RagentError as error:
            state |= {"problem": error.problem, "remedy": error.remedy}
        state["candidates"] = [str(found) for found in projects_below(self._choice.root)]
        return state
