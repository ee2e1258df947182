"""Secrets out of a text, before it is stored or a model sees it.

Two nets. What we know (`extra`, the very keys that are set) goes whatever its shape, also where JSON escapes stand
within it. What looks like a secret goes by its shape: a provider's prefix, `password=…`, a Bearer header, a password
in an address, a private key. Numbers, hashes and the words of training logs (`max_tokens=4096`, `pad_token='<pad>'`)
stay: a log without its numbers is of no use to anybody.

Lines keep their number: no secret takes a line end along. Every pattern begins with fixed letters and repeats nothing
that repeats, so time grows with the length of the text and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

GONE = "[secret]"
SHORTEST = 6  # of `extra`: shorter ones are words, and a text without its words is no text

_T = r"[A-Za-z0-9_-]"
# (a literal that must be there, the pattern that begins with it)
_SHAPES: list[tuple[str, re.Pattern[str]]] = [
    (hint, re.compile(pattern))
    for hint, pattern in (
        ("sk-", rf"sk-(?:(?:ant|proj|or|svcacct|admin|live|test)-{_T}{{12,400}}|{_T}{{20,400}})"),
        ("sk_", r"sk_(?:live|test)_[A-Za-z0-9]{16,200}"),
        ("rk_", r"rk_(?:live|test)_[A-Za-z0-9]{16,200}"),
        ("gh", r"gh[pousr]_[A-Za-z0-9]{20,255}"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,255}"),
        ("glpat-", rf"glpat-{_T}{{16,200}}"),
        ("AKIA", r"AKIA[A-Z0-9]{16}"),
        ("ASIA", r"ASIA[A-Z0-9]{16}"),
        ("hf_", r"hf_[A-Za-z0-9]{20,200}"),
        ("xox", r"xox[abeprs]-[A-Za-z0-9-]{10,300}"),
        ("xapp-", r"xapp-[A-Za-z0-9-]{10,300}"),
        ("hooks.slack.com/services/", r"hooks\.slack\.com/services/[A-Za-z0-9/]{10,200}"),
        ("AIza", rf"AIza{_T}{{30,60}}"),
        ("ya29.", rf"ya29\.{_T}{{20,400}}"),
        ("gsk_", r"gsk_[A-Za-z0-9]{20,200}"),
        ("r8_", r"r8_[A-Za-z0-9]{20,200}"),
        ("tvly-", rf"tvly-{_T}{{10,200}}"),
        ("npm_", r"npm_[A-Za-z0-9]{30,200}"),
        ("pypi-", rf"pypi-AgE{_T}{{20,400}}"),
        ("dckr_pat_", rf"dckr_pat_{_T}{{16,200}}"),
        ("dapi", r"dapi[a-f0-9]{32}"),
        ("SG.", rf"SG\.{_T}{{16,64}}\.{_T}{{16,128}}"),
        ("rgt_", rf"rgt_{_T}{{16,200}}"),
    )
]
# A web token: words with two dots, the first of which begins so, or does behind a hyphen. What stands before the first
# dot is read once however often it begins.
_JWT = re.compile(rf"(?<!{_T}){_T}{{9,100000}}(?=\.{_T}{{6}})")
_JWT_REST = re.compile(rf"\.{_T}{{6,8000}}\.{_T}{{0,2000}}")
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]{0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]{0,20000})"
)
_IN_ADDRESS = re.compile(r"://([^\s/:@\"'<>]{0,200}):([^\s/\"'<>]{1,300})@")

# A name, and what may stand between it and its value: the rest of the name, quotes (also escaped), = or : or =>.
_NAMES = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "api-key", "access_key",
    "accesskey", "private_key", "account_key", "accountkey", "credential", "authorization", "cookie",
    "amz-signature", "key",
)  # fmt: skip
_STILL_NAME = r"(?:[_-](?:key|id|value|string|hash|access[_-]key|token))?"
_BETWEEN = r"\\{0,4}[\"']?[ \t]{0,4}(?:=>|:=|[=:])[ \t]{0,4}"
_VALUE = (
    r"(?:[bruBRU]?\\{0,4}\"([^\"\\\n]{1,4000})|[bruBRU]?\\{0,4}'([^'\\\n]{1,4000})|([^\s\"'`,;&<>(){}\[\]\\]{1,4000}))"
)
# Tokens are counted in every log of a language model: what is too short for a secret is left at first sight.
_KEYED = [
    (name, re.compile(re.escape(name) + _STILL_NAME + _BETWEEN + (r"(?=[^\s,;]{8})" if name == "token" else "")))
    for name in _NAMES
]
_VALUED = re.compile(_VALUE)
_OPENED = re.compile(r"(?:[bruBRU]?\\{0,4}[\"'])?")
_SCHEME = re.compile(r"(?:bearer|basic|token|digest)[ \t]{1,4}", re.IGNORECASE)
_AFTER_SCHEME = re.compile(r"[A-Za-z0-9._~+/=-]{8,4000}")
_OPTION = re.compile(r"--(?:password|token|api-key|secret)[ \t]{1,4}([^\s\"'-][^\s\"']{5,400})")

_NUMBER = re.compile(r"[-+]?[\d.,_]{1,40}(?:e[-+]?\d{1,4})?[a-z%/]{0,4}", re.IGNORECASE)
_NO_SECRET = frozenset(
    ("none", "null", "true", "false", "str", "string", "int", "optional", "any", "...", "xxx", "unset", "empty", "no")
)
# A tokenizer's tokens, and tokens that are counted.
_NOT_THESE = re.compile(
    r"(?:eos|bos|pad|unk|cls|sep|mask|special|start|stop|end|next|prev|per|last|first|new|each|image|audio)[ _-]?$",
    re.IGNORECASE,
)
_REFERENCE = ("$", "os.", "env.", "getenv", "process.", "{", "<", "%(", "*", "•", GONE)


def redact(text: str, extra: Iterable[str] = ()) -> str:
    """The text with GONE in place of each secret. extra: values that are known to be secret.

    >>> redact("password=hunter2 lr=0.1 https://ada:pw@host/x")
    'password=[secret] lr=0.1 https://ada:[secret]@host/x'
    >>> redact('{"k": "ab\\\\u0063/def"}', ["abc/def"])
    '{"k": "[secret]"}'
    >>> redact("max_tokens=4096, tokens/s: 1234, pad_token='<pad>'")
    "max_tokens=4096, tokens/s: 1234, pad_token='<pad>'"
    """
    if not text:
        return text
    known = sorted({e for e in extra if len(e) >= SHORTEST}, key=len, reverse=True)
    if known and "\\" in text:
        text = _without_escaped(text, known)
    for secret in known:
        for form in (secret, quote(secret, safe=""), quote(secret)):
            text = text.replace(form, GONE)
    for hint, shape in _SHAPES:
        if hint in text:
            text = shape.sub(_shaped, text)
    if "eyJ" in text:
        text = _cut(text, _web_tokens(text))
    if "-----BEGIN " in text:
        text = _PEM.sub(lambda found: GONE + "\n" * found[0].count("\n"), text)
    if "://" in text:
        text = _IN_ADDRESS.sub(lambda found: f"://{found[1]}:{found[2] if _told(found[2]) else GONE}@", text)
    return _named(text)


# Any run of backslashes with what it escapes: JSON, and JSON within JSON.
_ESCAPE = re.compile(r"\\+(?:u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4}))?", re.IGNORECASE)


def _plain(found: re.Match[str]) -> str:
    high, low, code = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    return chr(int(code, 16)) if code and code.lower() != "005c" else ""


def unescaped(text: str) -> str:
    """A text as it compares: escaped characters as themselves, without any backslash.

    >>> unescaped('a\\\\u0062 "c' + chr(92))
    'ab "c'
    """
    return _ESCAPE.sub(_plain, text)


def _without_escaped(text: str, known: list[str]) -> str:
    if "\\u" not in text and all(e.isascii() and not {*e} & {*'"\\/'} for e in known):
        return text  # nothing of them would be written otherwise
    plain = unescaped(text)
    wanted = [p for e in known if len(p := unescaped(e)) >= SHORTEST and p in plain]
    if not wanted:
        return text
    starts, ends = _places(text)
    cuts: list[tuple[int, int]] = []
    for secret in wanted:
        at = plain.find(secret)
        while at >= 0:
            start = starts[at]
            while start and text[start - 1] == "\\":  # or it would escape what stands in the secret's place
                start -= 1
            cuts.append((start, ends[at + len(secret) - 1]))
            at = plain.find(secret, at + 1)
    return _cut(text, cuts)


def _places(text: str) -> tuple[list[int], list[int]]:
    """Where each character of the unescaped text begins and ends in the text."""
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for found in _ESCAPE.finditer(text):
        starts += range(done, found.start())
        ends += range(done + 1, found.start() + 1)
        done = found.end()
        if _plain(found):
            starts.append(found.start())
            ends.append(done)
    starts += range(done, len(text))
    ends += range(done + 1, len(text) + 1)
    return starts, ends


def _shaped(found: re.Match[str]) -> str:
    """Not within a longer word ("task-…"), and not a name of plain words ("sk-learn-contrib-something")."""
    before = found.string[found.start() - 1 : found.start()]
    words = found[0]
    if before.isalnum() or before == "_":
        return words
    if words.startswith("sk-") and "-" in words[3:] and not any(c.isdigit() for c in words):
        return words
    return GONE


def _web_tokens(text: str) -> list[tuple[int, int]]:
    found = []
    for words in _JWT.finditer(text):
        at = 0 if words[0].startswith("eyJ") else words[0].find("-eyJ") + 1 or len(words[0])
        rest = _JWT_REST.match(text, words.end()) if at <= len(words[0]) - 9 else None
        if rest is not None:
            found.append((words.start() + at, rest.end()))
    return found


def _told(value: str) -> bool:
    """A value that is no secret: a reference to where one stands, a type, one that is gone already."""
    return value.lower() in _NO_SECRET or value.startswith(_REFERENCE)


def _named(text: str) -> str:
    # U+0130 is the one letter whose lower form is longer: a place in the lower text must be the same one in the text.
    low = text.replace("\u0130", "I").lower()
    cuts: list[tuple[int, int]] = []
    for name, pattern in _KEYED:
        if name not in low:
            continue
        gone = 0
        for found in pattern.finditer(low):
            if found.start() < gone:
                continue  # within a value that goes as a whole
            span = _value(text, low, name, found)
            if span is not None:
                cuts.append(span)
                gone = span[1]
    for scheme in ("bearer ", "basic "):
        at = low.find(scheme)
        while at >= 0:
            found_value = _AFTER_SCHEME.match(text, at + len(scheme))
            if found_value and _looks_random(found_value[0]):
                cuts.append(found_value.span())
            at = low.find(scheme, at + 1)
    if "--" in low:
        cuts += [m.span(1) for m in _OPTION.finditer(low) if not _told(text[m.start(1) : m.end(1)])]
    return _cut(text, cuts) if cuts else text


def _value(text: str, low: str, name: str, found: re.Match[str]) -> tuple[int, int] | None:
    at = found.end()
    # What settles it goes before the value is read: a name may stand in the value of another, a thousand times.
    if name == "key" and low[max(0, found.start() - 1) : found.start()] not in ("_", "-"):
        return None
    if name == "token" and _NOT_THESE.search(low, max(0, found.start() - 12), found.start()):
        return None
    opened = _OPENED.match(text, at)
    if opened and text.startswith(_REFERENCE, opened.end()):
        return None
    scheme = _SCHEME.match(text, at) if name == "authorization" else None
    value = _VALUED.match(text, scheme.end() if scheme else at)
    if value is None:
        return None
    if name == "authorization" and scheme is None:
        inner = _SCHEME.match(value[value.lastindex or 0])
        if inner:
            return value.start(value.lastindex or 0) + inner.end(), value.end(value.lastindex or 0)
    said = value[value.lastindex or 0]
    if _told(said):
        return None
    if name == "key" and not _keyish(said):
        return None
    if name == "token" and not _tokenish(said):
        return None
    if name in ("secret", "credential", "cookie", "authorization") and (len(said) < 5 or _NUMBER.fullmatch(said)):
        return None
    return value.span(value.lastindex or 0)


def _tokenish(said: str) -> bool:
    return len(said) >= 8 and not _NUMBER.fullmatch(said) and " " not in said


def _keyish(said: str) -> bool:
    """`key: …` alone is any dictionary; `…_key=` of a long random value is a key."""
    return len(said) >= 16 and _looks_random(said)


def _looks_random(said: str) -> bool:
    return len(said) >= 24 or (any(c.isdigit() for c in said) and any(c.isalpha() for c in said))


def _cut(text: str, cuts: list[tuple[int, int]]) -> str:
    made: list[str] = []
    done = 0
    for start, end in sorted(cuts):
        if start < done:  # within one that is gone; the rest of it goes as well
            done = max(done, end)
            continue
        made += [text[done:start], GONE]
        done = end
    return "".join([*made, text[done:]])
