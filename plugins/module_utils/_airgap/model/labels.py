# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of this collection on Kubernetes objects."""

from __future__ import annotations

# The name of the delivery that an object belongs to, where neither Flux nor Git records that.
DELIVERY = "ocm.airgap/delivery"
