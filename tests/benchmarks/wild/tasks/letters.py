"""A small network that guesses the next letter of Python's own help texts, in plain numpy.

    python letters.py --lr 0.3 --steps 200

The letters before are looked up in a table, put side by side and passed through one hidden layer. Of the texts nine
tenths train; of the rest one half validates and one is hidden.
"""

import argparse
import json
import os
from pydoc_data import topics

import numpy as np


def data():
    """(train, validation, hidden) as arrays of letter numbers, and how many letters there are."""
    text = "\n".join(topics.topics[name] for name in sorted(topics.topics))
    letters = {letter: n for n, letter in enumerate(sorted(set(text)))}
    numbers = np.array([letters[letter] for letter in text])
    a, b = int(0.9 * len(numbers)), int(0.95 * len(numbers))
    return [numbers[:a], numbers[a:b], numbers[b:]], len(letters)


def forward(weights, windows):
    table, w1, b1, w2, b2 = weights
    x = table[windows].reshape(len(windows), -1)
    h = np.tanh(x @ w1 + b1)
    out = h @ w2 + b2
    out = out - out.max(axis=1, keepdims=True)
    return x, h, out - np.log(np.exp(out).sum(axis=1, keepdims=True))


def bits(weights, numbers, context):
    """Bits a letter, on every eleventh place; at most 20 for what was held to be impossible."""
    places = np.arange(context, len(numbers), 11)
    windows = numbers[places[:, None] + np.arange(-context, 0)]
    logs = forward(weights, windows)[2]
    return float(np.minimum(-logs[np.arange(len(places)), numbers[places]] / np.log(2), 20.0).mean())


def train(parts, kinds, lr, momentum, weight_decay, batch_size, hidden_size, embed_dim, warmup_steps, steps, seed,
          context=4, every=20, each=None):  # fmt: skip
    """(validation bits at each look, hidden bits at the end). each: is told (look, bits); True ends it there."""
    numbers, valid, hidden = parts
    rng = np.random.default_rng(seed)
    width, embed = int(hidden_size), int(embed_dim)
    weights = [
        rng.normal(0, 0.5, (kinds, embed)), rng.normal(0, 1 / np.sqrt(context * embed), (context * embed, width)),
        np.zeros(width), rng.normal(0, 0.1 / np.sqrt(width), (width, kinds)), np.zeros(kinds),
    ]  # fmt: skip
    speed = [np.zeros_like(w) for w in weights]
    curve = []
    with np.errstate(all="ignore"):
        for step in range(1, int(steps) + 1):
            places = rng.integers(context, len(numbers), int(batch_size))
            windows = numbers[places[:, None] + np.arange(-context, 0)]
            x, h, logs = forward(weights, windows)
            delta = np.exp(logs)
            delta[np.arange(len(places)), numbers[places]] -= 1.0
            delta /= len(places)
            back = (delta @ weights[3].T) * (1 - h * h)
            table = np.zeros_like(weights[0])
            np.add.at(table, windows.ravel(), (back @ weights[1].T).reshape(-1, embed))
            grads = [table, x.T @ back, back.sum(0), h.T @ delta, delta.sum(0)]
            rate = lr * min(1.0, step / max(1, int(warmup_steps)))
            for w, v, g in zip(weights, speed, grads, strict=True):
                v *= momentum
                v -= rate * (g + weight_decay * w)
                w += v
            if step % every == 0 or step == int(steps):
                curve.append(bits(weights, valid, context))
                if not np.isfinite(curve[-1]) or (each is not None and each(len(curve), curve[-1])):
                    break
        return curve, bits(weights, hidden, context)


def parser():
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=0.1)
    p.add_argument("--momentum", type=float, default=0.5)
    p.add_argument("--weight-decay", type=float, default=1e-5)
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--hidden-size", type=int, default=64)
    p.add_argument("--embed-dim", type=int, default=8, help="size of the embedding of a letter")
    p.add_argument("--warmup-steps", type=int, default=10)
    p.add_argument("--steps", type=int, default=240)
    p.add_argument("--seed", type=int, default=0)
    return p


def main():
    args = vars(parser().parse_args())
    parts, kinds = data()
    with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:

        def each(look, value):
            out.write(json.dumps({"step": 20 * look, "val_bits": value}) + "\n")
            out.flush()

        train(parts, kinds, each=each, **args)


if __name__ == "__main__":
    main()
