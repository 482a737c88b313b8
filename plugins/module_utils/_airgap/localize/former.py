# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The former references of images that a transfer has moved, in every spelling in which manifests write them."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ..model.errors import InvalidInput
from ..model.reference import ImageReference


def former_references(resources: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """From the `resources` that a transfer returned: every spelling of a former image reference -> the new one."""
    found: Dict[str, str] = {}
    for number, entry in enumerate(resources):
        before, after = _image_text(entry, "before", number), _image_text(entry, "after", number)
        if before and after:
            for spelling in _spellings(ImageReference.parse(before)) + [before]:
                found[spelling] = after
    return found


def _image_text(entry: Mapping[str, Any], side: str, number: int) -> str:
    access = entry.get(side) if isinstance(entry, Mapping) else None
    if not isinstance(access, Mapping):
        raise InvalidInput(
            f"references[{number}] has no access in {side}.", "references takes the resources that ocm_transfer returned."
        )
    return str(access.get("imageReference") or "")


def _spellings(image: ImageReference) -> List[str]:
    """The forms in which manifests write one image: with and without digest, Docker Hub's short names."""
    plain = image.without_scheme()
    forms = [plain] + ([ImageReference(plain.host, plain.repository, plain.tag)] if plain.tag and plain.digest else [])
    texts = [str(form) for form in forms]
    if image.host == "docker.io":
        texts += [text[len("docker.io/"):] for text in texts]
        texts += [text[len("library/"):] for text in texts if text.startswith("library/")]
        texts += [f"index.docker.io/{text[len('docker.io/'):]}" for text in texts if text.startswith("docker.io/")]
    return texts
