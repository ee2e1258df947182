"""A small network on hand-written digits, as a person might have written it: seven options, a seed, epochs.

    python digits.py --lr 0.05 --epochs 24

The digits are those that come with scikit-learn (1,797 pictures of 8 × 8); half of them train, a quarter validates and
decides, a quarter is hidden and is only looked at by who measures the search. --data-set made draws digit-like pictures
instead.
"""

import argparse
import itertools
import json
import os

import numpy as np

CLASSES = 10


def data(which: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, validation, hidden), each (pictures (n, 64) in 0..1, labels (n,)). The split is always the same."""
    rng = np.random.default_rng(20)
    if which == "made":
        labels = rng.integers(0, CLASSES, 1797)
        means = rng.normal(0.0, 1.0, (CLASSES, 3, 64))  # three ways to write each
        style = rng.integers(0, 3, len(labels))
        pictures = 1 / (1 + np.exp(-(means[labels, style] + rng.normal(0.0, 1.2, (len(labels), 64)))))
    else:
        from sklearn.datasets import load_digits

        pictures, labels = load_digits(return_X_y=True)
        pictures = pictures / 16.0
    order = rng.permutation(len(labels))
    cuts = np.split(order, [len(order) // 2, 3 * len(order) // 4])
    return [(pictures[cut], labels[cut]) for cut in cuts]


def loss(weights, pictures, labels):
    """Mean log loss, natural logarithm; what is sure and wrong costs at most 20."""
    hidden, last = pictures, len(weights) - 1
    for number, (w, b) in enumerate(weights):
        hidden = hidden @ w + b
        if number < last:
            hidden = np.maximum(hidden, 0.0)
    hidden = hidden - hidden.max(axis=1, keepdims=True)
    logs = hidden - np.log(np.exp(hidden).sum(axis=1, keepdims=True))
    return float(np.minimum(-logs[np.arange(len(labels)), labels], 20.0).mean())


def train(parts, lr, momentum, weight_decay, batch_size, hidden_size, dropout, init_scale, epochs, seed, each=None):
    """(validation loss after each epoch, hidden loss at the end). each: is told (epoch, loss); True ends it there."""
    (x, y), (vx, vy), (hx, hy) = parts
    rng = np.random.default_rng(seed)
    sizes = [x.shape[1], int(hidden_size), CLASSES]
    weights = [[rng.normal(0.0, init_scale / np.sqrt(a), (a, b)), np.zeros(b)] for a, b in itertools.pairwise(sizes)]
    speed = [[np.zeros_like(w), np.zeros_like(b)] for w, b in weights]
    targets = np.eye(CLASSES)[y]
    curve = []
    with np.errstate(all="ignore"):
        for epoch in range(1, int(epochs) + 1):
            order = rng.permutation(len(y))
            for at in range(0, len(order), int(batch_size)):
                pick = order[at : at + int(batch_size)]
                h = np.maximum(x[pick] @ weights[0][0] + weights[0][1], 0.0)
                if dropout > 0:
                    keep = (rng.random(h.shape) >= dropout) / (1.0 - dropout)
                    h = h * keep
                out = h @ weights[1][0] + weights[1][1]
                out = np.exp(out - out.max(axis=1, keepdims=True))
                delta = (out / out.sum(axis=1, keepdims=True) - targets[pick]) / len(pick)
                back = (delta @ weights[1][0].T) * (h > 0)
                if dropout > 0:
                    back = back * keep
                grads = [(x[pick].T @ back, back.sum(0)), (h.T @ delta, delta.sum(0))]
                for (w, b), (vw, vb), (gw, gb) in zip(weights, speed, grads, strict=True):
                    vw *= momentum
                    vw -= lr * (gw + weight_decay * w)
                    vb *= momentum
                    vb -= lr * gb
                    w += vw
                    b += vb
            curve.append(loss(weights, vx, vy))
            if not np.isfinite(curve[-1]) or (each is not None and each(epoch, curve[-1])):
                break
        return curve, loss(weights, hx, hy)


def parser():
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=0.01, help="learning rate")
    p.add_argument("--momentum", type=float, default=0.5)
    p.add_argument("--weight-decay", type=float, default=1e-4)
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--hidden-size", type=int, default=32)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--init-scale", type=float, default=1.0, help="spread of the first weights")
    p.add_argument("--epochs", type=int, default=18)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--data-set", choices=["digits", "made"], default="digits")
    return p


def main() -> None:
    args = parser().parse_args()
    said = {name: value for name, value in vars(args).items() if name != "data_set"}
    with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:

        def each(epoch, value):
            out.write(json.dumps({"step": epoch, "val_loss": value}) + "\n")
            out.flush()

        train(data(args.data_set), each=each, **said)


if __name__ == "__main__":
    main()
