"""`python -m local run` with jobs that end by themselves."""

import re
import stat
import time
from calendar import timegm

import pytest

from artifacts.layout import EXPIRED_AT
from tests.local.driver import GROUP, JobDriver, children, is_alive, state_of, wait_for

USER_JOURNEY = 'mkdir -p artifacts/sub; echo "hello" > artifacts/test.txt; echo "hello" > artifacts/sub/test.txt'


def test_artifacts_are_collected_and_listed(jobs: JobDriver) -> None:
    result = jobs.run(USER_JOURNEY)
    assert result.returncode == 0
    assert jobs.artifacts() == {"test.txt": "hello\n", "sub/test.txt": "hello\n"}
    for text in (
        "6 bytes  test.txt",
        "6 bytes  sub/test.txt",
        "2 files (12 bytes)",
        str(jobs.paths().job_folder),
        "expires at",
    ):
        assert text in result.stderr


def test_artifacts_are_stored_below_the_group_and_expire_after_the_retention(jobs: JobDriver) -> None:
    before = int(time.time())
    jobs.run(USER_JOURNEY, PHJOB_ARTIFACT_RETENTION_SECONDS="3600")
    folder = jobs.data / "phfs/groups/test-group/jobArtifacts/job-1"
    assert (folder / "sub/test.txt").read_text() == "hello\n"
    assert before + 3600 <= int((folder / EXPIRED_AT).read_text()) <= time.time() + 3600
    assert jobs.phjob()["status"]["artifact"]["expiredAt"] == int((folder / EXPIRED_AT).read_text())


def test_phjob_file_has_the_form_of_the_custom_resource(jobs: JobDriver) -> None:
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


def test_stdout_has_only_the_commands_output(jobs: JobDriver) -> None:
    assert jobs.run("echo one; echo two >&2").stdout == "one\n"


def test_failed_job_has_its_artifacts_collected_and_keeps_its_exit_code(jobs: JobDriver) -> None:
    result = jobs.run("mkdir artifacts; echo x > artifacts/f; exit 7")
    assert result.returncode == 7
    assert jobs.artifacts() == {"f": "x\n"}
    assert jobs.report().main == {"exitCode": 7, "reason": "PodFailed"}
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "PodFailed")
    assert status["message"] == "main ended: exit code 7"


def test_killed_job_has_its_artifacts_collected(jobs: JobDriver) -> None:
    result = jobs.run("mkdir artifacts; echo x > artifacts/f; kill -KILL $$")
    assert result.returncode == 128 + 9
    assert jobs.artifacts() == {"f": "x\n"}
    assert jobs.report().main == {"signal": 9, "reason": "PodFailed"}
    assert jobs.phjob()["status"]["message"] == "main ended: killed by signal 9 (SIGKILL)"


def test_several_arguments_are_a_program_and_its_arguments(jobs: JobDriver) -> None:
    result = jobs.run("printf", "%s|", "a b", "$HOME", "--", "*")
    assert result.stdout == "a b|$HOME|--|*|"
    assert jobs.phjob()["spec"]["command"] == "printf '%s|' 'a b' '$HOME' -- '*'"


@pytest.mark.parametrize(("path", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_unstartable_program_fails_the_job(jobs: JobDriver, path: str, code: int) -> None:
    result = jobs.run(path, "argument")
    assert result.returncode == code
    assert f"cannot start {path}" in result.stderr
    status = jobs.phjob()["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Failed", "empty")
    assert "startTime" not in status


def test_job_without_artifacts_folder_stores_nothing(jobs: JobDriver) -> None:
    result = jobs.run("true")
    assert result.returncode == 0
    assert jobs.phjob()["status"]["artifact"]["state"] == "empty"
    assert "artifacts (empty): " in result.stderr
    assert not (jobs.paths().phfs / "jobArtifacts").exists()
    assert jobs.phjob()["status"]["artifact"] == {"state": "empty", "files": 0, "bytes": 0, "expiredAt": 0}


def test_background_processes_end_with_the_job(jobs: JobDriver) -> None:
    jobs.run("mkdir artifacts; sleep 1000 & echo $! > artifacts/pid")
    assert not is_alive(int(jobs.artifacts()["pid"]))


def test_daemons_end_with_the_job_before_the_seal(jobs: JobDriver) -> None:
    daemon = "echo $$ > artifacts/pid; while :; do date +%s%N > artifacts/now; sleep 0.01; done"
    background = f"setsid -f sh -c '{daemon}' > /dev/null 2>&1"
    jobs.run(f"mkdir artifacts; {background}; until [ -s artifacts/now ]; do :; done")
    assert not is_alive(int(jobs.artifacts()["pid"]))
    assert (jobs.paths().artifacts / "now").read_text() == jobs.artifacts()["now"]


def test_job_sees_the_shared_files_of_its_group(jobs: JobDriver) -> None:
    jobs.run("echo shared > phfs/note; mkdir artifacts", name="job-1")
    result = jobs.run("cat phfs/note; mkdir artifacts; ln -s ../phfs/note artifacts/note", name="job-2")
    assert result.stdout == "shared\n"
    assert jobs.artifacts("job-2") == {"note": "shared\n"}


def test_job_has_the_expected_environment_variables(jobs: JobDriver) -> None:
    names = "PHJOB_NAME PHJOB_ARTIFACT_ENABLED PHJOB_ARTIFACT_LIMIT_SIZE_MB PHJOB_ARTIFACT_LIMIT_FILES"
    names += " PHJOB_ARTIFACT_RETENTION_SECONDS PRIMEHUB_GROUP PRIMEHUB_USER GROUP_NAME PHJOB_ARTIFACT_OVER_LIMIT"
    result = jobs.run(
        "printenv", *names.split(), LOGNAME="ann", PHJOB_ARTIFACT_LIMIT_FILES="5", PHJOB_ARTIFACT_OVER_LIMIT="keep"
    )
    assert result.stdout.split() == ["job-1", "true", "100", "5", "604800", GROUP, "ann", GROUP]


def test_pipe_is_passed_on_as_stdin(jobs: JobDriver) -> None:
    assert jobs.wait(jobs.start("cat"), stdin="from a pipe").stdout == "from a pipe"


def test_every_job_starts_in_a_new_working_directory(jobs: JobDriver) -> None:
    jobs.run("touch f", name="job-1")
    assert jobs.run("pwd; ls", name="job-2").stdout.split() == [str(jobs.paths("job-2").home), "phfs"]
    assert stat.S_IMODE(jobs.data.stat().st_mode) == 0o700


def test_collecting_can_be_switched_off(jobs: JobDriver) -> None:
    result = jobs.run(USER_JOURNEY, PHJOB_ARTIFACT_ENABLED="false")
    assert "not collected, because PHJOB_ARTIFACT_ENABLED is false" in result.stderr
    assert not jobs.paths().job_folder.exists()
    assert not jobs.paths().sidecar_log.exists()
    assert "artifact" not in jobs.phjob()["status"]


def test_closed_stderr_does_not_fail_the_job(jobs: JobDriver) -> None:
    process = jobs.start(f"sleep 0.2; {USER_JOURNEY}")
    assert process.stderr
    process.stderr.close()
    process.stderr = None
    assert process.wait(20) == 0
    assert len(jobs.artifacts()) == 2


def test_orphans_of_a_running_job_are_reaped(jobs: JobDriver) -> None:
    started = jobs.start("for i in 1 2 3 4 5 6 7 8 9; do (true &); done; touch done; read line")
    wait_for((jobs.paths().home / "done").exists)
    wait_for(lambda: "Z" not in _states_of_children(started.pid))
    jobs.wait(started, stdin="\n")


def test_default_name_has_primehubs_form(jobs: JobDriver) -> None:
    assert jobs.run("true", name=None).returncode == 0
    (phjob,) = (jobs.data / "phjobs").glob("*.json")
    assert re.fullmatch(r"job-\d{12}-[0-9a-z]{6}\.json", phjob.name)


def _states_of_children(pid: int) -> str:
    return "".join(state_of(child) for child in children(pid))
