"""The reconciler as a process: caches, queue, workers, election, health. The composition root of its parts."""

import threading
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from artifacts.log import Fields, get_logger
from controller.metrics import PREFIX
from controller.reconcile.artifact import PENDING
from controller.reconcile.breaker import Breaker
from controller.reconcile.counted import group_label
from controller.reconcile.events import Events
from controller.reconcile.health import HealthServer
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.phjob import PhJob, read_phjob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.reconciler import Api, Reconciler, Seen
from controller.reconcile.settings import Settings
from controller.upkeep.certificate import WebhookCertificate
from controller.upkeep.link_key import LinkKey
from controller.upkeep.upkeep import Duty, Upkeep
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
_PODS_OF_JOBS = {"labelSelector": "app=primehub-job"}


class Controller:
    """Everything of one replica, from `start` to `stop`. `identity` is unlike any other replica's."""

    def __init__(self, client: Client, settings: Settings, identity: str) -> None:
        self._settings = settings
        namespace = settings.namespace
        phjobs = ResourceClient(client, Resource("primehub.io", "v1alpha1", "phjobs", namespace))
        pods = ResourceClient(client, Resource("", "v1", "pods", namespace))
        self._phjobs: Informer[PhJob] = Informer(phjobs, read_phjob)
        self._pods: Informer[Pod] = Informer(pods, read_pod, selectors=_PODS_OF_JOBS)
        self._metrics = ReconcilerMetrics(CollectorRegistry(), settings.metrics_groups)
        self._kube = KubeMetrics(self._metrics.registry, PREFIX)
        client.observe(self._kube.observe_request)
        self._queue = WorkQueue(on_wait=self._metrics.queue_seconds.observe)
        self._breaker = Breaker(
            ResourceClient(client, Resource("", "v1", "namespaces")), namespace, settings.breaker_failures
        )
        self._reconciler = Reconciler(
            Api(phjobs, pods, Events(ResourceClient(client, Resource("", "v1", "events", namespace)))),
            Seen(self._phjobs.objects, self._pods.objects),
            settings,
            self._metrics,
            self._breaker,
        )
        lease = Lease(client, namespace, settings.lease, identity, LeaseTiming(settings.lease_seconds))
        self._election = LeaderElection(lease, self._on_lead)
        duties = _duties(client, settings)
        self._upkeep = Upkeep(duties, lambda: self._election.is_leader)
        self._stop, self._look = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker {number}", daemon=True)
            for number in range(settings.workers)
        ]
        self._threads.append(threading.Thread(target=self._resync, name="resync", daemon=True))
        self._health: HealthServer | None = None
        self._show()

    def start(self) -> None:
        """Begin. Raises OSError where the port is taken."""
        if self._settings.listen:
            self._health = HealthServer(self._settings.listen, self._metrics.registry, self.problem, self.not_ready)
        for known in (self._phjobs.objects, self._pods.objects):
            known.add_handler(lambda key, _old, _new: self._queue.add(key))
        self._phjobs.objects.add_handler(self._note_group)
        self._phjobs.start()
        self._pods.start()
        self._upkeep.start()
        self._election.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End what is under way, resign, and come back."""
        self._stop.set()
        self._look.set()
        self._queue.close()
        self._upkeep.stop()
        for thread in self._threads:
            thread.join()
        self._election.stop()
        self._phjobs.stop()
        self._pods.stop()
        if self._health:
            self._health.close()

    @property
    def registry(self) -> CollectorRegistry:
        return self._metrics.registry

    @property
    def port(self) -> int:
        """Where health is served; 0: nowhere."""
        return self._health.port if self._health else 0

    def problem(self) -> str:
        """Why this process had better be started anew, or ""."""
        stale = [name for name, age in self._ages().items() if age() > STALE_SECONDS]
        return f"nothing was heard of {' and '.join(stale)} for {STALE_SECONDS:.0f} s" if stale else ""

    def not_ready(self) -> str:
        """Why it cannot work yet, or ""."""
        if self._phjobs.has_synced and self._pods.has_synced:
            return ""
        return str(self._phjobs.error or self._pods.error or "the first list is not complete")

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            failed, after = False, 0.0
            try:
                self._work_on(key)
            except errors.Conflict:
                failed = True  # it has changed; what it is now is on its way
                self._metrics.reconciles.labels("retry").inc()
            except errors.KubeError as error:
                failed, after = True, getattr(error, "retry_after", 0.0)
                self._metrics.reconciles.labels("retry").inc()
                logger.warning("to be tried again", **self._who(key), error=error)
            except Exception:
                failed = True
                self._metrics.reconciles.labels("error").inc()
                logger.exception("fault", **self._who(key))
            self._queue.done(key, failed=failed, after=after)

    def _work_on(self, key: str) -> None:
        if not (self._election.is_leader and self._phjobs.has_synced and self._pods.has_synced):
            return  # whoever comes to lead looks at all
        seconds = self._reconciler.reconcile(key)
        self._metrics.reconciles.labels("done").inc()
        if seconds is not None:
            self._queue.add_after(key, seconds)

    def _on_lead(self, leads: bool) -> None:
        if leads:
            self._add(self._phjobs.objects.list_keys())
            self._look.set()
            self._upkeep.wake()

    def _resync(self) -> None:
        while not (self._phjobs.wait_for_sync(1.0) and self._pods.wait_for_sync(1.0)):
            if self._stop.is_set():
                return
        self._add(self._phjobs.objects.list_keys())
        while not self._stop.is_set():
            self._breaker.look()  # by every replica: the metric of one that led before is looked at too
            if self._election.is_leader:
                open_jobs = filter(self._is_open, self._phjobs.objects.values())
                self._add([f"{job.namespace}/{job.name}" for job in open_jobs])
            self._look.wait(self._settings.resync_seconds)
            self._look.clear()

    def _is_open(self, job: PhJob) -> bool:
        """Whether anything may still happen to it but its removal, for which there is a time in the queue."""
        told = job.told(self._settings.reconcile)
        return not job.has_ended or bool(told and told.is_pending)

    def _add(self, keys: list[str]) -> None:
        for key in keys:
            self._queue.add(key)

    def _who(self, key: str) -> Fields:
        """Return the fields that name the job in log lines."""
        job = self._phjobs.objects.get(key)
        return {"job": key.partition("/")[2], "group": job.spec.group if job else ""}

    def _note_group(self, _key: str, old: PhJob | None, new: PhJob | None) -> None:
        if new and not old:
            self._metrics.know_group(group_label(new.spec.group))

    def _open_pods(self, state: str) -> int:
        told = (job.told(self._settings.reconcile) for job in self._phjobs.objects.values())
        return sum(artifact is not None and artifact.state == state for artifact in told)

    def _ages(self) -> dict[str, Callable[[], float]]:
        return {
            "phjobs": lambda: self._phjobs.seconds_since_activity,
            "pods": lambda: self._pods.seconds_since_activity,
        }

    def _show(self) -> None:
        show = self._metrics.show
        show("queue_depth", "PhJobs that are due to be worked on", lambda: len(self._queue))
        show("leader", "1 while this replica leads", lambda: self._election.is_leader)
        off = "1 while the namespace's label keeps all pods from being injected"
        show("injection_off", off, lambda: self._breaker.is_off)
        states = {state: partial(self._open_pods, state) for state in PENDING}
        self._metrics.show_each("open_pods", "Pods whose artifacts are being collected now", "state", states)
        self._kube.export_ages(self._ages())


def _duties(client: Client, settings: Settings) -> list[Duty]:
    secrets = ResourceClient(client, Resource("", "v1", "secrets", settings.namespace))
    configurations = ResourceClient(
        client, Resource("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")
    )
    duties: list[Duty] = []
    if settings.certificate_secret:
        duties.append(WebhookCertificate(secrets, configurations, settings.certificate_secret, settings.webhook))
    if settings.link_key_secret:
        duties.append(LinkKey(secrets, settings.link_key_secret))
    return duties
