# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_pull_check."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from ..cluster.pull import is_there, log_in
from ..model.errors import AuthError, InvalidInput, OcmError
from ..model.reference import ImageReference
from ..oci.settings import ConnectionOptions, RegistrySettings
from .module import Failed
from .registries import RegistryContext


def pull_check(context: RegistryContext) -> Dict[str, Any]:
    """Ask for every image with the account that a kubelet would use. Nothing but registries is a source of logins.

    Accounts that no image needs are tried by a login alone, so that none is given to a cluster untried.
    """
    params = context.params
    images = [ImageReference.parse(text) for text in dict.fromkeys(params["images"])]
    options = ConnectionOptions.from_params(params)
    found = [_ask(context, options, image) for image in images]
    refused, untried = _log_in(context, options, images)
    _warn_of_shared(context)
    result = dict(changed=False, images=found, untried=untried)
    _fail(found, refused, params["allow_missing"], result)
    return result


def _ask(context: RegistryContext, options: ConnectionOptions, image: ImageReference) -> Dict[str, Any]:
    # An image whose host has no entry is asked for anonymously.
    account = options.entry_for(image.host, image.repository) or RegistrySettings(image.host)
    name = account.name if account.username else None
    answer: Dict[str, Any] = dict(image=str(image), account=name, pullable=False, reason=None)
    try:
        if is_there(image, account, options, context.connect):
            return dict(answer, pullable=True, message="")
    except AuthError as error:
        return dict(answer, reason="credentials", message=str(error))
    return dict(answer, reason="missing", message=f"{image} is not at the registry.")


def _log_in(
    context: RegistryContext, options: ConnectionOptions, images: List[ImageReference]
) -> Tuple[Dict[str, str], List[str]]:
    """The accounts without an image: what was said to those that are refused, and those that could not be tried."""
    needed = {options.entry_for(image.host, image.repository) for image in images}
    refused: Dict[str, str] = {}
    untried: List[str] = []
    for account in options.registries:
        if not account.username or account in needed:
            continue
        try:
            log_in(account, options, context.connect)
        except AuthError as error:
            refused[account.name] = str(error)
        except OcmError as error:
            context.warn(f"The account for {account.name} could not be tried. {error}")
            untried.append(account.name)
    return refused, sorted(untried)


def _warn_of_shared(context: RegistryContext) -> None:
    for host in context.params["shared"]:
        context.warn(
            f"The cluster gets the account for {host} that the transfer uses, which can write. Give a pull-only account "
            "in pull_registries, or an auth file in OCM_AIRGAP_PULL_AUTH_FILE."
        )


def _fail(
    found: List[Dict[str, Any]], refused: Dict[str, str], allow_missing: bool, result: Dict[str, Any]
) -> None:
    """Raises Failed with everything that was found out. refused: accounts, and what was said to them."""
    refused = dict(refused)
    for item in found:
        if item["reason"] == "credentials":
            name = item["account"] or f"{item['image'].partition('/')[0]} (anonymous)"
            refused.setdefault(name, item["message"])
    missing = [item["image"] for item in found if item["reason"] == "missing"]
    if refused:
        names = ", ".join(sorted(refused))
        message = f"The cluster could not pull with the account for {names}. {next(iter(refused.values()))}"
        raise Failed(AuthError(message, "No Secret was written."), result)
    if missing and not allow_missing:
        message = f"Images that the cluster will pull are not there: {', '.join(missing)}."
        raise Failed(InvalidInput(message, "Transfer them first."), result)
