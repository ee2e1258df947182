"""Notebooks by path: through the tab that has one open, else on the file and in a kernel of the engine's own."""

from .both import BothNotebooks
from .checkpoints import Checkpoints
from .file import FileNotebooks
from .kernel import EngineKernels
from .open import Tabs

__all__ = ["BothNotebooks", "Checkpoints", "EngineKernels", "FileNotebooks", "Tabs"]
