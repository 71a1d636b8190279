"""Objects of cert-manager and the Prometheus operator are valid by their own CRDs, without unknown fields."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.machine import require
from tests.manifests.builds import ROOT, Document, build

CRDS = ROOT / ".tools/crds"
FOREIGN = [
    document
    for document in build("everything")
    if document["apiVersion"] in ("cert-manager.io/v1", "monitoring.coreos.com/v1")
]


def test_all_foreign_kinds_are_covered() -> None:
    kinds = {"Certificate", "Issuer", "PodMonitor", "ServiceMonitor", "PrometheusRule"}
    assert {document["kind"] for document in FOREIGN} == kinds


@pytest.mark.parametrize("document", FOREIGN, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}")
def test_foreign_objects_are_valid(document: Document) -> None:
    assert problems(document) == []


def test_unknown_field_is_detected() -> None:
    [first, *_] = FOREIGN
    assert problems({**first, "spec": {**first["spec"], "selfsigned": {}}})


def problems(document: Document) -> list[str]:
    """Return the validation errors."""
    validator = importlib.import_module("jsonschema").Draft202012Validator(strict(schema_of(document)))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def schema_of(document: Document) -> Document:
    """Return the schema of the object's kind and version."""
    require(CRDS.exists(), "the CRDs of cert-manager and the Prometheus operator (make tools)")
    _, _, version = document["apiVersion"].partition("/")
    for path in sorted(Path(CRDS).glob("*.yaml")):
        definition = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]
        if definition["names"]["kind"] == document["kind"]:
            [served] = [candidate for candidate in definition["versions"] if candidate["name"] == version]
            schema: Document = served["schema"]["openAPIV3Schema"]
            return schema
    raise LookupError(document["kind"])


def strict(schema: Any) -> Any:
    """Return the schema without additional fields, because the API server drops unknown fields silently."""
    if isinstance(schema, list):
        return [strict(element) for element in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        result.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    return result
