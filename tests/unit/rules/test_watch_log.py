"""What the rules say about the job's log and its end."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.alert import Choice
from ragent_jupyter.rules.watch import Answered, JobEnded, LogLines, Watch
from tests.unit.rules.watching import say, short


def read(state: Watch, *lines: str) -> list[tuple[str, str, str]]:
    return short(say(state, LogLines(at=1.0, lines=[(100 * n, line) for n, line in enumerate(lines)])))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB", ("critical", "out_of_memory")),
        ("RuntimeError: CUDA error: out of memory", ("critical", "out_of_memory")),
        (
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while",
            ("critical", "out_of_memory"),
        ),
        ("[rank3]: ncclSystemError: System call failed", ("critical", "nccl")),
        ("[rank0]:[E] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7)", ("critical", "nccl")),
        ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", ("critical", "xid")),
        ("RuntimeError: CUDA error: device-side assert triggered", ("warning", "cuda_error")),
        ("OSError: [Errno 28] No space left on device", ("warning", "disk_full")),
    ],
)
def test_lines_that_mean_trouble_are_quoted(line: str, expected: tuple[str, str]) -> None:
    raised = say(Watch(), LogLines(at=1.0, lines=[(0, "epoch 3"), (8, line)]))
    assert short(raised) == [(*expected, "")]
    assert (raised[0].source, raised[0].offset, raised[0].evidence.log_line) == ("job.log", 8, line)


@pytest.mark.parametrize(
    "line",
    [
        "NCCL version 2.20.5+cuda12.4",
        "rank0: NCCL INFO Bootstrap : Using eth0",
        "NCCL WARN NET/OFI plugin not found",
        "Using CUDA device 0: NVIDIA H100",
        "max memory allocated: 12 GiB (out of 80)",
        "s:100 trl:5.2 lr:0.0001 norm:1.2",
        "loss becomes nan in the paper's figure 3, please stop the run",
        "",
    ],
)
def test_lines_that_only_look_like_trouble_raise_nothing(line: str) -> None:
    assert read(Watch(), line) == []


def test_a_traceback_is_info_and_names_its_exception() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "train.py", line 3, in <module>',
        "    main()",
        "ValueError: bad batch",
    ]
    raised = say(Watch(), LogLines(at=1.0, lines=list(enumerate(lines))))
    assert short(raised) == [("info", "traceback", "")]
    assert raised[0].title == "a traceback: ValueError: bad batch"


def test_the_same_trouble_on_a_thousand_lines_is_one_alert() -> None:
    assert read(Watch(), *["CUDA out of memory"] * 1000) == [("critical", "out_of_memory", "")]


def test_a_job_that_ends_with_a_code_is_critical_and_quotes_the_exception() -> None:
    state = Watch()
    read(state, "Traceback (most recent call last):", "  x", "KeyError: 'lr'")
    raised = say(state, JobEnded(at=9.0, exit_code=1))
    assert short(raised) == [("critical", "exit", "")]
    assert raised[0].title == "the job ended with exit code 1"
    assert "KeyError: 'lr'" in raised[0].text
    assert raised[0].after_end
    assert raised[0].choices == [
        Choice("acknowledge", "acknowledge", "Got it"),
        Choice("retry", "retry_with", "Run it again"),
    ]


@pytest.mark.parametrize(
    ("fact", "title"),
    [
        (JobEnded(at=1.0, signal=11), "the job was killed by SIGSEGV"),
        (JobEnded(at=1.0, signal=9, oom=True), "the job was killed: out of memory"),
        (JobEnded(at=1.0, signal=250), "the job was killed by signal 250"),
    ],
)
def test_a_job_that_was_killed_says_by_what(fact: JobEnded, title: str) -> None:
    assert [r.title for r in say(Watch(), fact)] == [title]


@pytest.mark.parametrize(
    "fact", [JobEnded(at=1.0, exit_code=0), JobEnded(at=1.0, signal=2, stopped=True), JobEnded(at=1.0)]
)
def test_a_good_end_and_an_end_that_was_asked_for_are_no_news(fact: JobEnded) -> None:
    assert say(Watch(), fact) == []


def test_an_end_after_stop_was_chosen_is_no_news() -> None:
    state = Watch(run_id="run_a")
    oom = say(state, LogLines(at=1.0, lines=[(0, "CUDA out of memory")]))
    say(state, Answered(at=2.0, alert_id=oom[0].alert_id("run_a"), choice="stop", action="stop"))
    assert say(state, JobEnded(at=3.0, exit_code=1)) == []
