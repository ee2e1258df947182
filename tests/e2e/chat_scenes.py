"""Scenes of the chat: conversations as they stand, and what is done on the page to see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from playwright.sync_api import Page

from ragent_jupyter.domain.chat import (
    Approval,
    FormField,
    Mention,
    NoticePart,
    Plan,
    Preview,
    Problem,
    Provenance,
    Task,
    TextPart,
    ThinkingPart,
    ToolPart,
    Turn,
    UserMessage,
)
from ragent_jupyter.domain.model import Usage

from .fake_chat import ChatDoor
from .fake_door import NOW, a_day

Scene = Callable[[Page], None]

ANSWER = r"""The best run is `run_00000004` with **val_loss 0.1421** at step 2,000. The run that failed,
`run_00000003`, is a different matter: its learning rate was ten times as high.

## What differs

| run | lr | val_loss | ended |
|:--|--:|--:|:--|
| run_00000004 | 0.0003 | 0.1421 | finished |
| run_00000003 | 0.01 | NaN | failed at step 412 |

The update is $\theta_{t+1} = \theta_t - \eta \nabla L$; with $\eta = 0.01$ the product $\eta\lambda_{max}$ exceeds 2:

$$
\eta \lambda_{\max} = 0.01 \cdot 310 = 3.1 > 2
$$

1. Lower `lr` to 0.001, or
2. clip the gradient:

```python
# before optimizer.step()
norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
if norm > 10:
    print(f"step {step}: gradient norm {norm:.1f}")
```

See [the note on stability](https://example.org/stability) or ![plot](https://tracker.example.net/p.png?x=1).
"""

DIFF = """--- a/train.py
+++ b/train.py
@@ -41,6 +41,7 @@ for step in range(args.steps):
     loss = criterion(model(x), y)
     loss.backward()
-    optimizer.step()
+    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
+    optimizer.step()
     scheduler.step()
"""


def tool(door: ChatDoor, turn: Turn, name: str, title: str, seconds: float = 0.4, **more: Any) -> ToolPart:
    fields: dict[str, Any] = {"status": "done", "started_at": NOW - 20, "ended_at": NOW - 20 + seconds} | more
    made: ToolPart = door.part(
        turn, ToolPart, call_id=f"call_{len(door.parts[turn.id])}", name=name, title=title, **fields
    )
    return made


def question(door: ChatDoor, turn: Turn, shows: Preview, name: str, title: str, **more: Any) -> ToolPart:
    approval = Approval(id=f"apr_{len(door.parts[turn.id])}", shows=shows, hash="h" * 8, asked_at=time.time())
    return tool(door, turn, name, title, status="waiting", ended_at=None, approval=approval, **more)


USAGE = Usage(input=18_240, output=912, cache_read=15_100, cost=0.031, calls=3)


def a_conversation(n: int = 30, **more: Any) -> ChatDoor:
    """One chat with everything a chat shows, on top of a day's runs; some others beside it."""
    day = a_day(n)
    door = ChatDoor(day.runs.values(), day.alerts.values(), day.sweeps.values(), **more)
    door.nan_from = day.nan_from
    runs = list(door.runs)
    for i, (title, status) in enumerate(
        [("Sweep over weight decay", "streaming"), ("Clip gradients in train.py", "waiting"),
         ("Why is the GPU idle between epochs of the long run on node 7?", "idle"), ("", "idle"),
         ("Report for Friday", "failed"), ("Provider is overloaded", "waiting_api")]
    ):  # fmt: skip
        door.session(f"ses_old{i}", title=title, status=status, updated_at=NOW - 700 * 4**i)
    door.session(usage=USAGE, context_tokens=19_152, context_limit=200_000)
    mention = Mention(kind="run", id=runs[3], label=door.runs[runs[3]].name)
    first = door.turn(
        "ses_a",
        "",
        message=UserMessage(
            id="m1", text=f"Why did @run:{runs[3]} fail, and which run is best?", at=NOW - 90, mentions=[mention]
        ),
        usage=USAGE,
        model="claude-sonnet-5",
    )
    door.part(
        first,
        ThinkingPart,
        text="The run failed at step 412. First its log, then the configurations of both runs, then the curves.",
        status="done",
    )
    tool(door, first, "search_logs", "Search the log of resnet-lr-0.01-s3 for errors", output="412: RuntimeError: …")
    tool(door, first, "compare_runs", "Compare resnet-lr-0.01-s3 with resnet-lr-0.0003-s4", 1.2,
         input={"runs": runs[3:5]}, data={"card": "runs", "runs": runs[3:5]}, output="lr: 0.01 → 0.0003")  # fmt: skip
    door.part(first, TextPart, text=ANSWER, status="done")
    tool(door, first, "plot", "Chart val_loss of both runs", 0.1,
         data={"card": "chart", "metric": "val_loss", "runs": runs[0:3]})  # fmt: skip
    second = door.turn("ses_a", "Put the clipping into train.py and start it again with lr 0.001.", undo="chk_1")
    tool(door, second, "edit_file", "Edit train.py", 0.1, data={"card": "diff", "path": "train.py", "diff": DIFF})
    tool(door, second, "launch_run", "Start python train.py --lr 0.001", 0.8, data={"card": "run", "run": runs[0]})
    tool(door, second, "run_shell", "Run pytest -q", 3.2, status="error",
         output="FAILED tests/test_data.py::test_shapes - AssertionError\n1 failed, 12 passed",
         data={"card": "shell", "command": "pytest -q", "exit_code": 1})  # fmt: skip
    door.part(second, NoticePart, text="The provider was overloaded; asked again after 4 s.", level="warning")
    door.part(second, TextPart, text="It runs. One test fails as it did before the change.", status="done")
    return door


def long_chat(turns: int, parts: int) -> ChatDoor:
    """turns × parts parts, most of them tool calls."""
    door = ChatDoor(a_day(3).runs.values())
    door.session()
    for i in range(turns):
        turn = door.turn("ses_a", f"question {i}")
        for k in range(parts - 1):
            tool(door, turn, "read_file", f"Read lines {k} to {k + 40} of train.py", output="x = 1\n" * 20)
        door.part(turn, TextPart, text=ANSWER, status="done")
    return door


def shell_question(door: ChatDoor, session: str = "ses_a") -> ToolPart:
    """A turn that asks whether it may run a command."""
    turn = door.begin(session, "Run the tests.")
    made = question(
        door,
        turn,
        Preview(
            title="Run a shell command",
            command="python -m pytest -q tests/test_data.py",
            cwd="/home/ada/projects/vision",
            cost="no money; about 20 s",
            pattern="run_shell:python -m pytest*",
            details=["It may write to the project's folder."],
        ),
        "run_shell",
        "Run python -m pytest -q tests/test_data.py",
    )
    door.tell("sessions", "part_update", made)
    door.put_session(session, status="waiting")
    return made


FORM = [
    FormField(name="lr", label="Which learning rates?", kind="choices", options=["1e-4", "3e-4", "1e-3"]),
    FormField(name="seeds", label="How many seeds each?", kind="number", default=3),
    FormField(name="go", label="May it use both GPUs?", kind="yes_no"),
]


def plan_of(door: ChatDoor, session: str = "ses_a") -> Plan:
    titles = ["Clip gradients in train.py", "Start a smoke run of 50 steps", "Sweep lr over 3 values", "Report"]
    states: Iterable[Any] = ("done", "running", "pending", "pending")
    tasks = [Task(title=t, status=s) for t, s in zip(titles, states, strict=True)]
    door.plans["pln_a"] = Plan(
        id="pln_a", session_id=session, title="Stabilise and sweep", created_at=NOW, status="executing", tasks=tasks
    )
    return door.plans["pln_a"]


def open_chat(page: Page, title: str = "lr and the late spike") -> None:
    """Opens a chat by its title, from wherever the panel is."""
    if page.locator(".rg-sessions").count() == 0:
        page.get_by_role("button", name="All chats").click()
    page.locator(".rg-session-open", has_text=title).first.click()
    page.wait_for_selector(".rg-turn")


def _talk() -> tuple[ChatDoor, Scene]:
    return a_conversation(), open_chat


def _top() -> tuple[ChatDoor, Scene]:
    def scene(page: Page) -> None:
        open_chat(page)
        page.locator(".rg-stream").evaluate("box => { box.scrollTop = 150 }")

    return a_conversation(), scene


def _ask() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        shell_question(door)
        page.wait_for_selector(".rg-ask")

    return door, scene


def _edit() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Clip the gradient.")
        shows = Preview(
            title="Edit train.py", diff=DIFF, cwd="/home/ada/projects/vision", pattern="edit_file:*.py", danger=True
        )
        door.tell("sessions", "part_update", question(door, turn, shows, "edit_file", "Edit train.py"))
        door.put_session("ses_a", status="waiting")
        page.wait_for_selector(".rg-ask")

    return door, scene


def _form() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Set up a sweep.")
        shows = Preview(title="Before I set up the sweep", form=FORM)
        door.tell("sessions", "part_update", question(door, turn, shows, "ask_user", "Ask about the sweep"))
        door.put_session("ses_a", status="waiting")
        page.wait_for_selector(".rg-ask")

    return door, scene


def _plan() -> tuple[ChatDoor, Scene]:
    door = a_conversation()
    plan_of(door)

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Make it stable, then sweep.")
        door.tell(
            "sessions",
            "part_update",
            tool(door, turn, "make_plan", "Plan: 4 tasks", data={"card": "plan", "plan": "pln_a"}),
        )
        shows = Preview(title="Carry out this plan?", plan=[task.title for task in door.plans["pln_a"].tasks])
        door.tell("sessions", "part_update", question(door, turn, shows, "propose_plan", "Propose a plan"))
        door.put_session("ses_a", status="waiting")
        page.wait_for_selector(".rg-ask")

    return door, scene


def _busy() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Is the learning rate the reason?")
        door.add_part(turn, ThinkingPart, text="Look at the gradient norms before step 412, then", status="done")
        said = "".join(f"read {n:,} of 2,000 points\n" for n in range(100, 1300, 100))
        running = tool(door, turn, "metric_series", "Read grad_norm of resnet-lr-0.01-s3", status="running",
                       started_at=time.time() - 3, ended_at=None, progress=said)  # fmt: skip
        door.tell("sessions", "part_update", running)
        part = door.add_part(turn, TextPart)
        for piece in (
            "Yes. The norm of the gradient grows from step 380 on:\n\n- step 380: **4.1**\n- step 400: **31",
            ".7** and the",
        ):
            door.push(part, piece)
        door.put_session(
            "ses_a",
            queue=[
                UserMessage(id=f"que_{i}", text=text, at=time.time())
                for i, text in enumerate(["Then start it again with lr 0.001", "And write that into the report"])
            ],
        )
        page.wait_for_selector(".rg-queue")

    return door, scene


def _api() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        door.begin("ses_a", "Go on.")
        door.put_session(
            "ses_a", status="waiting_api", wake_at=time.time() + 95, note="The provider is overloaded (529)."
        )
        page.get_by_role("button", name="Try now").wait_for()

    return door, scene


def _failed() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Go on.")
        door.finish(turn, "failed", error=FAILED)
        page.wait_for_selector(".rg-turn .rg-notice")

    return door, scene


def _new() -> tuple[ChatDoor, Scene]:
    return a_conversation(builtin=True), lambda page: None


def _list() -> tuple[ChatDoor, Scene]:
    def scene(page: Page) -> None:
        if page.locator(".rg-sessions").count() == 0:
            page.get_by_role("button", name="All chats").click()
        page.get_by_role("button", name="More for Report for Friday").click()

    return a_conversation(), scene


def _popup() -> tuple[ChatDoor, Scene]:
    def scene(page: Page) -> None:
        open_chat(page)
        page.get_by_label("Message to ragent").fill("")
        page.get_by_label("Message to ragent").type("Compare @res")
        page.wait_for_selector(".rg-hits li")

    return a_conversation(), scene


def _saw() -> tuple[ChatDoor, Scene]:
    door = a_conversation()
    door.calls["trn_a2"] = [
        Provenance(
            id=f"prv_{i}", session_id="ses_a", turn_id="trn_a2", step=i + 1, at=NOW, model="claude-sonnet-5",
            provider="anthropic", system="You are ragent. …", tools=["show_run", "edit_file", "launch_run"],
            messages=[{"role": "user", "content": "Put the clipping into train.py"}], usage=USAGE,
            stop_reason="end_turn", first_token_ms=640, latency_ms=4100,
        )
        for i in range(2)
    ]  # fmt: skip

    def scene(page: Page) -> None:
        open_chat(page)
        page.get_by_role("button", name="What the model saw").last.click()
        page.wait_for_selector(".rg-call")

    return door, scene


CHAT_SCENES: dict[str, Callable[[], tuple[ChatDoor, Scene]]] = {
    "talk": _talk, "top": _top, "ask": _ask, "edit": _edit, "form": _form, "plan": _plan, "busy": _busy, "api": _api,
    "failed": _failed, "new": _new, "list": _list, "popup": _popup, "saw": _saw,
}  # fmt: skip

FAILED = Problem(
    type="model_failed", problem="The provider refused the key (401).", remedy='Set another with "ragent keys set".'
)
