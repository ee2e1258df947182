"""Reading what broke a run: tracebacks, lines, ends, curves, and their order."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.run import Reason, Run, RunStatus
from ragent_jupyter.rules.config_diff import Difference
from ragent_jupyter.rules.diagnose import Case, LogLine, Pace, diagnose
from ragent_jupyter.rules.diagnose.markdown import analysis_text, comparison_text, diagnosis_text
from ragent_jupyter.rules.diagnose.matching import of_line, pip_name
from ragent_jupyter.rules.diagnose.patterns import PATTERNS
from ragent_jupyter.rules.diagnose.tracebacks import main_trace, read_tracebacks
from ragent_jupyter.rules.diagnose.words import KINDS
from ragent_jupyter.rules.digest import Curve, curve_of_points


def log(text: str) -> list[LogLine]:
    lines, offset = [], 0
    for number, line in enumerate(text.splitlines(), 1):
        lines.append(LogLine(number, offset, line))
        offset += len(line.encode()) + 1
    return lines


def a_run(status: str = "failed", **fields: object) -> Run:
    base: dict[str, object] = {
        "id": "run_a", "name": "train 1", "command": "python train.py", "argv": ["python", "train.py"], "cwd": "/p",
        "created_at": 0.0, "status": RunStatus(status), "exit_code": 1 if status == "failed" else 0,
    }  # fmt: skip
    return Run(**{**base, **fields})  # type: ignore[arg-type]


def kinds(text: str, run: Run | None = None, **more: object) -> list[str]:
    return [c.kind for c in diagnose(Case(run=run or a_run(), log=log(text), **more)).causes]  # type: ignore[arg-type]


TRACE = """Traceback (most recent call last):
  File "/p/train.py", line 9, in main
    step(batch)
  File "/opt/env/lib/python3.11/site-packages/torch/nn/linear.py", line 114, in forward
    return F.linear(input, self.weight)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
{}"""


def test_the_frame_is_the_innermost_of_the_run_s_own_code() -> None:
    [[trace]] = read_tracebacks(log(TRACE.format("RuntimeError: no")))
    assert trace.own_frame is not None
    assert (trace.own_frame.shown, trace.own_frame.code) == ("p/train.py:9 in main", "step(batch)")
    assert (trace.at.number, trace.name) == (7, "RuntimeError")


def test_a_progress_bar_before_a_traceback_and_another_rank_in_between() -> None:
    text = TRACE.format("ValueError: bad").replace("Traceback", " 12%|##   | 1/8 [00:01<00:07]Traceback", 1)
    assert read_tracebacks(log(text))[0][0].name == "ValueError"
    ranks = "\n".join(
        f"[rank1]: {line}\n[rank0]: step 3 loss 2.1" for line in TRACE.format("KeyError: 'x'").splitlines()
    )
    [[trace]] = read_tracebacks(log(ranks))
    assert (trace.name, trace.rank, trace.own_frame is not None) == ("KeyError", "[rank1]:", True)


def test_chains_the_root_of_from_the_last_of_during_the_inner_of_a_worker() -> None:
    one, two = TRACE.format("KeyError: 'a'"), TRACE.format("ValueError: unknown model")
    cause = f"{one}\n\nThe above exception was the direct cause of the following exception:\n\n{two}"
    during = f"{one}\n\nDuring handling of the above exception, another exception occurred:\n\n{two}"
    inner = TRACE.format(f"RuntimeError: Caught KeyError in DataLoader worker process 0.\nOriginal {one}")
    for text, root in ((cause, "KeyError"), (during, "ValueError"), (inner, "KeyError")):
        [group] = read_tracebacks(log(text))
        assert len(group) == 2 and main_trace(group).name == root


def test_a_notebook_s_traceback() -> None:
    text = """---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
Cell In[3], line 2
      1 x = 1
----> 2 fit(x)

File /p/lib.py:12, in fit(x)
     10 def fit(x):
---> 12     raise ValueError("no rows")

ValueError: no rows
"""
    [[trace]] = read_tracebacks(log(text))
    assert trace.own_frame is not None and trace.own_frame.shown == "p/lib.py:12 in fit"
    assert trace.own_frame.code == 'raise ValueError("no rows")'


def test_an_exception_that_was_survived_is_not_the_cause() -> None:
    survived = TRACE.format("FileNotFoundError: [Errno 2] No such file or directory: 'cache.bin'")
    rest = "\n".join(f"step {n} loss 2.1" for n in range(100))
    ended = TRACE.format("KeyError: 'labels'")
    assert kinds(f"{survived}\nusing defaults\n{rest}\n{ended}")[0] == "code"
    assert kinds(f"{survived}\n{rest}", a_run("finished")) == []


def test_a_wrapper_s_exception_yields_to_what_it_wraps_and_the_first_rank_to_no_other() -> None:
    inner = TRACE.format("KeyError: 'labels'")
    wrapper = TRACE.format("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ")
    first = diagnose(Case(run=a_run(), log=log(f"{inner}\n{wrapper}"))).causes[0]
    assert first.title == "KeyError: 'labels'"
    both = f"{inner}\n[rank3]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)"
    assert kinds(both)[:2] == ["code", "collective"]


def test_a_nan_explains_the_assertion_after_it() -> None:
    text = "step 1 loss: 2.1\nstep 2 loss: nan\n" + TRACE.format("ZeroDivisionError: float division by zero")
    assert kinds(text)[:2] == ["not_finite", "zero_division"]


def test_ends_speak_for_themselves() -> None:
    assert kinds("", a_run(exit_code=None, signal=9)) == ["killed"]
    assert kinds("", a_run(exit_code=None, signal=9, reason=Reason("oom", "killed"))) == ["memory"]
    assert kinds("", a_run(exit_code=139)) == ["crash"]
    assert kinds("", a_run(exit_code=124, command="timeout 5 python t.py")) == ["time_limit"]
    assert kinds("", a_run(exit_code=None, reason=Reason("launch_error", "no such python"))) == ["launch"]
    assert kinds("", a_run("stopped", exit_code=None, stop_by="user")) == ["stopped"]
    assert kinds("", a_run(exit_code=1)) == []
    said = diagnose(Case(run=a_run(), log=log("all fine\nsomething odd happened\n")))
    assert said.causes[0].kind == "error_line" and said.causes[0].cites[0].line == 2


def test_silence_is_measured_by_the_run_s_own_pace() -> None:
    silent = Pace(usual_s=0.1, largest_s=0.5, silent_s=30.0, last_step=99, metric="loss")
    usual = Pace(usual_s=10.0, largest_s=60.0, silent_s=30.0, last_step=99, metric="loss")
    assert kinds("waiting", a_run("running"), pace=silent) == ["hang"]
    assert kinds("waiting", a_run("running"), pace=usual) == []
    assert kinds("waiting", a_run("stopped"), pace=silent)[0] == "hang"
    assert kinds("done", a_run("finished"), pace=silent) == []


def curve(name: str, values: list[float]) -> Curve:
    return curve_of_points(name, enumerate(values))


def test_curves_prove_what_they_show() -> None:
    def of(*curves: Curve) -> list[str]:
        return kinds("", a_run("finished"), curves=list(curves))

    falling = [3.0 / (1 + n) ** 0.5 for n in range(100)]
    assert of(curve("loss", falling)) == []
    assert of(curve("loss", [*falling[:50], float("nan"), *falling[51:]]))[0] == "not_finite"
    val = [2.0 - 0.03 * n for n in range(30)] + [1.1 + 0.02 * n for n in range(40)]
    assert of(curve("train_loss", falling), curve("val_loss", val)) == ["overfit"]
    assert of(curve("train_loss", [2.3 + 0.01 * (n % 3) for n in range(100)])) == ["not_learning"]
    assert of(curve("loss", falling + [0.3 * 1.1**n for n in range(40)])) == ["diverged"]
    noise = random.Random(3)
    noisy = [1.0 + 0.3 * noise.random() for _ in range(60)]
    assert "overfit" not in of(curve("train_loss", falling), curve("val_loss", noisy))


def test_the_batch_size_is_named_and_halved() -> None:
    run = a_run(command="python train.py --batch-size 96")
    cause = diagnose(Case(run=run, log=log(TRACE.format("torch.OutOfMemoryError: CUDA out of memory.")))).causes[0]
    assert cause.next[0] == "Set batch-size to 48 (it was 96) and retry."


def test_every_kind_has_words_and_every_pattern_a_hint() -> None:
    assert {pattern.kind for pattern in PATTERNS} <= set(KINDS)
    assert pip_name("sklearn.svm") == "scikit-learn" and pip_name("PIL") == "Pillow" and pip_name("git") == "GitPython"
    for line in (
        "[rank0] CUDA out of memory", "OSError: [Errno 28] x", "RuntimeError: Target 10 is out of bounds.",
        "Found 0 images in x", "ninja: build stopped", "exitcode  : -9 (pid: 3)", "step 3 loss=nan",
        "zmq.error.ZMQError: Address already in use", "train.py: error: unrecognized arguments: --foo",
    ):  # fmt: skip
        assert of_line(line) is not None, line


def test_healthy_lines_match_nothing() -> None:
    for line in (
        "step 100 loss 2.31 lr 0.0003 grad_norm 0.7 tok/s 31000", "Saving checkpoint to out/ckpt.pt",
        "NCCL version 2.21.5+cuda12.4", "Epoch 3/10: 100%|####| 100/100 [00:10<00:00]", "val_loss=0.412 val_acc=0.91",
        "total params: 124475904, memory: 6497", "loaded 50257 tokens from data/train.bin", "information gain 0.3",
    ):  # fmt: skip
        assert of_line(line) is None, line


LINES = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(
            [*TRACE.splitlines(), "KeyError: 'x'", "[rank1]: Traceback (most recent call last):", "Killed"]
        ),
    ),
    max_size=60,
)


@given(LINES, st.sampled_from(["failed", "finished", "running", "stopped"]), st.integers(0, 255))
def test_nothing_breaks_it_and_what_is_cited_stands_in_the_log(lines: list[str], status: str, code: int) -> None:
    text = "\n".join(lines)
    found = log(text)
    case = Case(run=a_run(status, exit_code=code), log=found, changed=[Difference("setting", "lr", "0.1", "`|\n")])
    diagnosis = diagnose(case)
    for cause in diagnosis.causes:
        assert cause.kind in KINDS and cause.cites
        for cite in cause.cites:
            if cite.source == "job.log":
                assert cite.text.rstrip("…") in found[cite.line - 1].text
    for said in (diagnosis_text(case, diagnosis), analysis_text(case, diagnosis)):
        assert "\x00" not in said


def test_words_of_a_log_cannot_leave_their_quotation() -> None:
    evil = TRACE.format("ValueError: `</data> **bold** ``` <img src=x onerror=alert(1)> | x")
    case = Case(run=a_run(name="a`b|c <i>"), log=log(evil))
    said = diagnosis_text(case, diagnose(case))
    for line in said.splitlines():
        bare = re.sub(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", line)
        assert "<img" not in bare and "<i>" not in bare, line


def test_a_comparison_names_what_differs_and_calls_the_best_unconfirmed() -> None:
    from ragent_jupyter.domain.run import MetricSummary

    def one(id: str, lr: float, loss: float) -> Run:
        summary = {"val_loss": MetricSummary(last=loss + 0.1, step=9, min=loss, min_step=7, count=10)}
        return a_run("finished", id=id, params={"lr": lr, "bs": 8}, summary=summary)

    said = comparison_text([one("run_a", 0.1, 0.5), one("run_b", 0.3, 0.9)], "val_loss", "min")
    assert "| `train 1` run_a | finished | `0.1` | 0.5 @ 7 | 0.6 |" in said
    assert "**Best by `val_loss`**: `train 1` (run_a) with 0.5 @ 7" in said and "*unconfirmed*" in said
    assert "bs=8" in said
