"""Local mode's source of PhJobs for the API: the files in the data directory.

The API writes new jobs and requests to cancel a job to these files, and the scheduler acts on them.
"""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from api.errors import BadInput, NotFoundError, ServiceUnavailable
from api.jobs.job import Draft, Job, new_job_name, parse_job
from api.jobs.order import NEWEST_FIRST, JobOrder
from api.jobs.sorted_jobs import SortedJobs
from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION
from artifacts.errors import ArtifactError, InvalidName
from local.documents import lock_documents, read_document, write_document
from local.paths import JobPaths
from local.phjob import JobSpec, PhJob, make_phjob
from local.phjob_cache import PhJobCache
from local.phjob_files import StartError, add_phjob, make_data_directory, runner_state
from local.queue import read_phjob


class LocalJobs:
    """The PhJobs in the data directory `data`. Implements `api.jobs.source.Jobs`."""

    def __init__(self, data: Path) -> None:
        """Raises StartError if the data directory cannot be used."""
        self._data = data
        self._cache = PhJobCache(make_data_directory(data), self._read)
        self._sorted = SortedJobs()
        self._lock = threading.Lock()

    def get(self, job: str) -> Job | None:
        """Return the PhJob with that name, or None if it does not exist. Raises ServiceUnavailable."""
        return self._load().get(job)

    def read(self, job: Job) -> Job:
        """Return the PhJob; the cache has all of it."""
        return job

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        """Return all PhJobs in this order. Raises ServiceUnavailable."""
        self._load()
        return self._sorted.all(order)

    def create(self, draft: Draft) -> Job:
        """Queue a new job. Raises BadInput if it is invalid, and ServiceUnavailable if its file cannot be written."""
        spec = JobSpec(new_job_name(), draft.group, str(uuid.uuid4()), draft.user_name, [draft.command])
        try:
            phjob = make_phjob(spec, time.time())
            phjob["spec"] |= _draft_fields(draft, spec.job)
            if draft.options:
                phjob["metadata"]["annotations"] = dict(draft.options)
            paths = JobPaths(self._data, spec.group, spec.job)
            read_phjob(spec.job, phjob)  # validate
            add_phjob(paths, phjob, paths.reserved_paths)
        except StartError as error:
            raise ServiceUnavailable(str(error)) from error
        except ArtifactError as error:
            raise BadInput(str(error)) from error
        return parse_job(phjob)

    def cancel(self, job: Job) -> None:
        """Request that the job ends. Raises NotFoundError and ServiceUnavailable."""
        self._change(job, lambda phjob: phjob["spec"].update(cancel=True))

    def is_collecting(self, job: Job) -> bool:
        """Whether main or the sidecar may still run, so that the job folder may still change."""
        current = self.get(job.id) or job
        return not current.has_ended or self.has_active_pod(current.group, current.id)

    def has_active_pod(self, group: str, job: str) -> bool:
        """Whether a runner of that job is alive, even if the PhJob's file is gone."""
        try:
            return runner_state(JobPaths(self._data, group, job)) in ("claimed", "running")
        except InvalidName:
            return False

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        """Annotate the PhJob with the expiry of its artifacts. Raises NotFoundError and ServiceUnavailable."""

        self._annotate(job, EXPIRY_ANNOTATION, expired_at)

    def annotate_missing(self, job: Job, since: int) -> None:
        """Annotate the PhJob with the time since when its artifacts are missing, or remove that annotation for 0."""
        if (since > 0) != (job.missing_since > 0):
            self._annotate(job, MISSING_ANNOTATION, since)

    def check(self) -> None:
        """Raise ServiceUnavailable if the PhJobs cannot be listed."""
        self._load()

    def _load(self) -> dict[str, Job]:
        with self._lock:
            try:
                jobs = self._cache.refresh()
            except OSError as error:
                raise ServiceUnavailable(
                    f"the PhJobs in {self._cache.folder} cannot be read: {error.strerror}"
                ) from error
            self._sorted.replace(jobs)
            return jobs

    def _read(self, job: str) -> Job | None:
        """Return the PhJob, or None if it is invalid; the scheduler logs the reason."""
        try:
            document = read_document(self._cache.path(job))
            read_phjob(job, document)
        except (OSError, ArtifactError):
            return None
        return parse_job(document)

    def _annotate(self, job: Job, annotation: str, seconds: int) -> None:
        def annotate(phjob: PhJob) -> None:
            annotations = phjob["metadata"].setdefault("annotations", {})
            annotations.pop(annotation, None)
            if seconds:
                annotations[annotation] = str(seconds)

        self._change(job, annotate)

    def _change(self, job: Job, change: Callable[[PhJob], None]) -> None:
        path = self._cache.path(job.id)
        try:
            with lock_documents(self._cache.folder):
                phjob = read_document(path)
                change(phjob)
                write_document(path, phjob)
        except FileNotFoundError as error:
            raise NotFoundError(f"the PhJob {job.id} does not exist any more") from error
        except (OSError, ArtifactError, TypeError, AttributeError, KeyError) as error:
            raise ServiceUnavailable(f"the PhJob {job.id} cannot be changed: {error}") from error


def _draft_fields(draft: Draft, job: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "displayName": draft.display_name or job,
        "userId": draft.user_id,
        "image": draft.image,
        "instanceType": draft.instance_type,
    }
    if draft.active_deadline_seconds is not None:
        fields["activeDeadlineSeconds"] = draft.active_deadline_seconds
    return fields
