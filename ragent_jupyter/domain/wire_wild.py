"""Bodies of requests and replies of Wild Mode, skills and reproduction."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .script import Script
from .sweep import Estimate
from .wild import Autonomy, Entry, Holdout, Knob, Limits, Loop, PolicyKind, Question, Setup, Verdict


class CreateLoop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST wild. command: "" lets the engine ask.  setup fields that are None are found out by reading the script.

    holdout: its `id` is the file of the labels, which the engine seals away.
    draft: answer with the loop as it would be (a `SetupReply`) and start nothing.
    """

    goal: str
    command: str = ""
    cwd: str | None = None
    python: str | None = None
    caller_python: str | None = None
    caller_env: dict[str, str] | None = None
    env: dict[str, str] = {}
    executor: str | None = None
    policy: PolicyKind | None = None  # default: llm where a model is configured for the role `wild`, else builtin
    model: str = ""
    autonomy: Autonomy = "balanced"
    limits: Limits = Limits()
    metric: str = ""
    mode: Literal["min", "max"] | None = None
    score: Literal["last", "best"] | None = None
    space: dict[str, Knob] | None = None
    seed_flag: str | None = None
    seeds: int | None = None
    top: int | None = None
    gpus: int = 0
    share_gpu: bool = False
    parallel: int | None = None
    isolation: Literal["tree", "in_place"] | None = None
    inputs: list[str] | None = None
    eval_files: list[str] | None = None
    may_edit: list[str] = []
    holdout: Holdout | None = None
    seed: int = 0
    draft: bool = False
    request_id: str | None = None


class SetupReply(Struct, frozen=True, kw_only=True):
    """What would be run and searched, before anything is. asks: what must be answered first."""

    setup: Setup
    script: Script
    asks: list[Question]
    policy: PolicyKind
    limits: Limits
    estimate: Estimate | None = None


class PatchLoop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH wild/ID: only what is given changes. space replaces the whole space."""

    autonomy: Autonomy | None = None
    policy: PolicyKind | None = None
    model: str | None = None
    space: dict[str, Knob] | None = None
    goal: str | None = None


class ChangeLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT wild/ID/limits: names and new values; null removes a limit. resume: go on, where a budget had ended it."""

    limits: dict[str, Any]
    resume: bool = True


class Steer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str
    request_id: str | None = None


class AnswerLoop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST wild/ID/answer. choice: an option's id, or "" with a text."""

    question: str
    choice: str = ""
    text: str = ""


class ReorderEvents(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT wild/ID/queue. order: ids in the wanted order; drop: those to forget (never an alert of a living run)."""

    order: list[str] = []
    drop: list[str] = []


class StopLoop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    runs: bool = True  # stop its runs too; False lets them go on to their end
    now: bool = False


class Line(Struct, frozen=True, kw_only=True):
    """A line of the summary. tone: good, bad, plain, wait."""

    text: str
    tone: Literal["good", "bad", "plain", "wait"] = "plain"
    refs: list[str] = []


class Summary(Struct, frozen=True, kw_only=True):
    """The morning after, on one screen: tried, real, cost, needs."""

    title: str
    tried: list[Line]
    real: list[Line]
    cost: list[Line]
    needs: list[Line]


class LoopReply(Struct, frozen=True, kw_only=True):
    """GET wild/ID. counts: runs of the loop by status.  elapsed_s: since its start, pauses included."""

    loop: Loop
    counts: dict[str, int]
    alerts: int
    elapsed_s: float
    summary: Summary


class LoopsReply(Struct, frozen=True, kw_only=True):
    loops: list[Loop]


class JournalReply(Struct, frozen=True, kw_only=True):
    """GET wild/ID/journal?after=N (JSON), or application/x-ndjson by Accept: the whole ledger, one entry a line."""

    entries: list[Entry]
    total: int


class MergeLoop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST wild/ID/merge. commit: "" the confirmed candidate's, else the newest accepted one."""

    commit: str = ""


class MergeReply(Struct, frozen=True, kw_only=True):
    text: str
    diff: str = ""


class Reproduce(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST reports/reproduce. report: path of the notebook; claim: its id in there."""

    report: str
    claim: str


class ReproduceReply(Struct, frozen=True, kw_only=True):
    """The claim as it was and as it came out again. runs: the new ones, in the order of `was`."""

    claim: str
    metric: str
    was: list[float]
    now: list[float | None]
    runs: list[str]
    done: bool
    text: str = ""
    verdict: Verdict | None = None


class Skill(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt template as a file with front matter. source: shipped | project | installed.  edited: differs from
    shipped."""

    name: str
    title: str
    description: str
    text: str
    variables: list[str] = []
    source: Literal["shipped", "project", "installed"] = "shipped"
    edited: bool = False
    path: str = ""
    version: str = ""  # sha256 of the file's text, first 12 digits


class SkillsReply(Struct, frozen=True, kw_only=True):
    skills: list[Skill]


class PutSkill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str  # the whole file


class InstallSkill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST skills/install. source: a folder of this machine or a git URL."""

    source: str
