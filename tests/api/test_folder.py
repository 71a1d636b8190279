"""Only one module decides which folder is a job's, and one which files in it are the collector's."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("owner", "pattern"),
    [
        ("api/folder.py", r"(?<!class )\bJobFolder\(|\bgroups/\{\w+\}/\{JOB_ARTIFACTS\}"),
        ("api/folder.py", r"\.replace\(\"_\", \"-\"\)"),
        ("api/listing.py", r"\bRESERVED\b|\bLEGACY_METADATA\b"),
    ],
)
def test_only_the_owning_module_decides(owner: str, pattern: str) -> None:
    sources = [*(ROOT / "api").rglob("*.py"), *(ROOT / "local").rglob("*.py")]
    offenders = {str(path.relative_to(ROOT)) for path in sources if re.search(pattern, path.read_text())}
    assert offenders - {owner} == set()
