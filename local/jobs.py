"""Local mode's PhJobs as the API sees them: files, run by `serve`.

What the API asks for (a new job, a job's end) is written to the files; the server finds it there.
"""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from api.errors import BadInput, NotFoundError, ServiceUnavailable
from api.jobs.job import Draft, Job, read_job
from api.jobs.names import new_name
from artifacts.annotation import EXPIRY_ANNOTATION
from artifacts.errors import ArtifactError, InvalidName
from local.documents import changing, read_document, write_document
from local.phjob import Order, PhJob, make_phjob
from local.phjobs import NotStarted, add_phjob, make_data, trace_of
from local.places import Places
from local.queue import read_phjob
from local.seen import Seen


class LocalJobs:
    """The PhJobs in the data directory `data`."""

    def __init__(self, data: Path) -> None:
        """Raises NotStarted where the data directory cannot be used."""
        self._data = data
        self._seen = Seen(make_data(data), self._read)
        self._lock = threading.Lock()

    def get(self, job: str) -> Job | None:
        return self._look().get(job)

    def all(self) -> Sequence[Job]:
        return list(self._look().values())

    def create(self, draft: Draft) -> Job:
        order = Order(new_name(), draft.group, str(uuid.uuid4()), draft.user_name, [draft.command])
        try:
            phjob = make_phjob(order, time.time())
            phjob["spec"] |= _asked_for(draft, order.job)
            places = Places(self._data, order.group, order.job)
            read_phjob(order.job, phjob)  # what could not be run is not queued
            add_phjob(places, phjob, places.traces)
        except NotStarted as error:
            raise ServiceUnavailable(str(error)) from error
        except ArtifactError as error:
            raise BadInput(str(error)) from error
        return read_job(phjob)

    def cancel(self, job: Job) -> None:
        self._change(job, lambda phjob: phjob["spec"].update(cancel=True))

    def is_collecting(self, job: Job) -> bool:
        now = self.get(job.id) or job
        return not now.has_ended or self.may_run(now.group, now.id)

    def may_run(self, group: str, job: str) -> bool:
        try:
            return trace_of(Places(self._data, group, job)) in ("claimed", "running")
        except InvalidName:
            return False

    def note_expiry(self, job: Job, expired_at: int) -> None:
        def note(phjob: PhJob) -> None:
            phjob["metadata"].setdefault("annotations", {})[EXPIRY_ANNOTATION] = str(expired_at)

        self._change(job, note)

    def check(self) -> None:
        self._look()

    def _look(self) -> dict[str, Job]:
        with self._lock:
            try:
                return self._seen.look()
            except OSError as error:
                raise ServiceUnavailable(f"the folder of the PhJobs cannot be read: {error.strerror}") from error

    def _read(self, job: str) -> Job | None:
        """None for what the server leaves alone too; that one tells why."""
        try:
            document = read_document(self._seen.path(job))
            read_phjob(job, document)
        except (OSError, ArtifactError):
            return None
        return read_job(document)

    def _change(self, job: Job, change: Callable[[PhJob], None]) -> None:
        path = self._seen.path(job.id)
        try:
            with changing(self._seen.folder):
                phjob = read_document(path)
                change(phjob)
                write_document(path, phjob)
        except FileNotFoundError as error:
            raise NotFoundError(f"the PhJob {job.id} is gone") from error
        except (OSError, ArtifactError, TypeError, AttributeError, KeyError) as error:
            raise ServiceUnavailable(f"the PhJob {job.id} cannot be changed: {error}") from error


def _asked_for(draft: Draft, job: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "displayName": draft.display_name or job,
        "userId": draft.user_id,
        "image": draft.image,
        "instanceType": draft.instance_type,
    }
    if draft.active_deadline_seconds is not None:
        fields["activeDeadlineSeconds"] = draft.active_deadline_seconds
    return fields
