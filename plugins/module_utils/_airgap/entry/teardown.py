# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_teardown."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from ..cluster.objects import (
    GIT_REPOSITORY,
    KUSTOMIZATION,
    NAMESPACE,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    kind_of,
    mapping,
    namespace_of,
    sequence,
    text,
    title,
    title_of,
)
from ..gitops.pull_secret import plan_secret_removal
from ..model.errors import OcmError, Refused
from ..model.labels import FIELD_MANAGER
from ..model.pod_spec import FIELD, pull_secrets_of
from ..teardown.losses import CLAIM, volumes_of, workloads_of
from ..teardown.record import Place, Record, read_record
from ..teardown.survey import Found, Key, Survey, objects_at
from ..teardown.users import Going, SecretPlace, inhabitants, platform_users, secret_places, secret_users
from .cluster import LiveCluster, open_cluster
from .module import Context, Failed
from .sweep import OCM_NAMESPACE, Prune, Sweep

_NEVER = ("default", "kube-node-lease", "kube-public", "kube-system")


def teardown(context: Context) -> Dict[str, Any]:
    """Remove what deliveries have in a cluster, and of what they share that which nothing else uses."""
    records = [read_record(options) for options in context.params["deliveries"]]
    run = _Run(context, open_cluster(context), records)
    try:
        run.deliveries()
        run.scopes()
    except OcmError as error:
        raise Failed(error, run.partial_result()) from None
    return run.result()


class _Run:
    """One call of the module. What goes is noted before it goes, so that check mode tells the same."""

    def __init__(self, context: Context, cluster: LiveCluster, records: Sequence[Record]) -> None:
        self._context, self._cluster, self._records = context, cluster, records
        params = context.params
        self._flux_namespace, self._scope = params["flux_namespace"], params["scope"]
        self._sweep = Sweep(cluster, self._flux_namespace, params["wait_timeout"])
        self._kinds: Dict[Kind, bool] = {}
        self._noted: Dict[Key, str] = {}
        self._kept: Dict[str, Sequence[str]] = {}
        self._updated: List[str] = []
        self._losses: Dict[str, List[str]] = dict(workloads=[], volumes=[], kept_volumes=[])
        self._platform_users: List[str] = []

    def partial_result(self) -> Dict[str, Any]:
        """The return values of a run that fails: what was to go has not all gone."""
        result = self.result()
        return dict(result, changed=self._sweep.acted or bool(self._updated), removed=[], diff={})

    def result(self) -> Dict[str, Any]:
        """The return values."""
        removed = list(self._noted.values())
        return dict(
            changed=bool(removed or self._updated),
            removed=removed,
            updated=self._updated,
            released=self._sweep.released,
            kept=[dict(object=name, because=reasons) for name, reasons in self._kept.items()],
            platform_users=self._platform_users,
            diff=dict(before="".join(f"{name}\n" for name in removed), after=""),
            **self._losses,
        )

    def deliveries(self) -> None:
        """Remove the objects of the deliveries."""
        self._kinds = self._cluster.kinds()
        survey = Survey(self._cluster, self._kinds, self._records)
        found = survey.look()
        self._note(found)
        self._losses = self._lost(found)
        if not self._context.check_mode:
            self._prune()
            self._sweep.until_gone(lambda: self._note(survey.look()))
        for obj in survey.kept.values():
            self._kept[title_of(obj)] = [_reason(obj)]
        for obj in survey.pruned.values():
            self._context.warn(f"{title_of(obj)}: Flux removes it and everything in it, as no annotation keeps it.")
        for kind in sorted(survey.unreadable, key=str):
            self._context.warn(f"Objects of the kind {kind} may not be listed: none of them was looked for.")

    def _note(self, found: Sequence[Found]) -> Sequence[Found]:
        for item in found:
            self._noted.setdefault(item.key, item.title)
        return found

    def _lost(self, found: Sequence[Found]) -> Dict[str, List[str]]:
        workloads = workloads_of(found)
        namespaces = sorted({namespace_of(obj) for obj in workloads})
        claims = [claim for namespace in namespaces for claim in self._cluster.list(CLAIM, namespace)]
        going, staying = volumes_of(found, claims)
        return dict(workloads=sorted(map(title_of, workloads)), volumes=going, kept_volumes=staying)

    def _prune(self) -> None:
        """Flux must not apply again what is removed here."""
        name, revision = self._context.params["flux_kustomization"], self._context.params["revision"]
        if not name or not revision:
            return
        prune = Prune(self._cluster, self._flux_namespace, name)
        if not prune.until_applied(revision, self._context.params["wait_timeout"]):
            self._context.warn(f"{prune.title}: nobody reconciles it, so what it has applied is removed without it.")

    def scopes(self) -> None:
        """Remove what deliveries share, where that was asked for and nothing else uses it."""
        going = self._going()
        if "platform" in self._scope:
            self._platform_users = platform_users(self._cluster, going, self._reader(), self._source())
        if self._platform_goes:
            self._remove_reader()
            going = Going(self._going().keys, platform=True)
        secrets: List[SecretPlace] = []
        if "secrets" in self._scope:
            unused = [place for place in secret_places(self._records) if self._is_unused(place, going)]
            secrets = [place for place in unused if self._remove_secret(place)]
        if "namespaces" in self._scope:
            self._remove_namespaces(secrets, Going(self._going().keys, going.platform))

    @property
    def _platform_goes(self) -> bool:
        return "platform" in self._scope and not self._platform_users

    def _going(self) -> Going:
        accounts = {(SERVICE_ACCOUNT, *account) for record in self._records for account in record.accounts}
        return Going(frozenset(self._noted) | accounts)

    def _remove(self, found: Sequence[Found]) -> None:
        """Remove objects and wait until they have gone."""
        self._note(found)
        places = [Place(*item.key) for item in found]
        if found and not self._context.check_mode:
            self._sweep.until_gone(lambda: [item for place in places for item in self._at(place)])

    def _at(self, place: Place) -> List[Found]:
        return [Found(0, obj) for obj in objects_at(self._cluster, place)]

    def _reader(self) -> Optional[Object]:
        """The Kustomization that applies the Git tree, when the role gitops has made it."""
        return self._own(KUSTOMIZATION, self._context.params["flux_kustomization"])

    def _source(self) -> Optional[Object]:
        """The GitRepository of that tree, when the role gitops has made it."""
        return self._own(GIT_REPOSITORY, self._context.params["flux_source"])

    def _own(self, kind: Kind, name: str) -> Optional[Object]:
        obj = self._cluster.get(kind, self._flux_namespace, name) if name else None
        managers = [text(entry, "manager") for entry in sequence(obj, "metadata", "managedFields")]
        return obj if FIELD_MANAGER in managers else None

    def _remove_reader(self) -> None:
        """Remove that by which Flux reads the Git tree."""
        source, login = self._source(), f"{self._context.params['flux_source']}-git"
        has_login = text(source, "spec", "secretRef", "name") == login
        secret = self._cluster.get(SECRET, self._flux_namespace, login) if has_login else None
        self._remove([Found(0, obj) for obj in (self._reader(), source, secret) if obj is not None])

    def _is_unused(self, place: SecretPlace, going: Going) -> bool:
        users = secret_users(self._cluster, place, going)
        if users and self._cluster.get(SECRET, place.namespace, place.name) is not None:
            self._kept[title(SECRET.kind, place.namespace, place.name)] = users
        return not users

    def _remove_secret(self, place: SecretPlace) -> bool:
        """Remove a pull secret and the deliveries' ServiceAccounts. False when others have accounts in the Secret."""
        going = []
        for name in sorted(place.accounts):
            account = self._cluster.get(SERVICE_ACCOUNT, place.namespace, name)
            if account is not None and name != "default":
                going.append(Found(0, account))
            elif account is not None and place.name in pull_secrets_of(account):
                rest = [item for item in sequence(account, FIELD) if text(item, "name") != place.name]
                self._update(dict(account, **{FIELD: rest}))
        secret = self._cluster.get(SECRET, place.namespace, place.name)
        stays = secret is not None and self._has_others(place, secret)
        if secret is not None and not stays:
            going.append(Found(0, secret))
        self._remove(going)
        return not stays

    def _has_others(self, place: SecretPlace, secret: Object) -> bool:
        """Whether something is left in the Secret when what was written into it is taken out, which is done."""
        try:
            plan = plan_secret_removal(place.name, place.namespace, secret)
        except Refused:
            # It is of another type, so nothing was written into it.
            return True
        if plan is not None and plan.action != "unchanged":
            annotations = {**mapping(secret, "metadata", "annotations"), **plan.definition["metadata"]["annotations"]}
            metadata = dict(secret["metadata"], annotations=annotations)
            self._update(dict(secret, data=plan.definition["data"], metadata=metadata))
        return plan is not None

    def _update(self, definition: Object) -> None:
        self._updated.append(title_of(definition))
        if not self._context.check_mode:
            self._cluster.replace(definition)

    def _remove_namespaces(self, secrets: Sequence[SecretPlace], going: Going) -> None:
        kinds = [kind for kind, namespaced in self._kinds.items() if namespaced]
        unused = []
        for name in self._candidates():
            namespace = self._cluster.get(NAMESPACE, "", name)
            own = [place.name for place in secrets if place.namespace == name]
            if namespace is not None:
                users = self._sharers(name) + inhabitants(self._cluster, kinds, name, own, going)
                if users:
                    self._kept[title_of(namespace)] = users
                else:
                    self._kept.pop(title_of(namespace), None)
                    unused.append(Found(0, namespace))
        self._remove(unused)

    def _candidates(self) -> List[str]:
        """The namespaces of the deliveries; those of the platform when that goes, too."""
        platform = {OCM_NAMESPACE, self._flux_namespace}
        names = {name for record in self._records for name in (record.namespace, record.target_namespace) if name}
        names = names | platform if self._platform_goes else names - platform
        return sorted(names.difference(_NEVER))

    def _sharers(self, namespace: str) -> List[str]:
        """Other deliveries in Git that have the namespace as their target."""
        records = [record for record in self._records if record.target_namespace == namespace]
        return sorted({folder for record in records for folder in record.sharers.get("") or ()})


def _reason(obj: Object) -> str:
    """Why an object of a delivery stays."""
    if kind_of(obj) == NAMESPACE:
        return "others may have something in it"
    return "an annotation or label of it says that it stays"
