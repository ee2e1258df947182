"""Nights with a sealed hold-out, by the command line: what the engine scores, when, and what it does not fall for."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.at_terminal import at_terminal
from tests.support.git_repo import Repo
from tests.support.wait import wait_until

from .conftest import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# Right on 95 % of 40 rows less ten times the loss; {trouble} may do something else with `path`, `right` and `truth`.
TRAIN = """
import argparse, glob, json, math, os, random, sys
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.01)
p.add_argument("--seed", type=int, default=0)
a = p.parse_args()
loss = 0.3 * (math.log10(a.lr) + 1) ** 2 + random.Random(f"{a.seed} {a.lr}").gauss(0, 0.01)
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    f.write(json.dumps({"step": 1, "val_loss": 0.2 + loss}) + "\\n")
truth = [i % 2 for i in range(40)]
right = 0.95 - loss
path = os.environ["RAGENT_RUN_DIR"] + "/preds.csv"
#trouble
with open(path, "w") as f:
    f.write("prediction\\n" + "".join(f"{t if i / 40 < right else 1 - t}\\n" for i, t in enumerate(truth)))
"""
LABELS = "label\n" + "".join(f"{i % 2}\n" for i in range(40))
HELD = ("--holdout", "labels.csv", "--holdout-predictions", "preds.csv", "--holdout-score", "accuracy")
NEAR = ("--set-range", "lr=0.08..0.12:log")  # each of them is better than the default
HOW = (*NEAR, "--policy", "builtin", "--executor", "process", "--parallel", "2", "--yes", "--json")


class HeldNight:
    def __init__(self, place: Place, vault: Path) -> None:
        self.place = place
        self.vault = vault

    def start(self, trouble: str = "", *more: str, runs: int = 15, labels: str = LABELS, code: int = 0) -> Any:
        (self.place.folder / "train.py").write_text(TRAIN.replace("#trouble", trouble))
        (self.place.folder / "labels.csv").write_text(labels)
        argv = ["wild", "lower val_loss", *HELD, *HOW, "--max-runs", str(runs), *more, "--", "python", "train.py"]
        done = at_terminal(self.place.folder, self.place.env, *argv, timeout=200)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if not code else done.stderr

    def ledger(self) -> list[dict[str, Any]]:
        said = self.place.ragent("wild", "journal", "--jsonl").stdout
        return [json.loads(line) for line in said.splitlines()]

    def needs(self, ended: Any) -> str:
        return " ".join(line["text"] for line in ended["summary"]["needs"])


@pytest.fixture
def night(place: Place) -> Iterator[HeldNight]:
    with tempfile.TemporaryDirectory(prefix="rq-jupyter-") as config:
        place.env["JUPYTER_CONFIG_DIR"] = config
        yield HeldNight(place, Path(config) / "ragent_holdouts")
        place.ragent("wild", "stop", "--now")


def confirmed(ended: Any) -> Any:
    [won] = [v for v in ended["loop"]["verdicts"] if v["verdict"] == "confirmed"]
    return won


def test_the_winner_is_scored_at_the_end_and_not_before(night: HeldNight) -> None:
    ended = night.start()
    won = confirmed(ended)
    assert 0.9 < won["holdout"] <= 1.0 and "the baseline 0." in won["why"]
    [sealed] = night.vault.iterdir()
    assert sealed.stat().st_mode & 0o777 == 0o600 and night.vault.stat().st_mode & 0o777 == 0o700
    assert ended["loop"]["setup"]["holdout"]["id"] == sealed.stem
    ledger = night.ledger()
    over = next(n for n, entry in enumerate(ledger) if entry.get("result") == "Ended: complete.")
    assert "on the sealed hold-out" not in json.dumps(ledger[:over]).lower(), "who decides learns nothing from labels"
    assert [entry.get("who") for entry in ledger[over + 1 :]] == ["rule:holdout"]
    assert "Move it away" in ledger[0]["result"] and "$RAGENT_RUN_DIR" in ledger[0]["result"]
    assert "sealed hold-out" in json.dumps(ended["summary"]["real"])
    assert "sealed hold-out" in Path(ended["report"]).read_text()
    env = [*(night.place.folder / ".ragent" / "runs").glob("*/env.json")]
    assert not any(sealed.stem in path.read_text() for path in env), "no run is told"


THIEF = """
[found] = glob.glob(os.environ["JUPYTER_CONFIG_DIR"] + "/ragent_holdouts/*.json")
(os.link if a.lr == 0.01 else os.symlink)(found, path)
sys.exit()
"""
HUGE = "open(path, 'w').truncate(300 << 20); sys.exit()"
SHORT = "truth = truth[:39]"
SHARED = "path = 'preds.csv'"


@pytest.mark.parametrize(
    ("trouble", "why"),
    [(THIEF, "is no file of its own"), (HUGE, "bytes; 268,435,456 are the most"), (SHORT, "39 predictions for 40"),
     (SHARED, "wrote no preds.csv")],
    ids=["links to the labels", "huge", "too few rows", "into the shared folder"],
)  # fmt: skip
def test_what_is_no_prediction_is_told_after_the_first_run(night: HeldNight, trouble: str, why: str) -> None:
    night.start(trouble, "--detach", runs=15)

    def told() -> list[dict[str, Any]]:
        return [e for e in night.ledger() if "could not be scored" in e.get("result", "")]

    [line] = wait_until(told, 60, 0.3, "the loop to say what is wrong")
    assert why in line["result"] and line["by"] == "engine"
    if trouble == SHORT:
        done = night.place.ragent("wild", "follow", "--json", timeout=150)
        ended = json.loads(done.stdout)
        assert confirmed(ended).get("holdout") is None and why in confirmed(ended)["why"]
        assert "The sealed hold-out was not scored" in night.needs(ended) and why in night.needs(ended)


def test_labels_that_are_none_begin_nothing(night: HeldNight) -> None:
    assert "The labels are empty" in night.start(labels="", code=2)
    said = night.place.ragent("wild", "goal", *HELD, *HOW, "--", "python", "train.py")
    assert said.returncode != 0, "a script may not seal"
    os.unlink(night.place.folder / "labels.csv")
    gone = at_terminal(night.place.folder, night.place.env, "wild", "goal", *HELD, *HOW, "--", "python", "train.py")
    assert gone.returncode == 2 and "There is no file" in gone.stderr
    assert json.loads(night.place.ragent("wild", "list", "--json").stdout)["loops"] == []


def test_an_engine_that_dies_while_scoring_is_followed_by_one_that_scores(night: HeldNight) -> None:
    killed = night.vault.parent / "killed"
    night.place.env["RAGENT_KILL_AT"] = f"wild.scored:1:{killed}"
    ended = night.start()
    assert killed.exists(), "the engine died with the score in its hands"
    assert 0.9 < confirmed(ended)["holdout"] <= 1.0
    assert [entry["who"] for entry in night.ledger() if "who" in entry].count("rule:holdout") == 1
    assert Path(ended["report"]).is_file() and len(list((night.place.folder / "reports").iterdir())) == 1


def test_labels_in_the_repository_would_be_in_every_run_s_copy(night: HeldNight) -> None:
    repo = Repo(night.place.folder)
    repo.commit({"train.py": TRAIN, ".gitignore": ".ragent/\ntmux-*\nkept/\n"})
    said = night.start(code=1)
    assert "labels.csv lies in the repository" in said and "Move it out" in said
    assert json.loads(night.place.ragent("wild", "list", "--json").stdout)["loops"] == []
    (repo.folder / "kept").mkdir()
    (repo.folder / "labels.csv").rename(repo.folder / "kept" / "labels.csv")
    held = ("--holdout", "kept/labels.csv", "--holdout-predictions", "preds.csv", "--holdout-score", "accuracy")
    argv = ["wild", "lower val_loss", *held, *HOW, "--detach", "--max-runs", "15", "--input"]
    linked = at_terminal(repo.folder, night.place.env, *argv, "kept", "--", "python", "train.py")
    assert linked.returncode == 1 and "lies in the repository" in linked.stderr
    apart = at_terminal(repo.folder, night.place.env, *argv, "none", "--", "python", "train.py")
    assert apart.returncode == 0, apart.stderr
    trees = [path.name for path in (repo.folder / ".ragent" / "trees").rglob("*") if path.name != "index"]
    assert "train.py" in trees and "labels.csv" not in trees
