"""The environment of a job: explicit, without tokens and keys that are not its own."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Tokens of Jupyter and its Hub, and keys of model providers: a training job has no business with them.
_SECRET_NAMES = re.compile(
    r"^(?:JUPYTERHUB_.*|JUPYTER_TOKEN|JPY_.*|JUPYTER_SERVER_.*TOKEN|CONFIGPROXY_AUTH_TOKEN"
    r"|(?:ANTHROPIC|OPENAI|DEEPINFRA|TAVILY|OPENROUTER|GEMINI|GOOGLE|MISTRAL|GROQ|COHERE)_(?:API_KEY|API_TOKEN|TOKEN|AUTH_TOKEN)"
    r"|RESEARCH_AGENT_.*|OPENCODE_PASSWORD|CLERK_.*|DATABASE_URL|RAGENT_KILL_AT)$"
)
# What belongs to the process that asked, not to the job.
_OURS = re.compile(
    r"^(?:TMUX|TMUX_PANE|TMUX_TMPDIR|RAGENT_.*|PYTHONHOME|PYTHONSTARTUP|VIRTUAL_ENV|VIRTUAL_ENV_PROMPT|COLUMNS|LINES)$"
)
_SECRET_LOOK = re.compile(r"(?i)(?:token|secret|passw|api_?key|credential)")


def job_env(
    base: Mapping[str, str],
    interpreter: Mapping[str, str],
    extra: Mapping[str, str],
    own: Mapping[str, str],
) -> dict[str, str]:
    """What a job sees. base: the engine's environment.  interpreter: PATH, VIRTUAL_ENV … of the run's Python.
    extra: what the user set for this run, kept whatever its name: it was asked for.  own: RAGENT_* and the like.

    >>> job_env({"HOME": "/h", "JUPYTER_TOKEN": "t", "OPENAI_API_KEY": "k"}, {"PATH": "/v/bin"}, {"A": "1"}, {})
    {'HOME': '/h', 'PATH': '/v/bin', 'A': '1'}
    """
    return {**kept(base), **interpreter, **extra, **own}


def kept(base: Mapping[str, str]) -> dict[str, str]:
    """What of a caller's environment may be kept for a job: no token and no key that is not the job's own."""
    return {k: v for k, v in base.items() if not _SECRET_NAMES.match(k) and not _OURS.match(k)}


def shown_env(env: Mapping[str, str]) -> dict[str, str]:
    """A run's own variables as doors may show them.

    >>> shown_env({"LR": "0.1", "HF_TOKEN": "hf_abcdef1234"})
    {'LR': '0.1', 'HF_TOKEN': '•••1234'}
    """
    return {
        k: (f"•••{v[-4:]}" if _SECRET_LOOK.search(k) and len(v) > 8 else "•••" if _SECRET_LOOK.search(k) else v)
        for k, v in env.items()
    }


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """Values that stand in an environment under a secret's name; a path to where a secret lies is none.

    >>> secrets_of({"LAB_TOKEN": "correct-horse", "HF_TOKEN_PATH": "/h/.cache/token", "TOKENIZERS": "1", "LR": "0.1"})
    ['correct-horse']
    """
    return [v for k, v in env.items() if _SECRET_LOOK.search(k) and len(v) >= 8 and not v.startswith(("/", "~", "."))]
