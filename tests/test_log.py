"""Every line that the services log is an event and pairs: the template of each call is held to that form."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("api", "artifacts", "controller", "kube", "sidecar")
METHODS = ("debug", "info", "warning", "error", "exception", "critical")
FORM = re.compile(r"[a-zA-Z][a-z ,'A-Z-]*[a-z](?P<pairs>( [a-z_]+=%(s|d|\.\df))*)")
RESERVED = {"time", "level", "event", "trace"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger, and where it is."""
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    if owner in ("log", "logger") and node.func.attr in (*METHODS, "log"):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def template(call: ast.Call) -> str:
    """Its constant template, else ""."""
    assert isinstance(call.func, ast.Attribute)
    place = 1 if call.func.attr == "log" else 0
    argument = call.args[place] if len(call.args) > place else None
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""


def test_every_call_is_an_event_and_pairs() -> None:
    found = {place: template(call) for place, call in calls()}
    assert len(found) > 90
    assert {place: text for place, text in found.items() if not FORM.fullmatch(text)} == {}


def test_keys_are_told_once_and_are_none_of_the_forms_own() -> None:
    wrong = {}
    for place, call in calls():
        keys = re.findall(r" ([a-z_]+)=%", template(call))
        has_trace = ast.unparse(call.func).endswith(".exception") or call.keywords
        taken = RESERVED | ({"error"} if has_trace else set())
        taken |= {"job", "group"} if place.startswith("sidecar") else set()  # those are in its every line
        if len(set(keys)) < len(keys) or taken & set(keys):
            wrong[place] = keys
    assert wrong == {}


def test_a_job_is_told_with_its_group() -> None:
    keys = {place: re.findall(r" ([a-z_]+)=%", template(call)) for place, call in calls()}
    assert {place: each for place, each in keys.items() if "job" in each and "group" not in each} == {}


def test_nothing_is_printed_by_services() -> None:
    """But by commands for people, whose output it is."""
    commands = {"api/command.py", "api/cleanup/command.py", "sidecar/command.py", "sidecar/entry.py"}
    printing = {
        str(path.relative_to(ROOT))
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stderr.write", "sys.stdout.write")
    }
    assert printing <= commands
