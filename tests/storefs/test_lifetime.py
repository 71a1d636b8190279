"""A mount can be killed and remounted; neither the mount nor its process outlives the owner."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifacts.mounts import read_mounts
from tests.storefs.mount import FaultyMount, Latencies, mounted

ROOT = Path(__file__).parents[2]


def test_a_killed_mount_is_not_connected_until_it_is_remounted(store: FaultyMount) -> None:
    (store.path / "f").write_text("kept")
    not_connected = pytest.raises(OSError, match=re.escape(f"[Errno {errno.ENOTCONN}]"))
    with not_connected, (store.path / "f").open("rb", buffering=0) as opened:
        store.kill()
        for action in (os.listdir, os.stat, lambda path: (path / "f").open()):
            with pytest.raises(OSError, match=re.escape(f"[Errno {errno.ENOTCONN}]")):
                action(store.path)
        with pytest.raises(BrokenPipeError):
            store.counts()
        store.remount()
        assert (store.path / "f").read_text() == "kept"
        opened.read()


def test_a_kill_fails_hanging_operations(store: FaultyMount) -> None:
    store.hang("mkdir")
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit((store.path / "d").mkdir)
        store.wait_for_hanging()
        store.kill()
        with pytest.raises(OSError, match=r"not connected|connection abort"):
            hanging.result(timeout=10)


def test_a_remount_preserves_latencies_and_clears_faults(folders: tuple[Path, Path]) -> None:
    with mounted(*folders, mkdir=30_000) as store:
        store.fault("mkdir", errno.EIO)
        store.remount()
        start = time.monotonic()
        (store.path / "d").mkdir()
        assert time.monotonic() - start >= 0.03


@pytest.mark.parametrize("ending", ["busy", "hanging", "killed"])
def test_neither_mount_nor_process_remains(folders: tuple[Path, Path], ending: str) -> None:
    backing, mountpoint = folders
    with ThreadPoolExecutor(1) as pool:
        with mounted(backing, mountpoint) as store:
            opened = (mountpoint / "f").open("w")
            if ending == "hanging":
                store.hang("mkdir")
                pool.submit((mountpoint / "d").mkdir)
                store.wait_for_hanging()
            if ending == "killed":
                store.kill()
        assert not _mounts_and_processes(mountpoint)
        with pytest.raises(OSError, match="not connected"), opened:
            opened.write("x")
    assert list(mountpoint.iterdir()) == []


def test_neither_mount_nor_process_remains_after_the_owner_is_killed(folders: tuple[Path, Path]) -> None:
    code = (
        "import os, signal, subprocess, sys\n"
        "from pathlib import Path\n"
        "from tests.storefs.mount import mounted\n"
        "with mounted(Path(sys.argv[1]), Path(sys.argv[2])) as store:\n"
        "    store.hang('mkdir')\n"
        "    subprocess.Popen(['mkdir', store.path / 'd'])\n"
        "    store.wait_for_hanging()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run([sys.executable, "-c", code, *map(str, folders)], cwd=ROOT, check=False)
    assert owner.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while _mounts_and_processes(folders[1]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _mounts_and_processes(folders[1])


def _mounts_and_processes(mountpoint: Path) -> list[str]:
    mounts = [str(mount) for mount in read_mounts() if mount.mount_point == bytes(mountpoint)]
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "storefs-" in command[0] and str(mountpoint) in command:
            processes.append(" ".join(command))
    return mounts + processes


@pytest.mark.parametrize("latencies", [{"walk": 1}, {"write": -1}])
def test_an_invalid_latency_raises_and_leaves_no_mount(folders: tuple[Path, Path], latencies: Latencies) -> None:
    with pytest.raises(ValueError, match="latency"), mounted(*folders, **latencies):
        pass
    assert not _mounts_and_processes(folders[1])


@pytest.mark.parametrize("absent", [0, 1])
def test_mounting_a_missing_folder_raises(folders: tuple[Path, Path], absent: int) -> None:
    folders[absent].rmdir()
    with pytest.raises(BrokenPipeError), mounted(*folders):
        pass
