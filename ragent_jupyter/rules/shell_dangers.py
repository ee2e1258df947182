"""What in a shell command can do harm that is hard to take back. Finds too much rather than too little."""

from __future__ import annotations

import re
from collections.abc import Sequence

_REACHES = frozenset(
    {
        *("curl", "wget", "aria2c", "nc", "ncat", "netcat", "socat", "ssh", "scp", "sftp", "rsync", "ftp", "telnet"),
        *("mail", "sendmail", "rclone", "ngrok"),
    }
)
_MOST_ARGUMENTS = 100  # looked at, so that a long line takes no longer than its length
# They run another command that they are given.
CARRIERS = frozenset(
    {
        *("env", "command", "exec", "builtin", "nice", "ionice", "time", "timeout", "stdbuf", "xargs", "nohup"),
        *("setsid", "doas", "sudo", "su", "runuser", "watch", "chroot", "unshare", "busybox", "parallel", "flock"),
        *("strace", "script", "eval", "then", "do", "else", "if", "while", "!"),
    }
)


def simple_commands(text: str) -> list[list[str]]:
    """The words of each command in a line, roughly: cut at what a shell cuts at; assignments and carriers taken off."""
    found = []
    for piece in re.split(r"[;|&\n\r`(){}]|\$\(", text):
        words = piece.replace("\t", " ").split()
        while words and (re.match(r"^\w+\+?=", words[0]) or words[0] in ("then", "do", "else", "if", "while", "!")):
            words = words[1:]
        if words:
            found.append(words)
    return found


def dangers(command: str) -> list[str]:
    """What in a command can do harm that is hard to take back, in plain words. Finds too much rather than too little.

    Looked for in the text without quotes as well as in the plain text: `r"m" -rf` and `eval 'rm -rf /'` both count.
    """
    found: list[str] = []
    for text in {command.replace("\\\n", ""), re.sub(r"""["'\\]""", "", command)}:
        for words in simple_commands(text):
            found += _dangers_of(words)
        found += [why for pattern, why in _PATTERNS if pattern.search(text)]
    return sorted(set(found))


def _dangers_of(words: Sequence[str]) -> list[str]:
    """Of one simple command. Behind a carrier (`xargs rm`, `find -exec rm`, `bash -c rm`) any word may be a program."""
    found = []
    first = words[0].rsplit("/", 1)[-1]
    carried = first in CARRIERS
    for at, word in enumerate(words):
        if at == 0 or carried:
            why = _danger(word.rsplit("/", 1)[-1], words[at + 1 : at + _MOST_ARGUMENTS])
            if why:
                found.append(why)
        carried |= word in ("-exec", "-execdir", "-ok", "-okdir") or (first.endswith("sh") and word[0] == "-")
    return found


def _danger(name: str, rest: Sequence[str]) -> str:
    """Why one program with these arguments is dangerous; "" if it is not known to be."""
    short = "".join(word[1:] for word in rest if word.startswith("-") and not word.startswith("--"))
    long = {word.split("=")[0] for word in rest if word.startswith("--")}
    match name:
        case "rm" | "rmdir" | "unlink" | "shred" | "srm" | "trash":
            return f"deletes files ({name})"
        case "sudo" | "su" | "doas" | "pkexec" | "runuser":
            return f"becomes another user ({name})"
        case "dd" | "fdisk" | "parted" | "wipefs" | "mkswap" | "losetup" | "blkdiscard" | "mount" | "umount":
            return f"writes to disks ({name})"
        case "chmod" | "chown" | "chgrp" | "chattr" | "setfacl":
            deep = "R" in short or "--recursive" in long
            return f"changes permissions of whole folders ({name} -R)" if deep else f"changes permissions ({name})"
        case "kill" | "killall" | "pkill" | "skill" | "xkill":
            return f"ends processes ({name})"
        case "shutdown" | "reboot" | "halt" | "poweroff" | "systemctl" | "service" | "launchctl" | "init":
            return f"changes services or the machine ({name})"
        case "crontab" | "at" | "batch":
            return f"plans commands for later ({name})"
        case "eval" | "source" | ".":
            return f"runs text as commands ({name})"
        case "truncate" | "fallocate":
            return f"empties files ({name})"
        case "iptables" | "ip6tables" | "nft" | "ufw" | "firewall-cmd":
            return f"changes the firewall ({name})"
        case "git":
            return _git_danger(rest)
        case "find" if {"-delete", "-exec", "-execdir", "-ok", "-okdir"} & set(rest):
            return "deletes or runs what it finds (find)"
        case "insmod" | "modprobe" | "sysctl":
            return f"changes the system ({name})"
        case "docker" | "podman" if {"rm", "rmi", "prune", "kill", "--privileged"} & set(rest):
            return f"removes containers, or gives them the machine ({name})"
        case "conda" | "mamba" if {"remove", "uninstall"} & set(rest):
            return f"removes packages ({name})"
        case "pip" | "pip3" | "npm" | "apt" | "apt-get" | "yum" | "dnf" | "brew":
            gone = {"uninstall", "remove", "purge", "autoremove", "publish"} & set(rest)
            return f"removes or publishes packages ({name})" if gone else ""
        case "aws" | "gsutil" | "gcloud" | "az" | "kubectl" | "terraform" | "huggingface-cli" | "hf" | "twine" | "gh":
            return f"changes things on other machines ({name})"
        case _ if name.startswith("mkfs"):
            return "makes file systems (mkfs)"
        case _ if name in _REACHES:
            return f"talks to other machines ({name})"
    return ""


def _git_danger(rest: Sequence[str]) -> str:
    words = [word for word in rest if not word.startswith("-")]
    verb = next((word for word in words if word in _GIT_VERBS), "")
    flags = {word.split("=")[0] for word in rest if word.startswith("-")}
    if {"-c", "--exec-path", "--config-env"} & flags:
        return "runs git with other settings (git -c)"
    match verb:
        case "push":
            forced = {"--force", "-f", "--force-with-lease", "--mirror", "--delete", "-d"} & flags
            forced |= {word for word in words if word.startswith(("+", ":"))}
            return "overwrites a remote branch (git push --force)" if forced else "sends commits away (git push)"
        case "clean":
            return "deletes files that git does not know (git clean)"
        case "reset" if "--hard" in flags:
            return "throws changes away (git reset --hard)"
        case "checkout" | "restore" | "switch":
            risky = {"-f", "--force", "--", "--discard-changes"} & flags or verb == "restore" or "." in words
            return f"throws changes away (git {verb})" if risky else ""
        case "stash" if {"drop", "clear"} & set(words):
            return "throws changes away (git stash)"
        case "branch" if {"-D", "-d", "--delete"} & flags:
            return "deletes branches (git branch -d)"
        case "filter-branch" | "filter-repo" | "update-ref" | "reflog" | "gc" | "prune":
            return f"rewrites history (git {verb})"
        case "config" | "submodule" | "remote":
            return f"changes git's settings (git {verb})"
    return ""


_GIT_VERBS = frozenset(
    {
        *("push", "clean", "reset", "checkout", "restore", "switch", "stash", "branch", "filter-branch", "filter-repo"),
        *("update-ref", "reflog", "gc", "prune", "config", "submodule", "remote"),
    }
)
_TOLD = "runs what it was sent"
_SECRETS = "touches what keeps secrets"
_LOOKS_FOR: tuple[tuple[str, str], ...] = (
    (r"\|\s*(?:sudo\s+)?(?:\S*/)?(?:ba|z|da|k|fi|c|tc)?sh\b", f"{_TOLD} (… | sh)"),
    (r"\|\s*(?:sudo\s+)?(?:\S*/)?(?:python[\d.]*|perl|ruby|node|php)\b(?!\s+\S+\.\w+)", _TOLD),
    (r"<\(\s*(?:curl|wget)|\$\(\s*(?:curl|wget)|`\s*(?:curl|wget)", f"{_TOLD} (curl)"),
    (r":\s*\(\s*\)\s*\{|\b(\w{1,40})\s*\(\)\s*\{[^}]{0,200}\|\s*\1\s*&", "starts itself over and over (fork bomb)"),
    (r">\|?\s*(?:/dev/(?!null\b|stdout\b|stderr\b|tty\b|fd/)|/etc/|/usr/|/boot/|/sys/|/proc/)", "writes to the system"),
    (r">\|?\s*\S*\.(?:bashrc|zshrc|profile|bash_profile|ssh/|gitconfig)", "writes what runs at the next login"),
    (r"/dev/(?:tcp|udp)/", "talks to other machines (/dev/tcp)"),
    (r"(?:^|[\s/'\"=<])\.(?:ssh|aws|gnupg|netrc|env|git-credentials|ragent|jupyter)\b", _SECRETS),
    (r"\bid_(?:rsa|dsa|ecdsa|ed25519)\b|/etc/(?:shadow|passwd|sudoers)|/proc/\S{0,100}environ", _SECRETS),
    (r"\bbase64\s+(?:-d|-D|--decode)\b|\bxxd\s+-r\b|\bopenssl\s+enc\b", "hides what it runs (base64)"),
    (r"\$\{?IFS\b|\$'\\|\$\"|\\x[0-9a-fA-F]{2}|\\[0-7]{3}", "hides what it runs (odd quoting)"),
    (
        r"(?:^|[\s;&|(])(?:LD_PRELOAD|LD_LIBRARY_PATH|PYTHONSTARTUP|PYTHONPATH|GIT_\w+|BASH_ENV|ENV|PATH|PAGER|EDITOR)=",
        "changes how programs are found (environment)",
    ),
    (
        r"\b(?:ragent|jupyter)\s[^;|&\n]{0,200}?\b(?:keys|respond|stop|wild|gateway|run|sweep|chat|gc|launch)\b",
        "drives ragent or Jupyter from outside",
    ),
)
_PATTERNS = [(re.compile(pattern), why) for pattern, why in _LOOKS_FOR]
