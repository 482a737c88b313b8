# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_pull_check."""

from __future__ import annotations

from typing import Any, Dict, List

from ..cluster.pull import is_there
from ..model.errors import AuthError, InvalidInput
from ..model.reference import ImageReference
from ..oci.settings import ConnectionOptions, RegistrySettings
from .module import Context, Failed


def pull_check(context: Context) -> Dict[str, Any]:
    """Ask for every image with the account that a kubelet would use. Nothing but registries is a source of logins."""
    params = context.params
    images = [ImageReference.parse(text) for text in dict.fromkeys(params["images"])]
    options = ConnectionOptions.from_params(params)
    found = [_ask(context, options, image) for image in images]
    _warn_of_shared(context)
    result = dict(changed=False, images=found, untried=_untried(options, images))
    _fail(found, params["allow_missing"], result)
    return result


def _ask(context: Context, options: ConnectionOptions, image: ImageReference) -> Dict[str, Any]:
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


def _untried(options: ConnectionOptions, images: List[ImageReference]) -> List[str]:
    """Accounts that no image was asked for with."""
    entries = [options.entry_for(image.host, image.repository) for image in images]
    tried = {entry.name for entry in entries if entry}
    return sorted(entry.name for entry in options.registries if entry.username and entry.name not in tried)


def _warn_of_shared(context: Context) -> None:
    for host in context.params["shared"]:
        context.warn(
            f"The cluster gets the account for {host} that the transfer uses, which can write. Give a pull-only account in "
            "pull_registries, or an auth file in OCM_AIRGAP_PULL_AUTH_FILE."
        )


def _fail(found: List[Dict[str, Any]], allow_missing: bool, result: Dict[str, Any]) -> None:
    """Raises Failed with everything that was found out."""
    refused = [item for item in found if item["reason"] == "credentials"]
    missing = [item for item in found if item["reason"] == "missing"]
    if refused:
        names = ", ".join(sorted({item["account"] or f"{item['image'].partition('/')[0]} (anonymous)" for item in refused}))
        error = AuthError(
            f"The cluster could not pull with the account for {names}. {refused[0]['message']}", "No Secret was written."
        )
        raise Failed(error, result)
    if missing and not allow_missing:
        names = ", ".join(item["image"] for item in missing)
        raise Failed(InvalidInput(f"Images that the cluster will pull are not there: {names}.", "Transfer them first."), result)
