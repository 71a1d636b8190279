"""Runs example jobs with `python -m local run`, and checks the exit code, the report and the stored files of each.

Afterwards `api_demo` shows the API on the results of the first job.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from artifacts.errors import InvalidDocument
from artifacts.layout import EXPIRED_AT, REPORT, job_prefix
from artifacts.report import Report, read_report
from local.api_demo import run_api_demo
from local.environment import module_environ
from local.results import list_files

_GROUP = "demo"
_MAX_FILES = 100


@dataclass(frozen=True)
class DemoStep:
    """An example job and its expected result.

    `files`: content of the collected files by path; `skipped`: number of files that were not collected, by reason;
    `state`: state of the report; `settings`: environment variables for the job.
    """

    name: str
    title: str
    command: str
    files: Mapping[str, bytes]
    skipped: Mapping[str, int] = field(default_factory=dict)
    state: str = "sealed"
    exit_code: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


_FIVE_FILES = "mkdir artifacts; for i in 1 2 3 4 5; do echo $i > artifacts/$i.txt; done"

STEPS = (
    DemoStep(
        "first-steps",
        "The files in a job's artifacts folder are collected.",
        'mkdir -p artifacts/sub; echo "hello" > artifacts/test.txt; echo "hello" > artifacts/sub/test.txt',
        files={"test.txt": b"hello\n", "sub/test.txt": b"hello\n"},
    ),
    DemoStep(
        "linked-folder",
        "The artifacts folder may be a link. Links to files outside the job's own folders are reported, not followed.",
        "mkdir results; echo 42 > results/answer.txt; ln -s results artifacts; ln -s /etc/passwd results/out",
        files={"answer.txt": b"42\n"},
        skipped={"outside_volumes": 1},
        state="incomplete",
    ),
    DemoStep(
        "limit-reject",
        "If the job exceeds a limit, nothing is collected, and the report has the reason.",
        _FIVE_FILES,
        files={},
        skipped={"over_limit": 5},
        state="rejected",
        settings={"PHJOB_ARTIFACT_LIMIT_FILES": "3"},
    ),
    DemoStep(
        "limit-keep",
        "The same job, with the setting that collects as many files as the limit allows.",
        _FIVE_FILES,
        files={"1.txt": b"1\n", "2.txt": b"2\n", "3.txt": b"3\n"},
        skipped={"over_limit": 2},
        settings={"PHJOB_ARTIFACT_LIMIT_FILES": "3", "PHJOB_ARTIFACT_OVER_LIMIT": "keep"},
    ),
    DemoStep(
        "failed-job",
        "The files of a failed job are collected too. `run` exits with the exit code of the command.",
        "mkdir artifacts; echo 'loss: nan' > artifacts/train.log; exit 7",
        files={"train.log": b"loss: nan\n"},
        exit_code=7,
    ),
)


def run_demo(keep: bool) -> int:
    """Run all steps in a temporary data directory. Returns 0 if every result is as expected, else 1.

    The directory is deleted at the end unless `keep` is true.
    """
    data = Path(tempfile.mkdtemp(prefix="phjobs-demo-"))
    try:
        problems = [f"{step.name}: {problem}" for step in STEPS for problem in _run_step(step, data)]
        first, (file, content) = STEPS[0].name, next(iter(STEPS[0].files.items()))
        problems += run_api_demo(data, _GROUP, first, file, content, _without_settings(os.environ))
    finally:
        if not keep:
            shutil.rmtree(data)
    print(f"\nthe files are in {data}" if keep else "\nthe demo's files were deleted; use --keep to look at them")
    for problem in problems:
        print(f"UNEXPECTED: {problem}")
    if not problems:
        print(f"all {len(STEPS)} jobs and the API gave the expected results")
    return 1 if problems else 0


def check_step(step: DemoStep, exit_code: int, files: Mapping[str, bytes], report: Report) -> list[str]:
    """Compare a step's result with the expected one. Returns a sentence per difference."""
    skipped = {reason: skipped.files for reason, skipped in report.skipped.items()}
    pairs = (
        ("exit code", exit_code, step.exit_code),
        ("collected files", dict(files), dict(step.files)),
        ("state", report.state, step.state),
        ("skipped files", skipped, dict(step.skipped)),
    )
    return [f"{name}: {actual!r} instead of {expected!r}" for name, actual, expected in pairs if actual != expected]


def _run_step(step: DemoStep, data: Path) -> list[str]:
    words = [f"{name}={value}" for name, value in step.settings.items()]
    words += ["python -m local run --", shlex.quote(step.command)]
    print(f"\n== {step.title}\n$ {' '.join(words)}", flush=True)
    options = ["--data", str(data), "--group", _GROUP, "--name", step.name]
    process = subprocess.run(
        [sys.executable, "-P", "-m", "local", "run", *options, "--", step.command],
        env=module_environ(_without_settings(os.environ)) | dict(step.settings),
        check=False,
    )
    folder = data / "phfs" / job_prefix(_GROUP, step.name)
    try:
        report = read_report((folder / REPORT).read_bytes())
        int((folder / EXPIRED_AT).read_bytes())
    except (OSError, ValueError, InvalidDocument) as error:
        return [f"the report or the expiry cannot be read: {error}"]
    files = {path: (folder / path).read_bytes() for path, _ in list_files(folder, _MAX_FILES).first}
    return check_step(step, process.returncode, files, report)


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("PHJOB_")}
