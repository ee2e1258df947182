"""Where keys are kept: the environment, then the system's keyring, then a 0600 file in Jupyter's config folder.

The keyring is asked in a thread of its own with a limit, and not at all where it could only ask back by a window that
nobody sees. A keyring that failed once is left alone until the engine starts again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.ports_mind import KeyState
from ragent_jupyter.runfiles.jsonl import atomic_write

log = logging.getLogger("ragent.engine")
T = TypeVar("T")

NAMES = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "DEEPINFRA_TOKEN", "TAVILY_API_KEY", "RESEARCH_AGENT_KEY")
# Never handed out, but secret all the same: what is blacked out of texts.
_ALSO_SECRET = ("ANTHROPIC_AUTH_TOKEN", "OPENCODE_PASSWORD", "JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "HF_TOKEN",
                "WANDB_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "RESEARCH_AGENT_USER_AUTH_TOKEN")  # fmt: skip
SERVICE = "ragent"
FILE = "ragent_keys.json"
KEYRING_S = 2.0
_SHORTEST, _LONGEST = 8, 4096


class SystemKeyring:
    """The keyring of the desktop, if there is one that works. Every call is limited; the first failure is the last."""

    def __init__(
        self, env: Mapping[str, str], load: Callable[[], Any] | None = None, limit_s: float = KEYRING_S
    ) -> None:
        self._load = load or _keyring_module
        self._limit_s = limit_s
        self.off = "" if load is not None else _why_not(env)

    def get(self, name: str) -> str | None:
        return self._do(lambda ring: ring.get_password(SERVICE, name))

    def put(self, name: str, value: str | None) -> bool:
        """True if it holds the value now (None: holds none)."""

        def change(ring: Any) -> bool:
            if value is None:
                if ring.get_password(SERVICE, name) is not None:
                    ring.delete_password(SERVICE, name)
                return True
            ring.set_password(SERVICE, name, value)
            return bool(ring.get_password(SERVICE, name) == value)

        return bool(self._do(change))

    def _do(self, what: Callable[[Any], T]) -> T | None:
        if self.off:
            return None
        found: list[T] = []
        trouble: list[str] = []

        def ask() -> None:
            # Whatever a backend raises (some raise what is no Exception of theirs) only means: not here.
            try:
                found.append(what(self._load()))
            except Exception as error:
                trouble.append(f"{type(error).__name__}: {error}"[:200])

        thread = threading.Thread(target=ask, name="keyring", daemon=True)
        thread.start()
        thread.join(self._limit_s)
        if thread.is_alive():
            self.off = f"the keyring did not answer within {self._limit_s:g} s"
        elif trouble:
            self.off = f"the keyring cannot be used ({trouble[0]})"
        if self.off:
            log.info("keys are kept without the keyring: %s", self.off)
        return found[0] if found and not self.off else None


def _keyring_module() -> Any:
    import keyring
    from keyring.backends import fail

    if isinstance(keyring.get_keyring(), fail.Keyring):
        raise LookupError("no backend")
    return keyring


def _why_not(env: Mapping[str, str]) -> str:
    """Why the keyring is not asked at all; "" if it may be.

    On Linux the keyrings unlock themselves by a window. Without a display nobody can answer it.
    """
    if env.get("RAGENT_KEYRING") == "0":
        return "RAGENT_KEYRING=0"
    if env.get("PYTHON_KEYRING_BACKEND"):
        return ""  # somebody chose one
    if sys.platform.startswith("linux") and not (env.get("DISPLAY") or env.get("WAYLAND_DISPLAY")):
        return "no display"
    return ""


class LocalKeys:
    """Keys by their names in the environment. Reads block for 2 s at most, and only once."""

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        keyring: SystemKeyring | None = None,
    ) -> None:
        self._env = os.environ if env is None else env
        self._folder = folder
        self._ring = keyring or SystemKeyring(self._env)
        self._from_ring: dict[str, str | None] = {}
        self._from_file: tuple[tuple[float, int] | None, dict[str, str]] = (None, {})
        self._lock = threading.RLock()

    @property
    def path(self) -> Path:
        if self._folder is None:
            from jupyter_core.paths import jupyter_config_dir

            self._folder = Path(jupyter_config_dir())
        return self._folder / FILE

    # --- reading ------------------------------------------------------------------------------------------------------
    def get(self, name: str) -> str | None:
        return self._find(name)[0]

    def values(self) -> list[str]:
        """Every secret that is held here, for blacking it out of texts."""
        found = {value for name in NAMES for value in self._all(name)}
        found |= {value for name in _ALSO_SECRET if (value := self._env.get(name, "").strip())}
        return sorted(found)

    def states(self) -> list[KeyState]:
        return [self.state(name) for name in NAMES]

    def state(self, name: str) -> KeyState:
        value, source = self._find(name)
        if value is None:
            return KeyState(name=name, set=False)
        # Of a short key four characters would be too much of it.
        return KeyState(name=name, set=True, source=source, hint=f"ends in {value[-4:]}" if len(value) >= 16 else "set")

    def _find(self, name: str) -> tuple[str | None, str]:
        if given := self._env.get(name, "").strip():
            return given, "env"
        if name not in NAMES:
            return None, ""
        if ringed := self._ringed(name):
            return ringed, "keyring"
        filed = self._filed().get(name)
        return (filed, "file") if filed else (None, "")

    def _all(self, name: str) -> Iterator[str]:
        for value in (self._env.get(name, "").strip(), self._ringed(name), self._filed().get(name)):
            if value:
                yield value

    def _ringed(self, name: str) -> str | None:
        with self._lock:
            if name not in self._from_ring:
                self._from_ring[name] = self._ring.get(name)
            return self._from_ring[name]

    def _filed(self) -> dict[str, str]:
        """The file's keys; read again only when it changed. A file that is not ours alone is not believed."""
        with self._lock:
            try:
                about = os.stat(self.path)
            except OSError:
                self._from_file = (None, {})
                return {}
            stamp = (about.st_mtime, about.st_ino)
            if stamp != self._from_file[0]:
                try:
                    held = self._read(about)
                except CannotBeDone as error:
                    log.warning("%s", error)
                    held = {}
                self._from_file = (stamp, held)
            return self._from_file[1]

    def _read(self, about: os.stat_result) -> dict[str, str]:
        if about.st_uid != os.getuid():
            raise CannotBeDone(f"{self.path} belongs to another user, so it is not read.", "Remove it.")
        if stat.S_IMODE(about.st_mode) & 0o077:
            os.chmod(self.path, 0o600)
            log.warning(
                "others could read %s; they cannot any more, but its keys may be known: replace them", self.path
            )
        try:
            held = json.loads(self.path.read_text())
        except (OSError, ValueError) as error:
            raise CannotBeDone(
                f"{self.path} cannot be read: {error}.", "Mend it, or remove it and set the keys anew."
            ) from None
        if not isinstance(held, dict):
            raise CannotBeDone(f"{self.path} holds no keys.", "Remove it and set the keys anew.")
        return {k: v.strip() for k, v in held.items() if k in NAMES and isinstance(v, str) and v.strip()}

    # --- writing ------------------------------------------------------------------------------------------------------
    def put(self, name: str, value: str | None) -> KeyState:
        """Set a key, or forget it (None). Raises BadInput, CannotBeDone."""
        if name not in NAMES:
            raise BadInput(f"There is no key {name!r}.", f"Choose one of: {', '.join(NAMES)}.")
        if self._env.get(name, "").strip():
            raise CannotBeDone(
                f"{name} comes from the environment, which is asked first.",
                f"Unset {name} where the engine is started, or change it there.",
            )
        if value is not None:
            value = _checked(name, value)
        with self._lock:
            ringed = self._ring.put(name, value)
            self._from_ring[name] = value if ringed else None
            # Where the keyring has it, the file must not have another one.
            self._write(name, None if ringed else value)
        return self.state(name)

    def _write(self, name: str, value: str | None) -> None:
        if value is None and not self.path.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(self.path.with_name(FILE + ".lock")):
                held = self._read(os.stat(self.path)) if self.path.exists() else {}
                held.pop(name, None)
                text = json.dumps(held if value is None else {**held, name: value}, indent=1)
                atomic_write(self.path, text.encode(), mode=0o600)
        except OSError as error:
            raise CannotBeDone(
                f"{self.path} cannot be written: {error.strerror or error}.",
                f"Make its folder writable, or set {name} in the environment.",
            ) from None


def _checked(name: str, value: str) -> str:
    value = value.strip()
    if not _SHORTEST <= len(value) <= _LONGEST or not value.isascii() or not value.isprintable() or " " in value:
        raise BadInput(
            f"That is no key: {name} takes {_SHORTEST} to {_LONGEST:,} characters, without blanks.",
            "Copy the key as the provider shows it, and nothing else.",
        )
    return value


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Several engines share the file."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
