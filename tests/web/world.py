"""Jobs in every state, as local mode and the collector leave them: PhJobs as files, a store in a directory."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT, format_expiry
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from artifacts.report import Count, Report, Skipped, format_report
from local.documents import write_document
from local.paths import JobPaths
from local.phjob import JobSpec, PhJob, artifact_status, make_phjob, rfc3339, with_status

DAY = 86400
GROUP = "Vision"
MINUTE = 60
COMMAND = "python train.py --epochs 10"
REASONS = {
    "Pending": "PodPending",
    "Running": "PodRunning",
    "Succeeded": "PodSucceeded",
    "Failed": "PodFailed",
    "Cancelled": "Cancelled",
}
MESSAGES = {"Succeeded": "main ended: exit code 0", "Running": "Job is currently running"}
FILES = {"model.bin": b"m" * 2048, "plots/loss.png": b"p" * 512, "metrics.csv": b"a,b\n1,2\n"}


@dataclass(frozen=True)
class World:
    """The data directory `data`, to which jobs are added. They were created `ago` seconds before now."""

    data: Path

    def add(
        self, job: str, phase: str = "Succeeded", *, ago: float = 10 * MINUTE, group: str = GROUP, **told: Any
    ) -> PhJob:
        """A PhJob, which has started, and ended, as its phase says.

        `told`: `name` and `user`, `command`, fields of the status; None leaves one out.
        """
        created = time.time() - ago
        order = JobSpec(job, group, f"uid-{job}", told.pop("user", "alice"), [told.pop("command", COMMAND)])
        phjob = make_phjob(order, created)
        phjob["spec"] |= {"displayName": told.pop("name", job), "image": "jupyter/base-notebook:x86_64-ubuntu-22.04"}
        status: dict[str, Any] = {"phase": phase, "reason": REASONS.get(phase), "message": MESSAGES.get(phase)}
        if phase not in ("Pending", "Preparing"):
            status["startTime"] = rfc3339(created + 5)
        if phase in ("Succeeded", "Failed", "Cancelled"):
            status["finishTime"] = rfc3339(created + min(ago, 4 * MINUTE) - 5)
        return self.write(with_status(phjob, status | told))

    def write(self, phjob: PhJob) -> PhJob:
        """The PhJob's file, anew."""
        path = self.places(phjob).phjob
        path.parent.mkdir(parents=True, exist_ok=True)
        write_document(path, phjob)
        return phjob

    def leave(
        self,
        phjob: PhJob,
        files: Mapping[str, bytes] = FILES,
        state: str = "sealed",
        expires_in: float = 6 * DAY + 3600,
        **told: Any,
    ) -> PhJob:
        """What the job left, with manifest and report; the PhJob's status tells of it once the job has ended.

        Fields of the report go over what `files` and `state` make of it.
        """
        places, now = self.places(phjob), time.time()
        count = Count(len(files), sum(map(len, files.values())))
        facts: dict[str, Any] = {
            "message": "told by the collector",
            "group": places.group,
            "pod_uid": f"uid-{places.job}",
            "version": "0.1.0",
            "started_at": now - 300,
            "updated_at": now - 240,
            "sealed_at": 0 if state == "syncing" else now - 240,
            "expired_at": int(now + expires_in),
            "limit_files": 1000,
            "limit_bytes": 100 * 1024 * 1024,
            "found": count,
            "collected": count,
        }
        report = Report(places.job, state, **(facts | told))
        self._fill(places, files, report)
        if "finishTime" in phjob["status"]:
            phjob = self.write(with_status(phjob, {"artifact": artifact_status(report)}))
        return phjob

    def places(self, phjob: PhJob) -> JobPaths:
        return JobPaths(self.data, phjob["spec"]["groupName"], phjob["metadata"]["name"])

    def _fill(self, places: JobPaths, files: Mapping[str, bytes], report: Report) -> None:
        header = ManifestHeader(places.job, report.pod_uid)
        lines = [format_header(header)]
        for name, content in files.items():
            _write(places.job_folder / name, content)
            lines.append(
                format_entry(ManifestEntry(name, len(content), 0, 0, 0, hashlib.sha256(content).hexdigest()), header)
            )
        _write(places.job_folder / MANIFEST, "".join(lines).encode())
        _write(places.job_folder / REPORT, format_report(report))
        for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
            _write(places.job_folder / name, format_expiry(report.expired_at))


def skipped(files: int, size: int = 0, paths: list[str] | None = None, detail: str = "") -> Skipped:
    """A row of a report's skipped files."""
    return Skipped(files, size, paths or [], detail)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
