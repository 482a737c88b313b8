# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that a module works on: through kubernetes.core, with its options and its client."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..cluster.objects import (
    Cluster,
    ClusterError,
    ClusterUnreachable,
    Kind,
    Object,
    kind_of,
    mapping,
    name_of,
    namespace_of,
    title,
    title_of,
)
from ..model.errors import InvalidInput
from ..model.labels import FIELD_MANAGER
from .module import SHORT_SECRET, Context

try:
    from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

    KUBERNETES_CORE_IMPORT_ERROR = None
except ImportError as error:
    KUBERNETES_CORE_IMPORT_ERROR = error
    CoreException = RuntimeError

try:
    import urllib3
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from kubernetes.dynamic.exceptions import ResourceNotFoundError, ResourceNotUniqueError
    from kubernetes.dynamic.resource import ResourceList

    KUBERNETES_IMPORT_ERROR = None
except ImportError as error:
    KUBERNETES_IMPORT_ERROR = error

# Without kubernetes.core its options are still taken, so that what is missing is what the user reads.
_OPTION_NAMES = (
    "kubeconfig context host api_key username password validate_certs ca_cert client_cert client_key proxy no_proxy"
    " proxy_headers persist_config impersonate_user impersonate_groups"
)
REQUEST_TIMEOUT = (10.0, 60.0)
POLL_SECONDS = 2.0
# An API server that is restarted is back within this time; one that has not answered until then is not waited for.
CONTACT_SECONDS = 20.0
_PASSING = (429, 500, 502, 503, 504)
_SECRET_KEYS = ("token", "password", "client-key-data", "access-token", "refresh-token", "id-token", "client-secret")


class Conflict(ClusterError):
    """Somebody else was first: an object is there already, or is not any more what was read."""


class NamespaceMissing(ClusterError):
    """The namespace that an object is to be written into does not exist."""


def connection_arguments() -> Dict[str, Any]:
    """The connection options of kubernetes.core, a fresh mapping for each call."""
    if KUBERNETES_CORE_IMPORT_ERROR is not None:
        return {name: dict(type="raw", no_log=name in ("api_key", "password")) for name in _OPTION_NAMES.split()}
    return {name: dict(option) for name, option in AUTH_ARG_SPEC.items()}


def libraries() -> List[Tuple[str, Any]]:
    """(name, import error or None) of what working on a cluster needs."""
    return [
        ("kubernetes.core (Ansible collection)", KUBERNETES_CORE_IMPORT_ERROR),
        ("kubernetes", KUBERNETES_IMPORT_ERROR),
    ]


class LiveCluster(Cluster):
    """The API server that the module's options name. Connects when it is first used."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._client: Any = None
        self._resources: Dict[Kind, Any] = {}
        self._unknown: Dict[Kind, float] = {}
        self._knows_all = False

    def get(self, kind: Kind, namespace: str, name: str) -> Optional[Object]:
        with _errors(f"read {title(kind.kind, namespace, name)}"):
            resource = self._resource(kind)
            if resource is None:
                return None
            try:
                answer = resource.get(name=name, namespace=namespace or None, _request_timeout=REQUEST_TIMEOUT)
            except ApiException as error:
                if error.status != 404:
                    raise
                if not _names_an_object(error):
                    self._forget(kind)
                return None
            return answer.to_dict()

    def list(self, kind: Kind, namespace: str, selector: str = "", fields: str = "") -> List[Object]:
        with _errors(f"list objects of kind {kind} in the namespace {namespace}"):
            resource = self._resource(kind)
            if resource is None:
                return []
            options = dict(label_selector=selector or None, field_selector=fields or None)
            try:
                answer = resource.get(namespace=namespace, _request_timeout=REQUEST_TIMEOUT, **options)
            except ApiException as error:
                if error.status != 404:
                    raise
                self._forget(kind)
                return []
            # The items of a list do not say what they are.
            own = dict(apiVersion=kind.api_version, kind=kind.kind)
            return [dict(item, **own) for item in answer.to_dict().get("items") or ()]

    def knows(self, kind: Kind) -> bool:
        with _errors(f"ask for the kind {kind}"):
            return self._resource(kind) is not None

    def kinds(self) -> Dict[Kind, bool]:
        """The kinds whose objects can be listed and removed, and whether these lie in namespaces; asked anew."""
        with _errors("ask for its kinds"):
            served = self._connected().resources
            served.invalidate_cache()
            found = [each for resources in served for each in resources if not isinstance(each, ResourceList)]
        # Of several versions the preferred one comes last, and stays.
        usable = [each for each in found if {"list", "delete"} <= set(each.verbs or ())]
        chosen = {(each.group, each.kind): each for each in sorted(usable, key=lambda each: bool(each.preferred))}
        self._resources = {Kind(each.group_version, each.kind): each for each in found}
        self._knows_all = True
        return {Kind(each.group_version, each.kind): bool(each.namespaced) for each in chosen.values()}

    def annotate(self, obj: Object, key: str, value: str, manager: str) -> Object:
        """Write one annotation of an object under a field manager; the object afterwards."""
        with _errors(f"annotate {title_of(obj)}"):
            return self._merge(obj, {"metadata": {"annotations": {key: value}}}, manager)

    def set_finalizers(self, obj: Object, finalizers: Sequence[str]) -> Object:
        """Write the finalizers of the very object that was read; the object afterwards. Raises Conflict."""
        read = {key: obj["metadata"].get(key) for key in ("resourceVersion", "uid")}
        with _errors(f"take finalizers from {title_of(obj)}"):
            return self._merge(obj, {"metadata": dict(read, finalizers=list(finalizers))}, FIELD_MANAGER)

    def change(self, obj: Object, fields: Mapping[str, Any]) -> Object:
        """Write fields of an object, either of its status or others; None removes one. The object afterwards."""
        with _errors(f"change {title_of(obj)}"):
            return self._merge(obj, fields, FIELD_MANAGER)

    def _merge(self, obj: Object, fields: Mapping[str, Any], manager: str) -> Object:
        resource = self._resource(kind_of(obj))
        answer = (resource.status if "status" in fields else resource).patch(
            body=fields,
            name=name_of(obj),
            namespace=namespace_of(obj) or None,
            content_type="application/merge-patch+json",
            field_manager=manager,
            _request_timeout=REQUEST_TIMEOUT,
        )
        return answer.to_dict()

    def create(self, definition: Object) -> Object:
        """Write an object that is not there yet; the object as it is then. Raises Conflict, NamespaceMissing."""
        with _errors(f"create {title_of(definition)}"):
            return self._write("create", definition)

    def replace(self, definition: Object) -> Object:
        """Write an object in place of the one that was read, whose resourceVersion and uid it has; as it is then.

        Raises Conflict when that one has been changed or removed since.
        """
        with _errors(f"replace {title_of(definition)}"):
            try:
                return self._write("replace", definition, name=name_of(definition))
            except ApiException as error:
                if error.status == 404 and _names_an_object(error):
                    raise Conflict(f"{title_of(definition)} has been removed.", "Run it again.", 404) from None
                raise

    def delete(self, obj: Object) -> bool:
        """Remove the very object that was read; False when it is gone already.

        Raises Conflict when it has been changed since, or is another one of the same name.
        """
        precondition = {key: mapping(obj, "metadata").get(key) for key in ("resourceVersion", "uid")}
        with _errors(f"delete {title_of(obj)}"):
            resource = self._resource(kind_of(obj))
            if resource is None:
                return False
            try:
                resource.delete(
                    name=name_of(obj),
                    namespace=namespace_of(obj) or None,
                    # Jobs would leave their pods behind.
                    body=dict(
                        apiVersion="v1", kind="DeleteOptions", preconditions=precondition, propagationPolicy="Background"
                    ),
                    _request_timeout=REQUEST_TIMEOUT,
                )
            except ApiException as error:
                if error.status != 404:
                    raise
                return False
            return True

    def _write(self, method: str, definition: Object, **more: Any) -> Object:
        kind = kind_of(definition)
        resource = self._resource(kind)
        if resource is None:
            raise ClusterError(f"Kubernetes: the API server has no kind {kind} ({kind.api_version}).")
        answer = getattr(resource, method)(
            body=definition,
            namespace=namespace_of(definition) or None,
            field_manager=FIELD_MANAGER,
            _request_timeout=REQUEST_TIMEOUT,
            **more,
        )
        return answer.to_dict()

    def _resource(self, kind: Kind) -> Any:
        """The client's resource of a kind, None when the API server lacks it; that is asked again after a while."""
        if kind in self._resources or self._knows_all:
            return self._resources.get(kind)
        if time.monotonic() - self._unknown.get(kind, -1e9) < 10 * POLL_SECONDS:
            return None
        prefix = "apis" if kind.group else "api"
        try:
            found = self._connected().resources.get(prefix=prefix, api_version=kind.api_version, kind=kind.kind)
        except (ResourceNotFoundError, ResourceNotUniqueError):
            self._forget(kind)
            return None
        self._resources[kind] = found
        return found

    def _forget(self, kind: Kind) -> None:
        """The kind is not there, or not any more: what the client remembers of the API server may be older."""
        self._resources.pop(kind, None)
        self._unknown[kind] = time.monotonic()

    def _connected(self) -> Any:
        if self._client is None:
            options = {name: self._params.get(name) for name in _OPTION_NAMES.split()}
            self._client = get_api_client(None, **options)
        return self._client


def open_cluster(context: Context) -> LiveCluster:
    """The cluster of the module's options; secrets of a kubeconfig given as a mapping are masked in all output."""
    kubeconfig = context.params.get("kubeconfig")
    if isinstance(kubeconfig, Mapping):
        mask(context, _secrets_of(kubeconfig))
    return LiveCluster(context.params)


def mask(context: Context, secrets: Iterable[str]) -> None:
    """Mask secrets in all output. Short ones are left: they would be struck out of digests and names as well."""
    context.mask(*(secret for secret in secrets if len(secret) >= SHORT_SECRET))


def _secrets_of(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _SECRET_KEYS and isinstance(item, str):
                yield item
            else:
                yield from _secrets_of(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets_of(item)


@contextmanager
def _errors(operation: str) -> Iterator[None]:
    """Errors of the client become ours. operation: as in `cannot ...`."""
    try:
        yield
    except ApiException as error:
        raise _api_error(error, operation) from None
    except urllib3.exceptions.HTTPError as error:
        raise _transport_error(error, operation) from None
    except (ConfigException, CoreException) as error:
        raise InvalidInput(
            f"Kubernetes: cannot {operation}: {error}", "Check kubeconfig and context, or give host and api_key."
        ) from None


def _api_error(error: Any, operation: str) -> ClusterError:
    status = error.status or 0
    message = f"Kubernetes: cannot {operation}: {_said(error)} ({status})."
    if status in _PASSING or not status:
        return ClusterUnreachable(message, "Run it again.", status)
    if status == 409:
        return Conflict(message, "Run it again.", status)
    if status == 404 and _detail(error, "kind") == "namespaces":
        return NamespaceMissing(message, "Create it first.", status)
    hints = {
        401: "Check the credentials in kubeconfig, or api_key.",
        403: "Give the account of kubeconfig or api_key a role that allows it.",
        415: "The API server is older than this client expects.",
    }
    return ClusterError(message, hints.get(status, ""), status)


def _names_an_object(error: Any) -> bool:
    """Whether the API server says which object is missing. Where it does not serve the kind it knows of none."""
    return bool(_detail(error, "name"))


def _detail(error: Any, key: str) -> Any:
    """What the details of the API server's answer say, None when they do not."""
    try:
        return json.loads(error.body)["details"].get(key)
    except (AttributeError, TypeError, ValueError, KeyError):
        return None


def _said(error: Any) -> str:
    try:
        text = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        text = error.reason
    return str(text or "the API server answered with an error").strip().rstrip(".")


def _transport_error(error: Any, operation: str) -> ClusterError:
    reason = getattr(error, "reason", None) or error
    text = str(reason)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        hint = "Give the authority of the API server in ca_cert or in the kubeconfig."
        return ClusterError(
            f"Kubernetes: cannot {operation}: the API server's certificate is not trusted: {text}.", hint
        )
    # The text of the client ends with the reason; what stands before it is the name of a Python object.
    return ClusterUnreachable(
        f"Kubernetes: cannot {operation}: the API server does not answer: {text.rpartition('>: ')[2]}.",
        "Check that it runs, and the server's address in kubeconfig or host.",
    )


class Deadline:
    """How long something may take. seconds: 0 is one attempt."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._end = clock, clock() + seconds

    @property
    def over(self) -> bool:
        return self._clock() >= self._end

    def sleep(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Until the next attempt, or the end."""
        wait(max(0.0, min(POLL_SECONDS, self._end - self._clock())))


class Lasting:
    """Tells whether a failure has lasted for a while: a passing one is no reason to stop waiting."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._since: Dict[Any, float] = {}

    def see(self, failures: Iterable[Any]) -> bool:
        """failures: what fails now, comparable. True when one of them has been seen for the given seconds."""
        now = self._clock()
        self._since = {failure: self._since.get(failure, now) for failure in failures}
        return any(now - since >= self._seconds for since in self._since.values())
