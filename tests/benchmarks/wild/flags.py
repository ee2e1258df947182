"""Roles of command line flags, against labels that were given by reading before the parser saw a script.

The scripts are other people's and are not kept here. Fetch each one at its commit (flags.json names repo, commit, path
and `extra`), put it at FOLDER/SPLIT/OWNER__NAME/PATH, and set RAGENT_FLAG_SCRIPTS=FOLDER. A file whose SHA-256 is not
the labelled one is refused. The parser gets what the product would give it: the command that a person types (`command`
where `python PATH` is not all of it), the script, the modules and YAML files that `services/wild_scripts` finds beside
it, and those of `extra` to which only files lead that were not fetched.

`sets` of flags.json says which splits count as development and which as held. A split that was held becomes
development as soon as a rule is written with its errors in sight; new scripts come in as a split of their own.

strict: the label itself. lenient: the label, or one that the labeller found defensible too (`also`). A labelled flag
that the parser does not find is wrong. The share that counts is pooled over flags, with Wilson's lower bound; flags of
one script are alike, so the mean of the scripts' shares with its bootstrap interval stands beside it.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from ragent_jupyter.rules.script import Where, locate, read_script
from ragent_jupyter.services.wild_scripts import others, text_of

from .figures import Figure

LABELS = Path(__file__).with_name("flags.json")
BENCH = "flags"
HOW = "set RAGENT_FLAG_SCRIPTS to a folder of the scripts, SPLIT/OWNER__NAME/PATH, each from the raw file of its commit"


def run(short: bool, times: int | None = None, sets: tuple[str, ...] = ("dev", "held")) -> list[Figure]:
    """short: the scripts for development only; the held ones are for a release."""
    folder = os.environ.get("RAGENT_FLAG_SCRIPTS", "")
    if not folder or not Path(folder).is_dir():
        return [Figure(bench=BENCH, what="flags classified right", missing=f"skipped: {HOW}")]
    labels = json.loads(LABELS.read_text())
    rows: list[Figure] = []
    for name in sets[:1] if short else sets:
        scripts = [script for script in labels["scripts"] if script["split"] in labels["sets"][name]]
        if scripts:
            rows += figures(name, [one for script in scripts for one in judged(script, Path(folder))])
        else:
            rows.append(
                Figure(bench=f"{BENCH} ({name})", what="flags classified right", missing="no script is labelled")
            )
    return rows


def judged(script: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """One record a labelled flag."""
    root = folder / script["split"] / script["repo"].replace("/", "__")
    path = root / script["path"]
    for name, sha in {script["path"]: script["sha256"], **script["extra_sha256"]}.items():
        if hashlib.sha256((root / name).read_bytes()).hexdigest() != sha:
            raise SystemExit(f"{script['repo']}: {name} is not the file of {script['commit']}")
    command = script.get("command", f"python {script['path']}")
    where: Where = locate(command)
    source = text_of(path)
    # Of a repository only the labelled files are fetched: what leads from one to the other may be missing.
    beside = {name: text_of(root / name) for name in script["extra"]}
    read = read_script(source, script["path"], {**beside, **others(source, path, root, where.args)}, command)
    roles = {spelled(flag.name): flag.role for flag in read.flags}
    aliases = dict(script.get("aliases", {}))
    found = []
    for name, label in script["labels"].items():
        names = [name, *aliases.get(name, [])]
        role = next((roles[spelled(n)] for n in names if spelled(n) in roles), "not found")
        found.append({
            "script": f"{script['repo']}/{script['path']}", "style": script["style"], "name": name, "label": label,
            "role": role, "strict": role == label, "lenient": role in (label, *script["also"].get(name, [])),
        })  # fmt: skip
    return found


def spelled(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()


def figures(name: str, found: list[dict[str, Any]]) -> list[Figure]:
    def share(what: str, chosen: list[dict[str, Any]], how: str, goal: float | None = None, note: str = "") -> Figure:
        hits = sum(one[how] for one in chosen)
        return Figure(bench=f"{BENCH} ({name})", what=f"{what}, {how}", better="more", hits=hits, of=len(chosen),
                      goal=goal, note=note)  # fmt: skip

    scripts: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for one in found:
        scripts[one["script"]].append(one)
    missing = sum(one["role"] == "not found" for one in found)
    note = f"{len(scripts)} scripts; {missing} flags were not found"
    rows = [share("flags classified right, pooled", found, "strict", 0.9, note)]
    rows.append(share("flags classified right, pooled", found, "lenient"))
    for how in ("strict", "lenient"):
        means = [sum(one[how] for one in of) / len(of) for of in scripts.values()]
        rows.append(Figure(bench=f"{BENCH} ({name})", what=f"mean of the scripts' shares, {how}", better="more",
                           values=means, note=f"worst {min(means):.2f}"))  # fmt: skip
    for key in ("label", "style"):
        for value in sorted({one[key] for one in found}):
            rows.append(share(f"{key} {value}", [one for one in found if one[key] == value], "strict"))
    confused = collections.Counter((one["label"], one["role"]) for one in found if not one["strict"])
    said = ", ".join(f"{label} → {role}: {n}" for (label, role), n in confused.most_common())
    print(f"… {BENCH} ({name}): {said}", file=sys.stderr, flush=True)
    return rows
