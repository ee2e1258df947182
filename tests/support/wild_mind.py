"""A loop's mind without an engine around it: the policy, the skills that are shipped, and a provider on a socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragent_jupyter.adapters.models.anthropic_model import AnthropicModel
from ragent_jupyter.adapters.models.wire import Endpoint
from ragent_jupyter.adapters.skill_files import SkillFolder
from ragent_jupyter.domain.chat import MemoryRule, Part, Turn
from ragent_jupyter.domain.model import ModelInfo
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.services.policies.llm import LLMPolicy
from ragent_jupyter.services.skills import SkillsDesk
from ragent_jupyter.services.tools.base import SimpleTool, Toolbox, ToolContext
from tests.support.fake_provider import FakeProvider
from tests.support.mind import Desk, Empty, Hands

SESSION = "ses_wild"


class WildHands(Hands):
    """The chat's tools as the loop's mind sees them: it takes those that read."""

    def box(self) -> Toolbox:
        async def look(args: Empty, ctx: ToolContext) -> ToolOutcome:
            self.done.append(("read_log", args.word))
            return ToolOutcome(text=f"the log of {args.word}: loss 0.3", untrusted="job.log")

        async def shell(args: Empty, ctx: ToolContext) -> ToolOutcome:
            self.done.append(("run_shell", args.word))
            return ToolOutcome(text="done")

        def spec(name: str, effect: Any) -> ToolSpec:
            return ToolSpec(name=name, title=name, description=name, args=Empty, effect=effect, repeat="again")

        names: list[tuple[str, Any, Any]] = [
            ("read_log", "read", look), ("run_shell", "run", shell), ("stop_run", "act", shell),
            ("edit_file", "edit", shell), ("launch_run", "run", shell), ("ask_user", "ask", shell),
        ]  # fmt: skip
        return Toolbox([SimpleTool(spec(name, effect), do) for name, effect, do in names])


class Rules:
    def active(self, hints: Any = None) -> list[MemoryRule]:
        return [MemoryRule(id="mem_1", title="bf16", text="Use bf16.", created_at=1.0, updated_at=1.0)]


class Mind:
    """One engine's worth of it; `again` is the next engine on the same disk."""

    def __init__(self, model: Any, project: Path, disk: Any = None, **kit: Any) -> None:
        self.project = project
        self.kit_options = kit
        self.desk = Desk(model, disk, WildHands(), **kit)
        self.skills = SkillsDesk(SkillFolder(project))
        self.tails: dict[str, str] = {}
        self.waited: list[tuple[str, float | None, str]] = []

        async def tail(run: str) -> str:
            return self.tails.get(run, "")

        self.policy = LLMPolicy(self.desk.kit, self.skills, Rules(), log_tail=tail, chat=self.desk.chat)
        self.policy.tell_waiting(lambda loop, until, why: self.waited.append((loop, until, why)))

    def again(self, model: Any) -> Mind:
        return Mind(model, self.project, self.desk.disk, **self.kit_options)

    @property
    def session(self) -> str:
        return next(s.id for s in self.desk.shell.sessions.values() if s.about.get("wild"))

    def turns(self) -> list[Turn]:
        return self.desk.turns(self.session)

    def parts(self) -> list[Part]:
        return self.desk.parts(self.session)


@contextmanager
def provided(tmp_path: Path, *, tools: bool = True, **kit: Any) -> Iterator[tuple[FakeProvider, Mind]]:
    with FakeProvider() as provider:
        yield provider, Mind(model_of(provider, tools), tmp_path, **kit)


def model_of(provider: FakeProvider, tools: bool = True, context: int = 200_000) -> AnthropicModel:
    info = ModelInfo(id="claude-test", provider="compatible", max_output=4096, tools=tools, context=context)
    return AnthropicModel(info, Endpoint(name="the fake", base_url=provider.url, key="sk-test-0001"))


def names(actions: Sequence[Any]) -> list[str]:
    return [action.__struct_config__.tag for action in actions]
