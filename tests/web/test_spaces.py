"""Names with spaces at their ends or side by side, or of nothing else: told apart, and there to be clicked."""

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Call, Visit
from tests.web.site import Site

SPACE = "\\u{0020}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a b c.txt", "a b c.txt"),
        ("a  b.txt", f"a{SPACE}{SPACE}b.txt"),
        (" a b", f"{SPACE}a b"),
        ("a b ", f"a b{SPACE}"),
        (" ", SPACE),
        ("   ", SPACE * 3),
        ("a  \u202e", f"a{SPACE * 2}\\u{{202E}}"),
    ],
)
def test_spaces_that_would_be_lost_are_shown(call: Call, name: str, text: str) -> None:
    assert call("untrusted_text", "escapeName", name) == text
    made = call("untrusted_text", "nameElement", name)
    assert made["text"] == text
    assert made["html"].count('class="escape"') == text.count("\\")


def test_the_spaces_of_a_command_stay_as_they_are(call: Call) -> None:
    command = "if x:\n    print('a  b') \n\tpass\u00a0"
    assert call("untrusted_text", "linesElement", command)["text"] == command.replace("\u00a0", "\\u{00A0}")


def test_a_file_called_by_a_space_can_be_seen_and_opened(visit: Visit, site: Site) -> None:
    site.world.leave(site.world.add("job-a"), {" ": b"blank", "a  b.txt": b"two", "a b.txt": b"one"})
    page = visit(site, "/jobs/job-a/artifacts")
    shown = page.locator(".files tbody th bdi")
    expect(shown).to_have_text([SPACE, f"a{SPACE}{SPACE}b.txt", "a b.txt"])
    with page.expect_download() as download:
        page.get_by_role("link", name=SPACE, exact=True).click()
    assert download.value.path().read_bytes() == b"blank"


def test_a_job_whose_name_is_only_spaces_is_called_by_its_id(visit: Visit, site: Site) -> None:
    site.world.add("job-a", name="  ")
    page = visit(site)
    row = page.get_by_role("row").last
    expect(row.get_by_role("rowheader")).to_have_text("job-a")
    row.get_by_role("link", name="job-a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("job-a")
