"""Live runs keep the Hub's culler away, within a limit; an idle engine is left to fall asleep."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.errors import Unreachable
from ragent_jupyter.server.activity import KEY, KeepAlive, others_last_activity, runs_seem_live


class Link:
    def __init__(self) -> None:
        self.used = False
        self.status: dict[str, int] | None = {"live": 0, "queued": 0}
        self.asked: list[bool] = []
        self.woken = 0

    async def get(self, path: str, *, wake: bool = False) -> bytes:
        self.asked.append(wake)
        self.used = True  # as a real connection would
        if self.status is None:
            raise Unreachable("nobody")
        return json.dumps(self.status).encode()


def now() -> datetime:
    return datetime.now(timezone.utc)


def keeper(link: Link, seen_ago: timedelta = timedelta(0), **how: Any) -> tuple[KeepAlive, dict[str, Any]]:
    settings: dict[str, Any] = {}
    return KeepAlive(link, settings, lambda: now() - seen_ago, logging.getLogger("t"), **how), settings  # type: ignore[arg-type]


async def test_live_runs_are_activity():
    link = Link()
    link.status, link.used = {"live": 2, "queued": 0}, True
    keep, settings = keeper(link)
    await keep.tick()
    assert now() - settings[KEY] < timedelta(seconds=5)
    assert keep.counts() and keep.live == 2


async def test_without_live_runs_there_is_no_activity_and_the_engine_is_asked_no_more():
    link = Link()
    link.used = True
    keep, settings = keeper(link)
    for _ in range(3):
        await keep.tick()
    assert settings == {} and not keep.counts()
    assert link.asked == [False]
    link.used = True  # somebody opened a tab
    await keep.tick()
    assert link.asked == [False, False]


async def test_an_engine_that_died_under_live_or_queued_runs_is_woken():
    for status in ({"live": 1, "queued": 0}, {"live": 0, "queued": 3}):
        link = Link()
        link.status, link.used = status, True
        keep, _ = keeper(link)
        await keep.tick()
        await keep.tick()
        assert link.asked == [False, True]


async def test_the_limit_counts_from_the_last_activity_of_anybody_else():
    link = Link()
    link.status, link.used = {"live": 1, "queued": 0}, True
    keep, settings = keeper(link, timedelta(hours=25))
    await keep.tick()
    assert settings == {} and not keep.counts()
    free, settings = keeper(link, timedelta(days=300), limit_hours=0)
    link.used = True
    await free.tick()
    assert KEY in settings


async def test_it_can_be_turned_off():
    link = Link()
    link.status, link.used = {"live": 1, "queued": 0}, True
    keep, settings = keeper(link, enabled=False)
    await keep.tick()
    assert settings == {} and not keep.counts()


def test_others_activity_is_everybodys_but_ours():
    at = now()
    settings = {
        "started": at - timedelta(hours=9), KEY: at, "api_last_activity": at - timedelta(hours=3),
        "last_activity_times": {"x": at - timedelta(hours=2)},
    }  # fmt: skip
    assert others_last_activity(settings) == at - timedelta(hours=2)

    class Kernels:
        last_kernel_activity = at - timedelta(minutes=1)

    assert others_last_activity(settings, Kernels()) == at - timedelta(minutes=1)


def test_runs_without_a_verdict_seem_live(tmp_path: Path):
    assert not runs_seem_live(tmp_path)
    for name in ("run_a", "run_b"):
        folder = tmp_path / ".ragent" / "runs" / name
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text("{}")
        (folder / "exit.json").write_text("{}")
    assert not runs_seem_live(tmp_path)
    (tmp_path / ".ragent" / "runs" / "run_a" / "exit.json").unlink()
    assert runs_seem_live(tmp_path)


async def test_the_servers_own_last_activity_moves_with_live_runs(
    jp_fetch: Any, jp_serverapp: Any, jp_web_app: Any, project: Path
):
    await jp_fetch("ragent", "api", "v1", "status")
    app = jp_serverapp.extension_manager.extension_points["ragent_jupyter"].app
    await app._start_jupyter_server_extension(jp_serverapp)
    await app._keeper.tick()
    assert jp_web_app.last_activity() == jp_web_app.settings[KEY]
    assert app.current_activity() == {"ragent_runs": {"live": 1}}
    assert jp_serverapp.extension_manager.any_activity()
    await app.stop_extension()


async def test_looking_does_not_count_as_activity_but_a_wish_does(jp_fetch: Any, jp_web_app: Any, project: Path):
    jp_web_app.settings.pop("api_last_activity", None)
    await jp_fetch("ragent", "api", "v1", "status")
    assert "api_last_activity" not in jp_web_app.settings
    await jp_fetch("ragent", "api", "v1", "echo", method="POST", body="{}")
    assert "api_last_activity" in jp_web_app.settings
