"""Writes the files of jobs as local mode and the collector do: PhJobs, job folders, manifests and reports."""

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
class JobData:
    """The data directory of local mode at `root`."""

    root: Path

    def add_job(
        self, job: str, phase: str = "Succeeded", *, ago: float = 10 * MINUTE, group: str = GROUP, **fields: Any
    ) -> PhJob:
        """Add a PhJob that was created `ago` seconds before now. Its phase determines its start and finish times.

        `fields`: `name`, `user`, `command`, and fields of the status; None omits a field.
        """
        created = time.time() - ago
        order = JobSpec(job, group, f"uid-{job}", fields.pop("user", "alice"), [fields.pop("command", COMMAND)])
        phjob = make_phjob(order, created)
        phjob["spec"] |= {"displayName": fields.pop("name", job), "image": "jupyter/base-notebook:x86_64-ubuntu-22.04"}
        status: dict[str, Any] = {"phase": phase, "reason": REASONS.get(phase), "message": MESSAGES.get(phase)}
        if phase not in ("Pending", "Preparing"):
            status["startTime"] = rfc3339(created + 5)
        if phase in ("Succeeded", "Failed", "Cancelled"):
            status["finishTime"] = rfc3339(created + min(ago, 4 * MINUTE) - 5)
        return self.write(with_status(phjob, status | fields))

    def write(self, phjob: PhJob) -> PhJob:
        """Write the PhJob's file."""
        path = self.paths(phjob).phjob
        path.parent.mkdir(parents=True, exist_ok=True)
        write_document(path, phjob)
        return phjob

    def add_artifacts(
        self,
        phjob: PhJob,
        files: Mapping[str, bytes] = FILES,
        state: str = "sealed",
        expires_in: float = 6 * DAY + 3600,
        **report_fields: Any,
    ) -> PhJob:
        """Store files with manifest and report, and record them in the PhJob's status if the job has ended.

        `report_fields` override the fields of the report that follow from `files` and `state`.
        """
        paths, now = self.paths(phjob), time.time()
        count = Count(len(files), sum(map(len, files.values())))
        fields: dict[str, Any] = {
            "message": "a message of the collector",
            "group": paths.group,
            "pod_uid": f"uid-{paths.job}",
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
        report = Report(paths.job, state, **(fields | report_fields))
        self._write_files(paths, files, report)
        if "finishTime" in phjob["status"]:
            phjob = self.write(with_status(phjob, {"artifact": artifact_status(report)}))
        return phjob

    def paths(self, phjob: PhJob) -> JobPaths:
        return JobPaths(self.root, phjob["spec"]["groupName"], phjob["metadata"]["name"])

    def _write_files(self, paths: JobPaths, files: Mapping[str, bytes], report: Report) -> None:
        header = ManifestHeader(paths.job, report.pod_uid)
        lines = [format_header(header)]
        for name, content in files.items():
            path = paths.job_folder / name
            _write(path, content)
            digest, modified_ns = hashlib.sha256(content).hexdigest(), path.stat().st_mtime_ns
            lines.append(format_entry(ManifestEntry(name, len(content), modified_ns, 0, 0, digest), header))
        _write(paths.job_folder / MANIFEST, "".join(lines).encode())
        _write(paths.job_folder / REPORT, format_report(report))
        for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
            _write(paths.job_folder / name, format_expiry(report.expired_at))


def skipped(files: int, size: int = 0, paths: list[str] | None = None, detail: str = "") -> Skipped:
    """The files of a report that were skipped for one reason."""
    return Skipped(files, size, paths or [], detail)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
