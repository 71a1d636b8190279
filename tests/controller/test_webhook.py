"""The webhook: requests and responses, and that no failure prevents the creation of a pod."""

import base64
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonpatch
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from controller import webhook
from controller.inject.cluster_version import ClusterVersion
from controller.inject.injection import OUTCOMES
from controller.metrics import WebhookMetrics
from controller.review import allow
from controller.review_limiter import MAX_BYTES, SMALL_BYTES, Overloaded, ReviewLimiter
from tests.controller.pod_samples import NEW, SETTINGS, Document, injected, make_pod, primehub_pod
from tests.lines import lines_of

UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


class Webhook:
    """The application with its own registry."""

    def __init__(
        self,
        cluster: Callable[[], ClusterVersion] = lambda: NEW,
        problem: str = "",
        may_inject: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.registry = CollectorRegistry()
        metrics = WebhookMetrics(self.registry, lambda: 1700000000.0)
        app = webhook.create_app(SETTINGS, cluster, metrics, lambda: problem, may_inject)
        self.client: FlaskClient = app.test_client()

    def send(self, pod: Any, **request: Any) -> Document:
        """Send a review of `pod`; return the response in the returned review."""
        http_response = self.client.post("/inject", json=review(pod, **request))
        assert http_response.status_code == 200
        assert http_response.mimetype == "application/json"
        returned: Document = http_response.get_json()
        assert (returned["apiVersion"], returned["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert returned["response"]["uid"] == UID
        assert returned["response"]["allowed"] is True
        return dict(returned["response"])

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("phjob_artifact_webhook_requests_total", {"outcome": outcome})


def review(pod: Any, **request: Any) -> Document:
    """Return a review as the API server sends it."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "hub",
            "userInfo": {"username": "system:serviceaccount:hub:primehub-controller"},
            "object": pod,
            "oldObject": None,
            "dryRun": False,
        }
        | request,
    }


def patch_in(response: Document) -> list[Document]:
    assert response["patchType"] == "JSONPatch"
    return list(json.loads(base64.b64decode(response["patch"])))


def test_the_response_is_a_patch_that_adds_the_sidecar() -> None:
    hook = Webhook()
    pod = primehub_pod()
    response = hook.send(pod)
    operations = patch_in(response)
    assert jsonpatch.apply_patch(pod, operations) == injected(pod)
    assert {operation["op"] for operation in operations} <= {"add", "replace"}
    assert "warnings" not in response
    assert hook.counted("injected") == 1


def test_the_patch_does_not_contain_existing_containers() -> None:
    text = json.dumps(patch_in(Webhook().send(primehub_pod())))
    assert "admission-is-not-found" not in text
    assert "run-job.sh" not in text


def test_an_injected_pod_is_not_changed_again() -> None:
    hook = Webhook()
    assert hook.send(injected(primehub_pod())) == {"uid": UID, "allowed": True}
    assert hook.counted("already-injected") == 1


def test_a_pod_without_phfs_gets_the_reason_as_annotation_and_warning() -> None:
    pod = make_pod()
    pod["spec"]["containers"][0]["volumeMounts"].pop()
    response = Webhook().send(pod)
    assert patch_in(response) == [
        {"op": "add", "path": "/metadata/annotations", "value": {"primehub.io/artifact-sidecar": "no-phfs"}}
    ]
    assert len(response["warnings"]) == 1
    assert OUTCOMES["no-phfs"] in response["warnings"][0]


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"kind": None},
        {"object": "pod"},
        {"subResource": "status"},
    ],
)
def test_requests_that_create_no_pod_are_allowed_unchanged(request_: Document) -> None:
    hook = Webhook()
    assert hook.send(make_pod(), **request_) == {"uid": UID, "allowed": True}
    assert hook.counted("not-asked") == 1


def fail() -> ClusterVersion:
    raise RuntimeError("secret-in-the-message")


@pytest.mark.parametrize(
    ("cluster", "pod"),
    [
        (fail, make_pod()),
        (lambda: NEW, {"spec": {"containers": [17]}}),
        (lambda: NEW, {"spec": "secret-in-the-message"}),
        (lambda: NEW, {"metadata": ["x"], "spec": {}}),
        (lambda: NEW, make_pod(terminationGracePeriodSeconds="secret-in-the-message")),
    ],
)
def test_after_a_failure_the_pod_is_admitted_unchanged_with_a_warning(
    cluster: Callable[[], ClusterVersion], pod: Document, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Webhook(cluster)
    response = hook.send(pod)
    assert "patch" not in response
    assert "webhook failed" in response["warnings"][0]
    assert hook.counted("error") == 1
    (line,) = lines_of(record for record in caplog.records if record.levelno == logging.ERROR)
    assert line.startswith("injection failed, pod admitted unchanged job=")
    assert "secret-in-the-message" not in caplog.text


def test_only_the_job_and_the_group_of_a_pod_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pod = make_pod(main={"env": [{"name": "PASSWORD", "value": "hunter2"}], "command": ["sh", "-c", "hunter2"]})
    pod["metadata"] |= {"name": "job-1 group=b"}
    pod["metadata"]["annotations"] = {"note": "hunter2"}
    Webhook().send(pod)
    start = 'pod reviewed job="job-1 group=b" group=phusers outcome=injected uid='
    assert [line[: len(start)] for line in lines_of(caplog.records)] == [start]
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (json.dumps(review(make_pod())), "text/plain"),
        (json.dumps(review(make_pod())), None),
        ("", "application/json"),
        ("{", "application/json"),
        ("[]", "application/json"),
        ("[" * 100_000, "application/json"),
        ("null", "application/json"),
        ("\xff", "application/json"),
        (json.dumps(review(make_pod()) | {"apiVersion": "admission.k8s.io/v1beta1"}), "application/json"),
        (json.dumps(review(make_pod()) | {"kind": "Pod"}), "application/json"),
        (json.dumps(review(make_pod()) | {"request": None}), "application/json"),
        (json.dumps(review(make_pod(), uid="")), "application/json"),
        (json.dumps(review(make_pod(), uid=7)), "application/json"),
        (json.dumps(review(make_pod(), uid="u" * 257)), "application/json"),
    ],
    ids=range(14),
)
def test_invalid_reviews_are_refused(content: str, content_type: str | None) -> None:
    hook = Webhook()
    response = hook.client.post("/inject", data=content.encode("latin-1"), content_type=content_type)
    assert response.status_code == 400
    assert response.get_json()["error"]["message"]
    assert hook.counted("refused") == 1


def test_a_review_that_is_too_large_for_the_memory_limit_is_refused() -> None:
    hook = Webhook()
    response = hook.client.post("/inject", data=b" " * (MAX_BYTES + 1), content_type="application/json")
    assert response.status_code == 413
    assert str(MAX_BYTES) in response.get_json()["error"]["message"]
    assert hook.counted("refused") == 1


def test_a_large_review_waits_for_its_turn_and_small_ones_do_not() -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait_for_large() -> ClusterVersion:
        entered.set()
        assert leave.wait(20)
        return NEW

    hook = Webhook(lambda: NEW if leave.is_set() or entered.is_set() else wait_for_large())
    large = make_pod(annotations={"note": "x" * SMALL_BYTES})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hook.send, large)
        assert entered.wait(20)
        assert "patch" in hook.send(make_pod())
        second = pool.submit(hook.send, large)
        with pytest.raises(TimeoutError):
            second.result(0.3)
        leave.set()
        assert "patch" in first.result(20)
        assert "patch" in second.result(20)


def test_a_large_review_whose_turn_does_not_come_is_refused() -> None:
    limiter = ReviewLimiter(wait_seconds=0.05)
    with limiter.reviewing(None):
        with pytest.raises(Overloaded), limiter.reviewing(SMALL_BYTES + 1):
            pass
        with limiter.reviewing(SMALL_BYTES), limiter.reading(SMALL_BYTES + 1):
            pass
    with limiter.reviewing(SMALL_BYTES + 1):
        pass


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    assert Webhook().client.post("/inject", data=content, content_type="application/json").status_code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "containers", "name", "volumeMounts", "annotations", "main", "volumes"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_arbitrary_objects_are_admitted(pod: Any) -> None:
    Webhook().send(pod)


def test_only_post_is_accepted() -> None:
    assert Webhook().client.get("/inject").status_code == 405
    assert Webhook().client.post("/", json={}).status_code == 404


def test_warnings_fit_the_api_servers_limits() -> None:
    warnings = allow(UID, warnings=["short", "w" * 1000] + ["x"] * 50)["response"]["warnings"]
    assert warnings[:2] == ["short", "w" * 237 + "..."]
    assert len(warnings) == 8


def test_readiness_reports_the_problem() -> None:
    hook = Webhook(problem="there is no certificate yet")
    assert hook.client.get("/readyz").status_code == 503
    assert hook.client.get("/readyz").text == "there is no certificate yet\n"
    assert hook.client.get("/healthz").status_code == 200
    assert Webhook().client.get("/readyz").status_code == 200


def test_all_outcomes_start_at_zero() -> None:
    text = Webhook().client.get("/metrics").text
    for outcome in (*OUTCOMES, "error", "refused", "not-asked"):
        assert f'phjob_artifact_webhook_requests_total{{outcome="{outcome}"}} 0.0' in text
    assert "phjob_artifact_webhook_certificate_expiry_timestamp_seconds 1.7e+09" in text


def test_the_time_of_every_response_is_measured() -> None:
    hook = Webhook()
    hook.send(make_pod())
    hook.client.post("/inject", data="{")
    assert hook.registry.get_sample_value("phjob_artifact_webhook_seconds_count") == 2
