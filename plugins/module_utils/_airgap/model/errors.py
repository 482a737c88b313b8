# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection: raised near the fault, told to the user in one place (entry)."""

from __future__ import annotations


class OcmError(Exception):
    """Something that the user has to know.

    message: what happened, naming the thing and the place. hint: the next step, a sentence of its own.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidInput(OcmError):
    """What the user wrote (a reference, a version, a rule, an option) cannot mean anything."""


class InvalidContent(OcmError):
    """What was read (a descriptor, a manifest, an archive) is not what its format demands."""


class DigestMismatch(InvalidContent):
    """Content is not the content that its digest names."""


class NotFound(OcmError):
    """A component, version, resource, artifact, blob or file is not there."""


class Refused(OcmError):
    """Doing it would lose something that is there: the user has to decide."""


class NoRoom(OcmError):
    """A disk has not the room that is needed, or takes no file as large."""


class OutOfTime(OcmError):
    """The time that the user gave to a run is over before the run is."""


class RegistryError(OcmError):
    """A registry answered with an error, or not as the distribution specification demands.

    status: the HTTP status, 0 without an answer. code: the error code of the registry's JSON answer, or "".
    """

    def __init__(self, message: str, hint: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code


class MissingContent(RegistryError):
    """A registry does not take a manifest, because a blob or manifest that it names is not in the repository."""


class AuthError(RegistryError):
    """A registry does not accept the credentials, or wants some."""


class Unreachable(RegistryError):
    """A host does not exist, does not answer, or cannot be trusted (TLS)."""


class RateLimited(RegistryError):
    """A registry asks to slow down for longer than the retries allow."""
