"""A script as people write it, with the files beside it, and what is to be found of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.script import Script
from ragent_jupyter.rules.script import locate, read_script
from ragent_jupyter.services.wild_scripts import others, text_of


class Form(Struct):
    """files: by path; train.py is the script.  expected: by the name that a person types, what a run would use."""

    name: str
    files: dict[str, str]
    expected: dict[str, Any]
    command: str = "python train.py"


def script_of(form: Form, folder: Path) -> Script:
    """The script as the product reads it: with the files that are found beside it."""
    for name, text in form.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = folder / "train.py"
    source = text_of(path)
    return read_script(source, "train.py", others(source, path, folder, locate(form.command).args), form.command)


def wrong(form: Form, folder: Path) -> dict[str, Any]:
    """What was not found, or with another value. Where nothing is expected, what was found."""
    script = script_of(form, folder)
    got = {flag.name: flag.value for flag in script.flags}
    if not form.expected:
        return got
    return {
        name: got.get(name, "not found")
        for name, value in form.expected.items()
        if name not in got or got[name] != value
    }
