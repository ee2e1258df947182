"""The joining place of Wild Mode: policies, trees, reports and the desk of loops meet here and nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from ragent_jupyter.adapters.optimiser import OptunaOptimiser
from ragent_jupyter.adapters.sealed import SealedLabels
from ragent_jupyter.adapters.wild_notebook import WildNotebooks
from ragent_jupyter.domain.ports_wild import Policy
from ragent_jupyter.domain.wild import Loop, LoopEvent, PolicyKind
from ragent_jupyter.domain.wire_wild import Steer
from ragent_jupyter.services.holdout import HoldoutDesk
from ragent_jupyter.services.logs import tail
from ragent_jupyter.services.policies.builtin import BuiltinPolicy
from ragent_jupyter.services.policies.hybrid import HybridPolicy
from ragent_jupyter.services.policies.llm import LLMPolicy
from ragent_jupyter.services.reproduce import Reproductions
from ragent_jupyter.services.wild import WildDesk
from ragent_jupyter.services.wild_command import USAGE, WildCommand
from ragent_jupyter.services.wild_eval import WildEval
from ragent_jupyter.services.wild_reports import WildReports
from ragent_jupyter.services.wild_setup import SetupDesk
from ragent_jupyter.services.wild_view import WildViews
from ragent_jupyter.services.wild_work import WildWork

if TYPE_CHECKING:
    from .app import Engine

_FIRST_ANSWERS_S = 2.0


class Wild:
    """Everything of Wild Mode that one engine has. Made after the mind: a model's decisions are turns of a chat."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.desk: WildDesk
        mind, shell = engine.mind, engine.shell
        self.trees = engine.trees
        self.holdouts = HoldoutDesk(SealedLabels(), self._outputs)
        self.eval = WildEval(shell, engine.runs, engine.project, engine.trees, self.holdouts.trouble)
        engine.effects.before_launch = self.eval.before
        self.views = WildViews(
            shell,
            engine.runs,
            engine.metrics,
            recent=lambda loop_id: [],
            memory=lambda: [rule.text for rule in mind.memory.active()],
            slots=self._slots,
            checked=self.eval.checked,
        )
        self.reports = WildReports(
            shell,
            engine.runs,
            engine.sweeps,
            engine.metrics,
            engine.project,
            WildNotebooks(),
            view_of=lambda loop_id: self.desk.view_of(loop_id),
            diff=self.trees.diff,
        )
        self.reproductions = Reproductions(
            shell, engine.runs, engine.sweeps, engine.project, view_of=lambda loop_id: self.desk.view_of(loop_id)
        )
        self.builtin = BuiltinPolicy(OptunaOptimiser())
        self.llm = LLMPolicy(mind.kit, mind.skills, mind.memory, log_tail=self._log_tail, chat=mind.chat)
        self.hybrid = HybridPolicy(self.builtin, self.llm)
        self.work = WildWork(
            shell,
            engine.runs,
            engine.sweeps,
            engine.alerts,
            self.reports,
            engine.project,
            check_model=self._check_model,
            look_again=self.eval.after,
            scores=self.holdouts,
        )
        self.desk = WildDesk(
            shell,
            self.views,
            self.work,
            SetupDesk(engine.runs, engine.interpreters, self.trees, engine.project, mind.redact),
            self.trees,
            policy=self._policy,
            default_policy=self._default,
            make_id=mind.make_id,
            redact=mind.redact,
            session=self._session,
            progressed=engine.scheduler.nudge,
        )
        self.desk.interrupted = self._interrupted
        self.llm.tell_waiting(self.desk.waiting)
        engine.sweeps.held = self.desk.held
        mind.commands.add("wild", USAGE, "work towards a goal unattended", WildCommand(self.desk))
        mind.chat.steer = lambda loop_id, text: self.desk.steer(loop_id, Steer(text=text))

    # --- life ---------------------------------------------------------------------------------------------------------
    async def begin(self) -> None:
        await self.llm.begin()
        self.desk.begin()
        await self.reproductions.begin()

    def serves(self) -> None:
        """The engine listens from now on. Those who waited for that are answered first."""
        asyncio.get_running_loop().call_later(_FIRST_ANSWERS_S, self.desk.serves)

    async def end(self) -> None:
        await self.desk.end()

    @property
    def busy(self) -> bool:
        return self.desk.busy

    # --- small hands --------------------------------------------------------------------------------------------------
    def _slots(self, loop: Loop) -> int:
        return self.engine.scheduler.at_once(loop.setup.parallel, loop.setup.gpus)

    def _outputs(self, run_id: str) -> list[Path]:
        """Where a run writes what is its own."""
        folder = self.engine.runs.folder(run_id)
        run = self.engine.shell.runs.get(run_id)
        here = self.trees.place_of(folder, run.cwd) if run is not None and run.tree else folder / "work"
        return list(dict.fromkeys([folder, folder / "work", here]))

    def _policy(self, loop: Loop, event: LoopEvent) -> Policy:
        # The default configuration is measured by rule, whoever decides afterwards: it is what all is compared with.
        measured = loop.baseline is not None and loop.setup.metric
        asked = event.kind in ("explore", "analysis", "answer") and not measured
        noted = event.kind in ("completion", "failure") and loop.purpose == "baseline"
        if loop.policy == "builtin" or (loop.policy == "llm" and (asked or noted)):
            return self.builtin
        return self.llm if loop.policy == "llm" else self.hybrid

    def _default(self) -> PolicyKind:
        info = self.engine.mind.models.info_for("wild")
        return "builtin" if info.provider in ("", "builtin") else "llm"

    def _check_model(self, model: str) -> None:
        self.engine.mind.models.model_for("wild", model)

    async def _session(self, loop: Loop) -> str:
        return (await self.llm.session(loop)).id

    async def _interrupted(self, loop: Loop, event: LoopEvent) -> str:
        return await self.llm.interrupted(loop, event) if loop.policy != "builtin" and loop.session_id else ""

    async def _log_tail(self, run_id: str) -> str:
        return await asyncio.to_thread(tail, self.engine.runs.folder(run_id) / "job.log", 8192)
