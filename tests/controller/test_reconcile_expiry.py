"""Expired artifacts, shown by the reconciler against a fake API server over HTTP."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.controller.fake_cluster import fake_cluster
from tests.controller.objects import rfc3339
from tests.controller.test_reconcile import running_controller, samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@pytest.mark.parametrize("reconcile", [True, False])
def test_removed_artifacts_are_shown_as_expired_and_not_counted_again(server: ApiServer, reconcile: bool) -> None:
    sealed = {"state": "sealed", "podUid": "x", "files": 2, "bytes": 300, "expiredAt": 2 * int(time.time())}
    done = {"phase": "Succeeded", "finishTime": rfc3339(time.time() - 100), "requeued": 0}
    annotations = {"primehub.io/artifact-expired-at": f"-{int(time.time() - 10)}"}
    with fake_cluster(server) as (cluster, _):
        if reconcile:
            done |= {"artifact": sealed}
        else:
            annotations["primehub.io/artifact-result"] = json.dumps(sealed | {"phJobUid": "own"})
        cluster.add_job("job", status=done, metadata={"uid": "own", "annotations": annotations})
        with running_controller(server, reconcile=reconcile) as controller:
            artifact = cluster.artifact if reconcile else cluster.result
            until(lambda: artifact("job").get("state") == "expired", "the expiry is shown")
            assert artifact("job")["reason"] == "sealed"
            assert "removed at 2" in artifact("job")["message"]
            assert samples(controller, "phjob_artifact_results_total") == {}
            assert cluster.events("job") == []
