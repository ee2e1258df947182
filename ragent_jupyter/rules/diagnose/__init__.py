"""Why a run broke: from its end, its log, its curves and its settings to ranked causes, each with the line that proves
it. Pure; no model is asked.
"""

from __future__ import annotations

from .causes import diagnose
from .words import KINDS, Case, Cause, Cite, Diagnosis, LogLine, Pace

__all__ = ["KINDS", "Case", "Cause", "Cite", "Diagnosis", "LogLine", "Pace", "diagnose"]
