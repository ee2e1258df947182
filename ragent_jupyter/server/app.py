"""The Jupyter server extension: ragent's door in JupyterLab. It relays; the engine is a process of its own."""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.extension.application import ExtensionApp, ExtensionAppJinjaMixin
from traitlets import Bool, Float, Unicode

from . import gateway, pages, picker, relay
from .activity import KeepAlive, others_last_activity
from .link import EngineLink


class RagentApp(ExtensionAppJinjaMixin, ExtensionApp):
    name = "ragent_jupyter"
    description = "ragent: runs, sweeps, alerts and reports inside JupyterLab."
    extension_url = "/ragent"
    load_other_extensions = True
    template_paths: list[str] = [str(pages.TEMPLATES)]

    project = Unicode(
        "", help="The folder that ragent works on, relative to the server's root. Empty: found, or chosen in the panel."
    ).tag(config=True)
    keep_alive = Bool(
        True, help="Report activity while runs live, so that JupyterHub's culler leaves the server alone."
    ).tag(config=True)
    keep_alive_limit_hours = Float(
        24.0,
        help="Live runs stop counting as activity this many hours after the last activity of anybody else. 0: never.",
    ).tag(config=True)

    allow_bypass = Bool(
        False,
        help="Offer the assistant's bypass mode, in which its calls go ahead without being asked for. It holds for the "
        "engines that this server starts; elsewhere RAGENT_ALLOW_BYPASS=1 says the same.",
    ).tag(config=True)

    config_problem = ""  # what is wrong with our own configuration, in words
    _keeper: KeepAlive | None = None

    # --- coming up ----------------------------------------------------------------------------------------------
    def _link_jupyter_server_extension(self, serverapp: Any) -> None:
        """Take our configuration; where it is broken, do without the broken part and say so.

        traitlets ends the whole program (SystemExit) on a bad value in an application's own file. ragent is a guest:
        Lab starts whatever its configuration says.
        """
        try:
            super()._link_jupyter_server_extension(serverapp)
        except (Exception, SystemExit) as error:
            self.config_problem = f"ragent's configuration is broken and was left out: {error}"
            self.serverapp = serverapp
            self._linked = True
            for name, value in dict(serverapp.config.get(type(self).__name__, {})).items():
                self._set_if_good(name, value)
            serverapp.log.warning(
                "%s Mend it in %s or jupyter_server_config; JupyterLab is not affected.",
                self.config_problem,
                f"{self.config_file_name}.json/.py",
            )

    def _set_if_good(self, name: str, value: Any) -> None:
        if name not in self.class_own_traits(config=True):
            return
        try:
            setattr(self, name, value.get_value(self.traits()[name]) if hasattr(value, "get_value") else value)
        except Exception as error:
            self.config_problem += f" ({name}: {error})"

    def initialize_settings(self) -> None:
        assert self.serverapp is not None
        if self.allow_bypass:
            os.environ["RAGENT_ALLOW_BYPASS"] = "1"  # the engine is a child of this process, and reads it
        self.choice = picker.ProjectChoice(self.serverapp.root_dir, self.project)
        self.link = EngineLink(self.choice.find)
        self.settings["ragent_link"] = self.link

    def initialize_handlers(self) -> None:
        api = r"/ragent/api/v1/"
        one = r"[^/]+"
        starts = rf"runs|runs/{one}/(?:start|retry)|sweeps|sweeps/{one}/start|alerts/{one}/respond"
        rows: list[tuple[Any, ...]] = [
            (api + r"project", picker.ProjectHandler, {"choice": self.choice}),
            (api + r"events/ws", relay.EventsSocket),
            (api + rf"(?:{starts})", relay.StartRelayHandler),
            (api + r".*", relay.RelayHandler),
            (r"/ragent/gateway/.*", gateway.GatewayDoor),
            (r"/ragent/docs/?", pages.DocsHandler),
            (r"/ragent/docs/(.+)", pages.DocsHandler),
            (r"/ragent/static/(.*)", pages.StaticHandler, {"path": str(pages.STATIC)}),
            (r"/ragent/?", pages.PageHandler),
        ]
        self.handlers.extend(rows)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """The loop runs: begin to watch for live runs. The engine itself is started by the first request."""
        web_app = serverapp.web_app
        self._keeper = KeepAlive(
            self.link,
            web_app.settings,
            lambda: others_last_activity(web_app.settings, web_app.settings.get("kernel_manager")),
            serverapp.log,
            enabled=self.keep_alive,
            limit_hours=self.keep_alive_limit_hours,
        )
        self._keeper.start()

    # --- while it is up -----------------------------------------------------------------------------------------
    def current_activity(self) -> dict[str, Any] | None:
        """Asked by the server before it shuts itself down for want of activity."""
        if self._keeper is not None and self._keeper.counts():
            return {"ragent_runs": {"live": self._keeper.live}}
        return None

    async def stop_extension(self) -> None:
        """The door closes; engine, runs and loops go on."""
        if self._keeper is not None:
            await self._keeper.stop()
        if hasattr(self, "link"):
            self.link.close_sockets("the Jupyter server shuts down")
