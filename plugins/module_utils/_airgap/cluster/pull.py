# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries images with the credentials that a kubelet would use, without pulling them: one HEAD for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..model.errors import AuthError, InvalidInput, OcmError, Unreachable
from ..model.reference import ImageReference
from ..oci.client import Registries
from ..oci.settings import ConnectionOptions, RegistrySettings
from .keyring import Keyring, PullEntry

Connect = Callable[[ConnectionOptions], Registries]

UNAUTHORIZED = "Unauthorized"
NOT_FOUND = "NotFound"
INVALID_NAME = "InvalidImageName"
UNKNOWN = "NotTried"


@dataclass(frozen=True)
class Pull:
    """Whether an image can be pulled. pullable: None when it cannot be told from here. secret: the one that did it."""

    namespace: str
    image: str
    secrets: Tuple[str, ...]
    pullable: Optional[bool]
    secret: str = ""
    reason: str = ""
    message: str = ""

    def as_result(self) -> Dict[str, Any]:
        """The entry of the return value `pullable`."""
        return dict(
            namespace=self.namespace,
            image=self.image,
            secrets=list(self.secrets),
            secret=self.secret or None,
            pullable=self.pullable,
            reason=self.reason,
            message=self.message,
        )


class PullTrial:
    """Tries images. options: how this machine reaches registries (TLS, timeouts); its credentials are not used."""

    def __init__(self, options: ConnectionOptions, connect: Connect) -> None:
        self._options, self._connect = options, connect
        self._unreachable: Dict[str, str] = {}

    def knows(self, image: str) -> bool:
        """Whether the options have an entry for the image's host."""
        try:
            return self._options.entry_for(ImageReference.parse(image).host) is not None
        except InvalidInput:
            return False

    def run(self, namespace: str, image: str, secrets: Tuple[str, ...], keyring: Keyring) -> Pull:
        """Ask the registry for the manifest with each fitting entry in turn, without any anonymously."""
        base = Pull(namespace, image, secrets, False)
        try:
            reference = ImageReference.parse(image)
        except InvalidInput as error:
            return replace(base, reason=INVALID_NAME, message=error.message)
        if reference.host in self._unreachable:
            return replace(base, pullable=None, reason=UNKNOWN, message=self._unreachable[reference.host])
        entries = keyring.matching(reference)
        refused: List[str] = []
        for entry in entries or [PullEntry("", "")]:
            try:
                found = self._head(reference, entry)
            except AuthError as error:
                refused.append(_refused(namespace, entry, reference, error.status))
            except OcmError as error:
                if isinstance(error, Unreachable):
                    self._unreachable[reference.host] = error.message
                return replace(base, pullable=None, reason=UNKNOWN, message=error.message)
            else:
                return self._answer(base, reference, entry, found)
        return replace(base, reason=UNAUTHORIZED, message=" ".join(refused + list(keyring.problems)))

    def _answer(self, base: Pull, reference: ImageReference, entry: PullEntry, found: bool) -> Pull:
        if found:
            return replace(base, pullable=True, secret=entry.secret)
        message = f"{reference.name} has no manifest {reference.locator}."
        return replace(base, secret=entry.secret, reason=NOT_FOUND, message=message)

    def _head(self, image: ImageReference, entry: PullEntry) -> bool:
        own = self._options.entry_for(image.host, image.repository) or RegistrySettings(image.host)
        account = replace(own, username=entry.username, password=entry.password, token="")
        return is_there(image, account, self._options, self._connect)


def is_there(image: ImageReference, account: RegistrySettings, options: ConnectionOptions, connect: Connect) -> bool:
    """Ask for an image's manifest with one account alone, as a kubelet would; one without a login is anonymous.

    account: an entry that fits the image. Others of the options, mirrors and the auth file of this machine stay out.
    Raises AuthError when the registry refuses the account, another OcmError when it cannot be told.
    """
    registries = _connected(account, options, connect)
    try:
        repository = registries.repository(image.host, image.repository, image.plain_http)
        return repository.head_manifest(image.locator) is not None
    finally:
        registries.close()


def log_in(account: RegistrySettings, options: ConnectionOptions, connect: Connect) -> None:
    """Ask the registry of an account whether it takes it, with one attempt more than the first.

    Raises AuthError when it does not, another OcmError when it cannot be told.
    """
    registries = _connected(account, replace(options, retries=min(options.retries, 1)), connect)
    try:
        registries.log_in(account.host, account.path)
    finally:
        registries.close()


def _connected(account: RegistrySettings, options: ConnectionOptions, connect: Connect) -> Registries:
    """Connections with one account alone: mirrors and the auth file of this machine stay out."""
    return connect(replace(options, registries=(replace(account, mirror=""),), auth_file=""))


def _refused(namespace: str, entry: PullEntry, image: ImageReference, status: int) -> str:
    answer = f" ({status})" if status else ""
    if not entry.secret:
        return f"Registry {image.host} wants credentials for {image.repository}{answer}, and no Secret has any for it."
    return (
        f"Registry {image.host} refuses the account of the Secret {namespace}/{entry.secret} (entry {entry.key}) "
        f"for {image.repository}{answer}."
    )
