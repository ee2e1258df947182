"""Plans: steps that a person approves, and that are then worked off in sight."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.chat import Plan, Preview, Task
from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.lookup import Named, lookup
from ragent_jupyter.rules.tool_text import one_line, word

from ..shell import Change, Shell
from .base import SimpleTool, Tool, ToolContext
from .refs import who

_STEPS = 30
_OVER = frozenset({"done", "failed", "skipped"})
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


class ProposePlan(Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    steps: list[str]


class UpdateTask(Struct, frozen=True, forbid_unknown_fields=True):
    task: int | str
    status: Literal["pending", "running", "done", "failed", "skipped"]
    note: str = ""
    plan: str = ""


def plan_id(call_id: str) -> str:
    """The id of the plan that a call makes: the same call, the same plan.

    >>> plan_id("prt_x") == plan_id("prt_x"), plan_id("prt_x")[:4]
    (True, 'pln_')
    """
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
    return "pln_" + "".join(_DIGITS[byte & 31] for byte in digest[:12])


def told(plan: Plan) -> str:
    """A plan as its agent reads it.

    >>> told(Plan(id="pln_1", session_id="s", title="T", created_at=0.0, tasks=[Task(title="a", status="done")]))
    'plan pln_1 (T), proposed:\\n1. [done] a'
    """
    lines = [f"plan {plan.id} ({word(plan.title, 200)}), {plan.status}:"]
    for number, task in enumerate(plan.tasks, 1):
        note = f": {one_line(task.note, 300)}" if task.note else ""
        lines.append(f"{number}. [{task.status}] {task.title}{note}")
    return "\n".join(lines)


class PlanTools:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def _steps(self, args: ProposePlan) -> tuple[str, list[str]]:
        title = one_line(args.title, 200)
        steps = [one_line(step, 500) for step in args.steps]
        if not title or not steps or not all(steps):
            raise BadInput("The plan has no title, or a step that says nothing.", "Give a title and a step or more.")
        if len(steps) > _STEPS:
            raise BadInput(f"{len(steps)} steps are more than a person reads.", f"Say it in at most {_STEPS}.")
        return title, steps

    async def look_plan(self, args: ProposePlan, ctx: ToolContext) -> Preview:
        title, steps = self._steps(args)
        return Preview(title=title, plan=steps)

    async def propose_plan(self, args: ProposePlan, ctx: ToolContext) -> ToolOutcome:
        """Runs only when a person has approved: the plan is then under way."""
        title, steps = self._steps(args)
        id_ = plan_id(ctx.call_id)
        plan = self.shell.plans.get(id_)
        if plan is None:
            plan = Plan(
                id=id_,
                session_id=ctx.session_id,
                title=title,
                created_at=self.shell.clock.now(),
                status="executing",
                tasks=[Task(title=step) for step in steps],
                by=who(ctx),
            )
            await self.shell.commit([Change("plan_changed", plan)])
        text = f"The person approved the plan. Work it off; update_task tells how each step gets on.\n{told(plan)}"
        return ToolOutcome(text=text, data={"card": "plan", "plan": plan.id})

    def _plan(self, wanted: str, session_id: str) -> Plan:
        mine = sorted(
            (p for p in self.shell.plans.values() if p.session_id == session_id), key=lambda p: (p.created_at, p.id)
        )
        if not mine:
            raise NotFound("This chat has no plan.", "propose_plan proposes one.")
        if not wanted:
            return next((p for p in reversed(mine) if p.status == "executing"), mine[-1])
        ids = lookup(wanted, [Named(p.id, (p.title,)) for p in mine])
        if len(ids) != 1:
            known = "; ".join(f"{p.id} ({word(p.title, 60)})" for p in mine[-5:])
            raise NotFound(f"There is no plan {word(wanted, 60)} in this chat.", f"It has: {known}.")
        return self.shell.plans[ids[0]]

    async def update_task(self, args: UpdateTask, ctx: ToolContext) -> ToolOutcome:
        plan = self._plan(args.plan, ctx.session_id)
        at = _place(args.task, plan)
        tasks = list(plan.tasks)
        tasks[at] = msgspec.structs.replace(tasks[at], status=args.status, note=one_line(args.note, 500))
        status = "done" if all(t.status in _OVER for t in tasks) else "executing"
        changed = msgspec.structs.replace(plan, tasks=tasks, status=status)
        if changed != plan:
            await self.shell.commit([Change("plan_changed", changed)])
        return ToolOutcome(text=told(changed), data={"card": "plan", "plan": plan.id})


def _place(task: int | str, plan: Plan) -> int:
    """The index of a task by its number from 1, its title or the beginning of it."""
    text = str(task).strip()
    named = [Named(str(i), (t.title,)) for i, t in enumerate(plan.tasks)]
    if text.isdigit():
        number = int(text) if len(text) < 6 else 0
        if 1 <= number <= len(plan.tasks):
            return number - 1
    else:
        found = lookup(text, named)
        if len(found) == 1:
            return int(found[0])
    steps = "; ".join(f"{i}. {word(t.title, 80)}" for i, t in enumerate(plan.tasks, 1))
    raise NotFound(f"Plan {plan.id} has no task {word(text, 60)}.", f"Its tasks: {steps}.")


def planning_tools(shell: Shell) -> list[Tool]:
    """propose_plan, update_task."""
    its = PlanTools(shell)
    return [
        SimpleTool(
            ToolSpec(
                name="propose_plan",
                title="Propose a plan",
                description=(
                    "Propose a plan to the person and wait for their word; approving it executes it. In plan mode this "
                    "is how a turn ends. title: a short sentence. steps: what will be done, in order, each checkable."
                ),
                args=ProposePlan,
                effect="ask",
                repeat="again",  # the call's id makes it single
            ),
            its.propose_plan,
            its.look_plan,
        ),
        SimpleTool(
            ToolSpec(
                name="update_task",
                title="Update a task",
                description=(
                    "Say how a task of the plan gets on. task: its number from 1, or its title. status: pending, "
                    "running, done, failed or skipped. note: a word on the outcome, with run ids. plan: an id; "
                    "default: the one under way in this chat."
                ),
                args=UpdateTask,
                effect="note",
                repeat="again",
            ),
            its.update_task,
        ),
    ]
