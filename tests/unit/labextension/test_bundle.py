"""Rules of the browser's side that are cheap to check without a browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ragent_jupyter

ROOT = Path(__file__).parents[3]
LABEXTENSION = ROOT / "labextension"
STATIC = ROOT / "ragent_jupyter" / "static"
BUNDLE = ROOT / "ragent_jupyter" / "labextension" / "static"
MAX_BUNDLE_BYTES = 1_000_000


def test_the_lock_names_no_host() -> None:
    """yarn writes an address into the lock if a registry's tarballs do not lie where they usually do."""
    lock = (LABEXTENSION / "yarn.lock").read_text()
    assert lock.startswith("# This file is generated")
    assert not re.findall(r"__archiveUrl|https?(?::|%3A)//?", lock, re.IGNORECASE)


def test_no_registry_is_committed() -> None:
    for name in (".yarnrc.yml", ".npmrc"):
        file = LABEXTENSION / name
        assert not file.exists() or "registry" not in file.read_text().lower()


def test_the_versions_agree() -> None:
    package = json.loads((LABEXTENSION / "package.json").read_text())
    assert package["version"] == ragent_jupyter.__version__


def test_wire_ts_says_what_the_python_structs_say() -> None:
    made = subprocess.run(
        [sys.executable, str(LABEXTENSION / "make_wire.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr


def test_the_check_of_wire_ts_sees_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(LABEXTENSION))
    import make_wire

    stale = tmp_path / "wire.ts"
    stale.write_text(make_wire.text().replace("export interface Run {", "export interface Walk {"))
    monkeypatch.setattr(make_wire, "TARGET", stale)
    assert make_wire.main(["--check"]) == 1


@pytest.mark.parametrize("folder", [BUNDLE, STATIC], ids=["in Lab", "page and widget"])
def test_the_bundle_stays_within_a_megabyte(folder: Path) -> None:
    if not folder.exists():
        pytest.skip("not built here: pip install -e .")
    files = [path for path in folder.rglob("*") if path.suffix in (".js", ".css")]
    assert files
    assert sum(path.stat().st_size for path in files) <= MAX_BUNDLE_BYTES
