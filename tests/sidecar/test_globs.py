"""Globs: a table of matches, and bounded time for any pattern."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.globs import Globs, glob_problems
from sidecar.process import create_syncer
from sidecar.run_log import RunLog
from tests.sidecar.sidecars import Job, run_command

OFTEN = settings(deadline=None, max_examples=200)
HOSTILE = st.text(alphabet="a*?[]!-^&~|\\.()+{}$#\n", max_size=64)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*.tmp", ["a.tmp", "d/a.tmp", "d.tmp/x/y", ".tmp"], ["a.tmpx", "tmp", "a.TMP"]),
        ("__pycache__", ["__pycache__/a.pyc", "d/__pycache__/e/a"], ["__pycache__x", "x__pycache__/a"]),
        ("__pycache__/", ["__pycache__/a.pyc", "d/__pycache__/a"], ["pycache/a"]),
        ("/*.log", ["a.log", "a.log/x"], ["d/a.log"]),
        ("logs/*", ["logs/a", "logs/d/a"], ["logs", "x/logs/a"]),
        ("logs/*.txt", ["logs/a.txt", "logs/d.txt/a"], ["logs/d/a.txt", "a.txt"]),
        ("logs/**", ["logs", "logs/a", "logs/d/e/a"], ["x/logs/a", "logsx/a"]),
        ("**/a", ["a", "d/a", "d/e/a", "d/a/x"], ["b", "d/aa"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z", "a/b/z/x"], ["z", "b/z", "az"]),
        ("**", ["a", "a/b"], []),
        ("**/**/a/**/**", ["a", "a/b", "x/y/a/z"], ["b"]),
        ("a?c", ["abc", "d/aüc/x"], ["ac", "a/c", "abbc"]),
        ("[ab]*", ["a1", "b", "d/bx"], ["c", "A"]),
        ("[!ab]", ["c", "d/c"], ["a", "b"]),
        ("[", ["[", "d/["], ["x"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*", ["a", ".hidden", "d/e"], []),
        ("ckpt-*/**", ["ckpt-1/a", "ckpt-1/d/a", "ckpt-1"], ["x/ckpt-1/a"]),
        ("\udcff*", ["\udcff\udcfe"], ["x"]),
        ("a\n*", ["a\nb\nc"], ["a"]),
    ],
)
def test_a_glob_matches_the_expected_paths(glob: str, matching: list[str], others: list[str]) -> None:
    include, exclude = Globs((glob,), ()), Globs((), (glob,))
    assert [path for path in [*matching, *others] if include.is_included(path)] == matching
    assert [path for path in [*matching, *others] if exclude.is_included(path)] == others


@pytest.mark.parametrize(
    ("glob", "problem"),
    [
        ("*.{tmp", "has braces"),
        ("log}", "has braces"),
        ("[", "has a bracket"),
        ("a[b", "has a bracket"),
        ("[]", "has a bracket"),
        ("[!]", "has a bracket"),
        ("x[ab]/[", "has a bracket"),
        ("a[/]b", "has a bracket"),
        ("/", "matches nothing"),
        ("a//b", "matches nothing"),
        ("../a", "matches nothing"),
        ("a/./b", "matches nothing"),
        ("[]]", ""),
        ("[!]]", ""),
        ("[[]", ""),
        ("[ab]*.[co]", ""),
        ("a]", ""),
        ("./a/**", ""),
        ("logs/", ""),
        ("/*.log", ""),
    ],
)
def test_globs_of_another_syntax_are_reported(glob: str, problem: str) -> None:
    problems = glob_problems(("*.pt", glob))
    assert [text.startswith(f"{glob!a} {problem}") for text in problems] == [True] * bool(problem)


def test_the_report_the_log_and_a_dry_run_name_globs_of_another_syntax(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    job.write("a.tmp", "1")
    settings_of_job = job.settings(exclude="*.{tmp,log},[")
    syncer = create_syncer(settings_of_job)
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 10)
    syncer.close()
    braces = "has braces, which match only themselves: write one glob for each alternative"
    assert job.report().message == f"1 file (1 byte) in the store; '*.{{tmp' {braces}; 'log}}' {braces}"
    RunLog().log_start(settings_of_job)
    assert [record.message for record in caplog.records].count("check the globs") == 3
    assert f"check the globs: '*.{{tmp' {braces}\n" in run_command(job, "--dry-run", exclude="*.{tmp").stderr


def test_without_globs_every_file_is_included() -> None:
    assert Globs((), ()).is_empty
    assert Globs((), ()).is_included("a")
    assert not Globs(("a",), ()).is_empty
    assert not Globs((), ("a",)).is_empty


def test_exclude_wins_and_one_include_suffices() -> None:
    globs = Globs(("*.pt", "logs/**"), ("tmp", "*.bak.pt"))
    admitted = ["a.pt", "d/a.pt", "logs/x"]
    refused = ["a.txt", "tmp/a.pt", "logs/tmp", "a.bak.pt", "x/logs/x"]
    assert [path for path in admitted + refused if globs.is_included(path)] == admitted


@OFTEN
@given(st.lists(HOSTILE, min_size=1, max_size=4).map("/".join), st.text(max_size=20))
@example("[[a]", "[")
@example("[--a]&&[~~]||", "a")
@example("[z-a]", "a")
def test_any_text_is_a_valid_glob(glob: str, path: str) -> None:
    assert Globs((glob,), ()).is_included(path) is not Globs((), (glob,)).is_included(path)


@pytest.mark.parametrize(
    "glob",
    ["*a" * 127 + "b", "a*" * 127 + "b", "*?" * 128, "*" * 256, "[a*" * 85, "/".join(["**"] * 85), "**/a/" * 51 + "b"],
)
@pytest.mark.parametrize("path", ["a" * 255, "a/" * 99 + "a", "/".join(["a" * 255] * 16)])
def test_the_worst_globs_take_bounded_time(glob: str, path: str) -> None:
    globs = Globs((glob,), ())
    started = time.process_time()
    for _ in range(10):
        globs.is_included(path)
    assert time.process_time() - started < 1.0


@OFTEN
@given(
    st.lists(st.sampled_from(["*", "**", "a", "?", "*a*", "[a]"]), min_size=1, max_size=40).map("/".join),
    st.lists(st.sampled_from(["a", "aa", "b"]), min_size=1, max_size=60).map("/".join),
)
def test_any_glob_takes_bounded_time(glob: str, path: str) -> None:
    globs = Globs((glob,), ())
    started = time.process_time()
    globs.is_included(path)
    assert time.process_time() - started < 0.5
