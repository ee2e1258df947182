"""A browser's tab, played: it takes the engine's requests and works on a model of its own, as the real one does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.adapters.notebook_hands.cells import Cell, apply_steps, source_of
from ragent_jupyter.adapters.notebook_hands.file import cell_views
from ragent_jupyter.adapters.notebook_hands.open import Tabs
from ragent_jupyter.domain.errors import CannotBeDone, NotFound, RagentError
from ragent_jupyter.domain.notebooks import (
    CellStep,
    OpenNotebook,
    RanCell,
    TabAnswer,
    TabNotebooks,
    TabProblem,
    TabRequest,
    TabSaid,
)


class PlayedTab:
    """deaf: it hears nothing.  mute: it takes and never answers.  echo: so often does each of its words come."""

    def __init__(self, path: Path, cells: list[Cell], name: str = "tab_a") -> None:
        self.path = path
        self.cells = cells
        self.name = name
        self.dirty = True
        self.deaf = False
        self.mute = False
        self.echo = 1
        self.did: list[str] = []
        self.tabs: Tabs
        self._ids = (f"new{n}" for n in itertools.count())
        self._ends: dict[str, str] = {}
        self._end = asyncio.Event()
        self._until: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def opens(self, tabs: Tabs) -> None:
        self.tabs = tabs
        notebook = OpenNotebook(path=str(self.path), dirty=self.dirty, kernel="python3")
        tabs.announce(TabNotebooks(tab=self.name, notebooks=[notebook]))

    def closes(self) -> None:
        self.tabs.announce(TabNotebooks(tab=self.name))

    def hear(self, type_: str, data: dict[str, Any]) -> None:
        if self.deaf or data.get("tab") != self.name:
            return
        if type_ == "notebook_end":
            self._ends[data["id"]] = data["why"]
            self._end.set()
        if type_ == "notebook_request":
            try:
                request = self.tabs.take(data["id"], self.name)
            except RagentError:
                return
            if not self.mute:
                task = asyncio.get_running_loop().create_task(self._serve(request))
                self._tasks.add(task)

    async def _serve(self, request: TabRequest) -> None:
        self.did.append(request.action)
        try:
            result = await getattr(self, "_" + request.action)(request)
            answer = TabAnswer(tab=self.name, ok=True, result=msgspec.json.decode(msgspec.json.encode(result)))
        except RagentError as error:
            problem = TabProblem(type=error.type, problem=error.problem, remedy=error.remedy)
            answer = TabAnswer(tab=self.name, ok=False, error=problem)
        with contextlib.suppress(NotFound):  # nobody waits any more
            self.tabs.answered(request.id, answer)

    async def _read(self, request: TabRequest) -> dict[str, Any]:
        return {
            "cells": cell_views(self.cells),
            "dirty": self.dirty,
            "kernel": "python3",
            "running": list(self._until),
        }

    async def _apply(self, request: TabRequest) -> dict[str, Any]:
        steps = msgspec.convert(request.args["steps"], list[CellStep])
        self.cells, changes, left = apply_steps(
            self.cells, steps, new_id=lambda: next(self._ids), strict=request.args["strict"]
        )
        return {**await self._read(request), "changes": changes, "left": left}

    async def _variables(self, request: TabRequest) -> dict[str, Any]:
        answers = {n: {"status": "error", "ename": "NameError"} for n in request.args["expressions"]}
        return {"expressions": answers, "language": "python"}

    async def _interrupt(self, request: TabRequest) -> dict[str, Any]:
        return {"interrupted": bool(self._until)}

    async def _run(self, request: TabRequest) -> dict[str, Any]:
        cell = next((c for c in self.cells if c["id"] == request.args["cell"]), None)
        if cell is None:
            raise NotFound("There is no such cell.")
        if cell["cell_type"] != "code":
            raise CannotBeDone("It is no code.")
        source, state = source_of(cell), "done"
        said = "".join(f"{t}\n" for t in re.findall(r"print\('(.*?)'\)", source)[:1])
        if said:
            word = TabSaid(tab=self.name, text=said, n=1)
            for _ in range(self.echo):
                self.tabs.said(request.id, word)
        loop = asyncio.get_running_loop()
        for seconds in re.findall(r"sleep\((.*?)\)", source):
            until = self._until.setdefault(cell["id"], loop.time() + float(seconds))
            while loop.time() < until and request.id not in self._ends:
                self._end.clear()
                try:
                    await asyncio.wait_for(self._end.wait(), until - loop.time())
                except asyncio.TimeoutError:
                    break
            why = self._ends.get(request.id)
            state = "running" if why == "leave" else "stopped" if why == "stop" else "done"
            if why != "leave":
                del self._until[cell["id"]]
                said += "over\n" if state == "done" else ""
        outputs: list[Cell] = [{"output_type": "stream", "name": "stdout", "text": said}] if said else []
        raised = re.search(r"raise (\w+)\('(.*?)'\)", source)
        if raised:
            state = "error"
            outputs.append({"output_type": "error", "ename": raised[1], "evalue": raised[2], "traceback": []})
        cell["outputs"], cell["execution_count"] = outputs, 1
        view = next(c for c in cell_views(self.cells) if c.id == cell["id"])
        return {"cell": RanCell(**{f: getattr(view, f) for f in view.__struct_fields__}, state=state)}  # type: ignore[arg-type]
