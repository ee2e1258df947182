"""Names that an agent's hands never touch: keepers of secrets, and what ragent and git live on.

Judged by name alone, on the path as it was asked for and on the path that it leads to.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Anything in these folders, however deep.
_FOLDERS = {
    ".ragent": "ragent's own records",
    ".ssh": "keys",
    ".gnupg": "keys",
    ".aws": "credentials",
    ".azure": "credentials",
    ".gcloud": "credentials",
    ".kube": "credentials",
    ".docker": "credentials",
    ".password-store": "passwords",
    ".jupyter": "Jupyter's configuration",
    ".ipython": "start-up files and keys of kernels",
    "keyrings": "a keyring",
    "keychains": "a keyring",
}
# Folders below another: (`.config`, `gh`) is `.config/gh`.
_PAIRS = {
    (".config", "gh"): "credentials",
    (".config", "gcloud"): "credentials",
    (".config", "ragent"): "ragent's keys",
    (".config", "jupyter"): "Jupyter's configuration",
    (".config", "git"): "git's configuration",
    ("share", "jupyter"): "Jupyter's runtime files",
    ("library", "jupyter"): "Jupyter's runtime files",
    (".cache", "huggingface"): "a cache that keeps tokens",
}
# Their last name alone says what they are. `id_*` with an ordinary ending (id_mapping.csv) is data, not a key.
_FILES = re.compile(
    r"""
    \.env.* | \.netrc | _netrc | \.pgpass | \.pypirc | \.npmrc | \.yarnrc\.yml | \.git-credentials | \.gitconfig
    | \.htpasswd | \.my\.cnf | \.boto | \.s3cfg | \.dockercfg | \.vault-token | \.databrickscfg | \.condarc
    | .*\.(?:pem|key|p12|pfx|pkcs12|jks|keystore|kdbx?|ppk|keytab|asc|gpg|age|ovpn)
    | id_(?:rsa|dsa|ecdsa|ed25519|ed448|xmss)(?:[._-].*)? | id_[^.]* | id_[^.]*\.pub
    | (?:kernel|jpserver|nbserver)-[^/]*\.(?:json|html) | (?:jupyter|notebook|jupyterhub)_cookie_secret
    | jupyter_(?:server|notebook|lab)?_?config\.(?:py|json) | kaggle\.json | client_secret.*\.json
    | (?:application_default_)?credentials(?:\.json|\.ini|\.toml|\.ya?ml)? | secrets?\.(?:json|toml|ya?ml|env|ini|txt)
    | .*service[-_]account.*\.json | login\.keychain.* | .*\.keyring
    """,
    re.VERBOSE | re.DOTALL,
)
_GIT_SECRETS = frozenset({"config", "config.worktree", "credentials"})


def folded(name: str) -> str:
    """A name as a forgiving file system may read it: case, width, unseen characters and trailing dots do not count.

    >>> folded(".Ｅnv\\u200b. ")
    '.env'
    """
    plain = unicodedata.normalize("NFKC", name)
    seen = "".join(char for char in plain if unicodedata.category(char) not in ("Cf", "Cc", "Mn"))
    # Only characters that a name does not need: "..." must not become "", nor ".env." anything but ".env".
    return seen.casefold().rstrip(". ") or seen


def why_refused(parts: Sequence[str], *, write: bool = False) -> str:
    """What a path (its names, from the project down) keeps that an agent must not see, or change; "" if nothing.

    >>> why_refused(["src", "train.py"])
    ''
    >>> why_refused([".git", "HEAD"]), why_refused([".git", "HEAD"], write=True)
    ('', "git's own files")
    """
    names = [folded(part) for part in parts]
    for at, name in enumerate(names):
        if name in _FOLDERS:
            return _FOLDERS[name]
        if at and (names[at - 1], name) in _PAIRS:
            return _PAIRS[names[at - 1], name]
        if name == ".git":
            if write:
                return "git's own files"
            if len(names) > at + 1 and names[-1] in _GIT_SECRETS:
                return "git's configuration and credentials"
        # A folder called `.env` is refused with all in it; other names only where they end the path.
        if (at == len(names) - 1 or name.startswith(".env")) and _FILES.fullmatch(name):
            return "keys, tokens or passwords"
    return ""
