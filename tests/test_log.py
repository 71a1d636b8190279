"""Every call of a logger in the services passes a constant event name and fields with distinct keys."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("api", "artifacts", "controller", "kube", "sidecar")
METHODS = ("debug", "info", "warning", "error", "exception", "critical")
EVENT = re.compile(r"[a-zA-Z][a-z ,'A-Z-]*[a-z]")
RESERVED = {"time", "level", "event", "trace", "msg", "extra"}
STANDARD = {"exc_info", "stack_info", "stacklevel"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger, and where it is."""
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    if owner in ("log", "logger") and node.func.attr in (*METHODS, "log"):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def event(call: ast.Call) -> str:
    """The event names that the call may log, joined by "a"; "" if they are not constant."""
    assert isinstance(call.func, ast.Attribute)
    positional = 2 if call.func.attr == "log" else 1
    if len(call.args) != positional:
        return ""
    name = call.args[-1]
    choices = [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]
    texts = [each.value for each in choices if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return "a".join(texts) if len(texts) == len(choices) else ""


def keys(call: ast.Call) -> list[str]:
    """The keys of a call's fields: keyword arguments, or in kube the standard library's `extra`."""
    found = []
    for keyword in call.keywords:
        if keyword.arg is None:
            found += ["job", "group"]  # a function that names the job; see test_a_job_is_logged_with_its_group
        elif keyword.arg == "extra":
            assert isinstance(keyword.value, ast.Dict)
            (fields,) = keyword.value.values
            assert isinstance(fields, ast.Dict)
            found += [key.value for key in fields.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        elif keyword.arg not in STANDARD:
            found.append(keyword.arg)
    return found


def test_every_call_is_a_constant_event_and_fields() -> None:
    found = {place: event(call) for place, call in calls()}
    assert len(found) > 90
    assert {place: text for place, text in found.items() if not EVENT.fullmatch(text)} == {}


def test_keys_are_unique_and_not_those_of_the_formatter() -> None:
    wrong = {}
    for place, call in calls():
        found = keys(call)
        has_exc_info = any(keyword.arg == "exc_info" for keyword in call.keywords)
        has_trace = has_exc_info or ast.unparse(call.func).endswith(".exception")
        taken = RESERVED | ({"error"} if has_trace else set())
        taken |= {"job", "group"} if place.startswith("sidecar") else set()  # every line of the sidecar has those
        if len(set(found)) < len(found) or taken & set(found):
            wrong[place] = found
    assert wrong == {}


def test_a_job_is_logged_with_its_group() -> None:
    found = {place: keys(call) for place, call in calls()}
    assert {place: each for place, each in found.items() if "job" in each and "group" not in each} == {}


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
