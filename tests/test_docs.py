"""The documents agree with the code on settings, states, reasons and fields, and their links have targets."""

import re
from pathlib import Path

import pytest

from artifacts.job_options import OPTIONS, option_annotation
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry
from artifacts.report import INCOMPLETE_REASONS, REASONS, STATES, Report, format_report
from artifacts.settings import SETTINGS_TABLE

ROOT = Path(__file__).parents[1]
CONTRACT = (ROOT / "docs/contract.md").read_text()
README = (ROOT / "README.md").read_text()
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").rglob("*.md")})


def rows(text: str, cells: int) -> set[tuple[str, ...]]:
    """Return the rows of all tables that have this number of cells."""
    lines = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {tuple(cell.strip() for cell in line) for line in lines if len(line) == cells}


def test_contract_lists_all_settings_with_default_and_description() -> None:
    def default(text: str | None) -> str:
        return "required" if text is None else f"`{text}`" if text else "empty"

    expected = {(f"`{row.env}`", default(row.default), row.help) for row in SETTINGS_TABLE}
    assert {row for row in rows(CONTRACT, 3) if row[0].startswith(("`PHJOB_", "`PRIMEHUB_"))} == expected


def test_contract_lists_all_annotations_with_their_settings() -> None:
    expected = {(f"`{option_annotation(name)}`", f"`{row.env}`") for name, row in OPTIONS.items()}
    assert {row for row in rows(CONTRACT, 2) if row[0].startswith("`primehub.io/")} == expected


def test_contract_lists_all_reasons_and_which_make_a_report_incomplete() -> None:
    expected = {(f"`{key}`", text, "yes" if key in INCOMPLETE_REASONS else "no") for key, text in REASONS.items()}
    assert expected <= rows(CONTRACT, 3)


def test_contract_lists_all_states() -> None:
    assert {(f"`{state}`", text) for state, text in STATES.items()} <= rows(CONTRACT, 2)


def test_contract_names_all_fields_of_manifest_and_report() -> None:
    line = format_entry(ManifestEntry("p", 1, 2, 3, 4, "0" * 64, True, True, "other"), ManifestHeader("j", "u"))
    fields = re.findall(r'"(\w+)":', line) + re.findall(r'^ "(\w+)":', format_report(Report("j")).decode(), re.M)
    assert [field for field in fields if f"`{field}`" not in CONTRACT] == []


def test_limits_in_the_readme_are_the_defaults() -> None:
    defaults = {row.env: row.default for row in SETTINGS_TABLE}
    assert f"| files of a job | {defaults['PHJOB_ARTIFACT_LIMIT_FILES']} |" in README
    assert f"| size of a job | {defaults['PHJOB_ARTIFACT_LIMIT_SIZE_MB']} MB |" in README
    assert f"| retention | {defaults['PHJOB_ARTIFACT_RETENTION_SECONDS']} s (7 days) |" in README
    assert f"grace period, {defaults['PHJOB_ARTIFACT_GRACE_SECONDS']} s |" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_targets(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def test_all_decisions_are_listed() -> None:
    listed = set(re.findall(r"\((\d{4}[^)]+)\)", (ROOT / "docs/adr/README.md").read_text()))
    assert listed == {page.name for page in (ROOT / "docs/adr").glob("0*.md")}
