"""Some small jobs that show what is kept and what is not, each checked against the store itself; then the API.

Every step runs `python -m local run` as a user would. What is promised of it stands beside its command.
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
from local.collected import list_files
from local.environment import module_environ
from local.tour import tour

_GROUP = "demo"
_MOST_FILES = 100


@dataclass(frozen=True)
class Step:
    """A job, and what must have become of it. `skipped`: files by reason; `state`: the report's."""

    name: str
    title: str
    command: str
    kept: Mapping[str, bytes]
    skipped: Mapping[str, int] = field(default_factory=dict)
    state: str = "sealed"
    exit_code: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


_FIVE_FILES = "mkdir artifacts; for i in 1 2 3 4 5; do echo $i > artifacts/$i.txt; done"

STEPS = (
    Step(
        "first-steps",
        "What a job leaves in its artifacts folder is kept.",
        'mkdir -p artifacts/sub; echo "hello" > artifacts/test.txt; echo "hello" > artifacts/sub/test.txt',
        kept={"test.txt": b"hello\n", "sub/test.txt": b"hello\n"},
    ),
    Step(
        "linked-folder",
        "The folder may be a link. A link to a place outside the job's folders is reported.",
        "mkdir results; echo 42 > results/answer.txt; ln -s results artifacts; ln -s /etc/passwd results/out",
        kept={"answer.txt": b"42\n"},
        skipped={"outside_volumes": 1},
        state="incomplete",
    ),
    Step(
        "limit-reject",
        "Past a limit nothing is kept, and the report says so.",
        _FIVE_FILES,
        kept={},
        skipped={"over_limit": 5},
        state="rejected",
        settings={"PHJOB_ARTIFACT_LIMIT_FILES": "3"},
    ),
    Step(
        "limit-keep",
        "The same, if what fits is to be kept.",
        _FIVE_FILES,
        kept={"1.txt": b"1\n", "2.txt": b"2\n", "3.txt": b"3\n"},
        skipped={"over_limit": 2},
        settings={"PHJOB_ARTIFACT_LIMIT_FILES": "3", "PHJOB_ARTIFACT_OVER_LIMIT": "keep"},
    ),
    Step(
        "failed-job",
        "A job that fails keeps its artifacts, and its exit code.",
        "mkdir artifacts; echo 'loss: nan' > artifacts/train.log; exit 7",
        kept={"train.log": b"loss: nan\n"},
        exit_code=7,
    ),
)


def run_demo(keep: bool) -> int:
    """Run every step in a fresh directory, removed unless `keep`; returns 1 if any is not as promised."""
    data = Path(tempfile.mkdtemp(prefix="phjobs-demo-"))
    try:
        problems = [f"{step.name}: {problem}" for step in STEPS for problem in _run(step, data)]
        first, (file, content) = STEPS[0].name, next(iter(STEPS[0].kept.items()))
        problems += tour(data, _GROUP, first, file, content, _without_settings(os.environ))
    finally:
        if not keep:
            shutil.rmtree(data)
    print(f"\nthe files are in {data}" if keep else "\nthe files are removed; --keep would have left them")
    for problem in problems:
        print(f"NOT AS PROMISED: {problem}")
    if not problems:
        print(f"all {len(STEPS)} jobs are as promised, and so is the API")
    return 1 if problems else 0


def check(step: Step, exit_code: int, kept: Mapping[str, bytes], report: Report) -> list[str]:
    """What is not as promised of the step, a sentence each. Pure."""
    skipped = {reason: skipped.files for reason, skipped in report.skipped.items()}
    pairs = (
        ("exit code", exit_code, step.exit_code),
        ("files kept", dict(kept), dict(step.kept)),
        ("state", report.state, step.state),
        ("skipped", skipped, dict(step.skipped)),
    )
    return [f"{what}: {found!r}, not {promised!r}" for what, found, promised in pairs if found != promised]


def _run(step: Step, data: Path) -> list[str]:
    words = [f"{name}={value}" for name, value in step.settings.items()]
    words += ["python -m local run --", shlex.quote(step.command)]
    print(f"\n== {step.title}\n$ {' '.join(words)}", flush=True)
    options = ["--data", str(data), "--group", _GROUP, "--name", step.name]
    ended = subprocess.run(
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
    files = list_files(folder, _MOST_FILES).first
    return check(step, ended.returncode, {path: (folder / path).read_bytes() for path, _ in files}, report)


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("PHJOB_")}
