"""One job for every state that the page tells, made up in full: tests look at each, and screenshots show each."""

from collections.abc import Callable

from artifacts.report import Count
from tests.web.world import DAY, FILES, World, skipped

MIB = 1024 * 1024

HOSTILE_NAME = '<img src=x onerror="document.title=1">\u202egnp.exe'
HOSTILE_COMMAND = 'echo "</script><script>document.title=1</script>" \u202e\x07 && rm -rf ~\necho two'


def waiting(world: World) -> None:
    world.add("job-waiting", "Pending", message="0/3 nodes have a free GPU", ago=40)


def running(world: World) -> None:
    world.leave(world.add("job-running", "Running", ago=200, name="train"), state="syncing")


def running_over(world: World) -> None:
    job = world.add("job-running-over", "Running", ago=210)
    world.leave(job, state="syncing", limit_exceeded=True, found=Count(1204, 230 * MIB))


def collecting(world: World) -> None:
    job = world.add("job-collecting", ago=300)
    world.leave(job, state="syncing")
    (world.data / "jobs" / "job-collecting").mkdir(parents=True)  # as if it were just claimed: its runner is not done


def collected(world: World) -> None:
    world.leave(world.add("job-collected", name="train resnet", ago=900))


def rejected(world: World) -> None:
    job = world.add("job-rejected", ago=1000, name="too much")
    found = Count(1204, 230 * MIB)
    rows = {"over_limit": skipped(1204, 230 * MIB, ["frames/0001.png", "frames/0002.png"])}
    world.leave(job, {}, "rejected", limit_exceeded=True, found=found, collected=Count(), skipped=rows)


def partly(world: World) -> None:
    job = world.add("job-partly", ago=1100, name="what fits")
    rows = {"over_limit": skipped(201, 3 * MIB, ["z/0001.png"])}
    found = Count(len(FILES) + 201, 103 * MIB)
    world.leave(job, skipped=rows, limit_exceeded=True, over_limit="keep", found=found, limit_files=3)


def incomplete(world: World) -> None:
    job = world.add("job-incomplete", "Failed", message="main ended: exit code 7", ago=1200, name="links")
    rows = {
        "outside_volumes": skipped(2, 0, ["latest", "out/best.bin"], "/etc/hostname"),
        "unreadable": skipped(1, 4096, ["secret.key"], "Permission denied"),
        "special_file": skipped(1, 0, ["pipe"]),
    }
    world.leave(
        job, state="incomplete", found=Count(6, 9000), skipped=rows, main={"exitCode": 7}, unstable=["train.log"]
    )


def interrupted(world: World) -> None:
    job = world.add("job-interrupted", "Failed", message="Evicted: disk pressure", ago=1300)
    world.leave(job, state="incomplete", sealed_at=0)


def out_of_memory(world: World) -> None:
    message = "main ended: exit code 137 (OOMKilled)"
    world.leave(world.add("job-out-of-memory", "Failed", message=message, ago=1400))


def overdue(world: World) -> None:
    job = world.add("job-overdue", "Failed", reason="OverActivateDeadline", message="it ran too long", ago=1500)
    job["spec"]["activeDeadlineSeconds"] = 3600
    world.leave(world.write(job))


def cancelled(world: World) -> None:
    world.leave(world.add("job-cancelled", "Cancelled", ago=1600, message="Cancelled by user"))


def withdrawn(world: World) -> None:
    world.add("job-withdrawn", "Cancelled", ago=1700, message="Cancelled before the pod was created", startTime=None)


def empty(world: World) -> None:
    world.leave(world.add("job-empty", ago=1800), {}, "empty")


def expired(world: World) -> None:
    world.leave(world.add("job-expired", ago=8 * DAY, name="last week"), expires_in=-3600)


def unknown(world: World) -> None:
    artifact = {"state": "unknown", "message": "the pod was deleted before the controller read the sidecar's summary"}
    world.add("job-unknown", ago=1900, artifact=artifact)


def not_injected(world: World) -> None:
    artifact = {"state": "not-injected", "reason": "webhook", "message": "the webhook was not called"}
    world.add("job-not-injected", ago=2000, artifact=artifact)


def hostile(world: World) -> None:
    files = {"<img src=x onerror=document.title=1>.txt": b"x", "a%0Ab.txt": b"x", "cv\u202etxt.exe": b"x"}
    job = world.add("job-hostile", ago=2100, name=HOSTILE_NAME, command=HOSTILE_COMMAND, user="<b>eve</b>")
    rows = {"unreadable": skipped(1, 1, [HOSTILE_NAME], HOSTILE_NAME)}
    world.leave(job, files, "incomplete", skipped=rows, found=Count(4, 4))


STATES: dict[str, Callable[[World], None]] = {
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
        unknown,
        not_injected,
        hostile,
    )
}
