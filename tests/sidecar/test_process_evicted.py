"""An evicted pod: preStop, a second later SIGTERM, and main goes on for another second, as on a real kubelet."""

import signal
import time

from sidecar.deadline import EVICTION_SECONDS, LEAST_SECONDS
from tests.sidecar.sidecars import Job, running, until


def test_the_sidecar_of_an_evicted_pod_outlives_main_and_keeps_what_main_did_last(job: Job) -> None:
    job.write("early", "1")
    with running(job) as sidecar:
        sidecar.wait_kept("early")
        evicted_at = time.monotonic()
        sidecar.send(signal.SIGUSR1)
        time.sleep(EVICTION_SECONDS)
        sidecar.send(signal.SIGTERM)
        until(lambda: job.summary()["state"] == "sealed", "what there was sealed, as nobody knows what comes")
        job.write("late", "2")
        assert sidecar.process.wait(10) == 0
        assert time.monotonic() - evicted_at > LEAST_SECONDS
    job.assert_whole()
    assert job.report().state == "sealed"
    assert (job.summary()["state"], job.summary()["files"]) == ("sealed", 2)
