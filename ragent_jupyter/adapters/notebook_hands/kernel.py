"""Kernels of the engine's own, one a notebook, for notebooks that no tab has open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.errors import CannotBeDone, WrongMoment
from ragent_jupyter.domain.notebooks import CellState
from ragent_jupyter.runfiles.project import runtime_dir

from .outputs import plain
from .summaries import expressions, read_back

log = logging.getLogger("ragent.engine")

START_S = 60.0
STOP_S = 0.8  # of the second that a stop may take
IDLE_S = 1800.0
# A kernel that swallowed a stop is ended after this; what it had in memory is lost, which the next run says.
_GRACE_S = 10.0
MAX_OUTPUT_BYTES = 20 * 1024 * 1024

Ended = Callable[["Running"], Awaitable[None]]


@dataclass
class Running:
    """A cell under way, or just over. ended: is called once with what there is, also if nobody waits any more."""

    cell: str
    source: str
    began: float
    outputs: list[dict[str, Any]] = field(default_factory=list)
    count: int | None = None
    state: CellState = "running"
    over: asyncio.Event = field(default_factory=asyncio.Event)
    said: Callable[[str], None] = lambda text: None
    stopped: bool = False
    lost: bool = False


class _Kernel:
    """One started kernel and its client."""

    def __init__(self, manager: Any, client: Any, folder: str, spec: str) -> None:
        self.manager = manager
        self.client = client
        self.folder = folder
        self.spec = spec
        self.now: Running | None = None
        self.used = time.monotonic()
        self.task: asyncio.Task[None] | None = None


class EngineKernels:
    """Started on first use, ended with the engine, or after `idle_s` seconds without work.

    env: the environment of kernels, without tokens and keys that are not theirs.
    """

    def __init__(self, env: Callable[[], Mapping[str, str]] = lambda: dict(os.environ), idle_s: float = IDLE_S) -> None:
        self._env = env
        self._idle_s = idle_s
        self._kernels: dict[str, _Kernel] = {}
        self._starting: dict[str, asyncio.Lock] = {}
        self._reaper: asyncio.Task[None] | None = None
        self._watches: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        return any(k.now is not None and not k.now.over.is_set() for k in self._kernels.values())

    def running(self, path: str) -> Running | None:
        kernel = self._kernels.get(path)
        return kernel.now if kernel is not None and kernel.now is not None and not kernel.now.over.is_set() else None

    async def start(self, path: str, cwd: Path, spec: str, cell: str, source: str, ended: Ended) -> Running:
        """Begin a cell. Raises WrongMoment while another one runs, CannotBeDone where no kernel starts."""
        async with self._starting.setdefault(path, asyncio.Lock()):
            busy = self.running(path)
            if busy is not None:
                seconds = time.monotonic() - busy.began
                raise WrongMoment(
                    f"The notebook's kernel is busy with cell {busy.cell!r} for {seconds:.0f} s.",
                    "Wait for it by running that cell again, or interrupt it.",
                )
            kernel = self._kernels.get(path)
            if kernel is not None and not await kernel.manager.is_alive():
                await self._end(path)
                kernel = None
            if kernel is None:
                kernel = self._kernels[path] = await self._launch(cwd, spec)
            run = Running(cell=cell, source=source, began=time.monotonic())
            kernel.now, kernel.used = run, time.monotonic()
            kernel.task = asyncio.create_task(self._execute(path, kernel, run, ended))
            if self._reaper is None or self._reaper.done():
                self._reaper = asyncio.create_task(self._reap())
            return run

    async def _launch(self, cwd: Path, spec: str) -> _Kernel:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
        from jupyter_client.manager import AsyncKernelManager

        specs = KernelSpecManager()
        name = spec or "python3"
        try:
            specs.get_kernel_spec(name)
        except NoSuchKernel:
            known = ", ".join(sorted(specs.find_kernel_specs())) or "none"
            raise CannotBeDone(
                f"The notebook wants the kernel {name!r}, which is not installed where ragent runs.",
                f"Installed: {known}. Open the notebook in JupyterLab and choose one, or install it.",
            ) from None
        # A socket in a private folder: no port is opened.
        folder = tempfile.mkdtemp(prefix="k", dir=runtime_dir())
        manager: Any = AsyncKernelManager(
            kernel_name=name, transport="ipc", ip=f"{folder}/s", connection_file=f"{folder}/c.json"
        )
        client: Any = None
        try:
            await manager.start_kernel(cwd=os.fspath(cwd), env=dict(self._env()), independent=False)
            client = manager.client()
            client.start_channels()
            await client.wait_for_ready(timeout=START_S)
        except Exception as error:  # each kernel's launcher fails in its own way
            if client is not None:
                client.stop_channels()
            await _ended(manager)
            shutil.rmtree(folder, ignore_errors=True)
            raise CannotBeDone(
                f"The kernel {name!r} did not start: {type(error).__name__}: {str(error)[:300]}.",
                f"Look whether `jupyter run --kernel {name}` works in a terminal.",
            ) from error
        return _Kernel(manager, client, folder, name)

    async def _execute(self, path: str, kernel: _Kernel, run: Running, ended: Ended) -> None:
        client = kernel.client
        displays: dict[str, list[int]] = {}
        size = 0
        clear = False
        parent = client.execute(run.source, store_history=True, allow_stdin=False, stop_on_error=True)
        try:
            while True:
                try:
                    message = await client.get_iopub_msg(timeout=2.0)
                except Exception as error:  # queue.Empty; its kin differ between releases
                    if not await kernel.manager.is_alive():
                        raise _Died from error
                    continue
                if message.get("parent_header", {}).get("msg_id") != parent:
                    continue
                kind, content = message["header"]["msg_type"], message["content"]
                if kind == "status" and content["execution_state"] == "idle":
                    break
                if kind == "execute_input":
                    run.count = content.get("execution_count")
                    continue
                if kind == "clear_output":
                    clear = bool(content.get("wait"))
                    if not clear:
                        run.outputs.clear()
                        displays.clear()
                    continue
                if clear and kind in ("stream", "display_data", "execute_result", "error"):
                    run.outputs.clear()
                    displays.clear()
                    clear = False
                size += len(str(content.get("text", ""))) + sum(map(len, map(str, content.get("data", {}).values())))
                if size > MAX_OUTPUT_BYTES:
                    continue  # a cell that prints for ever must not fill memory and file
                _take(run, displays, kind, content)
            reply = await client.get_shell_msg(timeout=5.0)
            while reply.get("parent_header", {}).get("msg_id") != parent:
                reply = await client.get_shell_msg(timeout=5.0)
            ok = reply["content"].get("status") == "ok"
            run.state = "stopped" if run.stopped and not ok else "done" if ok else "error"
        except _Died:
            run.lost = True
            run.state = "stopped" if run.stopped else "error"
            text = "The kernel ended while the cell ran."
            run.outputs.append({"output_type": "error", "ename": "KernelDied", "evalue": text, "traceback": [text]})
        except asyncio.CancelledError:
            run.state = "stopped"
            raise
        except Exception as error:
            log.exception("a cell's execution was lost")
            run.state = "error"
            text = f"{type(error).__name__}: {error}"
            run.outputs.append({"output_type": "error", "ename": "Lost", "evalue": text, "traceback": [text]})
        finally:
            kernel.used = time.monotonic()
            try:
                await ended(run)
            finally:
                run.over.set()
        if run.lost:
            await self._end(path)

    async def interrupt(self, path: str, run: Running | None = None) -> bool:
        """Ask the kernel to stop; one that still runs the same cell after a grace is ended."""
        kernel, now = self._kernels.get(path), self.running(path)
        if kernel is None or now is None or (run is not None and now is not run):
            return False
        now.stopped = True
        await kernel.manager.interrupt_kernel()
        watch = asyncio.create_task(self._end_if_deaf(path, now))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return True

    async def _end_if_deaf(self, path: str, run: Running) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(run.over.wait(), _GRACE_S)
        kernel = self._kernels.get(path)
        if not run.over.is_set() and kernel is not None and kernel.now is run:
            log.warning("the kernel of %s swallowed a stop and was ended", path)
            await kernel.manager.shutdown_kernel(now=True)

    async def variables(self, path: str, names: list[str]) -> dict[str, str]:
        asked = expressions(names)
        kernel = self._kernels.get(path)
        if kernel is None or not await kernel.manager.is_alive():
            raise CannotBeDone(
                f"No kernel of {path} runs.", "Open it in JupyterLab and run its cells, or run a cell of it here."
            )
        if self.running(path) is not None:
            raise WrongMoment("The kernel is busy with a cell.", "Ask again when it is over.")
        client = kernel.client
        parent = client.execute("", silent=True, store_history=False, user_expressions=asked, allow_stdin=False)
        try:
            while True:
                reply = await client.get_shell_msg(timeout=5.0)
                if reply.get("parent_header", {}).get("msg_id") == parent:
                    return read_back(reply["content"].get("user_expressions") or {})
        except Exception as error:
            raise CannotBeDone("The kernel did not tell within 5 s.", "Ask again.") from error

    # --- the end ------------------------------------------------------------------------------------------------
    async def _reap(self) -> None:
        while self._kernels:
            await asyncio.sleep(min(60.0, self._idle_s / 2))
            for path, kernel in list(self._kernels.items()):
                if self.running(path) is None and time.monotonic() - kernel.used > self._idle_s:
                    log.info("the kernel of %s was idle and has been ended", path)
                    await self._end(path)

    async def _end(self, path: str) -> None:
        kernel = self._kernels.pop(path, None)
        if kernel is None:
            return
        task = kernel.task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        kernel.client.stop_channels()
        await _ended(kernel.manager)
        shutil.rmtree(kernel.folder, ignore_errors=True)

    async def close(self) -> None:
        for task in [self._reaper, *self._watches]:
            if task is not None:
                task.cancel()
        for path in list(self._kernels):
            await self._end(path)


class _Died(Exception):
    pass


def _take(run: Running, displays: dict[str, list[int]], kind: str, content: dict[str, Any]) -> None:
    """Add a message to a cell's outputs as the notebook format wants them."""
    outputs = run.outputs
    if kind == "stream":
        text = content.get("text", "")
        run.said(plain(text))
        last = outputs[-1] if outputs else None
        if last is not None and last["output_type"] == "stream" and last["name"] == content["name"]:
            last["text"] += text
        else:
            outputs.append({"output_type": "stream", "name": content["name"], "text": text})
    elif kind in ("display_data", "update_display_data", "execute_result"):
        known = displays.get((content.get("transient") or {}).get("display_id") or "", [])
        body = {"data": content["data"], "metadata": content.get("metadata") or {}}
        for index in known:
            outputs[index] |= body
        if kind == "update_display_data":
            return
        made: dict[str, Any] = {"output_type": kind, **body}
        if kind == "execute_result":
            made["execution_count"] = content.get("execution_count")
        display_id = (content.get("transient") or {}).get("display_id")
        if display_id:
            displays.setdefault(display_id, []).append(len(outputs))
        outputs.append(made)
    elif kind == "error":
        run.said(plain("\n".join(content.get("traceback") or [])[-2000:]))
        outputs.append({"output_type": "error", **{k: content[k] for k in ("ename", "evalue", "traceback")}})


async def wait_for(run: Running, stop: asyncio.Event, timeout_s: float) -> str:
    """Why the waiting ended: "over", "stop" or "time"."""
    waits = [asyncio.ensure_future(run.over.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return "over" if run.over.is_set() else "stop" if stop.is_set() else "time"


async def _ended(manager: Any) -> None:
    """End a kernel. One that is gone already fails to end in its launcher's own way, which is no trouble of ours."""
    try:
        await manager.shutdown_kernel(now=True)
    except Exception as error:
        log.info("a kernel was gone already: %s", error)
