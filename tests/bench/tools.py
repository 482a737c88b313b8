# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who moves the work: this collection, and the programs that it is compared with, each as the commands it is used with.

Every program copies the same images with all platforms. Those that know components move the component version as well.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import yaml

from ..support.modules import COLLECTION, module_environment
from .sites import LOGIN, Site
from .work import Work

PREFIX = "bench"
MODULE, PLAYBOOK = "ocm_transfer", "ansible-playbook"
SKOPEO, CRANE, REGSYNC = "skopeo x4", "crane x4", "regsync x4"
OCM1, OCM2 = "ocm (old)", "ocm (new)"
OURS = (MODULE, PLAYBOOK)


@dataclass(frozen=True)
class Command:
    argv: Sequence[str]
    stdin: str = ""


@dataclass(frozen=True)
class Job:
    """Commands, `width` of them at once."""

    commands: Sequence[Command]
    width: int = 1


@dataclass(frozen=True)
class Move:
    """What is moved and where. archive: instead of the target, or with `back` instead of the source.

    snapshot: nothing is moved, but what the target holds is written down there.
    """

    work: Work
    archive: Optional[Path] = None
    back: bool = False
    snapshot: Optional[Path] = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Desk:
    """What the programs need to know: both registries, a folder for their settings and programs by name.

    memory: a folder for archives.
    """

    def __init__(self, folder: Path, memory: Path, source: Site, target: Site, programs: Mapping[str, str]) -> None:
        self.folder = folder
        self.memory = memory
        self.source = source
        self.target = target
        self.programs = dict(programs)
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._write_settings()

    def _write_settings(self) -> None:
        """The logins and the authority as each program wants them."""
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        docker = self.folder / ".docker" / "config.json"
        docker.parent.mkdir()
        docker.write_text(json.dumps({"auths": {site.host: {"auth": auth} for site in (self.source, self.target)}}))
        credentials = {
            "type": "credentials.config.ocm.software",
            "repositories": [{"repository": {"type": "DockerConfig/v1", "dockerConfigFile": str(docker)}}],
        }
        configuration = {"type": "generic.config.ocm.software/v1", "configurations": [credentials]}
        (self.folder / ".ocmconfig").write_text(yaml.safe_dump(configuration))
        (self.folder / "ansible.cfg").write_text("")

    def environment(self, tool: str) -> Dict[str, str]:
        """The environment of a program. Temporary files go to a disk, so that they can be seen."""
        own = {"HOME": str(self.folder), "TMPDIR": str(self.temporary)}
        if tool in OURS:
            ansible = {
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
                "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
                "ANSIBLE_HOME": str(self.folder / "ansible"),
            }
            return module_environment(**own, **ansible)
        return {
            "PATH": os.environ["PATH"],
            "DOCKER_CONFIG": str(self.folder / ".docker"),
            "REGISTRY_AUTH_FILE": str(self.folder / ".docker" / "config.json"),
            "SSL_CERT_FILE": str(self.source.authority),
            **own,
        }

    def job(self, tool: str, move: Move) -> Job:
        return _JOBS[tool](self, move)

    def arguments(self, move: Move) -> Dict[str, Any]:
        """Of the module."""
        logins = [
            {"host": site.host, "username": LOGIN[0], "password": LOGIN[1], "ca_path": str(site.authority)}
            for site in (self.source, self.target)
        ]
        source, target = self._ends(move)
        if move.snapshot:
            where = {"repository": target, "component": [move.work.component], "dest": str(move.snapshot)}
            return {**where, "registries": logins}
        return {
            "source": source,
            "target": [target],
            "component": move.work.component,
            "version": move.work.version,
            "registries": logins,
            **move.options,
        }

    def _ends(self, move: Move) -> Sequence[str]:
        source, target = f"{self.source.host}/{PREFIX}", f"{self.target.host}/{PREFIX}"
        if move.archive:
            return (str(move.archive), target) if move.back else (source, str(move.archive))
        return source, target

    def _module(self, move: Move) -> Job:
        name = "ocm_repository_snapshot" if move.snapshot else MODULE
        path = COLLECTION / "plugins" / "modules" / f"{name}.py"
        given = json.dumps({"ANSIBLE_MODULE_ARGS": self.arguments(move)})
        return Job([Command([sys.executable, str(path)], given)])

    def _playbook(self, move: Move) -> Job:
        program = Path(sys.executable).with_name("ansible-playbook")
        play = {"hosts": "localhost", "gather_facts": False}
        play["vars"] = {"ansible_python_interpreter": sys.executable}
        play["tasks"] = [{"ocm.airgap.ocm_transfer": self.arguments(move)}]
        file = self.folder / "play.yml"
        file.write_text(yaml.safe_dump([play], sort_keys=False))
        return Job([Command([str(program), str(file)])])

    def _pairs(self, move: Move) -> List[Sequence[str]]:
        hosts = (self.source.host, self.target.host)
        return [tuple(f"{host}/{image.reference}" for host in hosts) for image in move.work.images]

    def _skopeo(self, move: Move) -> Job:
        options = ["copy", "--quiet", "--all", "--preserve-digests"]
        pairs = [[f"docker://{end}" for end in pair] for pair in self._pairs(move)]
        return Job([Command([self.programs[SKOPEO], "--insecure-policy", *options, *pair]) for pair in pairs], 4)

    def _crane(self, move: Move) -> Job:
        return Job([Command([self.programs[CRANE], "copy", *pair]) for pair in self._pairs(move)], 4)

    def _regsync(self, move: Move) -> Job:
        creds = [
            {
                "registry": site.host,
                "user": LOGIN[0],
                "pass": LOGIN[1],
                "tls": "enabled",
                "regcert": site.authority.read_text(),
            }
            for site in (self.source, self.target)
        ]
        listed = [{"source": source, "target": target, "type": "image"} for source, target in self._pairs(move)]
        file = self.folder / "regsync.yml"
        file.write_text(yaml.safe_dump({"version": 1, "creds": creds, "defaults": {"parallel": 4}, "sync": listed}))
        return Job([Command([self.programs[REGSYNC], "once", "--config", str(file)])])

    def _ocm1(self, move: Move) -> Job:
        program, component = self.programs[OCM1], f"{move.work.component}:{move.work.version}"
        source, target = self._ends(move)
        if move.archive and move.back:
            return Job([Command([program, "transfer", "ctf", "--copy-resources", source, target])])
        return Job([Command([program, "transfer", "component", "--copy-resources", f"{source}//{component}", target])])

    def _ocm2(self, move: Move) -> Job:
        component = f"{move.work.component}:{move.work.version}"
        source, target = (f"ctf::{end}" if end == str(move.archive) else end for end in self._ends(move))
        kind = "localBlob" if move.archive and not move.back else "ociArtifact"
        words = [
            "transfer",
            "component-version",
            "--copy-resources",
            "--upload-as",
            kind,
            f"{source}//{component}",
            target,
        ]
        return Job([Command([self.programs[OCM2], *words])])


_JOBS: Dict[str, Callable[[Desk, Move], Job]] = {
    MODULE: Desk._module,
    PLAYBOOK: Desk._playbook,
    SKOPEO: Desk._skopeo,
    CRANE: Desk._crane,
    REGSYNC: Desk._regsync,
    OCM1: Desk._ocm1,
    OCM2: Desk._ocm2,
}
