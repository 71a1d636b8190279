"""What `python -m local run` promises of a job that runs to its end by itself."""

import re
import stat
import time
from calendar import timegm

import pytest

from artifacts.layout import EXPIRED_AT
from tests.local.jobs import GROUP, Jobs, children, is_alive, state_of, wait_for

USER_JOURNEY = 'mkdir -p artifacts/sub; echo "hello" > artifacts/test.txt; echo "hello" > artifacts/sub/test.txt'


def test_what_a_job_leaves_is_kept_and_listed(jobs: Jobs) -> None:
    ended = jobs.run(USER_JOURNEY)
    assert ended.returncode == 0
    assert jobs.kept() == {"test.txt": "hello\n", "sub/test.txt": "hello\n"}
    for told in (
        "6 bytes  test.txt",
        "6 bytes  sub/test.txt",
        "2 files (12 bytes)",
        str(jobs.places().store),
        "kept until",
    ):
        assert told in ended.stderr


def test_the_artifacts_lie_below_the_group_and_expire_after_the_retention(jobs: Jobs) -> None:
    before = int(time.time())
    jobs.run(USER_JOURNEY, PHJOB_ARTIFACT_RETENTION_SECONDS="3600")
    store = jobs.data / "phfs/groups/test-group/jobArtifacts/job-1"
    assert (store / "sub/test.txt").read_text() == "hello\n"
    assert before + 3600 <= int((store / EXPIRED_AT).read_text()) <= time.time() + 3600
    assert jobs.phjob()["status"]["artifact"]["expiredAt"] == int((store / EXPIRED_AT).read_text())


def test_the_phjob_is_kept_in_the_form_of_the_custom_resource(jobs: Jobs) -> None:
    jobs.run(USER_JOURNEY, LOGNAME="ann")
    phjob = jobs.phjob()
    uid, created = phjob["metadata"].pop("uid"), phjob["metadata"].pop("creationTimestamp")
    started, finished = phjob["status"].pop("startTime"), phjob["status"].pop("finishTime")
    expired_at = phjob["status"]["artifact"].pop("expiredAt")
    assert phjob == {
        "apiVersion": "primehub.io/v1alpha1",
        "kind": "PhJob",
        "metadata": {
            "name": "job-1",
            "labels": {"app": "primehub-job", "primehub.io/group": "test-group"},
        },
        "spec": {
            "displayName": "job-1",
            "userId": "ann",
            "userName": "ann",
            "groupId": GROUP,
            "groupName": GROUP,
            "instanceType": "",
            "image": "",
            "command": USER_JOURNEY,
        },
        "status": {
            "phase": "Succeeded",
            "reason": "PodSucceeded",
            "message": "main ended: exit code 0",
            "podName": "job-1",
            "artifact": {"state": "sealed", "files": 2, "bytes": 12},
        },
    }
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uid)
    assert uid == jobs.report().pod_uid
    assert created <= started <= finished
    assert abs(expired_at - timegm(time.strptime(finished, "%Y-%m-%dT%H:%M:%SZ")) - 604800) <= 2


def test_stdout_is_the_command_s_own(jobs: Jobs) -> None:
    assert jobs.run("echo one; echo two >&2").stdout == "one\n"


def test_a_job_that_fails_keeps_its_artifacts_and_its_exit_code(jobs: Jobs) -> None:
    ended = jobs.run("mkdir artifacts; echo x > artifacts/f; exit 7")
    assert ended.returncode == 7
    assert jobs.kept() == {"f": "x\n"}
    assert jobs.report().main == {"exitCode": 7, "reason": "PodFailed"}
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "PodFailed")
    assert status["message"] == "main ended: exit code 7"


def test_a_job_that_is_killed_keeps_its_artifacts(jobs: Jobs) -> None:
    ended = jobs.run("mkdir artifacts; echo x > artifacts/f; kill -KILL $$")
    assert ended.returncode == 128 + 9
    assert jobs.kept() == {"f": "x\n"}
    assert jobs.report().main == {"signal": 9, "reason": "PodFailed"}
    assert jobs.phjob()["status"]["message"] == "main ended: killed by signal 9 (SIGKILL)"


def test_several_arguments_are_a_program_and_its_arguments(jobs: Jobs) -> None:
    ended = jobs.run("printf", "%s|", "a b", "$HOME", "--", "*")
    assert ended.stdout == "a b|$HOME|--|*|"
    assert jobs.phjob()["spec"]["command"] == "printf '%s|' 'a b' '$HOME' -- '*'"


@pytest.mark.parametrize(("path", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_started_is_a_failed_job(jobs: Jobs, path: str, code: int) -> None:
    ended = jobs.run(path, "argument")
    assert ended.returncode == code
    assert f"cannot start {path}" in ended.stderr
    status = jobs.phjob()["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Failed", "empty")
    assert "startTime" not in status


def test_no_artifacts_folder_leaves_nothing_in_the_store(jobs: Jobs) -> None:
    ended = jobs.run("true")
    assert ended.returncode == 0
    assert "the job left no files" in ended.stderr
    assert not (jobs.places().phfs / "jobArtifacts").exists()
    assert jobs.phjob()["status"]["artifact"] == {"state": "empty", "files": 0, "bytes": 0, "expiredAt": 0}


def test_children_left_in_the_background_end_with_the_job(jobs: Jobs) -> None:
    jobs.run("mkdir artifacts; sleep 1000 & echo $! > artifacts/pid")
    assert not is_alive(int(jobs.kept()["pid"]))


def test_daemons_end_with_the_job_and_change_nothing_after_the_seal(jobs: Jobs) -> None:
    daemon = "echo $$ > artifacts/pid; while :; do date +%s%N > artifacts/now; sleep 0.01; done"
    start = f"setsid -f sh -c '{daemon}' > /dev/null 2>&1"
    jobs.run(f"mkdir artifacts; {start}; until [ -s artifacts/now ]; do :; done")
    assert not is_alive(int(jobs.kept()["pid"]))
    assert (jobs.places().artifacts / "now").read_text() == jobs.kept()["now"]


def test_a_job_sees_its_group_s_shared_files(jobs: Jobs) -> None:
    jobs.run("echo shared > phfs/note; mkdir artifacts", name="job-1")
    ended = jobs.run("cat phfs/note; mkdir artifacts; ln -s ../phfs/note artifacts/note", name="job-2")
    assert ended.stdout == "shared\n"
    assert jobs.kept("job-2") == {"note": "shared\n"}


def test_a_job_is_told_of_itself_and_its_limits(jobs: Jobs) -> None:
    told = "PHJOB_NAME PHJOB_ARTIFACT_ENABLED PHJOB_ARTIFACT_LIMIT_SIZE_MB PHJOB_ARTIFACT_LIMIT_FILES"
    told += " PHJOB_ARTIFACT_RETENTION_SECONDS PRIMEHUB_GROUP PRIMEHUB_USER GROUP_NAME PHJOB_ARTIFACT_OVER_LIMIT"
    ended = jobs.run(
        "printenv", *told.split(), LOGNAME="ann", PHJOB_ARTIFACT_LIMIT_FILES="5", PHJOB_ARTIFACT_OVER_LIMIT="keep"
    )
    assert ended.stdout.split() == ["job-1", "true", "100", "5", "604800", GROUP, "ann", GROUP]


def test_a_pipe_is_passed_on_as_the_job_s_input(jobs: Jobs) -> None:
    assert jobs.end(jobs.start("cat"), stdin="from a pipe").stdout == "from a pipe"


def test_a_job_starts_in_a_fresh_working_directory_of_its_own(jobs: Jobs) -> None:
    jobs.run("touch f", name="job-1")
    assert jobs.run("pwd; ls", name="job-2").stdout.split() == [str(jobs.places("job-2").home), "phfs"]
    assert stat.S_IMODE(jobs.data.stat().st_mode) == 0o700


def test_collecting_can_be_switched_off(jobs: Jobs) -> None:
    ended = jobs.run(USER_JOURNEY, PHJOB_ARTIFACT_ENABLED="false")
    assert "not collected, as PHJOB_ARTIFACT_ENABLED is false" in ended.stderr
    assert not jobs.places().store.exists()
    assert not jobs.places().sidecar_log.exists()
    assert "artifact" not in jobs.phjob()["status"]


def test_a_reader_of_the_runner_s_words_who_has_gone_does_no_harm(jobs: Jobs) -> None:
    started = jobs.start(f"sleep 0.2; {USER_JOURNEY}")
    assert started.stderr
    started.stderr.close()
    started.stderr = None
    assert started.wait(20) == 0
    assert len(jobs.kept()) == 2


def test_orphans_of_a_long_job_do_not_pile_up_as_zombies(jobs: Jobs) -> None:
    started = jobs.start("for i in 1 2 3 4 5 6 7 8 9; do (true &); done; touch done; read line")
    wait_for((jobs.places().home / "done").exists)
    wait_for(lambda: "Z" not in _states_of_children(started.pid))
    jobs.end(started, stdin="\n")


def test_a_job_without_a_name_gets_one_such_as_primehub_gives(jobs: Jobs) -> None:
    assert jobs.run("true", name=None).returncode == 0
    (phjob,) = (jobs.data / "phjobs").glob("*.json")
    assert re.fullmatch(r"job-\d{12}-[0-9a-z]{6}\.json", phjob.name)


def _states_of_children(pid: int) -> str:
    return "".join(state_of(child) for child in children(pid))
