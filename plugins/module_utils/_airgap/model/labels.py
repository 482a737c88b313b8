# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and annotations of this collection on Kubernetes objects."""

from __future__ import annotations

# The name of the delivery that an object belongs to, where neither Flux nor Git records that.
DELIVERY = "ocm.airgap/delivery"
# On an object that is suspended for a moment, so that ocm-controller looks at it: nobody else has suspended it.
SHOWN = "ocm.airgap/shown"
# Under which name the collection applies objects itself, to the API server.
FIELD_MANAGER = "ansible-ocm"
