"""Configuration: the pod's service account, KUBECONFIG, and TLS to the API server."""

import base64
import datetime
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import Configuration
from kubernetes.config import incluster_config

from kube import errors
from kube.client import Client
from kube.config import load_configuration, own_namespace
from kube.objects import ResourceClient
from tests.kube.apiserver import TOKEN, ApiServer, configuration_of
from tests.kube.informers import PATH, WIDGETS, running, sizes, until, widget
from tests.machine import require


@pytest.fixture
def account(tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pod's environment and its service account directory."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text(TOKEN.removeprefix("bearer ") + "\n")
    (tmp_path / "ca.crt").write_bytes((pki / "server.crt").read_bytes())
    (tmp_path / "namespace").write_text("jobs")
    return tmp_path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two self-signed certificates for 127.0.0.1, `server` and `other`, and their keys."""
    require(shutil.which("openssl"), "openssl")
    folder = tmp_path_factory.mktemp("pki")
    for name in ("server", "other"):
        subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:api.test"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/{name}.key"]
        command = ["openssl", "req", "-x509", *key, "-out", f"{folder}/{name}.crt", *subject]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(pki: Path) -> Iterator[ApiServer]:
    """An API server with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    with ApiServer(tls=context) as server:
        yield server


def pass_minutes(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    """Move the clock that the package reads tokens by."""

    later = SimpleNamespace(now=lambda: datetime.datetime.now() + datetime.timedelta(minutes=minutes))
    monkeypatch.setattr(incluster_config, "datetime", SimpleNamespace(datetime=later, timedelta=datetime.timedelta))


def test_pod_uses_its_service_account(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = load_configuration()
    assert (configuration.host, configuration.ssl_ca_cert) == ("https://10.0.0.1:443", str(account / "ca.crt"))
    assert own_namespace(account / "namespace") == "jobs"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert load_configuration().host == "https://[fd00::1]:443"


def test_renewed_token_is_used(account: Path, secure: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", secure.url.rpartition(":")[2])
    client = Client(load_configuration())
    ResourceClient(client, WIDGETS).create({"metadata": {"name": "a"}})
    (account / "token").write_text("renewed")
    pass_minutes(monkeypatch, 2)
    with pytest.raises(errors.Unauthorized):
        ResourceClient(client, WIDGETS).get("a")
    assert [request.headers["Authorization"] for request in secure.requests] == ["bearer test", "bearer renewed"]
    client.close()


@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_pod_without_its_service_account_is_reported(account: Path, name: str) -> None:
    (account / name).unlink()
    with pytest.raises(errors.NotConfigured, match=r"file does not exist.*mounts its service account"):
        load_configuration()


@pytest.mark.parametrize("token", ["", " \n", "two\nlines", "ümlaut", None])
def test_unusable_token_is_refused_and_not_shown(
    account: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    client = Client(load_configuration())
    if token is None:
        (account / "token").unlink()
    else:
        (account / "token").write_text(token)
    pass_minutes(monkeypatch, 2)
    with pytest.raises(errors.NotConfigured, match="the token for the API server") as caught:
        ResourceClient(client, WIDGETS).get("a")
    assert "lines" not in str(caught.value)
    client.close()


def test_missing_configuration_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.NotConfigured, match="set KUBECONFIG"):
        load_configuration()
    with pytest.raises(errors.NotConfigured, match="namespace cannot be read"):
        own_namespace(Path("/nowhere/namespace"))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
def test_unusable_namespace_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "namespace").write_bytes(content)
    with pytest.raises(errors.NotConfigured, match="mount its service account"):
        own_namespace(tmp_path / "namespace")


@pytest.fixture
def use_kubeconfig(tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that writes a KUBECONFIG for a server and a user, and sets the variable."""

    def use(server: str, user: dict[str, Any]) -> None:
        authority = base64.b64encode((pki / "server.crt").read_bytes()).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "config").write_text(json.dumps(document))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))

    return use


def test_kubeconfig_with_a_token_takes_precedence_over_the_service_account(
    account: Path, secure: ApiServer, use_kubeconfig: Any
) -> None:
    use_kubeconfig(secure.url, {"token": "test"})
    client = Client(load_configuration())
    assert ResourceClient(client, WIDGETS).create({"metadata": {"name": "a"}})["metadata"]["uid"]
    client.close()


def test_kubeconfig_plugin_runs_again_before_its_token_expires(
    secure: ApiServer, use_kubeconfig: Any, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    status = {"token": "test", "expirationTimestamp": "2000-01-01T00:00:00Z"}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    plugin.write_text(f"#!/bin/sh\necho x >> {tmp_path}/runs\ncat <<E\n{json.dumps(answer)}\nE\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": answer["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}}
    use_kubeconfig(secure.url, user)
    client = Client(load_configuration())
    for name in ("a", "b"):
        ResourceClient(client, WIDGETS).create({"metadata": {"name": name}})
    assert (tmp_path / "runs").read_text().count("x") == 3
    client.close()


@pytest.mark.parametrize("text", ["", "{", "a: [", "clusters: []\nusers: []\ncontexts: []\n", "[]"])
def test_unusable_kubeconfig_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(errors.NotConfigured, match=r"KUBECONFIG=.*config cannot be used"):
        load_configuration()


def test_proxies_in_the_environment_are_not_used(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    configuration = configuration_of(server.url)
    assert configuration.proxy
    client = Client(configuration)
    with pytest.raises(errors.NotFound):
        ResourceClient(client, WIDGETS).get("a")
    client.close()


def test_only_the_configured_authority_is_trusted_and_a_renewed_one_at_once(
    secure: ApiServer, pki: Path, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes((pki / "other.crt").read_bytes())
    client = Client(configuration_of(secure.url, ssl_ca_cert=str(authority)))
    with pytest.raises(errors.Unreachable, match="certificate verify failed"):
        ResourceClient(client, WIDGETS).get("a")
    assert secure.requests == []
    authority.write_bytes((pki / "server.crt").read_bytes())
    with pytest.raises(errors.NotFound):
        ResourceClient(client, WIDGETS).get("a")
    client.close()


@pytest.mark.parametrize(("name", "error"), [("api.test", errors.NotFound), ("b.test", errors.Unreachable)])
def test_certificate_must_match_the_configured_server_name(
    secure: ApiServer, pki: Path, name: str, error: type[errors.KubeError]
) -> None:
    client = Client(configuration_of(secure.url, ssl_ca_cert=str(pki / "server.crt"), tls_server_name=name))
    with pytest.raises(error):
        ResourceClient(client, WIDGETS).get("a")
    client.close()


def test_informer_over_tls_follows_changes_and_stops_at_once(secure: ApiServer, pki: Path) -> None:
    client = Client(configuration_of(secure.url, ssl_ca_cert=str(pki / "server.crt")))
    for turn in range(5):
        with running(client) as (informer, _):
            secure.put(f"{PATH}/a", widget(turn))
            until(lambda informer=informer, turn=turn: sizes(informer) == {"a": turn}, "the change")  # type: ignore[misc]
    client.close()


def test_server_with_a_path_prefix_is_reached(server: ApiServer) -> None:
    client = Client(configuration_of(server.url + "/k8s/clusters/c1/"))
    with pytest.raises(errors.KubeError):
        ResourceClient(client, WIDGETS).get("a")
    assert server.requests[0].path == f"/k8s/clusters/c1{PATH}/a"
    client.close()


def test_client_leaves_the_configuration_of_its_caller_alone() -> None:
    configuration = Configuration(host="http://127.0.0.1:1")
    configuration.proxy = "http://127.0.0.1:2"
    Client(configuration).close()
    assert (configuration.proxy, configuration.retries) == ("http://127.0.0.1:2", None)
