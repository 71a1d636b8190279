"""Artifacts that are kept no more, shown by the reconciler against an API server over real HTTP."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.controller.cluster import rfc3339
from tests.controller.kubelet import world
from tests.controller.test_reconcile import controlling, samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@pytest.mark.parametrize("reconcile", [True, False])
def test_artifacts_that_the_api_has_removed_are_shown_as_gone_and_counted_no_more(
    server: ApiServer, reconcile: bool
) -> None:
    sealed = {"state": "sealed", "podUid": "x", "files": 2, "bytes": 300, "expiredAt": 2 * int(time.time())}
    done = {"phase": "Succeeded", "finishTime": rfc3339(time.time() - 100), "requeued": 0}
    notes = {"primehub.io/artifact-expired-at": f"-{int(time.time() - 10)}"}
    with world(server) as (found, _):
        if reconcile:
            done |= {"artifact": sealed}
        else:
            notes["primehub.io/artifact-result"] = json.dumps(sealed | {"phJobUid": "own"})
        found.add_job("job", status=done, metadata={"uid": "own", "annotations": notes})
        with controlling(server, reconcile=reconcile) as controller:
            shown = found.artifact if reconcile else found.result
            until(lambda: shown("job").get("state") == "expired", "it is shown")
            assert shown("job")["reason"] == "sealed"
            assert "removed 2" in shown("job")["message"]
            assert samples(controller, "phjob_artifact_results_total") == {}
            assert found.events("job") == []
