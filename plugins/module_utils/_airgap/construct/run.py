# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component versions from a constructor to a registry or an archive: the whole way."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Callable, Mapping

from ..model.reference import RepositoryReference
from ..oci.client import Registries
from ..store.component_store import open_target
from ..transfer.options import SETS, TransferOptions
from ..transfer.run import Move, TransferResult, statistics
from .constructor import children_first, parse_constructor
from .store import Builder, ConstructorFinder, ConstructorStore


def construct_component_versions(
    constructor: Mapping[str, Any],
    base: str,
    target: RepositoryReference,
    options: TransferOptions,
    connect: Callable[[], Registries],
    check_mode: bool,
    skip_digest: bool = False,
) -> TransferResult:
    """Write the component versions of a constructor; what is there already and equal stays as it is.

    constructor: `{components: [...]}` or one component. base: the folder that relative paths begin at. connect: gives
    fresh connections, once for contents and once for the target. skip_digest: contents that are given by an access are
    not looked at. Contents given by an access stay where they are, whatever `options` says.

    Raises OcmError; Refused where a version at the target differs in what its signature covers.
    """
    started = time.monotonic()
    drafts = children_first(parse_constructor(constructor))
    wanted = replace(
        options,
        copy_resources=False,
        copy_sources=False,
        adopt_accesses=True,
        by_reference=options.by_reference | {"relativeOciReference"},
        archive_layout=SETS,  # as `ocm add componentversions` writes it, and `ocm sign` writes into it
    )
    move = Move(wanted, check_mode)
    source_side, target_side = connect(), connect()
    try:
        store = open_target(target, target_side)
        try:
            with Builder(base, source_side, store, skip_digest) as builder:
                versions = builder.build(drafts)
                source = ConstructorStore("constructor", versions)
                move.result.warnings.extend(builder.warnings + builder.missing_references(drafts))
                move.run(source, store, versions, ConstructorFinder(source, source_side))
        finally:
            store.close()
    finally:
        source_side.close()
        target_side.close()
    move.result.statistics = statistics(source_side, target_side, move.counts, started)
    return move.result
