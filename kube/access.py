"""Where the API server is and who we are: a pod's service account, or the file that KUBECONFIG names.

A pod's own takes three files and two variables, read here: the `kubernetes` package would cost a service 45 MB and
half a second for it. It reads KUBECONFIG, with all that may stand in such a file (exec plugins, OIDC, certificates).
Proxies that the environment names are not used: the API server is near.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kube.errors import NotConfigured

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """The API server's URL, what its certificate is checked against, and what we show.

    `authorization` gives the header's value for one request, or "": tokens are renewed while we run.
    """

    server: str
    authorization: Callable[[], str] = str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None


def load_access(environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Access:
    """What KUBECONFIG names, if it is set; else the pod's service account. Raises NotConfigured."""
    if path := environ.get("KUBECONFIG"):
        return _from_file(path)
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NotConfigured("no cluster is named: run in a pod with a service account, or set KUBECONFIG")
    return _from_service_account(
        f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", service_account
    )


def own_namespace(service_account: Path = SERVICE_ACCOUNT) -> str:
    """The namespace of the pod that we are. Raises NotConfigured outside one."""
    return _read(service_account / "namespace")


def _from_service_account(server: str, folder: Path) -> Access:
    if not (ca_file := folder / "ca.crt").is_file():
        raise NotConfigured(f"{ca_file} is missing: let the pod mount its service account's token")
    _read(folder / "token")
    # Read for each request: kubelet writes a new token within the hour, and the file is in memory anyway.
    return Access(server, lambda: "Bearer " + _read(folder / "token"), ca_file=str(ca_file))


def _read(path: Path) -> str:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{path} cannot be read: let the pod mount its service account's token") from error
    if not text or not text.isprintable():
        raise NotConfigured(f"{path} holds nothing that can be used")
    return text


def _from_file(path: str) -> Access:
    try:
        from kubernetes.client import Configuration  # noqa: PLC0415 - 45 MB that a pod does without
        from kubernetes.config import load_kube_config  # noqa: PLC0415
    except ImportError as error:
        raise NotConfigured(f"KUBECONFIG={path} cannot be read without the package kubernetes: unset it") from error

    configuration = Configuration()
    try:
        load_kube_config(path, client_configuration=configuration, persist_config=False)
    except Exception as error:  # whatever the package's parsers and plugins raise
        raise NotConfigured(f"KUBECONFIG={path} cannot be used: {type(error).__name__}: {error}") from error
    lock = threading.Lock()

    def authorization() -> str:
        with lock:  # it may run a plugin, which once is enough
            return configuration.get_api_key_with_prefix("BearerToken") or ""

    return Access(
        configuration.host,
        authorization,
        ca_file=configuration.ssl_ca_cert,
        cert_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify=configuration.verify_ssl,
        server_name=configuration.tls_server_name,
    )
