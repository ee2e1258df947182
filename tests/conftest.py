"""Shared by every tier. No plugin is loaded here: pytest-jupyter's loop and Playwright's do not share a process."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machines that run this have two busy cores: slowness is no fault of a rule.
settings.register_profile("ragent", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ragent")
