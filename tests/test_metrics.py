"""docs/metrics.md agrees with the metrics of the four parts, which run as processes and are scraped over HTTP."""

import re
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from artifacts.exposition import expose
from tests.api.served import serving as serving_api
from tests.controller.fake_cluster import fake_cluster
from tests.controller.test_reconcile_process import environ, process
from tests.controller.test_serve import serving as serving_webhook
from tests.controller.test_version_poller import report_version
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until
from tests.machine import require
from tests.sidecar.sidecars import Job, running

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/metrics.md").read_text()
PARTS = ("controller", "webhook", "api", "sidecar")
OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
TEXT = "text/plain;version=0.0.4"
GROUPS = {"PHJOB_METRICS_GROUPS": "5"}
_ENDS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


class DocumentedMetric(NamedTuple):
    """A row of the page's table of metrics. Parts and labels are sorted."""

    name: str
    kind: str
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    meaning: str


class MetricFamily(NamedTuple):
    """A metric as one part exposes it. `samples` has labels and values, without buckets and quantiles."""

    kind: str
    meaning: str
    samples: list[tuple[dict[str, str], float]]


class Exposition(NamedTuple):
    """The responses of one part in both formats: content types and texts."""

    types: tuple[str, str]
    text: str
    openmetrics: str

    @property
    def families(self) -> dict[str, MetricFamily]:
        """The metrics by their name in queries."""
        result = {}
        for family in read_openmetrics(self.openmetrics):  # type: ignore[no-untyped-call]
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            own = [sample for sample in family.samples if not {"le", "quantile"} & sample.labels.keys()]
            samples = [(dict(sample.labels), sample.value) for sample in own]
            result[family.name + suffix] = MetricFamily(family.type, family.documentation, samples)
        return result


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def scrape(url: str) -> Exposition:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answers = []
    for accept in (TEXT, OPENMETRICS):
        request = urllib.request.Request(f"{url}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            answers.append((answer.headers["Content-Type"], answer.read().decode()))
    (plain, text), (other, openmetrics) = answers
    return Exposition((plain, other), text, openmetrics)


def answers(url: str) -> bool:
    try:
        return bool(scrape(url))
    except OSError:
        return False


@contextmanager
def controller(folder: Path) -> Iterator[str]:
    """Run a controller that has counted a job's artifacts. Yields its URL."""
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    with ApiServer() as server, fake_cluster(server) as (cluster, _):
        cluster.add_job("secret-job")
        own = {**environ(server, folder), "PHJOB_CONTROLLER_LISTEN": address, **GROUPS}
        with process(own) as run:
            until(lambda: cluster.events("secret-job") or run.poll() is not None, "the Event about the job's end")
            yield f"http://{address}"


@contextmanager
def webhook(folder: Path) -> Iterator[str]:
    folder.mkdir()
    with ApiServer() as server:
        report_version(server)
        with serving_webhook(server, folder) as process_:
            until(process_.is_ready, "the webhook is ready")
            yield f"https://127.0.0.1:{process_.port}"


@contextmanager
def api(folder: Path) -> Iterator[str]:
    folder.mkdir()
    with serving_api(folder, PHJOB_CLEANUP_ENABLED="true", **GROUPS) as service:
        yield f"http://127.0.0.1:{service.port}"


@contextmanager
def sidecar(folder: Path) -> Iterator[str]:
    folder.mkdir()
    job, address = Job(folder, name="secret-job"), f"127.0.0.1:{free_port()}"
    job.write("secret-file", "x")
    with running(job, metrics_listen=address) as process_:
        process_.wait_copied("secret-file")
        until(lambda: answers(f"http://{address}"), "an answer")
        yield f"http://{address}"
        assert process_.end() == 0


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exposition]:
    """The metrics of each part. The parts have ended."""
    folder, result = tmp_path_factory.mktemp("parts"), {}
    for name, start in zip(PARTS, (controller, webhook, api, sidecar), strict=True):
        with start(folder / name) as url:
            result[name] = scrape(url)
    return result


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def words(text: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r"`([^` ]+)`", text)))


def documented() -> set[DocumentedMetric]:
    lines = PAGE.replace("| | ", "|  | ").splitlines()
    table = [cells(line) for line in lines if re.match(r"\| `(phjob_artifact|process)_", line)]
    return {
        DocumentedMetric(
            name.strip("`"), kind, words(labels), tuple(sorted(PARTS if parts == "all" else parts.split(", "))), text
        )
        for name, kind, labels, parts, text, question in table
        if question.endswith("?")
    }


def exposed(scraped: dict[str, Exposition]) -> set[DocumentedMetric]:
    rows: dict[tuple[str, str, tuple[str, ...], str], list[str]] = defaultdict(list)
    for part, exposition in scraped.items():
        for name, family in exposition.families.items():
            labels = tuple(sorted({label for sample, _ in family.samples for label in sample}))
            rows[name, family.kind, labels, family.meaning].append(part)
    return {
        DocumentedMetric(name, kind, labels, tuple(sorted(parts)), text)
        for (name, kind, labels, text), parts in rows.items()
    }


def test_table_lists_all_metrics(scraped: dict[str, Exposition]) -> None:
    assert sorted(exposed(scraped)) == sorted(documented())


def test_page_lists_all_label_values(scraped: dict[str, Exposition]) -> None:
    values: dict[str, set[str]] = defaultdict(set)
    for exposition in scraped.values():
        for family in exposition.families.values():
            for labels, _ in family.samples:
                for label, value in labels.items():
                    values[label].add(value)
    del values["version"], values["group"]
    listed = {label: set(words(text)) for label, text in re.findall(r"^\| `(\w+)` \| ([^|]*) \|$", PAGE, re.MULTILINE)}
    for state, reasons, _ in re.findall(r"^\| `([\w-]+)` \| ((?:`[\w-]+` ?)+) \| ([^|]+) \|$", PAGE, re.MULTILINE):
        assert state in values["state"]
        listed["reason"] |= set(words(reasons))
    del listed["group"]
    assert listed == values


def test_page_lists_all_reasons_with_their_state(scraped: dict[str, Exposition]) -> None:
    samples = scraped["controller"].families["phjob_artifact_results_total"].samples
    listed = {
        (state, reason)
        for state, reasons, _ in re.findall(r"^\| `([\w-]+)` \| ((?:`[\w-]+` ?)+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
        for reason in words(reasons)
    }
    assert listed == {(labels["state"], labels["reason"]) for labels, _ in samples}


def test_all_metrics_named_in_other_files_exist() -> None:
    """Benchmarks, documents, rules and dashboards can append `_bucket`, `_sum` or `_count` if the type has it."""
    names = {row.name for row in documented()}
    parts = {row.name + end for row in documented() for end in _ENDS.get(row.kind, ())}
    for folder in ("bench", "docs", "manifests"):
        files = [file for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".md", ".yaml", ".json")]
        assert files
        for file in files:
            named = set(re.findall(r"\bphjob_artifact_\w*[a-z0-9]\b", file.read_text()))
            assert named <= names | parts, file


@pytest.mark.parametrize("part", PARTS)
def test_promtool_accepts_names_and_texts(scraped: dict[str, Exposition], part: str) -> None:
    promtool = shutil.which("promtool")
    require(promtool, "promtool, of Debian's package prometheus")
    done = subprocess.run(
        [promtool or "", "check", "metrics"], input=scraped[part].text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("part", PARTS)
def test_both_formats_have_the_same_names(scraped: dict[str, Exposition], part: str) -> None:
    exposition = scraped[part]
    assert exposition.types == (
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
    )
    plain = {sample.name for family in read_text(exposition.text) for sample in family.samples}
    strict = {
        sample.name
        for family in read_openmetrics(exposition.openmetrics)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    assert plain == strict


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=x",
        "application/openmetrics-text;version=1..0",
        "application/openmetrics-text;version=1.0.0.\r\n x",
        "application/openmetrics-text;version=1.0.0." + "x" * 1000,
        "text/plain;version=x",
    ],
)
def test_hostile_accept_header_gets_plain_text(accept: str) -> None:
    assert expose(CollectorRegistry(), accept, choose_encoder) == (b"", "text/plain; version=0.0.4; charset=utf-8")


@given(accept=st.text() | st.text().map("application/openmetrics-text;version=1.".__add__))
def test_any_accept_header_gets_one_line_of_content_type(accept: str) -> None:
    _, content_type = expose(CollectorRegistry(), accept, choose_encoder)
    assert len(content_type) < 1100
    assert content_type.isprintable()


@pytest.mark.parametrize("part", PARTS)
def test_no_job_or_file_is_named(scraped: dict[str, Exposition], part: str) -> None:
    assert "secret" not in scraped[part].text


def test_controller_has_counted_the_job(scraped: dict[str, Exposition]) -> None:
    families = scraped["controller"].families
    results = [(labels, n) for labels, n in families["phjob_artifact_results_total"].samples if n]
    assert results == [({"state": "sealed", "reason": "none"}, 1)]
    groups = [(labels, n) for labels, n in families["phjob_artifact_group_results_total"].samples if n]
    assert groups == [({"group": "team-a", "state": "sealed"}, 1)]
