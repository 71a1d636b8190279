"""Objects of cert-manager and of the Prometheus operator are what their own definitions take, every field known."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.machine import require
from tests.manifests.builds import ROOT, Document, build

CRDS = ROOT / ".tools/crds"
FOREIGN = [
    each for each in build("everything") if each["apiVersion"] in ("cert-manager.io/v1", "monitoring.coreos.com/v1")
]


def test_there_are_such_objects() -> None:
    kinds = {"Certificate", "Issuer", "PodMonitor", "ServiceMonitor", "PrometheusRule"}
    assert {each["kind"] for each in FOREIGN} == kinds


@pytest.mark.parametrize("document", FOREIGN, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_they_are_valid(document: Document) -> None:
    assert problems(document) == []


def test_a_field_that_is_not_known_is_seen() -> None:
    [first, *_] = FOREIGN
    assert problems({**first, "spec": {**first["spec"], "selfsigned": {}}})


def problems(document: Document) -> list[str]:
    validator = importlib.import_module("jsonschema").Draft202012Validator(strict(schema_of(document)))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def schema_of(document: Document) -> Document:
    require(CRDS.exists(), "the definitions of cert-manager and the Prometheus operator (make tools)")
    _, _, version = document["apiVersion"].partition("/")
    for path in sorted(Path(CRDS).glob("*.yaml")):
        definition = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]
        if definition["names"]["kind"] == document["kind"]:
            [found] = [each for each in definition["versions"] if each["name"] == version]
            schema: Document = found["schema"]["openAPIV3Schema"]
            return schema
    raise LookupError(document["kind"])


def strict(schema: Any) -> Any:
    """The schema, taking no field that it does not name: the API server would drop it without a word."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        found.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    return found
