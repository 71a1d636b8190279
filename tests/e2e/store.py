"""PHFS as it is, seen from a pod of its own that mounts all of it: works on any cluster, whatever PHFS lies on."""

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.kubectl import kubectl

READER = "e2e-reader"
_METADATA = (".primehub/", ".metadata/")

_LOOK = """
import hashlib, json, os, sys
root, found = sys.argv[1], {}
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        entry = {"size": status.st_size, "mode": status.st_mode & 0o7777, "uid": status.st_uid}
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                entry["text"] = file.read(65536).decode("utf-8", "replace")
        found[os.path.relpath(path, root)] = entry
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Store:
    """`group`: the group path of those jobs that are asked for."""

    namespace: str
    group: str

    def tree(self, job: str) -> dict[str, dict[str, Any]]:
        """Every file in the job folder, metadata too: size, mode, uid, and the text of those that are not long."""
        found: dict[str, dict[str, Any]] = json.loads(self._run("python3", "-c", _LOOK, self.folder(job)))
        return found

    def files(self, job: str) -> dict[str, str]:
        """The artifacts' texts."""
        return {path: entry.get("text", "") for path, entry in self.tree(job).items() if not _is_metadata(path)}

    def report(self, job: str) -> dict[str, Any]:
        """The collector's report; empty where there is none."""
        entry = self.tree(job).get(".primehub/metadata/report.json")
        return json.loads(entry["text"]) if entry else {}

    def expire(self, *jobs: str) -> None:
        """Have the jobs' artifacts expired long ago."""
        for job in jobs:
            for file in (".primehub/metadata/expiredAt", ".metadata/expiredAt"):
                self._run("sh", "-c", f"echo 1700000000 > '{self.folder(job)}/{file}'")

    def touch(self, path: str) -> None:
        """Have an empty file of the group."""
        self._run("touch", f"/phfs/groups/{self.group}/{path}")

    def read(self, path: str) -> str:
        """A file of the group."""
        return self._run("cat", f"/phfs/groups/{self.group}/{path}")

    def is_open_to_all(self) -> bool:
        return self._run("stat", "-c", "%a", "/phfs").strip() == "777"

    def empty(self) -> None:
        """Remove everything: what lies in PHFS stays when the product goes."""
        self._run("find", "/phfs", "-mindepth", "1", "-delete")

    def folder(self, job: str) -> str:
        return f"/phfs/groups/{self.group}/jobArtifacts/{job}"

    def _run(self, *command: str) -> str:
        return kubectl("-n", self.namespace, "exec", READER, "--", *command)


def _is_metadata(path: str) -> bool:
    return path.startswith(_METADATA)


def reader(image: str, claim: str = "phfs") -> dict[str, Any]:
    """The pod that looks."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": READER},
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
