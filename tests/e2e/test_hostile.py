"""Artifacts with links to files that the job must not read: nothing leaks, and other files are collected."""

import pytest

from tests.e2e.system import System

TREE = r"""mkdir -p artifacts/sub; cd artifacts
echo good > good; echo good > sub/good
ln -s /etc/passwd passwd
ln -s /opt/phjob/sidecar/__init__.py code
ln -s ../../../opt/phjob/sidecar/__init__.py climbed
ln -s /var/run/secrets/kubernetes.io/serviceaccount/token token
ln -s /var/run/secrets secrets
ln -s /proc/self/environ environ
ln -s /proc/1/root/etc/shadow shadow
ln -s /proc/self/fd/0 input
ln -s /proc/self/root root
ln -s /job/home/jovyan job
ln -s /dev/termination-log log
ln -s /phfs/../../../etc/hostname host
mkfifo fifo
mknod null c 1 3 && echo good > could || true
ln -s . here
ln -s loop-b loop-a; ln -s loop-a loop-b
ln -s sub/good linked
"""
OUTSIDE = "mkdir /tmp/out; echo lost > /tmp/out/f; ln -s /tmp/out artifacts"
LINKED = "mkdir out; echo good > out/f; ln -s /home/jovyan/out artifacts"
# A link to the job's own job folder in PHFS.
IN_PLACE = "mkdir -p /phfs/jobArtifacts/$PHJOB_NAME/m artifacts; ln -s /phfs/jobArtifacts/$PHJOB_NAME/m artifacts/m"


@pytest.fixture(scope="module", autouse=True)
def jobs(system: System) -> None:
    """Start all jobs together."""
    system.create_job("hostile-tree", TREE)
    system.create_job("hostile-outside", OUTSIDE)
    system.create_job("hostile-linked", LINKED)
    system.create_job("hostile-in-place", f"{IN_PLACE}; echo good > artifacts/m/f; echo good > artifacts/f")


def test_hostile_tree_leaks_nothing_and_other_files_are_collected(system: System) -> None:
    status = system.wait_ended("hostile-tree")
    assert status["phase"] == "Succeeded"
    assert status["artifact"]["state"] == "incomplete"  # because of the links that the sidecar cannot follow
    files = system.store.files("hostile-tree")
    assert set(files.values()) == {"good\n"}
    assert {"good", "sub/good", "linked"} <= files.keys()
    skipped = system.store.report("hostile-tree")["skipped"]
    reasons = {entry["reason"]: set(entry["paths"]) for entry in skipped}
    assert {"passwd", "code", "climbed", "token"} <= reasons["outside_volumes"]
    assert "fifo" in reasons["special_file"]
    assert ("null" in reasons["special_file"]) == ("could" in files)  # if jobs may create devices
    assert {"loop-a", "loop-b"} <= reasons["link_loop"]


def test_api_serves_exactly_the_collected_files(system: System) -> None:
    system.wait_ended("hostile-tree")
    assert system.api.names("hostile-tree") == system.store.files("hostile-tree").keys()


def test_link_out_of_the_volumes_is_reported(system: System) -> None:
    status = system.wait_ended("hostile-outside")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "incomplete")
    assert system.store.files("hostile-outside") == {}
    message = system.events("hostile-outside")["ArtifactsIncomplete"]
    assert "volume" in message
    [skipped] = system.api.artifact("hostile-outside")["report"]["skipped"]
    assert skipped["reason"] == "outside_volumes"


def test_linked_artifacts_folder_is_collected(system: System) -> None:
    assert system.wait_ended("hostile-linked")["artifact"]["state"] == "sealed"
    assert system.store.files("hostile-linked") == {"f": "good\n"}


def test_files_already_in_the_job_folder_stay(system: System) -> None:
    artifact = system.wait_ended("hostile-in-place")["artifact"]
    assert (artifact["state"], artifact["files"]) == ("sealed", 2)
    assert system.store.files("hostile-in-place") == {"f": "good\n", "m/f": "good\n"}
