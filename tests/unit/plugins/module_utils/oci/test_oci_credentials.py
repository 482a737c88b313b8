# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where credentials come from: entries, auth files of Docker and Podman, credential helpers."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import AuthError, InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.authfile import Credentials, ask_helper
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.credentials import CredentialStore, Secrets
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions, RegistrySettings


def auth(username, password="password-1"):
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.fixture
def store(tmp_path):
    def make(content=None, *entries, environment=None, told=None):
        path = tmp_path / "auth.json"
        if content is not None:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        options = ConnectionOptions(registries=entries, auth_file="" if content is None else str(path))
        return CredentialStore(options, Secrets((told if told is not None else []).append), environment or {}, run_program)

    return make


def run_program(command, text):
    """What the modules hand in: AnsibleModule.run_command."""
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Puts a credential helper into the path; returns the file that records what it was asked."""

    def install(name, script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nread server\necho "$1 $server" >> {tmp_path}/asked\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return tmp_path / "asked"

    return install


FILE = {
    "auths": {
        "r.example": auth("host"),
        "r.example/team": auth("team"),
        "r.example/team/deep": auth("deep"),
        "r.example:5000": {"username": "port", "password": "password-2"},
        "https://index.docker.io/v1/": auth("hub"),
        "https://url.example/v2/": auth("url"),
        "empty.example": {},
        "colon.example": auth("colon", "a:b:c"),
    }
}


@pytest.mark.parametrize(
    "host, path, username",
    [
        ("r.example", "other", "host"),
        ("r.example", "team", "team"),
        ("r.example", "team/x", "team"),
        ("r.example", "teams", "host"),
        ("r.example", "team/deep/x", "deep"),
        ("r.example:5000", "team", "port"),
        ("docker.io", "library/x", "hub"),
        ("registry-1.docker.io", "library/x", "hub"),
        ("url.example", "a", "url"),
        ("empty.example", "a", ""),
        ("unknown.example", "a", ""),
        ("evil-r.example", "a", ""),
    ],
)
def test_auth_file(store, host, path, username):
    assert store(FILE).find(host, path).username == username


def test_what_an_entry_of_auths_can_hold(store):
    found = store({"auths": {"a": {"identitytoken": "id-1", **auth("u")}, "b": {"registrytoken": "reg-1"}}})
    assert found.find("a", "x").identity_token == "id-1" and not found.find("a", "x").password
    assert found.find("b", "x").registry_token == "reg-1"
    assert store(FILE).find("colon.example", "a").password == "a:b:c"


def test_entries_come_before_the_file_and_end_the_search(store):
    anonymous = RegistrySettings("r.example", "team")
    ours = RegistrySettings("r.example", "team/deep", username="ours", password="password-3")
    found = store(FILE, anonymous, ours)
    assert found.find("r.example", "team/x").anonymous
    assert found.find("r.example", "team/deep").username == "ours"
    assert found.find("r.example", "else").username == "host"


def test_every_secret_is_told_once_and_struck_out(tmp_path):
    told = []
    secrets = Secrets(told.append)
    path = tmp_path / "auth.json"
    path.write_text(json.dumps(FILE))
    entry = RegistrySettings("e.example", username="e", password="password-4")
    made = CredentialStore(ConnectionOptions((entry,), str(path)), secrets, {})
    for _time in range(2):
        made.find("r.example", "a")
    encoded = base64.b64encode(b"host:password-1").decode()
    assert told[0] == "password-4" and sorted(told[2:]) == sorted(["password-1", encoded])
    assert secrets.strike(f"x password-1 {encoded}") == "x *** ***"
    assert "password-1" not in repr(made.find("r.example", "a"))


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not valid JSON"),
        ("[]", "not an object"),
        ({"auths": []}, "auths is not a mapping"),
        ({"auths": {"r.example": []}}, None),
        ({"auths": {"r.example": "x"}}, "is not a mapping"),
        ({"auths": {"r.example": {"auth": "%%%"}}}, "not base64 of user:password"),
        ({"auths": {"r.example": {"auth": base64.b64encode(b"nocolon").decode()}}}, "not base64 of user:password"),
    ],
)
def test_broken_files_are_named(store, content, message, tmp_path):
    if message is None:
        assert store(content).find("r.example", "a").anonymous
        return
    with pytest.raises(InvalidInput, match=f"Auth file {tmp_path}/auth.json.*{message}"):
        store(content).find("r.example", "a")


def test_missing_file():
    made = CredentialStore(ConnectionOptions(auth_file="/nonexistent/auth.json"), Secrets(print), {})
    with pytest.raises(InvalidInput, match="/nonexistent/auth.json: cannot be read"):
        made.find("r.example", "a")


def test_default_files_in_their_order(tmp_path):
    home, docker, run = tmp_path / "home", tmp_path / "docker", tmp_path / "run"
    places = [
        (tmp_path / "one.json", "OCM_AIRGAP_AUTH_FILE"),
        (tmp_path / "two.json", "REGISTRY_AUTH_FILE"),
        (docker / "config.json", ""),
        (home / ".docker" / "config.json", ""),
        (run / "containers" / "auth.json", ""),
        (home / ".config" / "containers" / "auth.json", ""),
    ]
    environment = {"HOME": str(home), "DOCKER_CONFIG": str(docker), "XDG_RUNTIME_DIR": str(run)}
    environment.update({variable: str(path) for path, variable in places if variable})
    for number, (path, _variable) in reversed(list(enumerate(places))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"auths": {"r.example": auth(f"user-{number}")}}))
        found = CredentialStore(ConnectionOptions(), Secrets(lambda text: None), environment).find("r.example", "a")
        assert found.username == f"user-{number}" and str(path) in found.origin
    assert CredentialStore(ConnectionOptions(), Secrets(print), {}).find("r.example", "a").anonymous


def test_broken_default_file(tmp_path):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("broken")
    with pytest.raises(InvalidInput, match=r"\.docker/config.json"):
        CredentialStore(ConnectionOptions(), Secrets(print), {"HOME": str(tmp_path)}).find("r.example", "a")


class TestHelpers:
    def test_for_a_host_and_for_all(self, store, helper):
        asked = helper("one", """echo '{"ServerURL":"x","Username":"from-one","Secret":"secret-1"}'""")
        helper("all", """echo '{"ServerURL":"x","Username":"<token>","Secret":"identity-1"}'""")
        found = store({"credHelpers": {"r.example": "one"}, "credsStore": "all", "auths": {"f.example": auth("file")}})
        assert found.find("r.example", "a") == Credentials("from-one", "secret-1")
        assert found.find("r.example", "b").username == "from-one"
        assert found.find("docker.io", "library/x").identity_token == "identity-1"
        assert found.find("f.example", "a").username == "file"
        assert asked.read_text().splitlines() == ["get r.example", "get https://index.docker.io/v1/"]

    def test_nothing_found_is_anonymous(self, store, helper):
        helper("none", "echo 'credentials not found in native keychain'; exit 1")
        assert store({"credsStore": "none"}).find("r.example", "a").anonymous

    @pytest.mark.parametrize(
        "script, message",
        [
            ("echo secret-output; exit 3", "exit code 3"),
            ("echo secret-output", "not JSON with Username and Secret"),
            ("""echo '{"Username": "secret-output"}'""", "not JSON with Username and Secret"),
            ("""echo '{"Username": 1, "Secret": "secret-output"}'""", "not JSON with Username and Secret"),
        ],
    )
    def test_failures_are_told_without_output(self, store, helper, script, message):
        helper("bad", script)
        with pytest.raises(AuthError, match=f"docker-credential-bad.*r.example.*{message}") as caught:
            store({"credHelpers": {"r.example": "bad"}}).find("r.example", "a")
        assert "secret-output" not in str(caught.value)

    def test_missing_program(self, store):
        with pytest.raises(AuthError, match="docker-credential-absent.*cannot be run"):
            store({"credsStore": "absent"}).find("r.example", "a")

    def test_name_that_is_a_path(self, store):
        with pytest.raises(InvalidInput, match="not the name of a credential helper"):
            store({"credsStore": "../../bin/sh"}).find("r.example", "a")

    def test_helper_that_hangs(self, helper):
        helper("slow", "exec sleep 20")
        with pytest.raises(AuthError, match="no answer within 0.3 seconds"):
            ask_helper("slow", "r.example", "/auth.json", run_program, 0.3)
