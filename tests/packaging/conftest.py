"""The distributions that `python -m build` makes of HEAD, and an environment with the wheel in it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.newcomer import JAVASCRIPT, clean_env, clone, say, toolbox, venv


@dataclass
class Made:
    """A wheel, an sdist, and a place where neither Node nor the checkout can be found."""

    home: Path
    wheel: Path
    sdist: Path

    def env(self, *path: Path) -> dict[str, str]:
        return clean_env(self.home, *path, self.home / "tools")


@pytest.fixture(scope="session")
def made() -> Iterator[Made]:
    home = Path(tempfile.mkdtemp(prefix="rp-", dir="/tmp")).resolve()
    try:
        toolbox(home / "tools", without=(*JAVASCRIPT, "tmux"))
        source = clone(home / "clone")
        began = time.monotonic()
        # With the Node that this test run has, if it has one; tests/fresh builds where there is none.
        env = clean_env(home, Path(sys.executable).parent, *map(Path, os.environ["PATH"].split(os.pathsep)))
        say([sys.executable, "-m", "build", "--outdir", home / "dist", source], env, home, timeout=420)
        print(f"\npython -m build: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
        shutil.rmtree(source)
        (wheel,), (sdist,) = (home / "dist").glob("*.whl"), (home / "dist").glob("*.tar.gz")
        yield Made(home, wheel, sdist)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def installed(made: Made) -> Path:
    """The bin folder of a second environment: the wheel alone is installed, its dependencies are this environment's.

    A path in a .pth does not run the .pth files there, so an editable install of the checkout is not seen. That the
    wheel names all that it needs is shown by tests/fresh, where pip installs everything.
    """
    bin = venv(made.home / "second")
    site = Path(say([bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                    made.env(bin), made.home).strip())  # fmt: skip
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(ours)) + "\n")
    say([bin / "pip", "install", "-q", "--no-deps", "--no-index", made.wheel], made.env(bin), made.home)
    return bin
