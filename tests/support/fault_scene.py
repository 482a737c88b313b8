# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transfer from one real registry to another, a proxy in front of each, and what has to hold after every fault."""

from __future__ import annotations

import random
import re
import ssl
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import requests

from .components import component, image_resource, local, put_component, read_component, read_manifest
from .fault_proxy import FaultProxy, Rule
from .images import Artifact, digest, image
from .modules import Outcome, fail, run_module, succeed
from .places import RegistryPlace
from .registry import BINARY, RegistryOptions, run_registry

NAME = "acme.test/product"
SOURCE_LOGIN, TARGET_LOGIN = ("reader", "canary-source-4721"), ("writer", "canary-target-4722")
SECRETS = (SOURCE_LOGIN[1], TARGET_LOGIN[1])
KIB = 1024


def noise(name: str, size: int) -> bytes:
    """Bytes that cannot be compressed, the same for the same name."""
    return random.Random(name).randbytes(size)


LARGE, SMALL, SHARED = noise("large", 200 * KIB), noise("small", 5 * KIB), noise("shared", 40 * KIB)
TEXT = noise("text", 20 * KIB)
APP, SECOND = image([SHARED, LARGE]), image([SHARED, SMALL])
IMAGES = {"team/app": APP, "team/second": SECOND}


class TokenPlace(RegistryPlace):
    """A registry that wants tokens, one for each request."""

    def __init__(self, registry: Any, token_server: Any) -> None:
        super().__init__(registry)
        self._tokens = token_server

    def _send(self, method: str, path: str, expected: Any, **options: Any) -> Any:
        scope = "registry:catalog:*" if path.startswith("_catalog") else f"repository:{_repository(path)}:pull"
        question = {"service": "test registry", "scope": scope}
        token = requests.get(self._tokens.realm, question, auth=TARGET_LOGIN, timeout=30).json()["token"]
        headers = dict(options.pop("headers", {}), Authorization=f"Bearer {token}")
        return super()._send(method, path, expected, headers=headers, **options)


def _repository(path: str) -> str:
    return re.split("/(?:manifests|blobs|tags)/", path)[0]


def _written(proxy: FaultProxy) -> str:
    """A registry as a user writes it."""
    return proxy.host if proxy.tls else proxy.url


class Scene:
    """source, target: the registries themselves; reader, writer: the proxies in front of them.

    Add rules to the proxies before `begin`. outcomes: of all runs so far.
    stated: do resources state the digests of their images. tls: of both proxies. token_server: logs in at the target.
    """

    def __init__(
        self,
        folder: Path,
        binary: str = BINARY,
        images: Optional[Mapping[str, Artifact]] = None,
        stated: bool = True,
        tls: Optional[ssl.SSLContext] = None,
        token_server: Any = None,
    ) -> None:
        self._stack = ExitStack()
        self.folder, self._binary, self._stated = folder, binary, stated
        self.images = dict(IMAGES if images is None else images)
        self.text = TEXT
        self.source = self._place("source", SOURCE_LOGIN)
        self.target = self._place("target", TARGET_LOGIN, token_server)
        self.reader = FaultProxy(folder / "reader", self.source.registry.port, tls=tls)
        self.writer = FaultProxy(folder / "writer", self.target.registry.port, tls=tls)
        self.strangers: List[FaultProxy] = []
        self.outcomes: List[Outcome] = []
        self.more: Dict[str, Any] = {}

    def _place(self, name: str, login: Any, token_server: Any = None) -> RegistryPlace:
        accounts = None if token_server else dict([login])
        options = RegistryOptions(accounts=accounts, binary=self._binary, token_server=token_server)
        registry = self._stack.enter_context(run_registry(self.folder / name, options))
        return TokenPlace(registry, token_server) if token_server else RegistryPlace(registry, login)

    def stranger(self, *rules: Rule, port: int = 0) -> FaultProxy:
        """A host that has nothing to do with this. port: where it forwards to what no rule answers."""
        found = FaultProxy(self.folder / f"stranger-{len(self.strangers)}", port, rules)
        self.strangers.append(self._stack.enter_context(found))
        return found

    def begin(self, reading: Sequence[Rule] = (), writing: Sequence[Rule] = ()) -> "Scene":
        """Fill the source and start the proxies."""
        self.reader.add(*reading)
        self.writer.add(*writing)
        resources = [local("text", self.text)]
        for path, artifact in self.images.items():
            self.source.put(path, artifact, "1.0")
            name = path.rpartition("/")[2]
            item = image_resource(name, f"{_written(self.reader)}/{path}:1.0", artifact)
            resources.append(item if self._stated else {key: item[key] for key in item if key != "digest"})
        put_component(self.source, component(NAME, resources), "from")
        self._stack.enter_context(self.reader)
        self._stack.enter_context(self.writer)
        return self

    def close(self) -> None:
        self._stack.close()

    def arguments(self, **more: Any) -> Dict[str, Any]:
        """What the module gets. Short waits, so that a fault costs little time."""
        logins = zip((self.reader, self.writer), (SOURCE_LOGIN, TARGET_LOGIN))
        return dict(
            {
                "source": f"{_written(self.reader)}/from",
                "target": f"{_written(self.writer)}/into",
                "component": NAME,
                "version": "1.0.0",
                "registries": [
                    {"host": proxy.host, "username": user, "password": password, "plain_http": proxy.tls is None}
                    for proxy, (user, password) in logins
                ],
                "retries": 2,
                "timeout": 5,
                "concurrency": 2,
                "_ansible_verbosity": 4,
            },
            **dict(self.more, **more),
        )

    def run(self, check_mode: bool = False, **more: Any) -> Outcome:
        """Run the module, however it ends."""
        return self._keep(run_module("ocm_transfer", self.arguments(**more), check=check_mode, diff=True))

    def succeed(self, check_mode: bool = False, **more: Any) -> Outcome:
        return self._keep(succeed("ocm_transfer", self.arguments(**more), check=check_mode, diff=True))

    def fail(self, **more: Any) -> Outcome:
        """Run the module, which has to fail with a message."""
        return self._keep(fail("ocm_transfer", self.arguments(**more), diff=True))

    def _keep(self, outcome: Outcome) -> Outcome:
        self.outcomes.append(outcome)
        return outcome

    def whole(self) -> bool:
        """Does the target hold all that the source has, byte by byte?"""
        manifest = read_manifest(self.target, NAME, prefix="into")
        path = f"into/component-descriptors/{NAME}"
        for item in (manifest["config"], *manifest["layers"]):
            if digest(self.target.blob(path, item["digest"])) != item["digest"]:
                return False
        names = {item["name"] for item in read_component(self.target, NAME, prefix="into")["component"]["resources"]}
        return (
            self.target.blob(path, digest(self.text)) == self.text
            and names == {"text", *(path.rpartition("/")[2] for path in self.images)}
            and all(self.target.whole(f"into/{path}", artifact) for path, artifact in self.images.items())
            and all(
                self.target.digest_of(f"into/{path}", "1.0") == artifact.digest
                for path, artifact in self.images.items()
            )
        )


def converges(scene: Scene, forgotten: int = 0) -> None:
    """What has to hold after every fault.

    It was there: every rule of the proxies broke something. A run without it succeeds, and one more finds nothing to
    do; the target's content is whole; no upload session is left; no output has a secret; no host saw a login that is
    not its own. forgotten: upload sessions that the registry itself cannot end any more.
    """
    for proxy in (scene.reader, scene.writer, *scene.strangers):
        assert proxy.resting() == [], "nothing was broken"
    scene.reader.heal()
    scene.writer.heal()
    scene.succeed()
    before = len(writes(scene.writer))
    again = scene.succeed()
    assert not again.result["changed"] and len(writes(scene.writer)) == before, "the second run wrote something"
    assert scene.whole(), "the target is not whole"
    assert len(scene.target.registry.uploads()) <= forgotten, "an upload session is left"
    check_secrets(scene)


def check_secrets(scene: Scene) -> None:
    """No secret in any output, and none at a host that it is not for."""
    for outcome in scene.outcomes:
        assert not secrets_in(outcome.output), outcome.output
    for proxy, foreign in ((scene.reader, TARGET_LOGIN), (scene.writer, SOURCE_LOGIN)):
        assert not secrets_in(told(proxy), (foreign,)), f"{proxy.host} was told the login of another host"
    for stranger in scene.strangers:
        assert not secrets_in(told(stranger)), "a strange host was told a secret"


def told(proxy: FaultProxy) -> str:
    """All that a host was told apart from bodies."""
    return "\n".join(f"{seen.path} {seen.headers}" for seen in proxy.seen())


def secrets_in(text: str, logins: Optional[Sequence[Any]] = None) -> List[str]:
    """The canary secrets in a text, plain or as Basic authentication sends them."""
    chosen = (SOURCE_LOGIN, TARGET_LOGIN) if logins is None else logins
    forms = {form for user, password in chosen for form in (password, basic(user, password))}
    return sorted(form for form in forms if form in text)


def basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


def writes(proxy: FaultProxy) -> List[Any]:
    return [seen for seen in proxy.seen() if seen.method not in ("GET", "HEAD")]
