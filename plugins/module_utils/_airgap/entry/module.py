# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that knows Ansible: arguments in, results and errors out."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..model.errors import OcmError

# Modules that work with a cluster alone start without the client for registries, which takes as long as all of theirs.
if TYPE_CHECKING:
    from ..oci.client import Registries
    from ..oci.settings import ConnectionOptions

SHORT_SECRET = 8


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
    )


class Context:
    """What the logic of a module gets: its parameters, connections, programs, and where warnings go."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.params: Dict[str, Any] = module.params
        self.check_mode: bool = module.check_mode
        self.wants_diff: bool = module._diff
        self._open: List[Registries] = []

    def connect(self, options: Optional[ConnectionOptions] = None) -> Registries:
        """Fresh connections with the module's options, or with others; closed at the end of the module."""
        from ..oci.client import Registries
        from ..oci.settings import ConnectionOptions

        options = options or ConnectionOptions.from_params(self.params)
        registries = Registries(options, self.mask, run_program=self._run_program)
        self._open.append(registries)
        return registries

    def _run_program(self, command: List[str], text: str) -> Tuple[int, str, str]:
        return self._module.run_command(command, data=text, binary_data=True, handle_exceptions=False)

    def mask(self, *secrets: str) -> None:
        """Strike secrets out of all output of the module, wherever they occur."""
        self._module.no_log_values.update(secrets)

    def run(self, command: List[str], environment: Mapping[str, str], folder: str) -> Tuple[int, str, str]:
        """Run a program in a folder; exit code, output, error output. environment: what is added to the module's.

        Raises OSError when it cannot be started.
        """
        return self._module.run_command(
            command, environ_update=dict(environment), cwd=folder, expand_user_and_vars=False, handle_exceptions=False
        )

    @contextmanager
    def temporary_folder(self, prefix: str) -> Iterator[str]:
        """A folder for as long as it is needed, in the module's own, which goes also when the module ends early."""
        folder = tempfile.mkdtemp(prefix=prefix, dir=self._module.tmpdir)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def warn(self, text: str) -> None:
        self._module.warn(text)

    def close(self) -> None:
        for registries in self._open:
            registries.close()


class Module(AnsibleModule):
    """An AnsibleModule whose results are what the logic says."""

    def add_path_info(self, kwargs: Dict[str, Any]) -> Dict[str, Any]:
        """Leave `path` alone: the owner, mode and size of the file would differ between check mode and the run."""
        return kwargs


Logic = Callable[[Context], Dict[str, Any]]


class Failed(OcmError):
    """An error that comes with what was done before it. result: the module's return values."""

    def __init__(self, error: OcmError, result: Dict[str, Any]) -> None:
        super().__init__(error.message, error.hint)
        self.result = result


def run_module(
    arguments: Dict[str, Any],
    logic: Logic,
    libraries: Sequence[Any] = (),
    with_registries: bool = True,
    **rules: Any,
) -> None:
    """Run a module: check libraries, call `logic`, hand its result to exit_json or its error to fail_json.

    libraries: (name, import error or None) that this module needs. with_registries: it has the options of registries,
    and needs the libraries for them as well. rules: AnsibleModule's argument rules.
    """
    options = dict(registry_arguments(), **arguments) if with_registries else arguments
    module = Module(argument_spec=options, supports_check_mode=True, **rules)
    _require(module, [*(_registry_libraries() if with_registries else ()), *libraries])
    _warn_of_short_secrets(module)
    context = Context(module)
    try:
        result = logic(context)
    except Failed as error:
        module.fail_json(msg=str(error), **error.result)
    except OcmError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=_os_error_text(error))
    finally:
        context.close()
    module.exit_json(**result)


def _registry_libraries() -> Sequence[Any]:
    from ..oci.library import ORAS_IMPORT_ERROR
    from ..store.yaml_text import YAML_IMPORT_ERROR

    return (("oras", ORAS_IMPORT_ERROR), ("PyYAML", YAML_IMPORT_ERROR))


def _require(module: AnsibleModule, libraries: Sequence[Any]) -> None:
    for name, import_error in libraries:
        if import_error is not None:
            # As a text: ansible-core before 2.19 does not take an exception itself.
            module.fail_json(msg=missing_required_lib(name), exception=str(import_error))


def _warn_of_short_secrets(module: AnsibleModule) -> None:
    """Ansible masks secrets wherever they occur in a result, so a short one damages digests and names."""
    for entry in module.params.get("registries") or []:
        secret: Optional[str] = entry.get("password") or entry.get("token")
        if secret and len(secret) < SHORT_SECRET:
            module.warn(
                f"The secret for {entry['host']} has fewer than {SHORT_SECRET} characters: Ansible masks it wherever it "
                "occurs in the result, also inside digests. Put it into an auth_file and use a longer one."
            )


def _os_error_text(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}."
