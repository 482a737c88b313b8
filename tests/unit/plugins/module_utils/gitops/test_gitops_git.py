# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git against a real server: git http-backend on a loopback port."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.git import (
    GitClone,
    GitError,
    GitSettings,
    publish,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.location import GitLocation
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import TreePlan
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, NotFound, Refused
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

LOGIN = "robot:git-password-1/@:"
FILE = "components/podinfo/object.yaml"


class Runner:
    """Runs git, and keeps every command with its environment."""

    def __init__(self):
        self.commands = []

    def __call__(self, command, environment, folder):
        self.commands.append(command)
        done = subprocess.run(
            command, env=dict(os.environ, **environment), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def server(tmp_path):
    with run_git_server(tmp_path / "server", LOGIN) as running:
        yield running


@pytest.fixture
def repository(server, tmp_path):
    """A repository with one commit."""
    found = server.repository()
    found.commit(tmp_path / "other", {"README.md": "the estate\n"}, subject="Begin")
    return found


def settings_of(server, repository, login=LOGIN, **options):
    user, _colon, password = login.partition(":")
    return GitSettings(GitLocation.parse(server.url_of(repository), user, password), timeout=20, **options)


def plan_of(edits):
    """A plan that wants files with exactly this content."""
    return lambda tree: TreePlan({path: content for path, content in edits.items() if tree.read(path) != content})


def run(tmp_path, settings, edits, check_mode=False, plan=None):
    folder = tmp_path / f"clone{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    runner = Runner()
    clone = GitClone(runner, str(folder), settings)
    return publish(clone, settings, plan or plan_of(edits), "Deliver podinfo", check_mode), runner, folder


def test_a_commit_is_made_and_pushed(server, repository, tmp_path):
    result, _runner, _folder = run(tmp_path, settings_of(server, repository, author="Robot <robot@example.org>"), {FILE: b"a: 1\n"})
    assert (result.changed, result.merged, result.branch) == (True, True, "main")
    assert result.revision == repository.head()
    assert repository.commits() == ["Deliver podinfo", "Begin"]
    assert repository.files()[FILE] == "a: 1\n"


def test_nothing_is_pushed_when_the_tree_is_right(server, repository, tmp_path):
    settings = settings_of(server, repository)
    run(tmp_path, settings, {FILE: b"a: 1\n"})
    before = len(server.requests)
    result, _runner, _folder = run(tmp_path, settings, {FILE: b"a: 1\n"})
    assert not result.changed and result.revision == repository.head()
    assert len(repository.commits()) == 2
    assert not [request for request in server.requests[before:] if "receive-pack" in request]


def test_check_mode_pushes_nothing(server, repository, tmp_path):
    result, _runner, _folder = run(tmp_path, settings_of(server, repository), {FILE: b"a: 1\n"}, check_mode=True)
    assert result.changed and result.before == {FILE: None}
    assert repository.commits() == ["Begin"]


def test_the_login_is_in_no_argument_and_no_file_but_the_environment(server, repository, tmp_path):
    _result, runner, folder = run(tmp_path, settings_of(server, repository), {FILE: b"a: 1\n"})
    password = LOGIN.partition(":")[2]
    assert not [part for command in runner.commands for part in command if password in part or "robot" in part]
    texts = [path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()]
    assert texts and not [text for text in texts if password.encode() in text]


@pytest.mark.parametrize("url", ["https://robot:secret-1@git.example.org/a.git", "https://git.example.org/a.git"])
def test_a_login_in_the_url_is_split_off(url):
    location = GitLocation.parse(url)
    assert location.url == "https://git.example.org/a.git"
    assert (location.username, location.password) == (("robot", "secret-1") if "@" in url else ("", ""))


def test_a_login_in_the_url_may_be_quoted():
    assert GitLocation.parse("https://a%40b:c%2Fd@host/x").password == "c/d"


@pytest.mark.parametrize("url", ["ssh://git@host/a.git", "git@host:a.git", "/srv/a.git"])
def test_other_urls_stay_as_they_are(url):
    assert GitLocation.parse(url).url == url


@pytest.mark.parametrize("url", ["", "--upload-pack=x", "https://host/a\nb"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InvalidInput):
        GitLocation.parse(url)


def test_a_wrong_password_is_told_without_it(server, repository, tmp_path):
    with pytest.raises(GitError) as caught:
        run(tmp_path, settings_of(server, repository, "robot:other-password-1"), {FILE: b"a"})
    assert "git_password" in str(caught.value) and "other-password-1" not in str(caught.value)


def test_the_login_goes_to_no_other_server(server, repository, tmp_path):
    """Git follows the first redirect and asks for a login there; a server elsewhere gets none."""
    clone = tmp_path / "clone"
    clone.mkdir()
    runner = Runner()
    made = GitClone(runner, str(clone), settings_of(server, repository))
    environment = dict(os.environ, **made._environment)
    for prompt, answers in (
        (f"Username for '{server.url}': ", True),
        (f"Password for 'http://robot@localhost:{server.port}': ", True),
        (f"Username for 'http://localhost:{server.port}0': ", False),
        ("Password for 'http://robot@evil.example.org': ", False),
        (f"Username for 'http://localhost:{server.port}.evil.example.org': ", False),
    ):
        done = subprocess.run([environment["GIT_ASKPASS"], prompt], env=environment, stdout=subprocess.PIPE, check=False)
        assert bool(done.stdout) == answers, prompt


def test_somebody_else_pushed_first(server, repository, tmp_path):
    """The plan is made anew on what they left, and both changes stay."""
    seen = []

    def plan(tree):
        seen.append(sorted(tree.files))
        if len(seen) <= 2:
            repository.commit(tmp_path / "other", {f"other{len(seen)}.yaml": "a: 1\n"})
        return plan_of({FILE: b"a: 1\n"})(tree)

    result, _runner, _folder = run(tmp_path, settings_of(server, repository), {}, plan=plan)
    assert result.changed and len(seen) == 3
    assert seen[2] == ["other1.yaml", "other2.yaml"]
    assert set(repository.files()) == {"README.md", "other1.yaml", "other2.yaml", FILE}


def test_the_attempts_are_bounded(server, repository, tmp_path):
    count = []

    def plan(tree):
        count.append(1)
        repository.commit(tmp_path / "other", {"other.yaml": f"a: {len(count)}\n"})
        return plan_of({FILE: b"a: 1\n"})(tree)

    with pytest.raises(GitError, match="first, 3 times"):
        run(tmp_path, settings_of(server, repository, attempts=3), {}, plan=plan)
    assert len(count) == 3


def test_an_empty_repository_gets_its_first_commit(server, tmp_path):
    repository = server.repository("empty")
    result, _runner, _folder = run(tmp_path, settings_of(server, repository), {FILE: b"a: 1\n"})
    assert result.changed and repository.commits() == ["Deliver podinfo"]


def test_a_missing_branch_is_told_with_those_that_are_there(server, repository, tmp_path):
    with pytest.raises(NotFound, match="main"):
        run(tmp_path, settings_of(server, repository, branch="production"), {FILE: b"a"})


def test_a_file_is_removed_and_an_ignored_one_is_written(server, repository, tmp_path):
    repository.commit(tmp_path / "other", {".gitignore": "components/\n", "old.yaml": "a: 1\n"})
    run(tmp_path, settings_of(server, repository), {FILE: b"a: 1\n", "old.yaml": None})
    assert set(repository.files()) == {".gitignore", "README.md", FILE}


def test_another_branch_is_pushed_to_until_it_is_merged(server, repository, tmp_path):
    settings = settings_of(server, repository, push_branch="proposal")
    first, _runner, _folder = run(tmp_path, settings, {FILE: b"a: 1\n"})
    assert (first.changed, first.merged, first.branch) == (True, False, "proposal")
    assert repository.commits("main") == ["Begin"] and repository.commits("proposal") == ["Deliver podinfo", "Begin"]
    second, _runner, _folder = run(tmp_path, settings, {FILE: b"a: 1\n"})
    assert (second.changed, second.merged, second.revision) == (False, False, first.revision)
    repository.commit(tmp_path / "other", {FILE: "a: 1\n"}, subject="Merged, squashed")
    third, _runner, _folder = run(tmp_path, settings, {FILE: b"a: 1\n"})
    assert (third.changed, third.merged, third.revision) == (False, True, repository.head("main"))


def test_a_former_proposal_takes_up_what_the_branch_has_since(server, repository, tmp_path):
    settings = settings_of(server, repository, push_branch="proposal")
    run(tmp_path, settings, {FILE: b"a: 1\n"})
    repository.commit(tmp_path / "other", {FILE: "a: 1\n", "new.yaml": "b: 1\n"}, subject="Merged, squashed")
    result, _runner, _folder = run(tmp_path, settings, {FILE: b"a: 2\n"})
    assert result.changed and not result.merged
    assert repository.files("proposal")[FILE] == "a: 2\n" and "new.yaml" in repository.files("proposal")


def test_a_hook_that_refuses_is_no_race(server, repository, tmp_path):
    hook = repository.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is a protected branch'\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError, match="git_push_branch"):
        run(tmp_path, settings_of(server, repository), {FILE: b"a"})


def test_a_link_out_of_the_tree_is_not_followed(server, repository, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    other = tmp_path / "other"
    (other / "components").symlink_to(outside)
    repository.commit(other, {"x.yaml": "a: 1\n"})
    with pytest.raises(Refused, match="link"):
        run(tmp_path, settings_of(server, repository), {FILE: b"a"})
    assert not list(outside.iterdir())


def test_a_server_that_is_down_is_told(tmp_path):
    settings = GitSettings(GitLocation.parse("http://localhost:1/estate.git"), timeout=20)
    with pytest.raises(GitError, match="http://localhost:1/estate.git"):
        run(tmp_path, settings, {FILE: b"a"})


def test_tls_with_an_authority_of_its_own(tmp_path, authority):
    with run_git_server(tmp_path / "server", LOGIN, authority.issue()) as server:
        repository = server.repository()
        settings = settings_of(server, repository)
        with pytest.raises(GitError, match="git_ca_path"):
            run(tmp_path, settings, {FILE: b"a"})
        result, _runner, _folder = run(tmp_path, settings_of(server, repository, ca_path=str(authority.certificate)), {FILE: b"a"})
        assert result.changed


@pytest.mark.parametrize("options", [{"branch": "-x"}, {"branch": "a b"}, {"push_branch": "a..b"}, {"author": "Robot"}])
def test_bad_settings_are_refused(options, tmp_path):
    with pytest.raises(InvalidInput):
        run(tmp_path, GitSettings(GitLocation.parse("http://localhost:1/a.git"), **options), {})


@pytest.mark.parametrize(
    "said, option",
    [
        ("Host key verification failed.\nfatal: Could not read from remote repository.", "git_known_hosts"),
        ("git@git.test: Permission denied (publickey).\nfatal: Could not read from remote repository.", "git_ssh_key"),
    ],
)
def test_what_ssh_says_is_told_with_the_option_that_helps(tmp_path, said, option):
    program = tmp_path / "git-over-ssh"
    program.write_text(f'#!/bin/sh\ncase "$*" in *init*) exit 0 ;; esac\ncat >&2 <<TEXT\n{said}\nTEXT\nexit 128\n')
    program.chmod(0o755)
    key = dict(ssh_key="/keys/id", known_hosts="/keys/known_hosts")
    settings = GitSettings(GitLocation.parse("ssh://git@git.test/a.git"), executable=str(program), **key)
    (tmp_path / "clone").mkdir()
    runner = Runner()
    with pytest.raises(GitError) as caught:
        GitClone(runner, str(tmp_path / "clone"), settings).heads()
    assert option in caught.value.hint and said.partition("\n")[0] in str(caught.value)
