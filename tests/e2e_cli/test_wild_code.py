"""A night in which a model changes code, by the command line alone; and a person who takes what it made, or cannot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.at_terminal import at_terminal
from tests.support.fake_frames import Reply
from tests.support.fake_provider import FakeProvider
from tests.support.git_repo import Repo
from tests.support.wild_model import Asked, WildModel, calls, complete, sweep
from tests.support.wild_night import KEY

from .conftest import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TRAIN = """
import argparse, json, os, random, time
import model
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.01)
p.add_argument("--seed", type=int, default=0)
a = p.parse_args()
noise = random.Random(a.seed)
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    for step in range(1, 4):
        loss = 1.0 / model.WIDTH + 0.1 / step + noise.gauss(0, 0.01)
        f.write(json.dumps({"step": step, "val_loss": loss}) + "\\n")
    while os.path.exists(os.environ.get("HOLD", "")):
        time.sleep(0.05)
"""
MODEL = "WIDTH = 1\n"
IGNORED = ".ragent/\n__pycache__/\ntmux-*\n*.sock\nreports/\n"
GOAL = "lower val_loss"


def edit(path: str, old: str, new: str) -> Reply:
    edits = [{"path": path, "old": old, "new": new}]
    return calls(("edit_code", {"summary": f"change {path}", "hypothesis": "wider is better", "edits": edits}))


class CodeNight:
    """moves: of the first exploration, one a step.  last: of the second; then the model is done.  heard: what it was
    told after each move."""

    def __init__(self, place: Place, provider: FakeProvider) -> None:
        self.place = place
        self.repo = Repo(place.folder)
        self.repo.commit({"train.py": TRAIN, "model.py": MODEL, "other.py": "B = 1\n", ".gitignore": IGNORED})
        self.model = WildModel(provider)
        self.moves: list[Reply] = []
        self.last = complete()
        self.heard: list[str] = []
        self.model.on["explore"] = self._explore

    def _explore(self, asked: Asked) -> Reply:
        if asked.n > 1:
            return self.last if asked.n == 2 and not asked.step else complete()
        if asked.step:
            self.heard.append(asked.seen.last_result)
        return self.moves[asked.step] if asked.step < len(self.moves) else Reply(text="That is all.")

    def ragent(self, *argv: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return at_terminal(self.place.folder, self.place.env, *argv, timeout=timeout)

    def start(self, *more: str) -> subprocess.CompletedProcess[str]:
        may = ("--may-edit", "model.py", "--may-edit", "new.py")
        how = ("--policy", "llm", "--executor", "process", "--max-runs", "24", "--parallel", "2", "--yes", "--json")
        done = self.ragent("wild", GOAL, *may, *how, *more, "--", "python", "train.py", timeout=200)
        assert done.returncode == 0, done.stderr
        return done

    def merge(self, *more: str, code: int = 0) -> str:
        done = self.ragent("wild", "merge", *more)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def loop(self) -> dict[str, Any]:
        return dict(json.loads(self.place.ragent("wild", "status", "--json").stdout)["loop"])

    def text(self, name: str) -> str:
        return (self.place.folder / name).read_text()


@pytest.fixture
def night(place: Place) -> Iterator[CodeNight]:
    with FakeProvider(key=KEY) as provider:
        for name in ("OPENAI_API_KEY", "DEEPINFRA_TOKEN", "MODEL_PROVIDER", "MODEL_ID", "RESEARCH_AGENT_KEY"):
            place.env.pop(name, None)
        place.env |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
        yield CodeNight(place, provider)
        place.ragent("wild", "stop", "--now")


def test_a_confirmed_change_is_shown_and_merged_once(night: CodeNight) -> None:
    """The change that helps comes first, one that harms after it: the first is what a merge means."""
    night.moves = [edit("model.py", "WIDTH = 1", "WIDTH = 2"), sweep([{}], name="wide")]
    night.last = edit("model.py", "WIDTH = 2", "WIDTH = 0.5")
    mine = night.repo.state()
    ended = json.loads(night.start().stdout)
    assert ended["end"] == "complete", ended["reason"]
    _, wide, narrow = ended["loop"]["commits"]
    [verdict] = [v for v in ended["loop"]["verdicts"] if v["verdict"] == "confirmed"]
    assert (verdict["commit"], len(verdict["seeds"])) == (wide, 5)
    now = night.repo.state()
    changed = {name for name in {*mine, *now} if mine.get(name) != now.get(name)}
    assert all(name.startswith("reports/") for name in changed), "the night touched nothing of the person's"

    assert "+WIDTH = 2" in night.merge("--diff") and "+WIDTH = 0.5" in night.merge("--diff", "--commit", narrow)
    refused = night.place.ragent("wild", "merge")
    assert refused.returncode == 1 and "person" in refused.stderr, "a script is nobody"
    said = night.merge()
    assert "1 commit of" in said and said.rstrip().endswith("Confirmed.") and night.text("model.py") == "WIDTH = 2\n"
    assert night.repo.git("rev-parse", "HEAD") == wide
    assert "is on main already" in night.merge() and night.repo.git("rev-parse", "HEAD") == wide
    wishes = [
        e.get("action") for e in map(json.loads, night.place.ragent("wild", "journal", "--jsonl").stdout.splitlines())
    ]
    assert [a["wish"] for a in wishes if a and a.get("do") == "wish"] == ["start", "merge", "merge"]


def test_a_merge_that_cannot_be_and_one_before_the_end(night: CodeNight, tmp_path: Path) -> None:
    night.moves = [
        edit("../evil.py", "", "x"), edit("train.py", "import json", "import sys"), edit("model.py", "WIDTH = 7", "x"),
        edit("model.py", "WIDTH = 1", "WIDTH = ("), edit(".ragent/config.toml", "", "x=1"),
        edit("model.py", "WIDTH = 1", "WIDTH = 2"), edit("new.py", "", "C = 1\n"), sweep([{}], name="wide"),
    ]  # fmt: skip
    hold = tmp_path / "hold"
    night.place.env["HOLD"] = str(hold)
    hold.touch()  # the baseline does not end, and so nothing is edited yet
    try:
        night.start("--detach")
        assert "nothing to merge" in night.merge("--diff") and "nothing to merge" in night.merge(code=1)
        assert not night.model.asked
    finally:
        hold.unlink()
    night.model.wait("completion")
    assert night.place.ragent("wild", "pause").returncode == 0
    refused = [said for said in night.heard if said.startswith("Refused")]
    assert len(refused) == 5 and all("Accepted" in said for said in night.heard[5:7]), night.heard
    failed = sorted((night.place.folder / ".ragent" / "loops").glob("*/failed/*.diff"))
    assert len(failed) == 2 and "WIDTH = (" in failed[1].read_text()
    loop = night.loop()
    assert loop["stage"] != "ended" and len(loop["commits"]) == 3

    # A file of one's own in the way, then a conflict: nothing moves.
    (night.place.folder / "model.py").write_text("WIDTH = 1  # mine\n")
    before = night.repo.state()
    assert "model.py has changes that are not committed" in night.merge(code=1)
    assert night.repo.state() == before
    night.repo.commit(message="mine")
    before = night.repo.state()
    assert "conflict with your branch in model.py" in night.merge(code=1)
    assert night.repo.state() == before
    night.repo.git("reset", "-q", "--hard", "HEAD~1")

    # Elsewhere the person went on, and cleaned the loop's branch away: their work and its commits both stay.
    night.repo.commit({"other.py": "B = 2\n"}, "mine too")
    (night.place.folder / "train.py").write_text(TRAIN + "# not committed\n")
    night.repo.git("branch", "-D", loop["branch"])
    said = night.merge()
    assert "2 commits of" in said and "Not confirmed" in said and "The loop still goes on." in said
    assert night.text("model.py") == "WIDTH = 2\n" and night.text("new.py") == "C = 1\n"
    assert night.text("other.py") == "B = 2\n" and night.repo.git("status", "--short").split() == ["M", "train.py"]
    assert "on main already" in night.merge()
    assert "no commit of this loop" in night.merge("--commit", "0000000", code=1)
    assert night.place.ragent("wild", "stop", "--now").returncode == 0
    assert "on main already" in night.merge("--commit", loop["commits"][-1]), "and after its end"


def test_code_is_not_changed_where_the_person_works(night: CodeNight) -> None:
    refused = night.ragent("wild", GOAL, "--may-edit", "*.py", "--in-place", "--yes", "--", "python", "train.py")
    assert refused.returncode != 0 and "not in place" in refused.stderr
    by_script = night.place.ragent("wild", GOAL, "--may-edit", "*.py", "--yes", "--", "python", "train.py")
    assert by_script.returncode == 1 and "person" in by_script.stderr
    assert json.loads(night.place.ragent("wild", "list", "--json").stdout)["loops"] == []
