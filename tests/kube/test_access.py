"""Where the API server is and who we are, from a pod's files or KUBECONFIG; and TLS towards it."""

import base64
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kube import errors
from kube.access import Access, load_access, own_namespace
from kube.client import Client
from kube.objects import ResourceClient
from tests.kube.apiserver import TOKEN, ApiServer
from tests.kube.caches import PATH, WIDGETS, running, sizes, until, widget
from tests.machine import require

IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A pod's service account folder."""
    for name, text in {"token": "first\n", "ca.crt": "?", "namespace": "jobs"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, its key, and another such pair."""
    require(shutil.which("openssl"), "openssl")
    folder = tmp_path_factory.mktemp("pki")
    for name in ("server", "other"):
        subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:api.test"]
        out = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"]
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            *subject,
        ]
        subprocess.run([*command, *out], check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(pki: Path) -> Iterator[ApiServer]:
    """An API server with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    with ApiServer(tls=context) as server:
        yield server


def test_a_pod_speaks_with_its_service_account_and_its_newest_token(account: Path) -> None:
    access = load_access(IN_CLUSTER, account)
    assert (access.server, access.ca_file) == ("https://10.0.0.1:443", str(account / "ca.crt"))
    assert access.authorization() == "Bearer first"
    (account / "token").write_text("second")
    assert access.authorization() == "Bearer second"
    assert own_namespace(account) == "jobs"
    assert load_access({**IN_CLUSTER, "KUBERNETES_SERVICE_HOST": "fd00::1"}, account).server == "https://[fd00::1]:443"


@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_a_pod_without_its_files_is_told_what_is_missing(account: Path, name: str) -> None:
    (account / name).unlink()
    with pytest.raises(errors.NotConfigured, match=f"{name}.*mount its service account's token"):
        load_access(IN_CLUSTER, account)


@pytest.mark.parametrize("token", ["", " \n", "two\nlines", "ümlaut"])
def test_a_token_that_no_header_may_have_is_refused_and_not_shown(account: Path, token: str) -> None:
    access = load_access(IN_CLUSTER, account)
    (account / "token").write_text(token)
    with pytest.raises(errors.NotConfigured) as caught:
        access.authorization()
    assert "lines" not in str(caught.value)


def test_nowhere_is_told() -> None:
    with pytest.raises(errors.NotConfigured, match="set KUBECONFIG"):
        load_access({})
    with pytest.raises(errors.NotConfigured, match="namespace cannot be read"):
        own_namespace(Path("/nowhere"))


def kubeconfig(folder: Path, server: str, pki: Path, user: dict[str, Any]) -> dict[str, str]:
    authority = base64.b64encode((pki / "server.crt").read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    (folder / "config").write_text(json.dumps(document))
    return {"KUBECONFIG": str(folder / "config")}


def test_kubeconfig_with_a_token_wins_over_the_pods_own(secure: ApiServer, pki: Path, tmp_path: Path) -> None:
    environ = kubeconfig(tmp_path, secure.url, pki, {"token": TOKEN.removeprefix("Bearer ")})
    client = Client(load_access({**IN_CLUSTER, **environ}))
    assert ResourceClient(client, WIDGETS).create({"metadata": {"name": "a"}})["metadata"]["uid"]
    client.close()


def test_kubeconfigs_plugin_is_run_and_asked_again_before_its_token_ends(
    secure: ApiServer, pki: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    status = {"token": TOKEN.removeprefix("Bearer "), "expirationTimestamp": "2000-01-01T00:00:00Z"}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    plugin.write_text(f"#!/bin/sh\necho x >> {tmp_path}/runs\ncat <<E\n{json.dumps(answer)}\nE\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": answer["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}}
    client = Client(load_access(kubeconfig(tmp_path, secure.url, pki, user)))
    for name in ("a", "b"):
        ResourceClient(client, WIDGETS).create({"metadata": {"name": name}})
    assert (tmp_path / "runs").read_text().count("x") == 3
    client.close()


@pytest.mark.parametrize("text", ["", "{", "a: [", "clusters: []\nusers: []\ncontexts: []\n", "[]"])
def test_a_kubeconfig_that_cannot_be_used_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(errors.NotConfigured, match=r"KUBECONFIG=.*config cannot be used"):
        load_access({"KUBECONFIG": str(tmp_path / "config")})


def test_only_the_right_certificate_is_trusted_and_a_new_one_at_once(
    secure: ApiServer, pki: Path, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes((pki / "other.crt").read_bytes())
    client = Client(Access(secure.url, lambda: TOKEN, ca_file=str(authority)))
    with pytest.raises(errors.Unreachable, match="certificate verify failed"):
        ResourceClient(client, WIDGETS).get("a")
    assert secure.requests == []
    authority.write_bytes((pki / "server.crt").read_bytes())
    with pytest.raises(errors.NotFound):
        ResourceClient(client, WIDGETS).get("a")
    client.close()


def test_a_certificate_is_checked_for_the_servers_name(secure: ApiServer, pki: Path) -> None:
    good = Access(secure.url, lambda: TOKEN, ca_file=str(pki / "server.crt"), server_name="api.test")
    for access, kind in ((good, errors.NotFound), (replace(good, server_name="b.test"), errors.Unreachable)):
        client = Client(access)
        with pytest.raises(kind):
            ResourceClient(client, WIDGETS).get("a")
        client.close()


def test_a_cache_over_tls_follows_and_stops_at_once(secure: ApiServer, pki: Path) -> None:
    client = Client(Access(secure.url, lambda: TOKEN, ca_file=str(pki / "server.crt")))
    for turn in range(5):
        with running(client) as (cache, _):
            secure.put(f"{PATH}/a", widget(turn))
            until(lambda cache=cache, turn=turn: sizes(cache) == {"a": turn}, "the change")  # type: ignore[misc]
    client.close()


def test_a_server_below_a_path_is_reached(server: ApiServer) -> None:
    client = Client(Access(server.url + "/k8s/clusters/c1/", lambda: TOKEN))
    with pytest.raises(errors.KubeError):
        ResourceClient(client, WIDGETS).get("a")
    assert server.requests[0].path == f"/k8s/clusters/c1{PATH}/a"
    client.close()


def test_in_a_pod_the_kubernetes_package_is_not_imported() -> None:
    code = "import sys, kube.access, kube.informer, kube.leader_election; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_kubeconfig_is_refused_where_the_package_that_reads_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(errors.NotConfigured, match="without the package kubernetes"):
        load_access({"KUBECONFIG": str(tmp_path / "config")})
