# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of every module that talks to registries."""

from __future__ import annotations


class ModuleDocFragment:
    """The action group ocm.airgap.ocm."""

    DOCUMENTATION = r"""
options:
  registries:
    description:
      - How to reach registries and other servers, one entry for each.
      - The entry with the same host and port and the longest matching path is used. An entry without credentials
        means anonymous. Hosts without an entry are reached with what O(auth_file) has for them.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description:
          - The registry as C(host[:port][/path]). The path is a prefix by whole segments, so that two accounts on one
            host work.
          - C(docker.io), C(index.docker.io) and C(registry-1.docker.io) are one.
        type: str
        required: true
      username:
        description: The account's name, together with O(registries[].password).
        type: str
      password:
        description: The account's password, or a token that is used like one.
        type: str
      token:
        description: A bearer token that the registry accepts as it is.
        type: str
      ca_path:
        description: A PEM file with certificate authorities that are trusted for this host beside the system's.
        type: path
      ca_data:
        description: The same as PEM text.
        type: str
      client_cert:
        description: A PEM file with the client's certificate.
        type: path
      client_key:
        description: The PEM file of its private key, unless O(registries[].client_cert) holds that as well.
        type: path
      validate_certs:
        description: Whether the server's certificate is checked.
        type: bool
        default: true
      plain_http:
        description: Speak HTTP without TLS to this host. Writing C(http://) in front of a repository does the same.
        type: bool
        default: false
      mirror:
        description: Another place, C(host[:port][/path]), that is read from under the same names.
        type: str
      token_realms:
        description:
          - Further hosts that may see the password when they are asked for a token.
          - The registry's own host and Docker Hub's token server need not be listed.
        type: list
        elements: str
        default: []
  auth_file:
    description:
      - A file with credentials as Docker and Podman write it, credential helpers included.
      - The default is the first that exists of E(OCM_AIRGAP_AUTH_FILE), E(REGISTRY_AUTH_FILE),
        C($DOCKER_CONFIG/config.json), C(~/.docker/config.json), C($XDG_RUNTIME_DIR/containers/auth.json) and
        C(~/.config/containers/auth.json).
    type: path
  timeout:
    description:
      - Seconds to wait for a connection, for an answer, or for the next bytes to come or go.
      - A body of which fewer than 100 bytes a second come or go for as long counts as silent; a slow one is no error.
    type: float
    default: 60
  retries:
    description: How often a request that failed for a passing reason is tried again.
    type: int
    default: 5
  concurrency:
    description:
      - How many blobs are moved at the same time. Of requests that move next to nothing (manifests, mounts, blobs under 256 kB)
        at most four times as many are on their way.
      - It limits the connections to one host as well, to four times as many for all that is read, and to four times as many
        for each target that is there.
    type: int
    default: 4
  access_hosts:
    description:
      - The hosts that component versions may name as places of their content, as C(host[:port]) or C(*.domain[:port]).
      - What lies elsewhere is refused before anything is sent there. The host of the source and those of O(registries)
        are always allowed.
      - Without it every host is, apart from link-local addresses such as C(169.254.169.254), where clouds hand the
        credentials of a machine to everybody who asks. Those, also behind names and redirects, have to be listed here
        or in O(registries).
    type: list
    elements: str
    default: []
  request_rate:
    description:
      - How many requests a second are sent to one host. C(0) means as many as it answers.
      - A host that answers with C(Retry-After) is left alone for as long as it says, by all requests of the module.
    type: float
    default: 0
  bandwidth:
    description:
      - How many bytes a second are read, and how many are written, from and to all hosts together, for example C(10M).
        There is no limit when it is not given.
      - The units are those of Ansible, C(1K) is 1024 bytes.
    type: bytes
  time_budget:
    description:
      - How many seconds all that the module moves may take. C(0) means no limit.
      - When they are over, the module fails. What has arrived by then stays, and the next run goes on from there.
    type: float
    default: 0
requirements:
  - oras >= 0.2.43
  - PyYAML
notes:
  - The text of a repository alone decides what it is. A path begins with C(/), C(./), C(../), C(~) or C(ctf::) and is a
    common transport archive (a folder, C(.tar) or C(.tgz)) or a component archive. Everything else is a registry,
    C([http://|https://]host[:port][/prefix]).
"""
