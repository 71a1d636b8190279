"""What a job may leave to get at what is not its own: nothing of it leaks, and the rest is collected."""

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
# Into PHFS itself: the job's own folder there.
IN_PLACE = "mkdir -p /phfs/jobArtifacts/$PHJOB_NAME/m artifacts; ln -s /phfs/jobArtifacts/$PHJOB_NAME/m artifacts/m"


@pytest.fixture(scope="module", autouse=True)
def jobs(system: System) -> None:
    system.create_job("hostile-tree", TREE)
    system.create_job("hostile-outside", OUTSIDE)
    system.create_job("hostile-linked", LINKED)
    system.create_job("hostile-in-place", f"{IN_PLACE}; echo good > artifacts/m/f; echo good > artifacts/f")


def test_a_hostile_tree_leaks_nothing_and_the_rest_is_collected(system: System) -> None:
    status = system.ended("hostile-tree")
    assert status["phase"] == "Succeeded"
    assert status["artifact"]["state"] == "incomplete"  # links that a sidecar cannot follow
    files = system.store.files("hostile-tree")
    assert set(files.values()) == {"good\n"}
    assert {"good", "sub/good", "linked"} <= files.keys()
    skipped = system.store.report("hostile-tree")["skipped"]
    reasons = {each["reason"]: set(each["paths"]) for each in skipped}
    assert {"passwd", "code", "climbed", "token"} <= reasons["outside_volumes"]
    assert "fifo" in reasons["special_file"]
    assert ("null" in reasons["special_file"]) == ("could" in files)  # where jobs may make devices
    assert {"loop-a", "loop-b"} <= reasons["link_loop"]


def test_what_is_served_of_it_is_what_was_collected(system: System) -> None:
    system.ended("hostile-tree")
    assert system.service.names("hostile-tree") == system.store.files("hostile-tree").keys()


def test_a_link_to_a_place_on_no_volume_is_said_plainly(system: System) -> None:
    status = system.ended("hostile-outside")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "incomplete")
    assert system.store.files("hostile-outside") == {}
    told = system.events("hostile-outside")["ArtifactsIncomplete"]
    assert "volume" in told
    [skipped] = system.service.artifact("hostile-outside")["report"]["skipped"]
    assert skipped["reason"] == "outside_volumes"


def test_an_artifacts_folder_that_is_a_link_is_collected(system: System) -> None:
    assert system.ended("hostile-linked")["artifact"]["state"] == "sealed"
    assert system.store.files("hostile-linked") == {"f": "good\n"}


def test_what_lies_in_the_job_folder_already_stays(system: System) -> None:
    artifact = system.ended("hostile-in-place")["artifact"]
    assert (artifact["state"], artifact["files"]) == ("sealed", 2)
    assert system.store.files("hostile-in-place") == {"f": "good\n", "m/f": "good\n"}
