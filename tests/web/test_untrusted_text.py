"""Names of jobs and files: invisible characters and collapsed spaces are escaped, and nothing is markup."""

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Call, OpenPage
from tests.web.site import Site

SPACE = "\\u{0020}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain name.txt", "plain name.txt"),
        ("naïve 日本 ☃", "naïve 日本 ☃"),
        ("gnp\u202eexe.png", "gnp\\u{202E}exe.png"),
        ("a\nb\tc\x00", "a\\nb\\tc\\u{0000}"),
        ("a\u200bb\u2066c\u00a0d\ufeff", "a\\u{200B}b\\u{2066}c\\u{00A0}d\\u{FEFF}"),
        ("tag\U000e0041", "tag\\u{E0041}"),
        ("\u2028\u3164\ue000", "\\u{2028}\\u{3164}\\u{E000}"),
    ],
)
def test_invisible_characters_in_a_name_are_escaped(call: Call, name: str, text: str) -> None:
    assert call("untrusted_text", "escapeName", name) == text
    made = call("untrusted_text", "nameElement", name)
    assert made["text"] == text
    assert made["html"].startswith("<bdi>")
    assert made["html"].count('class="escape"') == text.count("\\")


def test_a_name_is_never_markup(call: Call) -> None:
    made = call("untrusted_text", "nameElement", "<img src=x onerror=alert(1)>")
    assert made["html"] == "<bdi>&lt;img src=x onerror=alert(1)&gt;</bdi>"


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
def test_collapsed_spaces_are_escaped(call: Call, name: str, text: str) -> None:
    assert call("untrusted_text", "escapeName", name) == text
    made = call("untrusted_text", "nameElement", name)
    assert made["text"] == text
    assert made["html"].count('class="escape"') == text.count("\\")


def test_spaces_in_a_command_are_preserved(call: Call) -> None:
    command = "if x:\n    print('a  b') \n\tpass\u00a0"
    assert call("untrusted_text", "linesElement", command)["text"] == command.replace("\u00a0", "\\u{00A0}")


def test_a_file_named_with_a_space_can_be_opened(open_page: OpenPage, site: Site) -> None:
    site.data.add_artifacts(site.data.add_job("job-a"), {" ": b"blank", "a  b.txt": b"two", "a b.txt": b"one"})
    page = open_page(site, "/jobs/job-a/artifacts")
    shown = page.locator(".files tbody th bdi")
    expect(shown).to_have_text([SPACE, f"a{SPACE}{SPACE}b.txt", "a b.txt"])
    with page.expect_download() as download:
        page.get_by_role("link", name=SPACE, exact=True).click()
    assert download.value.path().read_bytes() == b"blank"


def test_a_blank_job_name_is_replaced_by_the_id(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a", name="  ")
    page = open_page(site)
    row = page.get_by_role("row").last
    expect(row.get_by_role("rowheader")).to_have_text("job-a")
    row.get_by_role("link", name="job-a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("job-a")
