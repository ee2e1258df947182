"""Bytes of a file as text and back, unchanged; what a binary file is, in words; secrets blacked out line by line."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Sequence

from ragent_jupyter.domain.errors import CannotBeDone

Redact = Callable[[str], str]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY")
_KEY_GONE = "[a private key is blacked out here]"


def encoding_of(data: bytes) -> str | None:
    """How a file's text is written; None if it is none. A byte order mark stays part of the text.

    >>> encoding_of(b"caf\\xc3\\xa9"), encoding_of(b"caf\\xe9"), encoding_of(b"\\x89PNG\\r\\n\\x1a\\n\\0")
    ('utf-8', 'latin-1', None)
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            try:
                data.decode(name)
            except UnicodeDecodeError:
                return None
            return name
    if b"\0" in data:
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        # Old text in some 8-bit code: latin-1 gives every byte back as it was. Many control bytes mean no text.
        odd = sum(byte < 32 and byte not in (7, 8, 9, 10, 12, 13, 27) for byte in data[:65536])
        return None if odd > len(data[:65536]) // 100 else "latin-1"
    return "utf-8"


def decoded(data: bytes, path: str) -> str:
    """The whole text. Raises CannotBeDone with what the file is, where it is no text."""
    encoding = encoding_of(data)
    if encoding is None:
        raise CannotBeDone(f"{path!r} is no text: {described(data)}.", "Use a tool that knows its format.")
    return data.decode(encoding)


def encoded(text: str, like: bytes, path: str) -> bytes:
    """A text in the encoding that the file has now. Raises CannotBeDone where that cannot hold it."""
    encoding = encoding_of(like) or "utf-8"
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise CannotBeDone(
            f"{path!r} is written in {encoding}, which has no {text[error.start : error.start + 1]!r}.",
            "Leave that character out.",
        ) from None


def split_lines(text: str) -> list[str]:
    """Lines as an editor counts them: ended by LF or CRLF, no empty one after the last end."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line[:-1] if line.endswith("\r") else line for line in lines]


def blacked_out(lines: Sequence[str], redact: Redact) -> list[str]:
    """The lines with their secrets out; as many as there were, so that line numbers stay true."""
    safe: list[str] = []
    inside = False
    for line in lines:
        if inside or _PEM_BEGIN.search(line):
            inside = not _PEM_END.search(line)
            safe.append(_KEY_GONE)
        else:
            safe.append(line)
    whole = redact("\n".join(safe)).split("\n")
    return whole if len(whole) == len(safe) else [redact(line).replace("\n", " ") for line in safe]


def described(data: bytes) -> str:
    """What some bytes are, for a reader who cannot see them.

    >>> described(b"\\x89PNG\\r\\n\\x1a\\n" + b"\\0\\0\\0\\rIHDR" + struct.pack(">II", 640, 480))
    'a PNG image, 640 x 480 pixels, 24 bytes'
    """
    size = f"{len(data):,} bytes"
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return f"a PNG image, {width} x {height} pixels, {size}"
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return f"a GIF image, {width} x {height} pixels, {size}"
    if data.startswith(b"\xff\xd8\xff"):
        found = _jpeg_size(data)
        return f"a JPEG image, {f'{found[0]} x {found[1]} pixels, ' if found else ''}{size}"
    if data.startswith(b"\x93NUMPY"):
        header = re.search(rb"\{.{0,300}?\}", data[:512], re.DOTALL)
        about = " " + header[0].decode("latin-1") if header else ""
        return f"a NumPy array{about}, {size}"
    for start, name in _KINDS:
        if data.startswith(start):
            return f"{name}, {size}"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return f"a WebP image, {size}"
    return f"binary data, {size}"


_KINDS = (
    (b"%PDF-", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PK\x03\x04", "a zip archive (also .npz, .pt, .xlsx)"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"(\xb5/\xfd", "zstd-compressed data"),
    (b"BM", "a BMP image"),
    (b"\x7fELF", "a program"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"ARROW1", "an Arrow file"),
)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if length < 2:
            return None
        at += 2 + length
    return None
