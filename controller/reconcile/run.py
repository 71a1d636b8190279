"""Composes the reconciler's process: informers, queue, workers, leader election, periodic tasks, health server."""

import threading
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry

from artifacts.log import Fields, get_logger
from artifacts.monitoring_server import MonitoringServer
from controller.metrics import PREFIX
from controller.reconcile.artifact_status import PENDING
from controller.reconcile.breaker import Breaker
from controller.reconcile.events import EventRecorder
from controller.reconcile.health import serve_health
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.phjob import PhJob, read_phjob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.pod_metrics import group_label
from controller.reconcile.pod_warnings import PodWarnings
from controller.reconcile.reconciler import Caches, Clients, Reconciler
from controller.reconcile.settings import ReconcilerSettings
from controller.tasks.certificate import WebhookCertificateTask
from controller.tasks.link_key import LinkKeyTask
from controller.tasks.periodic import PeriodicTasks, Task
from kube import errors
from kube.client import Client
from kube.informer import Informer
from kube.leader_election import LeaderElection
from kube.lease import Lease, LeaseTiming
from kube.metrics import KubeMetrics
from kube.objects import Resource, ResourceClient
from kube.queue import WorkQueue

logger = get_logger(__name__)

STALE_SECONDS = 300.0
_JOB_PODS = {"labelSelector": "app=primehub-job"}


class Controller:
    """All of one replica, between `start` and `stop`. `identity` must be unique among the replicas."""

    def __init__(self, client: Client, settings: ReconcilerSettings, identity: str) -> None:
        self._settings = settings
        namespace = settings.namespace
        phjobs = ResourceClient(client, Resource("primehub.io", "v1alpha1", "phjobs", namespace))
        pods = ResourceClient(client, Resource("", "v1", "pods", namespace))
        self._phjobs: Informer[PhJob] = Informer(phjobs, read_phjob)
        self._pods: Informer[Pod] = Informer(pods, read_pod, selectors=_JOB_PODS)
        self._metrics = ReconcilerMetrics(CollectorRegistry(), settings.metrics_groups)
        self._kube = KubeMetrics(self._metrics.registry, PREFIX)
        client.observe(self._kube.observe_request)
        self._queue = WorkQueue(on_wait=self._metrics.queue_seconds.observe)
        self._breaker = Breaker(
            ResourceClient(client, Resource("", "v1", "namespaces")),
            ResourceClient(client, Resource("", "v1", "configmaps", namespace)),
            namespace,
            settings.breaker_failures,
        )
        events = ResourceClient(client, Resource("", "v1", "events", namespace))
        self._reconciler = Reconciler(
            Clients(phjobs, pods, EventRecorder(events), PodWarnings(events)),
            Caches(self._phjobs.objects, self._pods.objects),
            settings,
            self._metrics,
            self._breaker,
        )
        lease = Lease(client, namespace, settings.lease, identity, LeaseTiming(settings.lease_seconds))
        self._election = LeaderElection(lease, self._on_leadership)
        self._tasks = PeriodicTasks(_leader_tasks(client, settings), lambda: self._election.is_leader)
        self._stop, self._resync_now = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker {number}", daemon=True)
            for number in range(settings.workers)
        ]
        self._threads.append(threading.Thread(target=self._resync, name="resync", daemon=True))
        self._health: MonitoringServer | None = None
        self._add_gauges()

    def start(self) -> None:
        """Start all threads. Raises OSError if the port is in use."""
        if self._settings.listen:
            self._health = serve_health(
                self._settings.listen, self._metrics.registry, self.health_problem, self.readiness_problem
            )
        for index in (self._phjobs.objects, self._pods.objects):
            index.add_handler(self._enqueue_changed)
        self._phjobs.objects.add_handler(self._add_group)
        self._phjobs.start()
        self._pods.start()
        self._tasks.start()
        self._election.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the current work, resign and stop all threads."""
        self._stop.set()
        self._resync_now.set()
        self._queue.close()
        self._tasks.stop()
        for thread in self._threads:
            thread.join()
        self._election.stop()
        self._phjobs.stop()
        self._pods.stop()
        if self._health:
            self._health.close()

    @property
    def registry(self) -> CollectorRegistry:
        """The registry with all metrics."""
        return self._metrics.registry

    @property
    def port(self) -> int:
        """The port of the health server; 0 if the server is disabled."""
        return self._health.port if self._health else 0

    def health_problem(self) -> str:
        """Return why this process should be restarted, or ""."""
        stale = [name for name, age in self._watch_ages().items() if age() > STALE_SECONDS]
        return f"the watch of {' and '.join(stale)} was silent for {STALE_SECONDS:.0f} s" if stale else ""

    def readiness_problem(self) -> str:
        """Return why it cannot work yet, or why no replica does, or ""."""
        if self._has_synced:
            return self._election.problem()
        return str(self._phjobs.error or self._pods.error or "the first list is not complete")

    @property
    def _has_synced(self) -> bool:
        return self._phjobs.has_synced and self._pods.has_synced

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            failed, after = False, 0.0
            try:
                self._reconcile(key)
            except errors.Conflict:
                failed = True  # the object has changed, and the watch will deliver the change
                self._metrics.reconciles.labels("retry").inc()
            except errors.KubeError as error:
                failed, after = True, getattr(error, "retry_after", 0.0)
                self._metrics.reconciles.labels("retry").inc()
                logger.warning("reconcile failed, it will be retried", **self._log_fields(key), error=error)
            except Exception:
                failed = True
                self._metrics.reconciles.labels("error").inc()
                logger.exception("reconcile crashed", **self._log_fields(key))
            self._queue.done(key, failed=failed, after=after)

    def _reconcile(self, key: str) -> None:
        if not (self._election.is_leader and self._has_synced):
            return  # a new leader reconciles all PhJobs
        seconds = self._reconciler.reconcile(key)
        self._metrics.reconciles.labels("done").inc()
        if seconds is not None:
            self._queue.add_after(key, seconds)

    def _on_leadership(self, is_leader: bool) -> None:
        if is_leader:
            self._enqueue(self._phjobs.objects.values())
            self._resync_now.set()
            self._tasks.wake()

    def _resync(self) -> None:
        while not (self._phjobs.wait_for_sync(1.0) and self._pods.wait_for_sync(1.0)):
            if self._stop.is_set():
                return
        self._enqueue(self._phjobs.objects.values())
        while not self._stop.is_set():
            self._breaker.refresh()  # in every replica, because a former leader's metric is scraped too
            if self._election.is_leader:
                self._enqueue(filter(self._is_unfinished, self._phjobs.objects.values()))
            self._resync_now.wait(self._settings.resync_seconds)
            self._resync_now.clear()

    def _is_unfinished(self, job: PhJob) -> bool:
        """Whether more can happen to the job than its deletion, which is already scheduled in the queue."""
        artifact = job.reported_artifact(self._settings.reconcile)
        return not job.has_ended or bool(artifact and artifact.is_pending)

    def _enqueue(self, jobs: Iterable[PhJob]) -> None:
        """Queue the jobs. Finished ones wait for all others: after a start, users wait for the new jobs only."""
        for job in jobs:
            self._queue.add(f"{job.namespace}/{job.name}", low_priority=not self._is_unfinished(job))

    def _enqueue_changed(self, key: str, _old: PhJob | Pod | None, _new: PhJob | Pod | None) -> None:
        if self._has_synced:  # before, `_resync` is about to queue all jobs
            self._queue.add(key)

    def _log_fields(self, key: str) -> Fields:
        """Return the log fields that identify the job."""
        job = self._phjobs.objects.get(key)
        return {"job": key.partition("/")[2], "group": job.group if job else ""}

    def _add_group(self, _key: str, old: PhJob | None, new: PhJob | None) -> None:
        if new and not old:
            self._metrics.add_group(group_label(new.group))

    def _open_pods(self, state: str) -> int:
        artifacts = (job.reported_artifact(self._settings.reconcile) for job in self._phjobs.objects.values())
        return sum(artifact is not None and artifact.state == state for artifact in artifacts)

    def _watch_ages(self) -> dict[str, Callable[[], float]]:
        return {
            "phjobs": lambda: self._phjobs.seconds_since_activity,
            "pods": lambda: self._pods.seconds_since_activity,
        }

    def _add_gauges(self) -> None:
        add = self._metrics.add_gauge
        add("queue_depth", "PhJobs in the queue", lambda: len(self._queue))
        add("leader", "1 while this replica leads", lambda: self._election.is_leader)
        text = "1 while injection is disabled by the namespace's label, or paused for all after failures of sidecars"
        add("injection_off", text, lambda: self._breaker.is_off)
        text = "Users for whom injection is paused after failures of their sidecars"
        add("injection_paused_users", text, lambda: self._breaker.paused_owners)
        states = {state: partial(self._open_pods, state) for state in PENDING}
        text = "Pods whose artifacts are being collected"
        self._metrics.add_labelled_gauge("open_pods", text, "state", states)
        self._kube.export_ages(self._watch_ages())


def _leader_tasks(client: Client, settings: ReconcilerSettings) -> list[Task]:
    secrets = ResourceClient(client, Resource("", "v1", "secrets", settings.namespace))
    configurations = ResourceClient(
        client, Resource("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")
    )
    tasks: list[Task] = []
    if settings.certificate_secret:
        tasks.append(
            WebhookCertificateTask(
                secrets, configurations, settings.certificate_secret, settings.webhook, client.server_time
            )
        )
    if settings.link_key_secret:
        tasks.append(LinkKeyTask(secrets, settings.link_key_secret))
    return tasks
