"""Files that a person attached to a message, kept by what they contain under `.ragent/attachments/`."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ragent_jupyter.domain.chat import Attachment
from ragent_jupyter.domain.errors import BadInput, NotFound, TooLarge
from ragent_jupyter.domain.model import Block, Image, Text
from ragent_jupyter.runfiles.jsonl import atomic_write

MAX_BYTES = 10 << 20
_IMAGE_BYTES = 5 << 20  # what providers take of one image
_TEXT_CHARS = 60_000
_IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def image_type(data: bytes) -> str:
    """What kind of image the bytes are, whatever their name says; "" for none that a model can see."""
    for magic, kind in _IMAGES.items():
        if data.startswith(magic):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


class AttachmentFolder:
    def __init__(self, folder: Path, redact: Callable[[str], str], quote: Callable[[str, str], str]) -> None:
        """redact, quote: what a text goes through before a model reads it."""
        self.folder = folder
        self.redact = redact
        self.quote = quote

    def put(self, name: str, data: bytes) -> Attachment:
        """Keep a file. Raises BadInput for none, TooLarge beyond 10 MiB."""
        if not data:
            raise BadInput("The attachment is empty.", "Attach a file with something in it.")
        if len(data) > MAX_BYTES:
            raise TooLarge(
                f"The attachment has {len(data) / 2**20:.0f} MiB.", "Attach at most 10 MiB; name a path instead."
            )
        id = hashlib.sha256(data).hexdigest()
        plain = "".join(c for c in os.path.basename(name.replace("\\", "/")) if c.isprintable())[:200] or "attachment"
        guessed = mimetypes.guess_type(plain)[0] or "application/octet-stream"
        # What calls itself an image and is none must never be shown as one.
        kind = image_type(data) or ("application/octet-stream" if guessed.startswith("image/") else guessed)
        attachment = Attachment(id=id, name=plain, media_type=kind, size=len(data))
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(os.fspath(self.folder / id), data)
        atomic_write(os.fspath(self.folder / f"{id}.json"), msgspec.json.encode(attachment))
        return attachment

    def get(self, id: str) -> Attachment | None:
        if len(id) != 64 or not all(c in "0123456789abcdef" for c in id):
            return None
        try:
            return msgspec.json.decode((self.folder / f"{id}.json").read_bytes(), type=Attachment)
        except (OSError, msgspec.DecodeError):
            return None

    def data(self, id: str) -> bytes:
        if self.get(id) is None:
            raise NotFound(f"There is no attachment {id[:80]!r}.", "Upload it again.")
        return (self.folder / id).read_bytes()

    def media(self, ids: Sequence[str]) -> Mapping[str, Block]:
        """What a model gets of them. Those that are gone are left out."""
        found: dict[str, Block] = {}
        for id in ids:
            attachment = self.get(id)
            if attachment is None:
                continue
            try:
                found[id] = self._block(attachment, self.data(id))
            except (OSError, NotFound):
                continue
        return found

    def _block(self, attachment: Attachment, data: bytes) -> Block:
        kind = image_type(data)
        if kind and len(data) <= _IMAGE_BYTES:
            return Image(kind, base64.b64encode(data).decode("ascii"))
        about = f"{attachment.name} ({attachment.media_type}, {attachment.size:,} bytes)"
        if attachment.name.endswith(".ipynb"):
            text = _cells(data)
        else:
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                return Text(f"[attached: {about}; not a text that can be read here]")
        if len(text) > _TEXT_CHARS:
            text = text[:_TEXT_CHARS] + f"\n[… {len(text) - _TEXT_CHARS:,} more characters]"
        return Text(self.quote(self.redact(text), f"attachment {about}"))


def _cells(data: bytes) -> str:
    """The sources of a notebook's cells; its outputs would fill the context with images."""
    try:
        cells = json.loads(data)["cells"]
        return "\n\n".join(f"[{cell['cell_type']}]\n{''.join(cell['source'])}" for cell in cells)
    except (ValueError, KeyError, TypeError, RecursionError):  # no notebook, whatever it is called
        return data.decode("utf-8", "replace")
