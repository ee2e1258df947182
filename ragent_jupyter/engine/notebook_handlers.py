"""What a tab says about the notebooks that it has open, what it is asked to do with them, and a person's review."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragent_jupyter.adapters.notebook_hands import BothNotebooks, Checkpoints, EngineKernels, FileNotebooks, Tabs
from ragent_jupyter.adapters.notebook_hands.open import EXPIRES_S
from ragent_jupyter.domain import notebooks as nb
from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.rules.environment import kept
from ragent_jupyter.services.shell import Shell

from .base import EngineHandler

if TYPE_CHECKING:
    from .openapi import Row

# Not `sessions`: a tab whose panel is hidden listens to this topic alone, and it holds nothing that is saved, so that
# the tab's place in the log stays where it was.
TOPIC = "engine"


def make_notebooks(project: Path, shell: Shell) -> BothNotebooks:
    def tell(type_: str, data: dict[str, Any]) -> None:
        shell.whisper(TOPIC, type_, data)

    def environment() -> dict[str, str]:
        return kept(os.environ)

    return BothNotebooks(
        FileNotebooks(project), Tabs(project, tell), EngineKernels(environment), Checkpoints(project.resolve())
    )


class NotebooksOpen(EngineHandler):
    async def post(self) -> None:
        self.engine.notebooks.tabs.announce(self.body(nb.TabNotebooks))
        # A third of it, so that a tab whose timers are slowed down is not taken for a dead one.
        self.reply(200, nb.TabAnnounced(expires_s=EXPIRES_S))


class NotebookRequest(EngineHandler):
    """ID/take: what is to be done; ID/said: still at it; ID: the answer. Each may come twice."""

    async def post(self, id_: str, verb: str | None = None) -> None:
        tabs = self.engine.notebooks.tabs
        match verb:
            case "take":
                wish = self.body(nb.TakeRequest)
                self.reply(200, tabs.take(id_, wish.tab, wish.key))
            case "said":
                tabs.said(id_, self.body(nb.TabSaid))
                self.reply(200, {})
            case _:
                tabs.answered(id_, self.body(nb.TabAnswer))
                self.reply(200, {})


class NotebookReview(EngineHandler):
    async def get(self) -> None:
        path = self.arg("path")
        if path is None:
            raise BadInput("No notebook was named.", "Give ?path=.")
        self.reply(200, self.engine.notebooks.review(path))

    async def post(self) -> None:
        self.reply(200, await self.engine.notebooks.decide(self.body(nb.GiveVerdict)))


ROUTES: list[tuple[str, Any]] = [
    (r"notebooks/open", NotebooksOpen),
    (r"notebooks/requests/([^/]+)", NotebookRequest),
    (r"notebooks/requests/([^/]+)/(take|said)", NotebookRequest),
    (r"notebooks/review", NotebookReview),
]

ROWS: list[Row] = [
    ("post", "notebooks/open", "What a tab has open; again before it expires.", nb.TabNotebooks, 200, nb.TabAnnounced),
    ("post", "notebooks/requests/{request}/take", "Take a request of the engine.", nb.TakeRequest, 200, nb.TabRequest),
    ("post", "notebooks/requests/{request}/said", "Still at it; output so far.", nb.TabSaid, 200, dict[str, Any]),
    ("post", "notebooks/requests/{request}", "What came of a request.", nb.TabAnswer, 200, dict[str, Any]),
    ("get", "notebooks/review", "Changes that wait for a person's word.", None, 200, nb.Review),
    ("post", "notebooks/review", "Accept or reject changes, by cell or all.", nb.GiveVerdict, 200, nb.Review),
]
