"""Train a small network to guess the next letter of the Python reference, which ships with Python itself.

    python train.py --lr 0.1 --hidden 64

Two hidden layers of rectified units in plain numpy, stochastic gradient descent with momentum, no clipping: a
learning rate that is too high really diverges. Metrics go to $RAGENT_METRICS_FILE (else ./metrics.jsonl), one JSON
object a line; that is all ragent needs to chart and watch a run.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np

LETTERS = " abcdefghijklmnopqrstuvwxyz.,;:()'\"=_-\n"


def text() -> np.ndarray:
    """The reference as numbers of letters, shape (n,); letters that are not in LETTERS become blanks."""
    from pydoc_data.topics import topics

    words = "\n".join(topics[name] for name in sorted(topics)).lower()
    table = np.zeros(256, dtype=np.int64)
    for number, letter in enumerate(LETTERS):
        table[ord(letter)] = number
    return table[np.frombuffer(words.encode("latin-1", "replace"), dtype=np.uint8)]


def samples(letters: np.ndarray, context: int, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n windows of `context` letters, shape (n, context), and the letter after each, shape (n,)."""
    at = rng.integers(0, len(letters) - context, n)
    return letters[at[:, None] + np.arange(context)], letters[at + context]


class Network:
    def __init__(self, context: int, hidden: int, rng: np.random.Generator) -> None:
        sizes = [context * len(LETTERS), hidden, hidden, len(LETTERS)]
        self.weights = [
            (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
            for shape, inputs in ((sizes[0:2], context), (sizes[1:3], hidden), (sizes[2:4], hidden))
        ]
        self.biases = [np.zeros(size, dtype=np.float32) for size in sizes[1:]]
        self.speed = [np.zeros_like(p) for p in (*self.weights, *self.biases)]
        self.shift = np.arange(context) * len(LETTERS)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # The first layer reads letters as one-hot vectors: the sum of one row of weights for each place.
        one = rectify(self.weights[0][x + self.shift].sum(axis=1) + self.biases[0])
        two = rectify(one @ self.weights[1] + self.biases[1])
        return one, two, two @ self.weights[2] + self.biases[2]

    def loss(self, x: np.ndarray, y: np.ndarray) -> float:
        """Mean cross entropy in nats per letter."""
        return float(-log_softmax(self.forward(x)[2])[np.arange(len(y)), y].mean())

    def step(self, x: np.ndarray, y: np.ndarray, lr: float, momentum: float = 0.9) -> float:
        """One step of gradient descent; the loss before it."""
        one, two, logits = self.forward(x)
        logp = log_softmax(logits)
        rows = np.arange(len(y))
        d_logits = np.exp(logp)
        d_logits[rows, y] -= 1
        d_logits /= len(y)
        d_two = (d_logits @ self.weights[2].T) * slope(two)
        d_one = (d_two @ self.weights[1].T) * slope(one)
        d_first = np.zeros_like(self.weights[0])
        np.add.at(d_first, x + self.shift, d_one[:, None, :])
        gradients = [d_first, one.T @ d_two, two.T @ d_logits, d_one.sum(0), d_two.sum(0), d_logits.sum(0)]
        for p, v, g in zip((*self.weights, *self.biases), self.speed, gradients, strict=True):
            v *= momentum
            v -= lr * g
            p += v
        return float(-logp[rows, y].mean())


def rectify(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, np.float32(0.1) * x)


def slope(y: np.ndarray) -> np.ndarray:
    """The slope of `rectify` where its value is y."""
    return np.where(y > 0, np.float32(1), np.float32(0.1))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def schedule(step: int, steps: int, warmup: int) -> float:
    """The share of the learning rate at a step: up in a straight line, then down along half a cosine."""
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + float(np.cos(np.pi * (step - warmup) / max(1, steps - warmup))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr", type=float, default=0.03, help="learning rate")
    parser.add_argument("--hidden", type=int, default=64, help="units of each hidden layer")
    parser.add_argument("--context", type=int, default=8, help="how many letters it sees")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--warmup", type=int, default=60, help="steps until the learning rate is all there")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    np.seterr(all="ignore")  # what overflows shows as inf and nan in the metrics, where it belongs
    letters = text()
    cut = int(len(letters) * 0.9)
    rng = np.random.default_rng(args.seed)
    network = Network(args.context, args.hidden, rng)
    judge = samples(letters[cut:], args.context, np.random.default_rng(1234), 4000)  # the same for every run
    print(f"{len(letters):,} letters, {sum(p.size for p in network.speed):,} parameters, {args}", flush=True)

    began = time.monotonic()
    file = os.environ.get("RAGENT_METRICS_FILE", "metrics.jsonl")
    with open(file, "a", buffering=1) as metrics:
        for step in range(1, args.steps + 1):
            lr = args.lr * schedule(step, args.steps, args.warmup)
            loss = network.step(*samples(letters[:cut], args.context, rng, args.batch), lr)
            row: dict[str, float] = {}
            if step % 10 == 0:
                row = {"loss": loss, "lr": lr}
            if step % 100 == 0:
                row["val_loss"] = network.loss(*judge)
                print(f"step {step}/{args.steps} loss {loss:.4f} val_loss {row['val_loss']:.4f}", flush=True)
            if row:
                metrics.write(json.dumps({"step": step, "time": time.time(), **row}) + "\n")
    print(f"done in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped") from None
