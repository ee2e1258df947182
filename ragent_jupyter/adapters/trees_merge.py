"""Putting a loop's commits on the user's branch, because a person asked; and forgetting a loop."""

from __future__ import annotations

import os

from ..domain.errors import CannotBeDone, WrongMoment
from .trees_edit import Worktree
from .trees_git import SLOW_S, Git, GitFailed

_UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}


def merge(git: Git, worktree: Worktree, loop_id: str, base: str, commit: str, by: str) -> str:
    """Commits after `base` up to `commit`, on the branch that is checked out. Raises CannotBeDone, WrongMoment; nothing
    of the user's has changed then. The last step is the user's own git, which refuses what would overwrite a file."""
    head, branch = _clean_moment(git)
    if not git.is_ancestor(base, commit):
        raise CannotBeDone(f"{commit[:10]} is not a commit of {loop_id}.", "Name one that the loop made.")
    if commit == base:
        raise CannotBeDone("There is nothing to merge: this is what the loop started from.", "Name a later commit.")
    if git.is_ancestor(commit, head):
        return f"{commit[:10]} is on {branch} already."
    paths = git.listed("diff", "--name-only", "-z", "--no-renames", base, commit)
    if dirty := _dirty(git, paths):
        problem = f"{', '.join(dirty[:5])} {'has' if len(dirty) == 1 else 'have'} changes that are not committed."
        raise WrongMoment(problem, "Commit or stash them, then merge.")
    if git.is_ancestor(head, commit) and git.is_ancestor(base, head):
        tip = commit  # the branch stands where the loop started, or within: its commits keep their ids
        number = int(git.text("rev-list", "--count", f"{head}..{commit}"))
    else:
        tip, number = _picked(git, worktree, base, commit, head)
        if not number:
            return f"Everything up to {commit[:10]} is on {branch} already."
    try:
        git.raw("merge", "--ff-only", "--no-verify-signatures", "--quiet", tip, plain=True, timeout=SLOW_S)
    except GitFailed as error:
        problem = f"git would not put the commits on {branch}: {error.said[-1000:]}"
        raise WrongMoment(problem, "Nothing was changed. Clear what it names, then merge again.") from error
    words = "1 commit" if number == 1 else f"{number} commits"
    who = f", asked for by {by}" if by else ""
    return f"{words} of {loop_id} put on {branch} ({head[:10]}..{tip[:10]}){who}."


def _clean_moment(git: Git) -> tuple[str, str]:
    for name, what in _UNDER_WAY.items():
        if os.path.exists(git.path(name)):
            raise WrongMoment(f"{what.capitalize()} is under way in {git.folder}.", "Finish or abort it, then merge.")
    head = git.resolve("HEAD")
    try:
        branch = git.text("symbolic-ref", "--quiet", "--short", "HEAD")
    except GitFailed:
        raise WrongMoment(
            "No branch is checked out (HEAD is detached).", "git switch to the branch, then merge."
        ) from None
    if not head:
        raise WrongMoment(f"{branch} has no commit yet.", "Make a first commit, then merge.")
    if git.listed("ls-files", "-u", "-z"):
        raise WrongMoment("There are unresolved conflicts.", "Resolve them, then merge.")
    return head, branch


def _dirty(git: Git, paths: list[str]) -> list[str]:
    """Which of these files the user has changed, staged, or made, without committing."""
    if not paths:
        return []
    lines = git.listed("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", *paths)
    return sorted(line[3:] for line in lines)


def _picked(git: Git, worktree: Worktree, base: str, commit: str, head: str) -> tuple[str, int]:
    """(new tip, how many commits) after picking the loop's commits onto head, in the loop's worktree."""
    lines = git.text("cherry", head, commit, base).splitlines()
    wanted = [line[2:] for line in lines if line.startswith("+ ")]
    if not wanted:
        return head, 0
    worktree.ready(head)
    try:
        worktree.git.raw("cherry-pick", "--allow-empty", *wanted, timeout=SLOW_S)
    except GitFailed as error:
        torn = sorted({line.partition("\t")[2] for line in worktree.git.listed("ls-files", "-u", "-z")})
        worktree.git.true("cherry-pick", "--abort")
        if not torn:
            raise
        problem = f"The loop's changes conflict with your branch in {', '.join(torn[:5])}."
        remedy = f"Merge by hand: git cherry-pick {base[:10]}..{commit[:10]}"
        raise CannotBeDone(problem, remedy) from error
    return worktree.git.text("rev-parse", "HEAD"), len(wanted)


def forget(git: Git, worktree: Worktree, loop_id: str) -> None:
    """Remove the loop's worktree and names. Commits that a branch of the user's holds stay where they are."""
    branch = f"refs/heads/ragent/{loop_id}"
    lines = git.text("worktree", "list", "--porcelain").split("\n\n")
    for one in lines:
        if f"branch {branch}" in one.split("\n"):
            where = one.split("\n")[0].removeprefix("worktree ")
            raise WrongMoment(f"ragent/{loop_id} is checked out in {where}.", "Switch to another branch there first.")
    worktree.remove()
    names = git.text("for-each-ref", "--format=%(refname)", f"refs/ragent/{loop_id}/").splitlines()
    for name in [*names, branch]:
        if git.resolve(name):
            git.raw("update-ref", "-d", name)
