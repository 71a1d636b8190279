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
    """Yield the location and the node of every call of a logger."""
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    if owner in ("log", "logger") and node.func.attr in (*METHODS, "log"):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def event(call: ast.Call) -> str:
    """Return the event names that the call can log, joined by "a", or "" if they are not constant."""
    assert isinstance(call.func, ast.Attribute)
    positional = 2 if call.func.attr == "log" else 1
    if len(call.args) != positional:
        return ""
    name = call.args[-1]
    choices = [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]
    texts = [choice.value for choice in choices if isinstance(choice, ast.Constant) and isinstance(choice.value, str)]
    return "a".join(texts) if len(texts) == len(choices) else ""


def keys(call: ast.Call) -> list[str]:
    """Return the keys of a call's fields: keyword arguments, or in kube the standard library's `extra`."""
    result = []
    for keyword in call.keywords:
        if keyword.arg is None:
            result += ["job", "group"]  # from a function that returns the fields of a job
        elif keyword.arg == "extra":
            assert isinstance(keyword.value, ast.Dict)
            (fields,) = keyword.value.values
            assert isinstance(fields, ast.Dict)
            result += [key.value for key in fields.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        elif keyword.arg not in STANDARD:
            result.append(keyword.arg)
    return result


def test_every_call_has_a_constant_event_and_fields() -> None:
    events = {location: event(call) for location, call in calls()}
    assert len(events) > 90
    assert {location: text for location, text in events.items() if not EVENT.fullmatch(text)} == {}


def test_keys_are_unique_and_not_reserved() -> None:
    problems = {}
    for location, call in calls():
        names = keys(call)
        has_exc_info = any(keyword.arg == "exc_info" for keyword in call.keywords)
        has_trace = has_exc_info or ast.unparse(call.func).endswith(".exception")
        reserved = RESERVED | ({"error"} if has_trace else set())
        reserved |= {"job", "group"} if location.startswith("sidecar") else set()  # every line of the sidecar has those
        if len(set(names)) < len(names) or reserved & set(names):
            problems[location] = names
    assert problems == {}


def test_jobs_are_logged_with_their_group() -> None:
    keys_by_call = {location: keys(call) for location, call in calls()}
    assert {
        location: names for location, names in keys_by_call.items() if "job" in names and "group" not in names
    } == {}


def test_services_do_not_print() -> None:
    """Only commands for people may print."""
    commands = {"api/command.py", "api/cleanup/command.py", "sidecar/command.py", "sidecar/entry.py"}
    printing = {
        str(path.relative_to(ROOT))
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stderr.write", "sys.stdout.write")
    }
    assert printing <= commands
