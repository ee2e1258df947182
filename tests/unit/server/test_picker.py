"""Which folder this server's ragent works on; a home folder is never silently taken."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.server.picker import ProjectChoice, projects_below
from tests.support.fake_wire import Fakes

API = ("ragent", "api", "v1")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose root is the home folder, and Jupyter's data folder beside it."""
    home = tmp_path / "home"
    (home / "work" / "vision").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return home


def test_a_home_folder_has_to_be_asked_about_and_the_answer_is_remembered(home: Path):
    choice = ProjectChoice(str(home))
    with pytest.raises(CannotBeDone, match=r"home folder.*Choose a folder"):
        choice.find()
    assert choice.choose("work/vision") == home / "work" / "vision"
    assert choice.find() == home / "work" / "vision"
    assert ProjectChoice(str(home)).find() == home / "work" / "vision"  # the next server
    (home / "work" / "vision").rmdir()
    with pytest.raises(CannotBeDone):
        ProjectChoice(str(home)).find()  # it was moved away since


def test_a_root_inside_a_project_is_that_project(home: Path):
    (home / "work" / ".ragent").mkdir()
    assert ProjectChoice(str(home / "work" / "vision")).find() == home / "work"
    # and a folder inside one that is chosen is the project around it: never one within another
    assert ProjectChoice(str(home)).choose("work/vision") == home / "work"


def test_a_folder_around_a_project_is_not_made_one(home: Path):
    (home / "work" / "vision" / ".ragent").mkdir()
    with pytest.raises(CannotBeDone, match="never nested"):
        ProjectChoice(str(home)).choose("work")


@pytest.mark.parametrize("path", ["../", "/../../etc", "work/out", "nowhere", "work/file.txt"])
def test_only_folders_below_the_root_can_be_chosen(home: Path, path: str):
    (home / "work" / "out").symlink_to("/etc")
    (home / "work" / "file.txt").write_text("")
    with pytest.raises(BadInput):
        ProjectChoice(str(home)).choose(path)


def test_the_home_folder_itself_is_not_a_choice(home: Path):
    with pytest.raises(CannotBeDone):
        ProjectChoice(str(home)).choose("")


def test_a_configured_project_goes_before_everything(home: Path):
    assert ProjectChoice(str(home), "work/vision").find() == home / "work" / "vision"


def test_projects_below_are_found_two_levels_down_and_links_are_not_followed(home: Path, tmp_path: Path):
    for folder in (home / "work" / "vision", home / "a" / "b" / "c", tmp_path / "outside"):
        (folder / ".ragent").mkdir(parents=True)
    (home / "link").symlink_to(tmp_path / "outside")
    assert projects_below(home) == [home / "work" / "vision"]


async def test_the_picker_over_http(jp_fetch: Any, jp_ws_fetch: Any, project: Path, fakes: Fakes):
    (project / "inner" / ".ragent").mkdir(parents=True)
    asked = json.loads((await jp_fetch(*API, "project")).body)
    assert asked["project"] == str(project) and asked["problem"] == ""
    tab = await jp_ws_fetch(*API, "events", "ws")
    await tab.write_message("x")
    for _ in range(2):
        assert await asyncio.wait_for(tab.read_message(), 10)
    reply = await jp_fetch(*API, "project", method="PUT", body='{"path": "inner"}')
    assert json.loads(reply.body)["project"] == str(project / "inner")
    assert await asyncio.wait_for(tab.read_message(), 10) is None and tab.close_code == 1012
    assert json.loads((await jp_fetch(*API, "status")).body)["project"] == str(project / "inner")
    for body in ("", "[]", '{"path": 3}', '{"path": "../"}'):
        with pytest.raises(HTTPClientError) as refused:
            await jp_fetch(*API, "project", method="PUT", body=body)
        assert refused.value.code == 400


async def test_without_a_project_every_answer_says_what_to_do(
    jp_fetch: Any, jp_root_dir: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(jp_root_dir))
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(*API, "status")
    assert refused.value.code == 422
    error = json.loads(refused.value.response.body)["error"]
    assert "home folder" in error["problem"] and "Choose a folder" in error["remedy"]
    asked = json.loads((await jp_fetch(*API, "project")).body)
    assert asked["project"] is None and asked["remedy"] == error["remedy"]
    assert fakes.started == 0 and not (jp_root_dir / ".ragent").exists()
