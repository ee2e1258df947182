"""Where Jupyter and the user keep what no agent may see, as this machine has it."""

from __future__ import annotations

import os
from pathlib import Path


def jupyter_folders() -> list[str]:
    """Jupyter's runtime, configuration and data folders, IPython's, and the usual keepers of keys."""
    from jupyter_core import paths  # here: it looks at the disk when it is imported

    home = Path.home()
    found = [paths.jupyter_runtime_dir(), paths.jupyter_data_dir(), *paths.jupyter_config_path()]
    found += [os.environ.get("IPYTHONDIR") or str(home / ".ipython")]
    found += [str(home / name) for name in (".ssh", ".gnupg", ".aws", ".kube", ".docker")]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [*found, runtime] if runtime else found
