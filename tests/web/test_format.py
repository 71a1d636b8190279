"""Formatting of numbers and times."""

from api.jobs.job import format_time
from tests.web.conftest import Call


def test_numbers_are_formatted(call: Call) -> None:
    sizes = {0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB", 104857600: "100 MiB"}
    sizes |= {1048570: "1 MiB", 5 * 2**40: "5 TiB"}
    assert {size: call("format", "formatBytes", size) for size in sizes} == sizes
    assert [call("format", "formatCount", number, "file") for number in (0, 1, 1204)] == [
        "0 files",
        "1 file",
        "1,204 files",
    ]
    spans = {0: "0 s", 59.4: "59 s", 60: "1 min", 61: "1 min 1 s", 7800: "2 h 10 min", 93600: "1 d 2 h"}
    assert {seconds: call("format", "formatDuration", seconds) for seconds in spans} == spans
    assert [call("format", "formatBytes", None), call("format", "formatCount", None, "file")] == ["\u2013"] * 2


def test_times_are_formatted_locally_with_utc_in_the_title(call: Call) -> None:
    exact = call("format", "timeElement", "2026-07-01T22:30:15Z", {"exact": True})
    assert (exact["text"], exact["title"]) == ("Jul 2, 2026, 00:30:15", "2026-07-01 22:30:15 UTC")
    near = call("format", "relativeTimeElement", "2026-07-01T22:30:15Z")
    assert near["title"] == "Jul 2, 2026, 00:30:15 (2026-07-01 22:30:15 UTC)"
    now = 1_800_000_000
    spans = {6 * 86400 + 5: "in 6 days", 86399: "in 23 hours", 30: "in less than a minute", -5: "just now"}
    spans |= {-180: "3 minutes ago", -86400: "1 day ago", 400 * 86400: "in 1 year"}
    texts = {span: call("format", "formatRelative", format_time(now + span), now * 1000) for span in spans}
    assert texts == spans


def test_future_days_are_rounded_and_past_days_truncated(call: Call) -> None:
    now, day = 1_800_000_000, 86400
    spans = {7 * day - 5: "in 7 days", 6 * day + 43200: "in 7 days", 6 * day + 43100: "in 6 days"}
    spans |= {day + 5: "in 1 day", day - 5: "in 23 hours", 30 * day + 37000: "in 30 days", 40 * day: "in 1 month"}
    spans |= {-7 * day + 5: "6 days ago", -2 * 3600 + 5: "1 hour ago", 2 * 3600 - 5: "in 1 hour"}
    texts = {span: call("format", "formatRelative", format_time(now + span), now * 1000) for span in spans}
    assert texts == spans
