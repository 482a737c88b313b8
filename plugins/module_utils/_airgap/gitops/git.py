# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git, by its program: a branch is fetched, changed by a plan, and pushed; planned anew when somebody else was first.

Logins reach the program through its environment alone: never an argument, a URL or the configuration of Git.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..model.errors import InvalidInput, NotFound, OcmError, Refused
from .location import GitLocation
from .lock import LOCK_NAME
from .tree import Tree, TreePlan
from .workloads import SUFFIXES

MAX_TREE_FILE = 4 * 1024 * 1024
_TIMED_OUT = 124
_AUTHOR = re.compile(r"\A\s*([^<>\n]+?)\s*<([^<>\s]+)>\s*\Z")
_BRANCH = re.compile(r"\A(?![-/.])[^\s~^:?*\[\\\x00-\x1f]+\Z")
_REJECTED = ("[rejected]", "non-fast-forward", "fetch first", "cannot lock ref", "failed to update ref", "stale info")
_REFUSED = ("pre-receive hook declined", "protected branch", "GH006", "not allowed to push", "hook declined")
# Advice of Git, and the frame of a warning of SSH.
_NOISE = ("hint:", "@")
_LOGIN_REFUSED = ("Authentication failed", "could not read Username", "could not read Password", "HTTP Basic", " 401", " 403", "Permission denied")

# Runs a program: (command and arguments, environment to add, folder) -> (exit code, output, error output).
RunGit = Callable[[List[str], Mapping[str, str], str], Tuple[int, str, str]]

_ASKPASS = """#!/bin/sh
# Git asks for a login here. It is given for the server of the repository alone, not for one that it redirects to.
case $1 in
*"'$OCM_AIRGAP_GIT_SERVER'"* | *"@$OCM_AIRGAP_GIT_HOST'"*) ;;
*) exit 1 ;;
esac
case $1 in
Username*) printf '%s\\n' "$OCM_AIRGAP_GIT_USERNAME" ;;
*) printf '%s\\n' "$OCM_AIRGAP_GIT_PASSWORD" ;;
esac
"""


class GitError(OcmError):
    """Git, or the server that it talks to, does not do what was asked."""


@dataclass(frozen=True)
class GitSettings:
    """branch: what the cluster reads. push_branch: what is pushed to; the same unless the branch is protected.

    timeout: seconds that a command which talks to the server may take. attempts: how often it is planned anew.
    """

    location: GitLocation
    branch: str = "main"
    push_branch: str = ""
    ssh_key: str = ""
    known_hosts: str = ""
    ca_path: str = ""
    author: str = "ocm.airgap <ocm.airgap@localhost>"
    executable: str = "git"
    timeout: int = 120
    attempts: int = 5

    @property
    def pushed_branch(self) -> str:
        return self.push_branch or self.branch

    def check(self) -> None:
        """Raises InvalidInput for a bad branch or author."""
        for name in (self.branch, self.pushed_branch):
            if not _BRANCH.match(name) or ".." in name or name.endswith((".lock", "/", ".")):
                raise InvalidInput(f"{name!r} is no name of a Git branch.")
        if not _AUTHOR.match(self.author):
            raise InvalidInput(f"The author {self.author!r} is not written as Name <address>.")


@dataclass
class Published:
    """revision: the commit that the branch stands for. changed: whether the tree differs from what it was.

    merged: whether what the cluster reads holds it. before: former content of each edited file.
    """

    plan: TreePlan
    revision: str = ""
    branch: str = ""
    changed: bool = False
    merged: bool = True
    before: Dict[str, Optional[bytes]] = field(default_factory=dict)


class GitClone:
    """A clone in a folder of its own, with one remote that is named by its URL in each command."""

    def __init__(self, run: RunGit, folder: str, settings: GitSettings) -> None:
        settings.check()
        self._run, self._settings = run, settings
        self._private = os.path.join(folder, "private")
        self.folder = os.path.join(folder, "tree")
        os.makedirs(self._private, mode=0o700)
        self._environment = self._make_environment()
        self._git("init", "--quiet", self.folder, inside=False)

    def _make_environment(self) -> Dict[str, str]:
        settings, location = self._settings, self._settings.location
        match = _AUTHOR.match(settings.author)
        name, address = (match.group(1), match.group(2)) if match else ("", "")
        environment = {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": address,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": address,
        }
        if location.password:
            environment.update(
                GIT_ASKPASS=self._askpass(),
                OCM_AIRGAP_GIT_SERVER=location.server,
                OCM_AIRGAP_GIT_HOST=location.server.partition("://")[2].rpartition("@")[2],
                OCM_AIRGAP_GIT_USERNAME=location.username or "git",
                OCM_AIRGAP_GIT_PASSWORD=location.password,
            )
        if settings.ca_path:
            environment["GIT_SSL_CAINFO"] = os.path.expanduser(settings.ca_path)
        if settings.ssh_key or settings.known_hosts:
            environment["GIT_SSH_COMMAND"] = _ssh_command(settings)
        return environment

    def _askpass(self) -> str:
        path = os.path.join(self._private, "askpass")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "w", encoding="utf-8") as file:
            file.write(_ASKPASS)
        return path

    def _git(self, *arguments: str, inside: bool = True) -> str:
        """Run git. Raises GitError without any secret."""
        code, output, errors = self._try(*arguments, inside=inside)
        if code:
            raise self._error(arguments[0], code, errors)
        return output

    def _try(self, *arguments: str, inside: bool = True) -> Tuple[int, str, str]:
        # Credential helpers of the user would keep the login, and hooks of templates would run.
        own = ["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "core.autocrlf=false"]
        own += ["-c", "credential.helper="] if self._settings.location.password else []
        folder = ["-C", self.folder] if inside else []
        command = [self._settings.executable] + own + folder + list(arguments)
        if arguments[0] in ("fetch", "push", "ls-remote"):
            command = ["timeout", str(self._settings.timeout)] + command
        try:
            return self._run(command, self._environment, self._private)
        except OSError as error:
            raise GitError(
                f"The program {self._settings.executable} cannot be run ({error.strerror}).", "Install Git, or name its program."
            ) from None

    def _error(self, action: str, code: int, errors: str) -> GitError:
        location = self._settings.location
        where = f"Git repository {location.url}: {action} failed"
        if code == _TIMED_OUT:
            return GitError(f"{where}, no answer within {self._settings.timeout} seconds.", "Is the server up?")
        lines = [line.strip() for line in errors.splitlines() if not line.startswith(_NOISE)]
        text = self._struck(" ".join(line for line in lines if line))
        if any(mark in text for mark in _LOGIN_REFUSED):
            hint = "Check the login: git_username and git_password, or git_ssh_key."
        elif "Host key verification failed" in text:
            hint = "Give the key of the server in git_known_hosts; ssh-keyscan shows it, another way has to confirm it."
        elif "certificate" in text or "SSL" in text:
            hint = "Give the authority of the server's certificate in git_ca_path."
        elif any(mark in text for mark in _REFUSED):
            hint = f"If the branch {self._settings.pushed_branch} is protected, push to another one: git_push_branch."
        else:
            hint = "Check the URL, and that the server is up."
        return GitError(f"{where}: {text[-1000:] or f'exit code {code}'}.", hint)

    def _struck(self, text: str) -> str:
        password = self._settings.location.password
        return text.replace(password, "***") if password else text

    def heads(self) -> Dict[str, str]:
        """Every branch of the remote and its commit."""
        output = self._git("ls-remote", "--heads", self._settings.location.url)
        pairs = (line.split("\t", 1) for line in output.splitlines() if "\t" in line)
        return {name[len("refs/heads/"):]: commit for commit, name in pairs}

    def check_out(self, branch: str, whole: bool = False) -> str:
        """Fetch a branch and make the folder equal to it. Returns its commit. whole: with its history."""
        shallow = os.path.exists(os.path.join(self.folder, ".git", "shallow"))
        depth = (["--unshallow"] if shallow else []) if whole else ["--depth", "1"]
        self._git("fetch", "--quiet", "--no-tags", *depth, self._settings.location.url, f"+refs/heads/{branch}:refs/ocm-airgap/{branch}")
        self._git("checkout", "--quiet", "--force", "--detach", f"refs/ocm-airgap/{branch}")
        self._git("clean", "-ffdqx")
        return self._git("rev-parse", "HEAD").strip()

    def contains(self, commit: str) -> bool:
        """Whether what is checked out has a commit in its history."""
        return self._try("merge-base", "--is-ancestor", commit, "HEAD")[0] == 0

    def is_behind(self, commit: str) -> bool:
        """Whether everything that is checked out is in the history of a commit."""
        return self._try("merge-base", "--is-ancestor", "HEAD", commit)[0] == 0

    def move_to(self, commit: str) -> None:
        self._git("checkout", "--quiet", "--force", "--detach", commit)

    def merge(self, commit: str) -> None:
        """Merge a commit; where both sides changed the same lines, that commit wins. Raises GitError."""
        self._git("merge", "--quiet", "--no-edit", "--strategy-option", "theirs", commit)

    def tree(self) -> Tree:
        """What is checked out. Links are passed over."""
        files: Dict[str, bytes] = {}
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if name != ".git" and not os.path.islink(os.path.join(folder, name)))
            for name in names:
                full = os.path.join(folder, name)
                wanted = name.lower().endswith(SUFFIXES[:2]) or name == LOCK_NAME
                if wanted and not os.path.islink(full) and os.path.getsize(full) <= MAX_TREE_FILE:
                    path = os.path.relpath(full, self.folder).replace(os.sep, "/")
                    files[path] = _read(full) or b""
        return Tree(files, lambda path: _read(self._inside(path)))

    def _inside(self, path: str) -> str:
        """The file behind a path of the tree. Raises Refused when a link leads out of it."""
        full = os.path.join(self.folder, *path.split("/"))
        root = os.path.realpath(self.folder)
        if os.path.islink(full) or not os.path.realpath(full).startswith(root + os.sep):
            raise Refused(f"{path} of the Git tree is a link, or lies behind one.", "Use a folder without links.")
        return full

    def removed_file(self, path: str) -> Optional[str]:
        """What was in a file before it was removed from the branch that is checked out with its history; None if nothing."""
        commit = self._git("log", "-1", "--diff-filter=D", "--format=%H", "HEAD", "--", path).strip()
        return self._git("show", f"{commit}^:{path}") if commit else None

    def write(self, edits: Mapping[str, Optional[bytes]]) -> None:
        """Write and stage files, also those that a .gitignore names."""
        for path, content in sorted(edits.items()):
            full = self._inside(path)
            if content is None:
                self._git("rm", "--quiet", "--force", "--", path)
                continue
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as file:
                file.write(content)
            self._git("add", "--force", "--", path)

    def commit(self, message: str) -> str:
        """Commit what is staged. Returns the commit."""
        self._git("commit", "--quiet", "--no-verify", "--allow-empty-message", "--message", message)
        return self._git("rev-parse", "HEAD").strip()

    def push(self, branch: str) -> bool:
        """Push what is checked out; False when the branch has moved in the meantime. Raises GitError."""
        code, output, errors = self._try("push", "--quiet", "--porcelain", self._settings.location.url, f"HEAD:refs/heads/{branch}")
        if code == 0:
            return True
        text = output + errors
        if any(mark in text for mark in _REJECTED) and not any(mark in text for mark in _REFUSED):
            return False
        raise self._error("push", code, text)


def _ssh_command(settings: GitSettings) -> str:
    command = ["ssh", "-o", "BatchMode=yes"]
    if settings.ssh_key:
        command += ["-i", os.path.expanduser(settings.ssh_key), "-o", "IdentitiesOnly=yes"]
    if settings.known_hosts:
        command += ["-o", f"UserKnownHostsFile={os.path.expanduser(settings.known_hosts)}", "-o", "StrictHostKeyChecking=yes"]
    return " ".join(shlex.quote(part) for part in command)


def _read(path: str) -> Optional[bytes]:
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def publish(
    clone: GitClone, settings: GitSettings, plan: Callable[[Tree], TreePlan], message: str, check_mode: bool = False,
    wait: Callable[[float], Any] = lambda seconds: None,
) -> Published:
    """Bring the branch to what is planned for it; with check_mode only tell. wait: called with seconds between attempts.

    Raises GitError, NotFound for a branch that is not there, and what the plan raises.
    """
    for attempt in range(max(1, settings.attempts)):
        if attempt:
            wait(min(10.0, 0.5 * 2 ** attempt))
        result = _attempt(clone, settings, plan, message, check_mode)
        if result is not None:
            return result
    raise GitError(
        f"Git repository {settings.location.url}: somebody else pushed to {settings.pushed_branch} first, {settings.attempts} times.",
        "Run it again.",
    )


def _attempt(
    clone: GitClone, settings: GitSettings, plan: Callable[[Tree], TreePlan], message: str, check_mode: bool
) -> Optional[Published]:
    heads = clone.heads()
    base = _check_out_base(clone, settings, heads)
    tree = clone.tree()
    planned = plan(tree)
    if not planned.edits:
        return Published(planned, base, settings.branch)
    if settings.pushed_branch != settings.branch:
        head = _check_out_pushed(clone, settings, heads, base)
        tree = clone.tree()
        planned = plan(tree)
        if not planned.edits and head == heads.get(settings.pushed_branch):
            return Published(planned, head, settings.pushed_branch, merged=False)
    before = {path: tree.read(path) for path in planned.edits}
    result = Published(planned, base, settings.pushed_branch, True, settings.pushed_branch == settings.branch, before)
    if check_mode:
        return result
    if planned.edits:
        clone.write(planned.edits)
        result.revision = clone.commit(message)
    return result if clone.push(settings.pushed_branch) else None


def _check_out_base(clone: GitClone, settings: GitSettings, heads: Mapping[str, str]) -> str:
    """The branch that the cluster reads, "" for a repository that is still empty."""
    if settings.branch in heads:
        return clone.check_out(settings.branch, whole=settings.pushed_branch != settings.branch)
    if heads or settings.pushed_branch != settings.branch:
        names = ", ".join(sorted(heads)) or "none at all"
        raise NotFound(f"Git repository {settings.location.url} has no branch {settings.branch}.", f"There are: {names}.")
    return ""


def _check_out_pushed(clone: GitClone, settings: GitSettings, heads: Mapping[str, str], base: str) -> str:
    """The branch that is pushed to, with what the base has in the meantime. Returns the commit."""
    branch = settings.pushed_branch
    if branch not in heads:
        return base
    head = clone.check_out(branch, whole=True)
    if clone.is_behind(base):
        clone.move_to(base)
        return base
    if not clone.contains(base):
        try:
            clone.merge(base)
        except GitError as error:
            raise Refused(
                f"Git repository {settings.location.url}: the branch {branch} cannot be brought up to {settings.branch}. {error.message}",
                f"Merge or delete the branch {branch}.",
            ) from None
        return ""
    return head
