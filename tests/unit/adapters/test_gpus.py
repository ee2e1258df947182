"""GPUs by NVIDIA's library, seen through a library that we wrote; and the fakes."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ragent_jupyter.adapters.gpus import FakeGpus, NvmlGpus, find_gpus
from ragent_jupyter.domain.errors import BadInput


class NVMLError(Exception):
    pass


class FakeNvml(SimpleNamespace):
    """pynvml's calls as we use them, for two cards: one that tells all, one old one that tells little."""

    def __init__(self, driver: bool = True) -> None:
        def init() -> None:
            self.inits += 1
            if not self.driver:
                raise NVMLError("Driver Not Loaded")

        def told(answer: Any) -> Any:
            def ask(handle: int) -> Any:
                if handle == 1:
                    raise NVMLError("Not Supported")
                return answer

            return ask

        super().__init__(
            driver=driver,
            inits=0,
            NVMLError=NVMLError,
            nvmlInit=init,
            nvmlDeviceGetCount=lambda: 2,
            nvmlDeviceGetHandleByIndex=lambda index: index,
            nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=80 << 30, used=handle << 30),
            nvmlDeviceGetName=lambda handle: b"NVIDIA H100" if handle else "NVIDIA H100",
            nvmlDeviceGetUtilizationRates=told(SimpleNamespace(gpu=37)),
            nvmlDeviceGetComputeRunningProcesses=told([SimpleNamespace(pid=77, usedGpuMemory=5 << 30)]),
            nvmlDeviceGetGraphicsRunningProcesses=told([SimpleNamespace(pid=12, usedGpuMemory=None)]),
        )


def test_each_card_is_listed_with_all_who_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    first, second = NvmlGpus().list()
    assert first == {
        "index": 0,
        "name": "NVIDIA H100",
        "memory_total": 80 << 30,
        "memory_used": 0,
        "util": 37,
        "processes": [{"pid": 12, "memory": None}, {"pid": 77, "memory": 5 << 30}],
    }
    assert (second["name"], second["util"], second["processes"]) == ("NVIDIA H100", None, [])


def test_without_a_driver_there_are_none_and_it_is_not_asked_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(driver=False)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    gpus = NvmlGpus()
    assert [gpus.list() for _ in range(3)] == [[], [], []]
    assert nvml.inits == 1


def test_without_the_library_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert NvmlGpus().list() == []


def test_a_listing_given_out_is_not_changed_by_who_got_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    for gpus in (NvmlGpus(), FakeGpus(2)):
        gpus.list()[0]["processes"].clear()
        gpus.list()[0]["name"] = "mine"
        assert gpus.list()[0]["name"] != "mine"
    assert NvmlGpus().list()[0]["processes"]


def test_fakes_are_held_and_released() -> None:
    gpus = FakeGpus(2)
    gpus.hold(1, pid=5, memory=10)
    gpus.hold(1, pid=6, memory=20)
    gpus.hold(1, pid=5, memory=30)
    assert gpus.list()[1]["processes"] == [{"pid": 6, "memory": 20}, {"pid": 5, "memory": 30}]
    assert gpus.list()[1]["memory_used"] == 50
    gpus.release(5)
    assert [one["processes"] for one in gpus.list()] == [[], [{"pid": 6, "memory": 20}]]


def test_the_environment_may_ask_for_fakes() -> None:
    assert isinstance(find_gpus({}), NvmlGpus)
    assert len(find_gpus({"RAGENT_FAKE_GPUS": "4"}).list()) == 4
    held = find_gpus({"RAGENT_FAKE_GPUS": "[[], [1234]]"}).list()
    assert [[one["pid"] for one in gpu["processes"]] for gpu in held] == [[], [1234]]
    with pytest.raises(BadInput):
        find_gpus({"RAGENT_FAKE_GPUS": "many"})
