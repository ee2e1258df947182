"""Sealed hold-outs: what is kept where, what a score is, and what a run may not pass off as its predictions."""

from __future__ import annotations

import asyncio
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ragent_jupyter.adapters.sealed import SealedLabels
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError
from ragent_jupyter.domain.wild import Holdout, Loop, Setup, Verdict
from ragent_jupyter.rules.holdout_score import labels_of, scored, table
from ragent_jupyter.services.holdout import HoldoutDesk

SECRET = ["7", "3", "7", "1"]


@pytest.fixture
def desk(tmp_path: Path) -> HoldoutDesk:
    def folders(run_id: str) -> Sequence[Path]:
        return [tmp_path / "runs" / run_id / "work", tmp_path / "runs" / run_id]

    return HoldoutDesk(SealedLabels(tmp_path / "config" / "ragent_holdouts"), folders)


def labels(tmp_path: Path, text: str = "label\n7\n3\n7\n1\n") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def predict(tmp_path: Path, run: str, text: str) -> Path:
    path = tmp_path / "runs" / run / "work" / "preds.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- sealing ----------------------------------------------------------------------------------------------------------
def test_labels_are_sealed_outside_the_project_for_this_user_alone(desk: HoldoutDesk, tmp_path: Path) -> None:
    path = labels(tmp_path)
    held = desk.seal(path, "preds.csv", "accuracy")
    assert (held.mode, held.predictions, held.level, held.id) == (
        "max",
        "preds.csv",
        "sealed",
        f"hold_{held.sha256[:16]}",
    )
    (kept,) = (tmp_path / "config" / "ragent_holdouts").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert path.exists()  # nothing of the user's is deleted
    assert desk.seal(path, "preds.csv", "accuracy") == held
    assert "inside the project. Move it away" in desk.advice(path, tmp_path)
    assert "inside the project" not in desk.advice(path, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "text",
    ["label\n7\n3\n7\n1\n", "7\n3\n7\n1", "id,label\n0,7\n1,3\n2,7\n3,1\n", "\ufeffy,id\n7,a\n3,b\n7,c\n1,d\n\n"],
)
def test_labels_are_read_from_what_people_have(desk: HoldoutDesk, tmp_path: Path, text: str) -> None:
    assert labels_of(text.lstrip("\ufeff")) == SECRET
    held = desk.seal(labels(tmp_path, text), "preds.csv", "accuracy")
    assert desk.score(held, predict(tmp_path, "run_1", "7\n3\n7\n2\n")) == 0.75


def test_arrays_of_numbers_are_read_and_pickles_are_not(desk: HoldoutDesk, tmp_path: Path) -> None:
    path = tmp_path / "labels.npy"
    np.save(path, np.array([7, 3, 7, 1]))
    held = desk.seal(path, "preds.npy", "accuracy")
    said = tmp_path / "preds.npy"
    np.save(said, np.array([7.0, 3.0, 7.0, 2.0]))
    assert desk.score(held, said) == 0.75
    np.save(path, np.array([object()]), allow_pickle=True)
    with pytest.raises(BadInput, match="no array"):
        desk.seal(path, "preds.npy", "accuracy")
    np.save(path, np.zeros((2, 2, 2)))
    with pytest.raises(BadInput, match="no table of numbers"):
        desk.seal(path, "preds.npy", "accuracy")


@pytest.mark.parametrize(
    ("text", "score", "name", "says"),
    [
        ("", "accuracy", "p.csv", "empty"),
        ("label\n", "accuracy", "p.csv", "no rows"),
        ("a,b\n1,2\n", "accuracy", "p.csv", "2 columns"),
        ("label,x\n1,2\n3\n", "accuracy", "p.csv", "Row 2 of the labels has 1 cells"),
        ("label\ncat\n", "mse", "p.csv", "no number"),
        ("label\nnan\n", "mae", "p.csv", "not finite"),
        ("1\n", "f1", "p.csv", "no score"),
        ("1\n", "accuracy", "../p.csv", "no file of a run"),
        ("1\n", "accuracy", "/etc/p.csv", "no file of a run"),
        ("1\n", "accuracy", "", "no file of a run"),
    ],
)
def test_what_cannot_be_sealed_says_why(
    desk: HoldoutDesk, tmp_path: Path, text: str, score: str, name: str, says: str
) -> None:
    with pytest.raises(RagentError) as error:
        desk.seal(labels(tmp_path, text), name, score)
    assert says in error.value.problem and error.value.remedy


def test_a_file_that_is_not_there_or_no_text(desk: HoldoutDesk, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        desk.seal(tmp_path / "nothing.csv", "p.csv", "accuracy")
    odd = tmp_path / "odd.csv"
    odd.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not text"):
        desk.seal(odd, "p.csv", "accuracy")
    with pytest.raises(CannotBeDone):
        desk.seal(tmp_path, "p.csv", "accuracy")
    with pytest.raises(BadInput, match="higher"):
        desk.seal(labels(tmp_path), "p.csv", "accuracy", "min")


def test_the_vault_trusts_only_its_own_files(tmp_path: Path) -> None:
    vault = SealedLabels(tmp_path / "v")
    id = "hold_" + "0" * 16
    with pytest.raises(NotFound):
        vault.read(id)
    for odd in ("../x", "hold_1", "", id + "/.."):
        with pytest.raises(NotFound):
            vault.read(odd)
    vault.keep(id, b"[]")
    path = tmp_path / "v" / f"{id}.json"
    path.chmod(0o644)
    with pytest.raises(CannotBeDone, match="no longer sealed"):
        vault.read(id)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(CannotBeDone):
        vault.read(id)


# --- scores -----------------------------------------------------------------------------------------------------------
def test_scores_by_hand() -> None:
    def of(score: str, truth: list[str], text: str) -> float:
        return scored(score, truth, table(text, "predictions"))

    assert of("accuracy", ["cat", "dog"], "prediction\ncat\ncat") == 0.5
    assert of("accuracy", ["1", "2"], "1.0\n2") == 1.0
    assert of("mse", ["1", "2"], "2\n4") == 2.5
    assert of("mae", ["1", "2"], "2\n4") == 1.5
    assert of("log_loss", ["1", "0"], "0.8\n0.1") == pytest.approx(-(math.log(0.8) + math.log(0.9)) / 2)
    assert of("log_loss", ["1", "2"], "0.1,0.6,0.3\n0.2,0.3,0.5") == pytest.approx(-(math.log(0.6) + math.log(0.5)) / 2)
    named = "dog,cat\n0.2,0.8\n0.7,0.3"
    assert of("log_loss", ["cat", "dog"], named) == pytest.approx(-(math.log(0.8) + math.log(0.7)) / 2)
    assert of("log_loss", ["1"], "0.0") == pytest.approx(-math.log(1e-15))  # sure and wrong is bounded


@pytest.mark.parametrize(
    ("score", "text", "says"),
    [
        ("accuracy", "7\n3\n7\n", "3 predictions for 4"),
        ("accuracy", "a,b\n1,2\n1,2\n1,2\n1,2", "2 columns"),
        ("mse", "7\nnan\n7\n1", "Row 2 of the predictions is not finite"),
        ("mse", "7\ncat\n7\n1", "no number"),
        ("mse", "1e300\n1e300\n1e300\n1e300", "no number"),
        ("log_loss", "2.0,0.2,0.1\n" * 4, "no distribution"),
        ("log_loss", "0.9,0.9,0.9\n" * 4, "no distribution"),
        ("log_loss", "0.5,0.5\n" * 4, "2 columns of probabilities for 3 classes"),
        ("accuracy", "", "empty"),
    ],
)
def test_what_cannot_be_scored_says_why_and_never_a_label(
    desk: HoldoutDesk, tmp_path: Path, score: str, text: str, says: str
) -> None:
    words = "label\n77001\n77003\n77001\n77009\n"
    held = desk.seal(labels(tmp_path, words), "preds.csv", score)
    with pytest.raises(RagentError) as error:
        desk.score(held, predict(tmp_path, "run_1", text))
    assert says in str(error.value) and "7700" not in str(error.value)


def test_a_run_cannot_hand_in_a_file_that_is_not_its_own(desk: HoldoutDesk, tmp_path: Path) -> None:
    path = labels(tmp_path)
    held = desk.seal(path, "preds.csv", "accuracy")
    work = tmp_path / "runs" / "run_1" / "work"
    work.mkdir(parents=True)
    (work / "preds.csv").symlink_to(path)
    with pytest.raises(CannotBeDone, match="leads out of its folder"):
        desk.of_run(held, "run_1")
    (work / "preds.csv").unlink()
    os.link(path, work / "preds.csv")
    with pytest.raises(CannotBeDone, match="no file of its own"):
        desk.of_run(held, "run_1")
    (work / "preds.csv").unlink()
    os.mkfifo(work / "preds.csv")
    with pytest.raises(CannotBeDone, match="no file of its own"):
        desk.of_run(held, "run_1")
    (work / "preds.csv").unlink()
    with pytest.raises(NotFound, match="run_1 wrote no preds"):
        desk.of_run(held, "run_1")


def test_labels_that_were_changed_score_nothing(desk: HoldoutDesk, tmp_path: Path) -> None:
    held = desk.seal(labels(tmp_path), "preds.csv", "accuracy")
    desk.vault.keep(held.id, b'["1"]')
    with pytest.raises(CannotBeDone, match="not what was sealed"):
        desk.score(held, predict(tmp_path, "run_1", "1"))


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_accuracy_is_the_share_of_equal_labels(truth: list[int], said: list[int]) -> None:
    n = min(len(truth), len(said))
    text = "prediction\n" + "\n".join(map(str, said[:n]))
    share = sum(a == b for a, b in zip(truth[:n], said[:n], strict=True)) / n
    assert scored("accuracy", [str(t) for t in truth[:n]], table(text, "p")) == share


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["accuracy", "log_loss", "mse", "mae"]))
def test_any_text_is_scored_or_refused(text: str, score: str) -> None:
    try:
        found = scored(score, ["1", "0"], table(text, "predictions"))
    except RagentError:
        return
    assert math.isfinite(found)


# --- the winner -------------------------------------------------------------------------------------------------------
def verdict(word: Any, mean: float, runs: list[str]) -> Verdict:
    return Verdict(params={}, verdict=word, why="Better: so.", mean=mean, runs=runs, baseline_runs=["run_b"])


def loop_with(held: Holdout | None) -> Loop:
    return Loop(id="w", goal="g", created_at=0.0, setup=Setup(command="x", cwd="/", holdout=held))


def test_the_best_confirmed_one_is_scored_and_no_other(desk: HoldoutDesk, tmp_path: Path) -> None:
    held = desk.seal(labels(tmp_path), "preds.csv", "accuracy")
    predict(tmp_path, "run_1", "7\n3\n7\n1")
    predict(tmp_path, "run_2", "7\n3\n7\n2")
    predict(tmp_path, "run_b", "0\n0\n7\n1")
    said = [
        verdict("confirmed", 0.5, ["run_9"]),
        verdict("confirmed", 0.4, ["run_1", "run_2", "run_3"]),
        verdict("worse", 0.1, ["run_1"]),
    ]
    found = asyncio.run(desk.scored(loop_with(held), said))
    assert found[0] == said[0] and found[2] == said[2]
    assert found[1].holdout == 0.875
    assert found[1].why == "Better: so. On the sealed hold-out: accuracy 0.875 over 2 runs, the baseline 0.5."
    assert asyncio.run(desk.scored(loop_with(held), found))[1] == found[1]  # once
    assert asyncio.run(desk.scored(loop_with(None), said)) == said


def test_a_winner_without_predictions_says_so(desk: HoldoutDesk, tmp_path: Path) -> None:
    held = desk.seal(labels(tmp_path), "preds.csv", "accuracy")
    (found,) = asyncio.run(desk.scored(loop_with(held), [verdict("confirmed", 0.5, ["run_9"])]))
    assert found.holdout is None and "was not scored: run_9 wrote no preds.csv." in found.why
    gone = replace(held, id="hold_" + "0" * 16)
    (found,) = asyncio.run(desk.scored(loop_with(gone), [verdict("confirmed", 0.5, ["run_9"])]))
    assert found.verdict == "confirmed" and "was not scored" in found.why


def test_only_the_best_of_all_is_scored_and_another_look_is_called_one(desk: HoldoutDesk, tmp_path: Path) -> None:
    held = desk.seal(labels(tmp_path), "preds.csv", "accuracy")
    for run in ("run_1", "run_2"):
        predict(tmp_path, run, "7\n3\n7\n1")
    first = replace(verdict("confirmed", 0.4, ["run_1"]), holdout=1.0)
    worse = verdict("confirmed", 0.5, ["run_2"])
    assert asyncio.run(desk.scored(loop_with(held), [first, worse])) == [first, worse]
    _, again = asyncio.run(desk.scored(loop_with(held), [first, verdict("confirmed", 0.3, ["run_2"])]))
    assert again.holdout == 1.0 and again.why.endswith("These labels were looked at 2 times by now.")
    untold = replace(worse, why="Better. The sealed hold-out was not scored: run_9 wrote no preds.csv.")
    assert asyncio.run(desk.scored(loop_with(held), [untold])) == [untold], "said once"


def test_a_file_of_the_commit_is_nobody_s_prediction(desk: HoldoutDesk, tmp_path: Path) -> None:
    held = desk.seal(labels(tmp_path), "preds.csv", "accuracy")
    predict(tmp_path, "run_1", "7\n3\n7\n1")
    [place, *_] = desk.folders("run_1")
    (place / "tree.json").write_text("{}")
    os.utime(place / "tree.json", (2e9, 2e9))  # written after the copies of the commit, before the program began
    with pytest.raises(NotFound):
        desk.of_run(held, "run_1")
    os.utime(place / "preds.csv", (2e9 + 1, 2e9 + 1))
    assert desk.of_run(held, "run_1") == 1.0


def test_what_is_wrong_with_predictions_is_told_without_a_score(desk: HoldoutDesk, tmp_path: Path) -> None:
    held = desk.seal(labels(tmp_path), "preds.csv", "accuracy")
    predict(tmp_path, "run_1", "7\n3\n7\n1")
    assert desk.trouble(held, "run_1") == ""
    predict(tmp_path, "run_2", "7\n3")
    assert "2 predictions for 4 hold-out rows" in desk.trouble(held, "run_2")
    assert "wrote no preds.csv" in desk.trouble(held, "run_9")
