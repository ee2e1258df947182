"""Which files a wild loop's policy may change, by their names alone. Pure.

The allow-list is a person's (`Setup.may_edit`). What is never allowed stands here: whatever judges the result
(evaluation files, the hold-out), records and secrets, and files that Python runs before the script.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from fnmatch import translate

from ragent_jupyter.domain.wild import FileEdit, Setup

MOST_FILES = 20
MOST_EDITS = 200
MOST_BYTES = 200_000
_LONGEST = 300
# Run before the script's first line, or change what an import means everywhere.
_BEFORE_ALL = re.compile(r"(?:sitecustomize|usercustomize)\.py|.*\.(?:pth|egg-link|so|pyd|dylib|pyc)")
_SECRETS = re.compile(
    r"id_[^.]*|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx?|ppk|keytab|asc|gpg|age|ovpn)|kaggle\.json"
    r"|(?:application_default_)?credentials(?:\..*)?|secrets?(?:\..*)?|client_secret.*|.*service[-_]account.*\.json"
    r"|jupyter_(?:server|notebook|lab)?_?config\.(?:py|json)|.*_cookie_secret"
)
# Modules that evaluation leans on, and those of Python itself.
_TAKEN = frozenset(
    {
        "numpy", "scipy", "pandas", "sklearn", "torch", "torchvision", "torchaudio", "torchtext", "torchmetrics",
        "tensorflow", "keras", "jax", "jaxlib", "flax", "optax", "haiku", "equinox", "lightning", "pytorch_lightning",
        "transformers", "datasets", "evaluate", "accelerate", "tokenizers", "xgboost", "lightgbm", "catboost",
        "statsmodels", "nltk", "spacy", "sacrebleu", "rouge_score", "matplotlib", "yaml", "omegaconf", "hydra", "tqdm",
        "wandb", "mlflow", "tensorboard", "tensorboardx", "ragent_jupyter", "ragent_sidecar",
    }
    | {name.casefold() for name in sys.stdlib_module_names}
)  # fmt: skip
SEALED = "ragent_holdouts"  # the folder of sealed hold-outs, see adapters/sealed.py


def folded(path: str) -> str:
    """A path as a forgiving file system may read it: width, case and unseen characters do not count.

    >>> folded("Src//./Ｅval.py\\u200b")
    'src/eval.py'
    """
    plain = unicodedata.normalize("NFKC", path)
    seen = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cc", "Mn")).casefold()
    return "/".join(step.rstrip(". ") or step for step in seen.split("/") if step not in ("", "."))


def why_not(setup: Setup, edits: Sequence[FileEdit]) -> str:
    """Why these edits may not be made, "" if they may."""
    if not setup.may_edit:
        return "No file may be changed in this loop"
    if not edits:
        return "The change holds no edit"
    files = {edit.path for edit in edits}
    if len(files) > MOST_FILES or len(edits) > MOST_EDITS:
        return f"It changes {len(files)} files in {len(edits)} places; {MOST_FILES} and {MOST_EDITS} are the most"
    size = sum(len(text.encode("utf-8", "replace")) for edit in edits for text in (edit.old, edit.new))
    if size > MOST_BYTES:
        return f"It is {size:,} bytes of text; {MOST_BYTES:,} are the most"
    for edit in edits:
        why = path_refused(setup, edit.path) or _text_refused(edit) or _shadows(edit)
        if why:
            return why
    return ""


def _shadows(edit: FileEdit) -> str:
    """Why a new file would be imported in the place of another module: what judges the result imports modules too.

    A file that is there already (`old` is not empty) may be changed whatever its name.
    """
    steps = folded(edit.path).split("/")
    name, dot, kind = steps[-1].partition(".")
    if name == "__init__" and len(steps) > 1:
        name = steps[-2]
    if edit.old or not dot or not kind.startswith("py") or name not in _TAKEN:
        return ""
    return f"A new {edit.path[:80]!r} would be imported instead of the module {name}; give it another name"


def _text_refused(edit: FileEdit) -> str:
    if edit.old == edit.new:
        return f"An edit of {edit.path[:80]} changes nothing"
    if "\0" in edit.new or any(0xD800 <= ord(c) <= 0xDFFF for c in edit.new):
        return f"The new text of {edit.path[:80]} is no text"
    return ""


def path_refused(setup: Setup, path: str) -> str:
    """Why this path may not be changed, "" if it may. Paths are relative to the project."""
    shown = "".join(c if c.isprintable() else "?" for c in path[:80])
    if not path or len(path) > _LONGEST or not path.isprintable() or "\\" in path:
        return f"{shown!r} is no path of a file"
    steps = path.split("/")
    if path.startswith(("/", "~")) or ".." in steps or re.match(r"[A-Za-z]:", path):
        return f"{shown!r} leads out of the project"
    name = folded(path)
    if any(step.startswith(".") for step in name.split("/")):
        return f"{shown!r} is hidden: git's files, ragent's records and settings are not changed"
    last = name.rsplit("/", 1)[-1]
    if _SECRETS.fullmatch(last) or _BEFORE_ALL.fullmatch(last):
        return f"{shown!r} is of a kind that is never changed: keys, or what Python runs before the script"
    for judge in setup.eval_files:
        if _touches(name, folded(judge)):
            return f"{shown!r} is or stands in for {judge[:80]!r}, which evaluates the result"
    if setup.holdout is not None and _ends_alike(name, folded(setup.holdout.predictions)):
        return f"{shown!r} is where a run's own predictions go"
    if SEALED in name or (setup.holdout is not None and folded(setup.holdout.id) in name.split("/")):
        return f"{shown!r} belongs to the sealed hold-out"
    if not any(_takes(glob, path) for glob in setup.may_edit):
        return f"{shown!r} is not among the files that may be changed ({', '.join(setup.may_edit[:8])[:200]})"
    return ""


def _touches(name: str, judge: str) -> bool:
    """Whether an edit is of an evaluation file, lies in an evaluation folder, or would be imported in its place."""
    if not judge:
        return True  # the whole project is hashed
    if _ends_alike(name, judge) or _inside(name, judge):
        return True
    # evaluate.py and evaluate/__init__.py are one module to Python, and the package wins.
    module = judge[:-3] if judge.endswith(".py") else judge
    return _inside(name, module) or _ends_alike(name, module + ".py")


def _ends_alike(a: str, b: str) -> bool:
    """Equal, or one is the other's tail: what a path is relative to may differ."""
    return a == b or a.endswith("/" + b) or b.endswith("/" + a)


def _inside(name: str, folder: str) -> bool:
    return name.startswith(folder + "/") or f"/{folder}/" in f"/{name}"


def _takes(glob: str, path: str) -> bool:
    """Whether a glob of `may_edit` takes a path: `*` stays in one folder, `**` crosses them.

    Without a `/` the glob looks at the last name. Compared step by step, so no pattern makes it slow.
    """
    if not glob or len(glob) > _LONGEST:
        return False
    if "/" not in glob and glob != "**":
        return re.match(translate(glob), path.rsplit("/", 1)[-1]) is not None
    wanted = [step for step in glob.split("/") if step not in ("", ".")]
    places = {0}
    for name in path.split("/"):
        reached = set()
        for at in _opened(wanted, places):
            if at < len(wanted) and wanted[at] == "**":
                reached |= {at, at + 1} if at + 1 == len(wanted) else {at}
            elif at < len(wanted) and re.match(translate(wanted[at]), name):
                reached.add(at + 1)
        places = reached
    return len(wanted) in places  # a last `**` has eaten a name by then: `src` alone is not in `src/**`


def _opened(wanted: Sequence[str], places: set[int]) -> set[int]:
    """The places with those behind a `**`, which may stand for no folder at all."""
    found = set(places)
    for at in places:
        while at < len(wanted) - 1 and wanted[at] == "**":
            at += 1
            found.add(at)
    return found
