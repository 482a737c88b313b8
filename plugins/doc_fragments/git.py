# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module that works with a Git repository reaches it."""

from __future__ import annotations


class ModuleDocFragment:
    """Branch, login and program; the option git_url is the module's own."""

    DOCUMENTATION = r"""
options:
  git_branch:
    description: The branch that the cluster reads.
    type: str
    default: main
  git_username:
    description: The account at the Git server.
    type: str
  git_password:
    description: Its password or token.
    type: str
  git_ssh_key:
    description: A private key file for SSH.
    type: path
  git_known_hosts:
    description: A file with the keys of the Git server, as SSH keeps them.
    type: path
  git_ca_path:
    description: A PEM file with the authority of the Git server's certificate.
    type: path
  git_executable:
    description: The program.
    type: str
    default: git
  git_timeout:
    description: Seconds that a request to the Git server may take.
    type: int
    default: 120
"""
