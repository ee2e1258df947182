"""The texts of a chat in a cell: values put into a question, code taken out of an answer, Markdown made safe. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ragent_jupyter.domain.errors import BadInput

MOST_VALUE = 4_000  # characters of one value
MOST_TEXT = 100_000

_READ = 100_000  # characters of a value that are looked through for secrets before it is cut
_NAME = r"[A-Za-z_]\w*"
_PATH = r"(?:\.[A-Za-z]\w*|\[[^\[\]{}\n]{1,100}\])*"
# Doubled braces count around a name alone: those of JSON and of code stand as they are.
_FIELD = re.compile(
    rf"\{{\{{(?P<kept>{_NAME}{_PATH})\}}\}}|(?P<open>\{{\{{)?\{{(?P<name>{_NAME})(?P<path>{_PATH})\}}(?(open)\}}\}})"
)
_STEP = re.compile(r"\.(?P<attr>[A-Za-z]\w*)|\[(?P<key>[^\[\]]+)\]")
_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$")
# In code as well: `![` is a picture for whoever reads the text otherwise than we did, and a picture from elsewhere
# carries what stands in its address out of here.
_PICTURE = re.compile(r"!\[")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LOADS = re.compile(
    r"<(?=/?(?:img|image|svg|video|audio|source|picture|track|iframe|frame|object|embed|link|style|script|meta|base|"
    r"form|input|body|table|td|math)\b)",
    re.IGNORECASE,
)
_APART = "\u200b"  # a space without width: the text looks the same and is no picture and no tag


def interpolate(text: str, names: Mapping[str, Any], show: Callable[[Any], str]) -> str:
    """`{name}`, `{name.attribute}`, `{name[0]}`, `{name[key]}` filled in; `{{name}}` is `{name}` as it stands.

    Nothing is called and no expression evaluated; what is in braces and no such name (a dict, LaTeX) stays as it is.
    names: the notebook's variables.  show: a value as text. Raises BadInput for a name that is not there.

    >>> interpolate("lr={a.real} {b[k]} {{x}} {1: {2: {}}}", {"a": 3, "b": {"k": "v"}}, str)
    'lr=3 v {x} {1: {2: {}}}'
    """

    def fill(match: re.Match[str]) -> str:
        if match["kept"] is not None:
            return f"{{{match['kept']}}}"
        field = f"{{{match['name']}{match['path']}}}"
        if match["name"] not in names:
            raise BadInput(
                f"There is no variable {match['name']!r} for {field}.",
                f"Set it first, or write {{{field}}} to send the braces as they are.",
            )
        value = names[match["name"]]
        for step in _STEP.finditer(match["path"]):
            value = _get(value, step, field)
        try:
            said = show(value)
        except Exception as error:
            # Whatever a user's own __repr__ raises.
            raise BadInput(f"{field} cannot be shown: {type(error).__name__}: {error}.", "Fill in str(…).") from error
        return f"{{{said}}}" if match["open"] else said

    return _FIELD.sub(fill, text)


def _get(value: Any, step: re.Match[str], whole: str) -> Any:
    try:
        if step["attr"] is not None:
            return getattr(value, step["attr"])
        key = step["key"].strip()
        if key[0] in "'\"" and len(key) > 1 and key[-1] == key[0]:
            return value[key[1:-1]]
        return value[int(key)] if re.fullmatch(r"-?\d+", key) else value[key]
    except Exception as error:
        # Whatever a user's own attributes and indexes raise.
        raise BadInput(f"{whole} could not be read: {type(error).__name__}: {error}.", "Look at its value.") from error


def shown(value: Any, hide: Callable[[str], str] = str) -> str:
    """A value as a model reads it: short, never a whole frame. hide: what takes secrets out, before the text is cut.

    >>> shown("text"), shown([1, 2])
    ('text', '[1, 2]')
    """
    if isinstance(value, str):
        text = value
    elif type(value).__module__.split(".")[0] == "pandas" and hasattr(value, "head"):
        size = " x ".join(map(str, value.shape))
        text = f"{type(value).__name__}, {size}\n{value.head(10)}"
    else:
        text = repr(value)
    said = hide(text[:_READ])
    return said if len(text) <= MOST_VALUE else f"{said[:MOST_VALUE]}\n[cut: {len(text):,} characters in all]"


def code_of(text: str) -> str:
    """The code of an answer: its blocks of Python, else all its blocks; "" where there is none.

    >>> code_of("Try:\\n```python\\nx = 1\\n```\\nor\\n```bash\\nls\\n```")
    'x = 1'
    """
    blocks: list[tuple[str, str]] = []
    lines: list[str] | None = None
    mark = info = ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if lines is None:
            if fence:
                mark, info, lines = fence["mark"], fence["info"].strip().lower().split(" ")[0], []
        elif fence and fence["mark"].startswith(mark) and not fence["info"].strip():
            blocks.append((info, "\n".join(lines)))
            lines = None
        else:
            lines.append(line)
    python = [code for language, code in blocks if language in ("python", "py", "python3", "ipython", "ipython3")]
    return "\n\n".join(python or [code for language, code in blocks])


def safe_markdown(text: str) -> str:
    """A model's Markdown as a notebook may show it: no pictures, no HTML. Links stay, and lead where they say.

    JupyterLab's sanitizer keeps pictures from anywhere; one of them could carry words out in its address.

    >>> safe_markdown("![x](http://evil/?q) <b>") == f"!{_APART}[x](http://evil/?q) <{_APART}b>"
    True
    """
    found: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark["mark"].startswith(fence) and not mark["info"].strip():
                fence = ""
            found.append(_LOADS.sub("<" + _APART, line))
        else:
            if mark:
                fence = mark["mark"]
            found.append(_TAG.sub("<" + _APART, line))
    return _PICTURE.sub("!" + _APART + "[", "\n".join(found))


def code_span(text: str) -> str:
    """Somebody's words as a span of code in Markdown, on one line."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split()) or " "
    ticks = "`"
    while ticks in flat:
        ticks += "`"
    pad = " " if flat[0] == "`" or flat[-1] == "`" else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}"
