"""What job logs say, and what they only seem to say."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles.sources.stdout import Stdout
from ragent_jupyter.runfiles.sources.styles import clean, parse

NOW = 1_790_000_000.0

REPORTS = [
    ("iter 100: loss 2.31, time 12ms", 100, {"loss": 2.31, "time_ms": 12.0}),
    ("step 250: train loss 1.9, val loss 2.0", 250, {"train_loss": 1.9, "val_loss": 2.0}),
    ("step:12/1393 val_loss:3.2812 train_time:1200ms step_avg:90.11ms", 12,
     {"val_loss": 3.2812, "train_time_ms": 1200.0, "step_avg_ms": 90.11}),
    ("s:12 trl:2.3 lr:0.0001 norm:1.3", 12, {"train_loss": 2.3, "lr": 0.0001, "norm": 1.3}),
    ("s:12 tel:2.3", 12, {"val_loss": 2.3}),
    ("step 12/19560 | train loss 3.1 | norm 1.2 | lr 6e-4 | 300.1 ms | 50.1% bf16 MFU | 170000 tok/s", 12,
     {"train_loss": 3.1, "norm": 1.2, "lr": 6e-4, "mfu": 50.1, "tok/s": 170000.0}),
    ("step   12/19560 | loss 10.9 (+nanz)| norm 15.3 (+nanz)| lr 8.57e-07 | 3056.36 ms", 12,
     {"loss": 10.9, "norm": 15.3, "lr": 8.57e-07}),
    ("\x1b[32m[titan] 2024-10-13 12:00:01,123 - root - INFO - \x1b[31mstep:  1  \x1b[32mloss:  8.0491  "
     "\x1b[33mmemory:  9.72GiB(10.23%)  tps: 1,234  mfu: 4.10%\x1b[0m", 1,
     {"loss": 8.0491, "memory": 9.72, "tps": 1234.0, "mfu": 4.1}),
    ("{'loss': 2.3, 'grad_norm': 1.1, 'learning_rate': 5e-05, 'epoch': 0.1}", None,
     {"loss": 2.3, "grad_norm": 1.1, "learning_rate": 5e-05, "epoch": 0.1}),
    ("{'loss': '2.3', 'learning_rate': '5e-05', 'epoch': '0.1'}", None,
     {"loss": 2.3, "learning_rate": 5e-05, "epoch": 0.1}),
    ('{"step": 3, "loss": 0.3}', 3, {"loss": 0.3}),
    ("step=10 loss=2.3 lr=1e-4", 10, {"loss": 2.3, "lr": 1e-4}),
    ("loss=0.123", None, {"loss": 0.123}),
    ("loss: 0.123, acc: 0.9", None, {"loss": 0.123, "acc": 0.9}),
    ("step 10 | loss 2.3", 10, {"loss": 2.3}),
    ("Epoch 3/10, loss: 0.5, val_loss: 0.6", 3, {"loss": 0.5, "val_loss": 0.6}),
    ("Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300000", 640, {"loss": 2.3}),
    ("Epoch: [0][10/100]\tTime  0.12 ( 0.20)\tLoss 6.9e+00 (6.95e+00)\tAcc@1   0.00 (  0.10)", 10,
     {"time": 0.12, "loss": 6.9, "acc@1": 0.0}),
    ("2024-01-01 12:00:00 INFO train.py:123 step 10 loss 2.3", 10, {"loss": 2.3}),
    ("INFO:root:Epoch 3: loss = 0.5", 3, {"loss": 0.5}),
    ("Epoch 1:  10%|█         | 10/100 [00:01<00:09,  9.90it/s, loss=2.3, acc=0.5]", 10, {"loss": 2.3, "acc": 0.5}),
    ("Epoch 0: 100%|████| 10/10 [00:00<00:00, 97.11it/s, v_num=0, train_loss=2.300]", 10, {"train_loss": 2.3}),
    ("1875/1875 ━━━━━━━━━━ 3s 2ms/step - accuracy: 0.9123 - loss: 0.3123 - val_loss: 0.2", None,
     {"accuracy": 0.9123, "loss": 0.3123, "val_loss": 0.2}),
    ("1875/1875 [==============================] - 3s 2ms/step - loss: 0.3 - accuracy: 0.91", None,
     {"loss": 0.3, "accuracy": 0.91}),
    ("val: epoch 2 loss 0.7", 2, {"val_loss": 0.7}),
    ("[12/100] loss: 2.3", 12, {"loss": 2.3}),
    ("train loss: 0.5, test acc: 0.9", None, {"train_loss": 0.5, "test_acc": 0.9}),
    ("val loss 3.2", None, {"val_loss": 3.2}),
    ("Step: 100, Loss: 2.345, LR: 0.001, Tokens/s: 12,345", 100, {"loss": 2.345, "lr": 0.001, "Tokens/s": 12345.0}),
]  # fmt: skip

FALSE_FRIENDS = [
    "loss = 0.0",
    "    loss = 0.5",
    '    print0(f"step:{step}/{args.num_iterations} val_loss:{val_loss:.4f}")',
    "for step in range(10): loss = 2",
    "step = 0",
    "def train(step=0, loss=0.5):",
    'parser.add_argument("--lr", type=float, default=0.1, help="step 10 loss 2")',
    "self.loss: float = 0.5",
    '"loss": 0.5,',
    "loss: 0.5;",
    "lr: 0.001",
    "batch_size: 32",
    "learning_rate=0.1",
    "max_grad_norm: 1.0",
    "lr=0.1 epochs=3 batch=32",
    "{'lr': 0.1, 'batch_size': 32, 'epochs': 10}",
    "{'lr': 0.1, 'batch_size': 32, 'epochs': 10, 'loss_weight': 0.5}",
    '{"event": "start", "config": {"lr": 0.1}}',
    "2024-10-13 12:00:01",
    "2024-10-13 12:00:01 INFO Starting training with 8 GPUs",
    "saving checkpoint to /data/step=100/loss=0.5.ckpt",
    "Saved model to out/epoch_3/loss_0.5.pt",
    "Step 3 of 10 failed with error 404",
    "see epoch 3 of the paper, loss 2",
    "Epoch 3 took 12.1 s",
    "Epoch 3: port=8080 pid=1234",
    "step 3: see http://x:8080/ at 12:30:01",
    "Step 1: install python 3.11",
    "optimizer step 5 took too long",
    "http://localhost:8888/?token=12",
    '  File "/a/b.py", line 23, in <module>',
    "RuntimeError: expected loss 3 at epoch 2 but got 5",
    "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 15.78 GiB total capacity)",
    "total batch size: 524288",
    "number of parameters: 124,439,808",
    "|   0  N/A  N/A      1234      C   python   1234MiB |",
    "score_threshold: 0.5",
]


@pytest.mark.parametrize(("line", "step", "values"), REPORTS, ids=[line[:40] for line, _, _ in REPORTS])
def test_a_report_of_progress_is_read(line: str, step: int | None, values: dict[str, float]) -> None:
    said = parse(clean(line))
    assert said is not None
    assert (said.step, said.values) == (step, values)


@pytest.mark.parametrize("line", FALSE_FRIENDS)
def test_nothing_is_invented(line: str) -> None:
    said = parse(clean(line))
    assert said is None or not said.values


@pytest.mark.parametrize("line", ["step 3 | loss nan", "step 3: loss=inf", "{'loss': nan, 'epoch': 3.0}"])
def test_words_for_what_is_not_finite(line: str) -> None:
    said = parse(clean(line))
    assert said is not None and not math.isfinite(said.values["loss"])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "job.log"


def read(log: Path, text: str, *, final: bool = True) -> tuple[Stdout, list[Row]]:
    log.write_text(text, encoding="utf-8", newline="")
    source = Stdout(str(log))
    rows: list[Row] = []
    while True:
        blocks = source.read(1 << 20, NOW, final=final)
        rows += [row for block in blocks for row in block.rows()]
        if not blocks and not source.more:
            return source, rows


def test_a_progress_bar_gives_one_row_a_count_and_grows_over_epochs(log: Path) -> None:
    def bar(epoch: int, n: int) -> str:
        return f"\rEpoch {epoch}: {n * 50:3d}%|####  | {n}/2 [00:01<00:01, 1.0it/s, loss={epoch}.{n}]"

    text = bar(1, 1) + bar(1, 1) + bar(1, 2) + "\n" + bar(2, 1) + bar(2, 2) + "\n"
    source, rows = read(log, text)
    assert [(row.step, row.values["loss"]) for row in rows] == [(1, 1.1), (2, 1.2), (3, 2.1), (4, 2.2)]
    assert source.progress == (2, 2, "tqdm")


def test_keras_counts_epochs_and_leaves_running_means_alone(log: Path) -> None:
    text = "".join(
        f"Epoch {e}/2\n\r 1/10 [>....] - ETA: 3:00 - loss: 9.0\r10/10 [=====] - 3s 2ms/step - loss: 0.{e}\n"
        for e in (1, 2)
    )
    _, rows = read(log, text)
    assert [(row.step, row.values) for row in rows] == [(1, {"loss": 0.1}), (2, {"loss": 0.2})]


def test_steps_within_epochs_are_strung_together(log: Path) -> None:
    text = "".join(f"Epoch [{e}/2], Step [{s}/300], Loss: 0.5\n" for e in (1, 2) for s in (100, 200, 300))
    _, rows = read(log, text)
    assert [row.step for row in rows] == [100, 200, 300, 400, 500, 600]


def test_a_program_that_goes_back_is_seen_to_go_back(log: Path) -> None:
    text = "".join(f"Epoch {e}, Step {s}, Loss: 0.5\n" for e, s in [(1, 100), (2, 100), (1, 100)])
    _, rows = read(log, text)
    assert [row.step for row in rows] == [100, 200, 100]


def test_hf_lines_without_a_step_count_by_themselves(log: Path) -> None:
    lines = [{"loss": 2.0, "epoch": 0.5}, {"loss": 1.0, "epoch": 1.0}, {"eval_loss": 1.5, "epoch": 1.0}, {"loss": 0.5}]
    _, rows = read(log, "".join(f"{line}\n" for line in lines))
    assert [row.step for row in rows] == [0, 1, 1, 2]


def test_other_lines_are_kept_for_the_rules(log: Path) -> None:
    source, rows = read(log, "step 1 loss 2\nCUDA out of memory\n")
    assert len(rows) == 1
    log.write_text("step 1 loss 2\nCUDA out of memory\nNCCL error\n")
    source.read(1 << 20, NOW)
    assert source.lines == [(33, "NCCL error")]


def test_source_code_before_the_first_step_gives_nothing(log: Path) -> None:
    code = Path(__file__).read_text()
    text = (
        code[: code.index("REPORTS = [")] + code[code.index("@pytest.fixture") : code.index("def test_a_progress_bar")]
    )
    _, rows = read(log, text * 30 + "step:0/10 val_loss:10.8\n")
    assert [row.values for row in rows] == [{"val_loss": 10.8}]


def test_going_on_from_a_state_keeps_laps_bars_and_counts(log: Path) -> None:
    lines = [f"Epoch {e}, Step {s}, Loss: 0.5\n" for e in (1, 2) for s in (10, 20)] + [
        "{'loss': 1.0, 'epoch': 2.0}\n"
    ] * 3
    _, whole = read(log, "".join(lines))
    log.write_text("")
    rows: list[Row] = []
    state = None
    for line in lines:
        with log.open("a") as out:
            out.write(line)
        source = Stdout(str(log), state)
        rows += [row for block in source.read(1 << 20, NOW) for row in block.rows()]
        state = json.loads(json.dumps(source.state()))
        source.close()
    assert rows == whole


def test_counts_beyond_any_step_are_no_steps(log: Path) -> None:
    source, rows = read(
        log,
        "loss=0.1 step=1e30\n{'step': 1e300, 'loss': 0.2}\nEpoch " + "9" * 4000 + "/3\n"
        "100%|##| " + "9" * 400 + "/2 [00:00<00:00, loss=0.3]\nloss=0.4 epoch=1e29\nloss=0.5 step=7\n",
    )
    assert [(row.step, row.values["loss"]) for row in rows][-1] == (7, 0.5)
    assert len(rows) == 4 and len(json.dumps(source.state())) < 1000


@pytest.mark.parametrize("tail", ["a_" * 2000, "a b " * 1000, "loss " * 800, "a=" * 2000, "1," * 2000, "loss=1 " * 580])
def test_a_long_line_costs_no_more_than_it_is_long(tail: str) -> None:
    began = time.process_time()
    parse("step 1: " + tail)
    assert time.process_time() - began < 1.0


def test_a_last_line_longer_than_any_buffer_is_given_up(log: Path) -> None:
    _, rows = read(log, "step 1 loss 0.5\n" + "x" * (5 << 20))
    assert [row.step for row in rows] == [1]
