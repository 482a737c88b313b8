# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that knows Ansible: arguments in, results and errors out."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple, Type

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..model.errors import OcmError

SHORT_SECRET = 8


class Context:
    """What the logic of a module gets: its parameters, programs, and where warnings go."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.params: Dict[str, Any] = module.params
        self.check_mode: bool = module.check_mode
        self.wants_diff: bool = module._diff

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
        """Give back what is held open."""


class Module(AnsibleModule):
    """An AnsibleModule whose results are what the logic says."""

    def add_path_info(self, kwargs: Dict[str, Any]) -> Dict[str, Any]:
        """Leave `path` alone: the owner, mode and size of the file would differ between check mode and the run."""
        return kwargs


Logic = Callable[[Any], Dict[str, Any]]


class Failed(OcmError):
    """An error that comes with what was done before it. result: the module's return values."""

    def __init__(self, error: OcmError, result: Dict[str, Any]) -> None:
        super().__init__(error.message, error.hint)
        self.result = result


def run_module(
    arguments: Dict[str, Any],
    logic: Logic,
    libraries: Sequence[Any] = (),
    context_class: Type[Context] = Context,
    **rules: Any,
) -> None:
    """Run a module: check libraries, call `logic`, hand its result to exit_json or its error to fail_json.

    libraries: (name, import error or None) that this module needs. context_class: what the logic gets. rules:
    AnsibleModule's argument rules.
    """
    module = Module(argument_spec=arguments, supports_check_mode=True, **rules)
    _require(module, libraries)
    context = context_class(module)
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


def _require(module: AnsibleModule, libraries: Sequence[Any]) -> None:
    for name, import_error in libraries:
        if import_error is not None:
            # As a text: ansible-core before 2.19 does not take an exception itself.
            module.fail_json(msg=missing_required_lib(name), exception=str(import_error))


def _os_error_text(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}."
