"""The project's files as an agent may see them: domain.ports_mind.Workspace on a folder."""

from .folder import FolderWorkspace
from .keep_out import jupyter_folders

__all__ = ["FolderWorkspace", "jupyter_folders"]
