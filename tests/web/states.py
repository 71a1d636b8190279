"""One job for every state that the page distinguishes, for tests and screenshots."""

import shutil
from collections.abc import Callable

from artifacts.report import Count
from local.phjob import with_status
from tests.web.job_data import DAY, FILES, JobData, skipped

MIB = 1024 * 1024

HOSTILE_NAME = '<img src=x onerror="document.title=1">\u202egnp.exe'
HOSTILE_COMMAND = 'echo "</script><script>document.title=1</script>" \u202e\x07 && rm -rf ~\necho two'


def waiting(data: JobData) -> None:
    data.add_job("job-waiting", "Pending", message="0/3 nodes have a free GPU", ago=40)


def running(data: JobData) -> None:
    data.add_artifacts(data.add_job("job-running", "Running", ago=200, name="train"), state="syncing")


def running_over(data: JobData) -> None:
    job = data.add_job("job-running-over", "Running", ago=210)
    data.add_artifacts(job, state="syncing", limit_exceeded=True, found=Count(1204, 230 * MIB))


def collecting(data: JobData) -> None:
    job = data.add_job("job-collecting", ago=300)
    data.add_artifacts(job, state="syncing")
    (data.root / "jobs" / "job-collecting").mkdir(parents=True)  # a claimed job, whose collector has not finished


def collected(data: JobData) -> None:
    data.add_artifacts(data.add_job("job-collected", name="train resnet", ago=900))


def rejected(data: JobData) -> None:
    job = data.add_job("job-rejected", ago=1000, name="too much")
    found = Count(1204, 230 * MIB)
    rows = {"over_limit": skipped(1204, 230 * MIB, ["frames/0001.png", "frames/0002.png"])}
    data.add_artifacts(job, {}, "rejected", limit_exceeded=True, found=found, collected=Count(), skipped=rows)


def partly(data: JobData) -> None:
    job = data.add_job("job-partly", ago=1100, name="what fits")
    rows = {"over_limit": skipped(201, 3 * MIB, ["z/0001.png"])}
    found = Count(len(FILES) + 201, 103 * MIB)
    data.add_artifacts(job, skipped=rows, limit_exceeded=True, over_limit="keep", found=found, limit_files=3)


def incomplete(data: JobData) -> None:
    job = data.add_job("job-incomplete", "Failed", message="main ended: exit code 7", ago=1200, name="links")
    rows = {
        "outside_volumes": skipped(2, 0, ["latest", "out/best.bin"], "/etc/hostname"),
        "unreadable": skipped(1, 4096, ["secret.key"], "Permission denied"),
        "special_file": skipped(1, 0, ["pipe"]),
    }
    data.add_artifacts(
        job, state="incomplete", found=Count(6, 9000), skipped=rows, main={"exitCode": 7}, unstable=["train.log"]
    )


def interrupted(data: JobData) -> None:
    job = data.add_job("job-interrupted", "Failed", message="Evicted: disk pressure", ago=1300)
    data.add_artifacts(job, state="incomplete", sealed_at=0)


def out_of_memory(data: JobData) -> None:
    message = "main ended: exit code 137 (OOMKilled)"
    data.add_artifacts(data.add_job("job-out-of-memory", "Failed", message=message, ago=1400))


def overdue(data: JobData) -> None:
    job = data.add_job("job-overdue", "Failed", reason="OverActivateDeadline", message="it ran too long", ago=1500)
    job["spec"]["activeDeadlineSeconds"] = 3600
    data.add_artifacts(data.write(job))


def cancelled(data: JobData) -> None:
    data.add_artifacts(data.add_job("job-cancelled", "Cancelled", ago=1600, message="Cancelled by user"))


def withdrawn(data: JobData) -> None:
    data.add_job("job-withdrawn", "Cancelled", ago=1700, message="Cancelled before the pod was created", startTime=None)


def empty(data: JobData) -> None:
    data.add_artifacts(data.add_job("job-empty", ago=1800), {}, "empty")


def expired(data: JobData) -> None:
    data.add_artifacts(data.add_job("job-expired", ago=8 * DAY, name="last week"), expires_in=-3600)


def removed(data: JobData) -> None:
    job = data.add_artifacts(data.add_job("job-removed", ago=2 * DAY))
    shutil.rmtree(data.paths(job).job_folder)


def unknown(data: JobData) -> None:
    artifact = {"state": "unknown", "message": "the pod was deleted before the controller read the sidecar's summary"}
    data.add_job("job-unknown", ago=1900, artifact=artifact)


def unconfirmed(data: JobData) -> None:
    job = data.add_artifacts(data.add_job("job-unconfirmed", "Cancelled", ago=1950, message="Cancelled by user"))
    artifact = {"state": "unknown", "podUid": "uid-job-unconfirmed", "message": "the job was cancelled"}
    data.write(with_status(job, {"artifact": artifact}))


def read_only_store(data: JobData) -> None:
    message = "the report could not be written: Read-only file system"
    job = data.add_artifacts(data.add_job("job-read-only-store", ago=1960), state="syncing")
    data.write(with_status(job, {"artifact": {"state": "incomplete", "message": message}}))


def not_injected(data: JobData) -> None:
    artifact = {"state": "not-injected", "reason": "webhook", "message": "the webhook was not called"}
    data.add_job("job-not-injected", ago=2000, artifact=artifact)


def hostile(data: JobData) -> None:
    files = {"<img src=x onerror=document.title=1>.txt": b"x", "a%0Ab.txt": b"x", "cv\u202etxt.exe": b"x"}
    job = data.add_job("job-hostile", ago=2100, name=HOSTILE_NAME, command=HOSTILE_COMMAND, user="<b>eve</b>")
    rows = {"unreadable": skipped(1, 1, [HOSTILE_NAME], HOSTILE_NAME)}
    data.add_artifacts(job, files, "incomplete", skipped=rows, found=Count(4, 4))


STATES: dict[str, Callable[[JobData], None]] = {
    f"job-{make.__name__.replace('_', '-')}": make
    for make in (
        waiting,
        running,
        running_over,
        collecting,
        collected,
        rejected,
        partly,
        incomplete,
        interrupted,
        out_of_memory,
        overdue,
        cancelled,
        withdrawn,
        empty,
        expired,
        removed,
        unknown,
        unconfirmed,
        read_only_store,
        not_injected,
        hostile,
    )
}
