"""What all handlers of the extension share: who may come in, how a refusal reads."""

from __future__ import annotations

import http
import json
from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

from ragent_jupyter.domain.errors import RagentError, from_wire

from .link import EngineLink

RESOURCE = "ragent"


class RagentHandler(APIHandler):
    """Decorate every verb in each class: `authorized` keeps the resource of the class where it first ran."""

    auth_resource = RESOURCE

    @property
    def link(self) -> EngineLink:
        return self.settings["ragent_link"]  # type: ignore[no-any-return]

    async def prepare(self) -> None:  # type: ignore[override]
        # An open sidebar polls; that must not keep an idle server from being culled. A wish is a person's doing.
        self._track_activity = self.request.method not in ("GET", "HEAD", "OPTIONS")
        await super().prepare()

    def compute_etag(self) -> None:
        """No hash over every answer: they are not cached."""

    def refuse(self, error: RagentError) -> None:
        """Answer with the error that every door knows: type, problem, remedy."""
        self.set_status(error.status)
        if error.status == 503:
            self.set_header("Retry-After", "2")
        body = {"type": error.type, "problem": error.problem, "remedy": error.remedy}
        # `message` is what JupyterLab's own ResponseError shows.
        self.finish(json.dumps({"error": body, "message": str(error)}))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Jupyter's own refusals (login, XSRF, authorizer) in the same words."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, RagentError):
            return self.refuse(error)
        if isinstance(error, HTTPError):
            problem = error.log_message or error.reason or http.HTTPStatus(status_code).phrase
        else:
            problem = "ragent's Jupyter extension failed on this request; the server's log tells more."
        refusal = from_wire(status_code, "", problem, _REMEDIES.get(status_code, ""))
        refusal.status = status_code
        self.refuse(refusal)


_REMEDIES = {
    403: "Log in to Jupyter again (reload the page). If you are logged in, this server's authorizer does not let you.",
    404: "Look at the address; the API's list is at ragent/api/v1/openapi.json.",
    405: "Look at the verb; the API's list is at ragent/api/v1/openapi.json.",
}
