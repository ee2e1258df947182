"""The joining place of the assistant: models, tools, chats, memory. Desks and hands meet here and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragent_jupyter.adapters import git_diff
from ragent_jupyter.adapters.attachments import AttachmentFolder
from ragent_jupyter.adapters.chat_notebook import notebook_of
from ragent_jupyter.adapters.keys import LocalKeys
from ragent_jupyter.adapters.models.endpoints import make_models
from ragent_jupyter.adapters.shell_runner import LocalShell
from ragent_jupyter.adapters.skill_files import SkillFolder
from ragent_jupyter.adapters.workspace import FolderWorkspace, jupyter_folders
from ragent_jupyter.domain.chat import Mode
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.model import Block
from ragent_jupyter.domain.wire_chat import ChatOptions, Starter, Suggestion
from ragent_jupyter.rules.chat_export import as_markdown, cells
from ragent_jupyter.rules.prompt import quote
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.rules.turn import Limits
from ragent_jupyter.services.approvals import Approvals
from ragent_jupyter.services.chat import ChatDesk
from ragent_jupyter.services.commands import Commands
from ragent_jupyter.services.context import Context
from ragent_jupyter.services.judge import JudgeDesk
from ragent_jupyter.services.memory import MemoryDesk
from ragent_jupyter.services.mentions import Mentions
from ragent_jupyter.services.models import ModelsDesk
from ragent_jupyter.services.sessions import SessionsDesk
from ragent_jupyter.services.skills import SkillsDesk
from ragent_jupyter.services.tools.alerts import alert_tools
from ragent_jupyter.services.tools.asking import asking_tools
from ragent_jupyter.services.tools.base import Toolbox
from ragent_jupyter.services.tools.compare import compare_tools
from ragent_jupyter.services.tools.diagnosis import diagnosis_tools
from ragent_jupyter.services.tools.files import file_tools
from ragent_jupyter.services.tools.launch import launch_tools
from ragent_jupyter.services.tools.logs import log_tools
from ragent_jupyter.services.tools.memory import memory_tools
from ragent_jupyter.services.tools.metrics import metric_tools
from ragent_jupyter.services.tools.notebooks import notebook_tools
from ragent_jupyter.services.tools.planning import planning_tools
from ragent_jupyter.services.tools.plots import plot_tools
from ragent_jupyter.services.tools.reports import report_tools
from ragent_jupyter.services.tools.runs import run_tools
from ragent_jupyter.services.tools.shell import shell_env, shell_tools
from ragent_jupyter.services.tools.sweeps import sweep_tools
from ragent_jupyter.services.turn_seat import Kit

if TYPE_CHECKING:
    from .app import Engine

log = logging.getLogger("ragent.engine")

_STARTERS = ("Analyze my latest run", "Why did training fail?", "Compare model configs")


class Mind:
    """Everything of the assistant that one engine has."""

    def __init__(self, engine: Engine) -> None:
        self.shell = engine.shell
        project = engine.project
        self.keys = LocalKeys()
        self.models = ModelsDesk(engine.shell, self.keys, make_models)
        self.memory = MemoryDesk(engine.shell, self.redact)
        self.notebooks = engine.notebooks
        self.workspace = FolderWorkspace(project, self.redact, jupyter_folders())
        self.attachments = AttachmentFolder(project / ".ragent" / "attachments", self.redact, quote)
        self.skills = SkillsDesk(SkillFolder(project))
        self.approvals = Approvals(engine.shell, self.make_id)
        self.sessions = SessionsDesk(engine.shell, self.make_id, bypass_allowed=_bypass_allowed)
        self.mentions = Mentions(
            engine.shell, engine.runs, engine.metrics, workspace=self.workspace, notebooks=self.notebooks
        )
        self.commands = Commands(
            engine.runs, engine.sweeps, self.memory, engine.reports, stop_turn=lambda id, by: self.chat.stop(id)
        )
        self.toolbox = self._toolbox(engine, project)
        self.kit = kit = Kit(
            shell=engine.shell,
            models=self.models,
            tools=self.toolbox,
            approvals=self.approvals,
            redact=self.redact,
            media=self._media,
            make_id=self.make_id,
        )
        self.chat = ChatDesk(
            kit,
            Context(engine.shell, engine.runs, project),
            self.memory,
            self.sessions,
            mentions=self.mentions,
            commands=self.commands,
            attachment=self.attachments.get,
            limits=self._limits,
        )
        self.judge = JudgeDesk(engine.shell, engine.runs, engine.metrics, self.models, engine.alerts, self.redact)
        self._judging: asyncio.Task[None] | None = None
        self.sessions.undo = [self._undo_files, self.notebooks.undo]

    def _toolbox(self, engine: Engine, project: Path) -> Toolbox:
        box = Toolbox()
        self.commandline = shell = LocalShell(project, lambda: shell_env(os.environ), self.redact)
        families = [
            run_tools(engine.runs, engine.alerts),
            compare_tools(engine.runs, git_diff.between),
            metric_tools(engine.runs, engine.metrics),
            log_tools(engine.runs),
            diagnosis_tools(engine.runs, engine.alerts, engine.metrics),
            launch_tools(engine.runs),
            sweep_tools(engine.sweeps),
            alert_tools(engine.alerts),
            plot_tools(engine.runs, engine.metrics),
            report_tools(engine.reports, self.notebooks),
            file_tools(self.workspace, self.redact),
            shell_tools(shell, self.workspace, project, self.redact),
            notebook_tools(self.notebooks, self.redact),
            memory_tools(self.memory),
            asking_tools(),
            planning_tools(engine.shell),
        ]
        for family in families:
            for tool in family:
                box.add(tool)
        return box

    # --- life ---------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        left = self.commandline.sweep()
        if left:
            log.info("ended %d processes of commands that an engine before this one left behind", len(left))
        self.chat.begin()
        self._judging = asyncio.get_running_loop().create_task(self.judge.run())

    async def end(self) -> None:
        if self._judging is not None:
            self._judging.cancel()  # what it was about to ask, the next engine asks
        await self.chat.end()

    @property
    def busy(self) -> bool:
        return self.chat.busy

    # --- small hands --------------------------------------------------------------------------------------------------
    def redact(self, text: str) -> str:
        """Black out secrets: by pattern, and the very keys that we hold."""
        return redact(text, self.keys.values())

    def make_id(self, prefix: str) -> str:
        return make_id(prefix, int(self.shell.clock.now() * 1000), random.getrandbits(20))

    async def _media(self, ids: Sequence[str]) -> Mapping[str, Block]:
        return await asyncio.get_running_loop().run_in_executor(None, self.attachments.media, ids)

    async def _undo_files(self, turn_id: str) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(None, self.workspace.restore, turn_id)

    def _limits(self) -> Limits:
        prefs = self.shell.prefs
        cost = prefs.get("turn_cost_usd")
        return Limits(steps=int(prefs.get("turn_steps") or 50), cost=None if cost is None else float(cost))

    # --- what the composer offers -------------------------------------------------------------------------------------
    def options(self) -> ChatOptions:
        model = self.models.info_for("chat")
        modes: list[Mode] = ["ask", "accept_edits", "plan"]
        if _bypass_allowed():
            modes.append("bypass")
        return ChatOptions(
            verbs=self.commands.verbs(),
            starters=[Starter(label=text, text=text) for text in _STARTERS],
            modes=modes,
            model=model,
            builtin=model.provider == "builtin",
        )

    async def suggest(self, q: str, kind: str, notebook: str) -> list[Suggestion]:
        return await self.mentions.suggest(q, kind, notebook)

    def export(self, session_id: str, format: str) -> tuple[str, str]:
        """(name of the file, its text)."""
        held = self.sessions.read(session_id, turns=500)
        parts: dict[str, list[Any]] = {}
        for part in held.parts:
            parts.setdefault(part.turn_id, []).append(part)
        found = cells(held.session, held.turns, parts)
        return f"{session_id}.{format}", as_markdown(found) if format == "md" else notebook_of(found)


def _bypass_allowed() -> bool:
    """The administrator's word: a trait of the Jupyter extension sets it for the engine that it starts."""
    return os.environ.get("RAGENT_ALLOW_BYPASS", "") == "1"
