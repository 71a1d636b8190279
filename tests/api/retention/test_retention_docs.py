"""docs/retention.md lists the settings and numbers of the code."""

import re
from pathlib import Path

from api.retention.expiry import MAX_EXPIRY_FILE_BYTES, MIN_EXPIRY
from api.retention.record import FOREVER, MAX_NOTE_CHARACTERS
from api.settings import CLEANUP_PREFIX, SETTINGS_TABLE

PAGE = (Path(__file__).parents[3] / "docs/retention.md").read_text()


def rows(cells: int) -> set[tuple[str, ...]]:
    lines = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {tuple(cell.strip() for cell in line) for line in lines if len(line) == cells}


def test_the_page_lists_exactly_the_settings_of_retention_and_cleanup() -> None:
    settings = [row for row in SETTINGS_TABLE if row.env.startswith((CLEANUP_PREFIX, "PHJOB_ARTIFACT_"))]
    expected = {(f"`{row.env}`", f"`{row.default}`", row.help) for row in settings}
    assert {row for row in rows(3) if row[0].startswith("`PHJOB_")} == expected


def test_the_numbers_on_the_page_match_the_code() -> None:
    for number, words in (
        (MIN_EXPIRY, "less than {}"),
        (MAX_EXPIRY_FILE_BYTES, "more than {} bytes"),
        (FOREVER, "({})"),
        (MAX_NOTE_CHARACTERS, "{} characters"),
    ):
        assert words.format(number) in re.sub(r"\s+", " ", PAGE)
