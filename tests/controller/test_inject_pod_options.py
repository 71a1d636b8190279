"""Options that a pod sets: they apply within the administrator's limits, and invalid ones do no harm."""

import pytest

from artifacts.settings import SidecarSettings
from controller.inject.injection import inject
from tests.controller.pod_samples import NEW, Document, env_of, make_pod, make_settings

PREFIX = "primehub.io/artifact-"


def options_of(
    annotations: dict[str, str] | None = None, env: list[Document] | None = None, /, **environ: str
) -> tuple[SidecarSettings, list[str]]:
    """Return the settings that the sidecar reads, and the warnings."""
    pod = make_pod(main={"env": env}, annotations={PREFIX + name: text for name, text in (annotations or {}).items()})
    injection = inject(pod, make_settings(**environ), NEW)
    return SidecarSettings.from_env(env_of(injection.pod["spec"]["initContainers"][0])), injection.warnings


def variable(name: str, value: str) -> Document:
    return {"name": f"PHJOB_ARTIFACT_{name}", "value": value}


@pytest.mark.parametrize(
    ("annotation", "text", "field", "expected"),
    [
        ("limit-size-mb", "200", "limit_size_mb", 200),
        ("limit-files", "5", "limit_files", 5),
        ("over-limit", "keep", "over_limit", "keep"),
        ("links", "skip", "links", "skip"),
        ("retention-seconds", "3600", "retention_seconds", 3600),
        ("include", "*.png, plots/**", "include", ("*.png", "plots/**")),
        ("exclude", "*.tmp\n*.bak", "exclude", ("*.tmp", "*.bak")),
        ("digest", "none", "digest", "none"),
        ("grace-seconds", "300", "grace_seconds", 300.0),
        ("grace-seconds", "130.5", "grace_seconds", 131.0),
    ],
)
def test_annotations_set_options(annotation: str, text: str, field: str, expected: object) -> None:
    settings, warnings = options_of({annotation: text})
    assert getattr(settings, field) == expected
    assert warnings == []


def test_mains_variables_set_options_and_annotations_take_precedence() -> None:
    env = [variable("LIMIT_FILES", "7"), variable("LIMIT_SIZE_MB", "8"), variable("RETENTION_SECONDS", "9")]
    settings, warnings = options_of({"limit-files": "5"}, env)
    assert (settings.limit_files, settings.limit_size_mb, settings.retention_seconds) == (5, 8, 9)
    assert warnings == []


def test_the_later_of_two_equal_variables_is_used() -> None:
    assert options_of(None, [variable("LIMIT_FILES", "7"), variable("LIMIT_FILES", "8")])[0].limit_files == 8


def test_the_administrators_defaults_apply_unless_the_pod_overrides_them() -> None:
    environ = {
        "PHJOB_ARTIFACT_LIMIT_FILES": "50",
        "PHJOB_ARTIFACT_LINGER_SECONDS": "20",
        "PHJOB_ARTIFACT_EXCLUDE": "*.o",
    }
    assert options_of(**environ)[0].limit_files == 50
    assert options_of(**environ)[0].linger_seconds == 20.0
    assert options_of(**environ)[0].exclude == ("*.o",)
    assert options_of({"limit-files": "5", "exclude": ""}, **environ)[0].limit_files == 5
    assert options_of({"exclude": ""}, **environ)[0].exclude == ()


@pytest.mark.parametrize(
    ("annotation", "field", "maximum"),
    [
        ("limit-size-mb", "limit_size_mb", 10240),
        ("limit-files", "limit_files", 100_000),
        ("retention-seconds", "retention_seconds", 31_536_000),
        ("grace-seconds", "grace_seconds", 600),
    ],
)
def test_values_over_the_administrators_maximum_are_lowered_with_a_warning(
    annotation: str, field: str, maximum: int
) -> None:
    settings, warnings = options_of({annotation: str(maximum + 1)})
    assert getattr(settings, field) == maximum
    assert warnings == [f"annotation {PREFIX}{annotation} exceeds the administrator's maximum, so {maximum} is used"]
    assert options_of(None, [variable(field.upper(), str(maximum + 1))])[1] == [
        f"variable PHJOB_ARTIFACT_{field.upper()} exceeds the administrator's maximum, so {maximum} is used"
    ]


def test_a_maximum_below_the_default_applies_without_a_warning() -> None:
    settings, warnings = options_of(PHJOB_ARTIFACT_MAX_LIMIT_FILES="10")
    assert settings.limit_files == 10
    assert warnings == []


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("limit-files", "many"),
        ("limit-files", "-1"),
        ("limit-files", "1e9"),
        ("limit-files", ""),
        ("limit-size-mb", "9" * 5000),
        ("retention-seconds", "0"),
        ("retention-seconds", "7\x00"),
        ("over-limit", "explode"),
        ("include", "a\x00b"),
        ("include", "a\x1b[31mb"),
        ("include", "\ud800"),
        ("include", ",".join(["x"] * 65)),
        ("exclude", "x" * 257),
        ("grace-seconds", "nan"),
        ("grace-seconds", "inf"),
        ("digest", "md5"),
        ("enabled", "maybe"),
    ],
)
def test_invalid_annotations_are_ignored_with_a_warning(annotation: str, text: str) -> None:
    settings, warnings = options_of({annotation: text})
    assert settings == options_of()[0]
    (warning,) = warnings
    assert warning.startswith(f"annotation {PREFIX}{annotation}=")
    assert warning.isascii()
    assert warning.isprintable()


def test_mains_variable_applies_if_the_annotation_is_invalid() -> None:
    assert options_of({"limit-files": "many"}, [variable("LIMIT_FILES", "7")])[0].limit_files == 7


def test_an_unknown_annotation_is_warned_about() -> None:
    _, warnings = options_of({"retention": "3600"})
    assert len(warnings) == 1
    assert warnings[0].startswith("unknown annotation 'primehub.io/artifact-retention':")
    assert "retention-seconds" in warnings[0]
    assert len(warnings[0]) < 240


def test_values_that_only_the_kubelet_can_compute_are_ignored() -> None:
    env = [
        variable("LIMIT_FILES", "$(OTHER)"),
        variable("INCLUDE", "$$x"),
        {"name": "PHJOB_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    settings, warnings = options_of(None, env)
    assert (settings.limit_files, settings.include, settings.job) == (1000, (), "job-1")
    assert warnings == []


def test_references_in_annotations_are_not_expanded() -> None:
    pod = make_pod(annotations={PREFIX + "include": "$(PHJOB_NAME),$$x"})
    container = inject(pod, make_settings(), NEW).pod["spec"]["initContainers"][0]
    (include,) = [variable["value"] for variable in container["env"] if variable["name"] == "PHJOB_ARTIFACT_INCLUDE"]
    assert include == "$$(PHJOB_NAME),$$$$x"


@pytest.mark.parametrize(
    ("value", "job", "has_warning"),
    [
        ("other", "other", False),
        ("../evil", "job-1", True),
        ("A", "job-1", True),
        ("", "job-1", False),
        ("a\nb", "job-1", True),
    ],
)
def test_the_jobs_name_is_mains_variable_or_the_pods_name(value: str, job: str, has_warning: bool) -> None:
    settings, warnings = options_of(None, [{"name": "PHJOB_NAME", "value": value}])
    assert settings.job == job
    assert bool(warnings) == has_warning
    assert all(warning.isprintable() for warning in warnings)
