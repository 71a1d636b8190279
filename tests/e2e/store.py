"""Reads and changes PHFS through a pod that mounts all of it, so that it works on any cluster and with any volume."""

import json
from dataclasses import dataclass
from typing import Any

from artifacts.annotation import RETENTION_ANNOTATION
from tests.e2e.kubectl import kubectl

READER_POD = "e2e-reader"
_METADATA = (".primehub/", ".metadata/")

_LIST_SCRIPT = """
import hashlib, json, os, sys
root, entries = sys.argv[1], {}
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        entry = {"size": status.st_size, "mode": status.st_mode & 0o7777, "uid": status.st_uid}
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                entry["text"] = file.read(65536).decode("utf-8", "replace")
        entries[os.path.relpath(path, root)] = entry
print(json.dumps(entries))
"""


@dataclass(frozen=True)
class StoreReader:
    """The part of PHFS that belongs to the group path `group`."""

    namespace: str
    group: str

    def tree(self, job: str) -> dict[str, dict[str, Any]]:
        """Return size, mode, uid and the first 64 KiB of text of all files in the job folder, including metadata."""
        entries: dict[str, dict[str, Any]] = json.loads(self._run("python3", "-c", _LIST_SCRIPT, self.folder(job)))
        return entries

    def files(self, job: str) -> dict[str, str]:
        """Return the texts of the artifacts, without metadata."""
        return {path: entry.get("text", "") for path, entry in self.tree(job).items() if not _is_metadata(path)}

    def report(self, job: str) -> dict[str, Any]:
        """Return the collector's report, or {} if there is none."""
        entry = self.tree(job).get(".primehub/metadata/report.json")
        return json.loads(entry["text"]) if entry else {}

    def expire(self, *jobs: str) -> None:
        """Make the artifacts of ended jobs expire now.

        The retention of PhJobs is set to 1 s, because their artifacts cannot expire earlier. An expiry of a pod
        without a PhJob does not count if it had passed before the report was written.
        """
        for job in jobs:
            if kubectl("-n", self.namespace, "get", "phjob", job, "--ignore-not-found", "-o", "name"):
                kubectl("-n", self.namespace, "annotate", "--overwrite", "phjob", job, RETENTION_ANNOTATION + "=1")
            for file in (".primehub/metadata/expiredAt", ".metadata/expiredAt"):
                self._run("sh", "-c", f"date +%s > '{self.folder(job)}/{file}'")

    def touch(self, path: str) -> None:
        """Create an empty file in the group's folder."""
        self._run("touch", f"/phfs/groups/{self.group}/{path}")

    def read(self, path: str) -> str:
        """Return the content of a file in the group's folder."""
        return self._run("cat", f"/phfs/groups/{self.group}/{path}")

    def is_writable_by_all(self) -> bool:
        """Whether PHFS has mode 0777."""
        return self._run("stat", "-c", "%a", "/phfs").strip() == "777"

    def clear(self) -> None:
        """Delete all files, because uninstalling the product does not."""
        self._run("find", "/phfs", "-mindepth", "1", "-delete")

    def folder(self, job: str) -> str:
        """Return the path of the job folder in the reader's pod."""
        return f"/phfs/groups/{self.group}/jobArtifacts/{job}"

    def _run(self, *command: str) -> str:
        return kubectl("-n", self.namespace, "exec", READER_POD, "--", *command)


def _is_metadata(path: str) -> bool:
    return path.startswith(_METADATA)


def reader_pod(image: str, claim: str = "phfs") -> dict[str, Any]:
    """Return the pod that mounts PHFS."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": READER_POD},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "reader",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "volumeMounts": [{"name": "phfs", "mountPath": "/phfs"}],
                }
            ],
            "volumes": [{"name": "phfs", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }
