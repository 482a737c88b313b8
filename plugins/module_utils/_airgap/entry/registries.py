# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that talk to registries: their common options, and their connections.

Apart from `module`, so that those which work with a cluster alone neither load nor carry the client for registries.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule

from ..oci.client import Registries
from ..oci.journal import UploadJournal
from ..oci.library import ORAS_IMPORT_ERROR
from ..oci.limits import Limits
from ..oci.session import Trust
from ..oci.settings import ConnectionOptions
from ..store.yaml_text import YAML_IMPORT_ERROR
from .module import SHORT_SECRET, Context, run_module

_LIBRARIES = (("oras", ORAS_IMPORT_ERROR), ("PyYAML", YAML_IMPORT_ERROR))


def registry_arguments() -> Dict[str, Any]:
    """The options that every module that talks to registries has, a fresh mapping for each call."""
    entry = dict(
        host=dict(type="str", required=True),
        username=dict(type="str"),
        password=dict(type="str", no_log=True),
        token=dict(type="str", no_log=True),
        ca_path=dict(type="path"),
        ca_data=dict(type="str"),
        client_cert=dict(type="path"),
        client_key=dict(type="path", no_log=False),
        validate_certs=dict(type="bool", default=True),
        plain_http=dict(type="bool", default=False),
        mirror=dict(type="str"),
        token_realms=dict(type="list", elements="str", default=[], no_log=False),
    )
    return dict(
        registries=dict(
            type="list",
            elements="dict",
            default=[],
            options=entry,
            required_together=[("username", "password")],
            mutually_exclusive=[("password", "token")],
        ),
        auth_file=dict(type="path"),
        timeout=dict(type="float", default=60),
        retries=dict(type="int", default=5),
        concurrency=dict(type="int", default=4),
        access_hosts=dict(type="list", elements="str", default=[]),
        request_rate=dict(type="float", default=0),
        bandwidth=dict(type="bytes"),
        time_budget=dict(type="float", default=0),
    )


class RegistryContext(Context):
    """A context with connections to registries."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._open: List[Registries] = []
        self._limits: Optional[Limits] = None
        self._trust = Trust()
        _warn_of_short_secrets(module)

    def connect(
        self, options: Optional[ConnectionOptions] = None, journal: Optional[UploadJournal] = None
    ) -> Registries:
        """Fresh connections with the module's options, or with others; closed at the end of the module.

        All of them together keep to the limits of the module's options. journal: that of large uploads.
        """
        options = options or ConnectionOptions.from_params(self.params)
        self._limits = self._limits or Limits(options)
        registries = Registries(
            options, self.mask, self._run_program, self._limits, journal=journal, trust=self._trust
        )
        self._open.append(registries)
        return registries

    def _run_program(self, command: List[str], text: str) -> Tuple[int, str, str]:
        return self._module.run_command(command, data=text, binary_data=True, handle_exceptions=False)

    def close(self) -> None:
        for registries in self._open:
            registries.close()


def run_registry_module(
    arguments: Dict[str, Any],
    logic: Callable[[RegistryContext], Dict[str, Any]],
    libraries: Sequence[Any] = (),
    **rules: Any,
) -> None:
    """Run a module that has the options of registries beside its own, and needs the libraries for them. See run_module."""
    options = dict(registry_arguments(), **arguments)
    run_module(options, logic, [*_LIBRARIES, *libraries], RegistryContext, **rules)


def _warn_of_short_secrets(module: AnsibleModule) -> None:
    """Ansible masks secrets wherever they occur in a result, so a short one damages digests and names."""
    for entry in module.params.get("registries") or []:
        secret: Optional[str] = entry.get("password") or entry.get("token")
        if secret and len(secret) < SHORT_SECRET:
            module.warn(
                f"The secret for {entry['host']} has fewer than {SHORT_SECRET} characters: Ansible masks it wherever it "
                "occurs in the result, also inside digests. Put it into an auth_file and use a longer one."
            )
