"""The desk of skills: prompt templates that are files. The agents' own prompts are among them.

A project's own text comes before what ragent ships; what was installed from elsewhere never does: it stands beside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.wire_wild import Skill
from ragent_jupyter.rules import skill_text
from ragent_jupyter.rules.skill_text import SkillText

log = logging.getLogger("ragent.engine")

Source = Literal["shipped", "project", "installed"]
T = TypeVar("T")


class Files(Protocol):
    """adapters/skill_files.py. All calls block."""

    def shipped(self) -> dict[str, str]: ...
    def edited(self) -> dict[str, str]: ...
    def installed(self) -> dict[str, str]: ...
    def path(self, name: str, source: str) -> str: ...
    def write(self, name: str, text: str, *, installed: bool = False) -> None: ...
    def remove(self, name: str, *, installed: bool = False) -> bool: ...
    def fetch(self, source: str) -> list[tuple[str, str]]: ...


class Used(Struct, frozen=True, kw_only=True):
    """A template as a prompt takes it. note: why it is not the one of the project, "" if nothing is odd."""

    skill: SkillText
    source: Source
    note: str = ""

    @property
    def told(self) -> str:
        """For the record of a decision: which words it was asked with."""
        return f"{self.skill.name} {self.skill.version} ({self.source})"


class SkillsDesk:
    def __init__(self, files: Files) -> None:
        self.files = files

    # --- looking ------------------------------------------------------------------------------------------------------
    def _held(self) -> dict[str, tuple[str, Source]]:
        """Name → (text, where it lies): installed, overlaid by shipped, overlaid by the project's."""
        found: dict[str, tuple[str, Source]] = {n: (t, "installed") for n, t in self.files.installed().items()}
        shipped = self.files.shipped()
        found |= {name: (text, "shipped") for name, text in shipped.items()}
        return found | {name: (text, "project") for name, text in self.files.edited().items()}

    def all(self, q: str = "") -> list[Skill]:
        """By name; with words, the best fit first. A file that is none is listed with what is wrong with it."""
        words = q.casefold().split()[:10]
        shipped = self.files.shipped()
        found: list[tuple[int, Skill]] = []
        for name, (text, source) in sorted(self._held().items()):
            try:
                read = skill_text.parse(text, name)
            except RagentError as error:
                read = SkillText(
                    name=name, title=name, description=f"Not valid: {error.problem}", body=text, variables=(), needs=(),
                    version=skill_text.version_of(text),
                )  # fmt: skip
            points = skill_text.score(read, words) if words else 1
            if points:
                found.append((points, self._shown(name, read, text, source, shipped)))
        found.sort(key=lambda pair: -pair[0])
        return [skill for _, skill in found]

    def get(self, name: str) -> Skill:
        held = self._held().get(name)
        if held is None:
            raise NotFound(f"There is no skill {name[:80]!r}.", "List them with `ragent skills`.")
        return next(skill for skill in self.all() if skill.name == name)

    def _shown(self, name: str, read: SkillText, text: str, source: Source, shipped: Mapping[str, str]) -> Skill:
        return Skill(
            name=name,
            title=read.title,
            description=read.description,
            text=text,
            variables=list(read.variables),
            source=source,
            edited=source == "project" and name in shipped and shipped[name] != text,
            path=self.files.path(name, source),
            version=read.version,
        )

    def use(self, name: str) -> Used:
        """The template that a prompt of ragent's own is made from. A project's text that is not valid does not stop a
        loop at night: the shipped one is taken, and it is said."""
        shipped = self.files.shipped().get(name)
        if shipped is None:
            raise NotFound(f"ragent ships no skill {name!r}.", "Reinstall ragent-jupyter.")
        ours = skill_text.parse(shipped, name)
        text = self.files.edited().get(name)
        if text is None:
            return Used(skill=ours, source="shipped")
        try:
            return Used(skill=self._checked(name, text), source="project")
        except RagentError as error:
            log.warning("skill %s of the project is not valid: %s", name, error)
            return Used(skill=ours, source="shipped", note=f"This project's {name} is not valid: {error.problem}")

    def _checked(self, name: str, text: str) -> SkillText:
        """A text that may stand under this name. Raises BadInput, TooLarge."""
        read = skill_text.parse(text, name)
        if read.name != name:
            raise BadInput(f"The front matter calls it {read.name!r}.", f"Write `name: {name}`, or save it under that.")
        shipped = self.files.shipped().get(name)
        if shipped is not None:
            ours = skill_text.parse(shipped, name)
            # What it may say and must say is decided by who fills it in.
            skill_text.check_holes(
                SkillText(
                    name=name, title="", description="", body=read.body, variables=(), needs=ours.needs, version=""
                ),
                ours.variables,
            )
        return read

    # --- a person's wishes --------------------------------------------------------------------------------------------
    async def put(self, name: str, text: str) -> Skill:
        """Write a project's own text of a skill, new or instead of the shipped one. Raises BadInput, TooLarge."""
        skill_text.check_name(name)
        self._checked(name, text)
        await _off(self.files.write, name, text)
        return self.get(name)

    async def create(self, text: str) -> Skill:
        """A new skill under the name that its front matter says. Raises WrongMoment where there is one."""
        name = skill_text.parse(text).name
        if name in self._held():
            raise WrongMoment(f"There is a skill {name!r} already.", f"Edit it: `ragent skills edit {name}`.")
        return await self.put(name, text)

    async def reset(self, name: str) -> Skill | None:
        """Forget the project's text: what is shipped or installed counts again; without one the skill is gone (None).

        Raises NotFound; WrongMoment for a shipped skill that nobody edited.
        """
        held = self._held().get(name)
        if held is None:
            raise NotFound(f"There is no skill {name[:80]!r}.", "List them with `ragent skills`.")
        if held[1] == "shipped":
            raise WrongMoment(f"{name} is as it was shipped.", "Nothing is to be reset, and it cannot be removed.")
        await _off(self.files.remove, name, installed=held[1] == "installed")
        return self.get(name) if name in self._held() else None

    async def install(self, source: str) -> list[Skill]:
        """Take the skills of a folder or a git repository in. Files that are none are left; one of ragent's own names
        is refused: what comes from elsewhere must not become the agent's own words.

        Raises BadInput, CannotBeDone, TooLarge, MissingPart.
        """
        files = await _off(self.files.fetch, source)
        ours = {*self.files.shipped(), *self.files.edited()}
        taken: dict[str, str] = {}
        left: list[str] = []
        for path, text in files:
            stem = path.removesuffix(".md").rsplit("/", 1)[-1].lower()
            if stem == "skill" and "/" in path:  # a folder of its own for each
                stem = path.split("/")[-2].lower()
            try:
                read = skill_text.parse(text, stem)
            except RagentError as error:
                left.append(f"{path}: {error.problem}")
                continue
            if read.name in ours or read.name in taken:
                left.append(f"{path}: there is a {read.name!r} already.")
                continue
            taken[read.name] = text
        if not taken:
            why = " ".join(left[:3]) or "There is no Markdown file."
            raise CannotBeDone(f"No skill was found there. {why}", "A skill is a .md file with front matter.")
        for name, text in taken.items():
            await _off(self.files.write, name, text, installed=True)
        return [skill for skill in self.all() if skill.name in taken]


async def _off(work: Callable[..., T], *args: Any, **more: Any) -> T:
    """Disk and git, off the loop."""
    return await asyncio.to_thread(work, *args, **more)
