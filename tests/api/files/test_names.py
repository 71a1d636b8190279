"""Names for saving: safe on every system, and distinct within an archive."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.files.names import ArchiveNames, safe_name
from artifacts.names import encode_path

MANY_EXAMPLES = settings(deadline=None, max_examples=150)
FORBIDDEN = '<>:"/\\|?*\u202e\u2066\u2028\x00\n\x7f\x9f'
LETTERS = st.sampled_from(
    list("aAbB.. ()2%2Fßé\u017f\u0131") + list(FORBIDDEN) + ["e\u0301", "CON", "nul", "\U0001f600", "x" * 100]
)
COMPONENT = st.lists(LETTERS, min_size=1, max_size=6).map("".join).filter(lambda name: name not in (".", ".."))
PATH = st.lists(COMPONENT, min_size=1, max_size=4).map("/".join)


def fold(name: str) -> str:
    """Return the name as a file system sees it that ignores case and composition."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        ("model.pt", "model.pt"),
        ("naïve 文.csv", "naïve 文.csv"),
        ("100%.txt", "100%.txt"),
        ("a%2541", "a%41"),
        ("a%0Ab", "a_b"),
        ("a%FFb", "a%FFb"),
        ("%2Eprimehub", ".primehub"),
        ("..%2F..%2Fetc", ".._.._etc"),
        ('a<b>c:d"e|f?g*h\\i', "a_b_c_d_e_f_g_h_i"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("end.", "end_"),
        ("end. .", "end___"),
        ("..", "__"),
        (" ", "_"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("Com1 .txt", "_Com1 .txt"),
        ("LPT¹", "_LPT¹"),
        ("CONSOLE", "CONSOLE"),
        ("COM", "COM"),
        ("", "_"),
    ],
)
def test_names_are_made_safe(encoded: str, name: str) -> None:
    assert safe_name(encoded) == name


def assign_names(paths: list[str]) -> dict[str, str]:
    names = ArchiveNames()
    return {path: names.assign(path) for path in sorted(paths, key=str.encode)}


def test_names_equal_on_windows_get_numbers() -> None:
    assert assign_names(["j/A.txt", "j/a.txt", "j/a (2).txt", "j/D/x", "j/d/x", "j/d/y", "j/e", "j/e/x"]) == {
        "j/A.txt": "j/A.txt",
        "j/D/x": "j/D/x",
        "j/a (2).txt": "j/a (2).txt",
        "j/a.txt": "j/a (3).txt",
        "j/d/x": "j/d (2)/x",
        "j/d/y": "j/d (2)/y",
        "j/e": "j/e",
        "j/e/x": "j/e (2)/x",
    }


def test_a_long_name_is_truncated_before_its_suffix() -> None:
    long = "ü" * 125 + ".txt"
    assert assign_names(["j/" + long, "j/" + long.upper()]) == {
        "j/" + long.upper(): "j/" + long.upper(),
        "j/" + long: "j/" + "ü" * 119 + " (2).txt",
    }


def test_many_equal_names_are_numbered_quickly() -> None:
    """If each search started at 2, 20,000 names would take 200 million attempts, and the test would time out."""
    paths = ["j/" + format(number, "015b").replace("0", "<").replace("1", ">") for number in range(20_000)]
    assert len(set(assign_names(paths).values())) == 20_000


@MANY_EXAMPLES
@given(st.sets(PATH, max_size=12))
@example({"a", "A", "a (2)", "A (2)", "a/b", "A/b"})
def test_names_in_an_archive_are_distinct(paths: set[str]) -> None:
    names = assign_names(["job/" + encode_path(path) for path in paths])
    files = {fold(name) for name in names.values()}
    assert len(files) == len(names)
    folders = {fold(name).rsplit("/", depth)[0] for name in names.values() for depth in range(1, name.count("/") + 1)}
    assert not files & folders


@MANY_EXAMPLES
@given(st.sets(PATH, max_size=12))
def test_files_of_one_folder_stay_in_one_folder(paths: set[str]) -> None:
    names = assign_names(["job/" + path for path in paths])
    parents: dict[str, set[str]] = {}
    for path, name in names.items():
        parents.setdefault(path.rpartition("/")[0], set()).add(name.rpartition("/")[0])
    assert all(len(folders) == 1 for folders in parents.values())


@MANY_EXAMPLES
@given(st.text(max_size=30) | COMPONENT)
@example("CON" + "\u202e")
@example("nul" + "x" * 300)
def test_no_name_leaves_its_folder_or_denotes_a_device(raw: str) -> None:
    name = safe_name(encode_path(raw.replace("/", "_")))
    assert 0 < len(name.encode()) <= 255
    assert not set(name) & set(FORBIDDEN)
    assert name[-1] not in ". "
    assert name.split(".")[0].rstrip(" ").upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
