"""What a pod asks of its collector: taken within the administrator's bounds, and never to the pod's harm."""

import pytest

from artifacts.settings import SidecarSettings
from controller.inject.injection import inject
from tests.controller.pods import NEW, Document, env_of, make_pod, make_settings

PREFIX = "primehub.io/artifact-"


def told(
    annotations: dict[str, str] | None = None, env: list[Document] | None = None, /, **environ: str
) -> tuple[SidecarSettings, list[str]]:
    """What the sidecar makes of it, and the warnings."""
    pod = make_pod(main={"env": env}, annotations={PREFIX + name: text for name, text in (annotations or {}).items()})
    found = inject(pod, make_settings(**environ), NEW)
    return SidecarSettings.from_env(env_of(found.pod["spec"]["initContainers"][0])), found.warnings


def variable(name: str, value: str) -> Document:
    return {"name": f"PHJOB_ARTIFACT_{name}", "value": value}


@pytest.mark.parametrize(
    ("annotation", "text", "field", "expected"),
    [
        ("limit-size-mb", "200", "limit_size_mb", 200),
        ("limit-files", "5", "limit_files", 5),
        ("over-limit", "keep", "over_limit", "keep"),
        ("retention-seconds", "3600", "retention_seconds", 3600),
        ("include", "*.png, plots/**", "include", ("*.png", "plots/**")),
        ("exclude", "*.tmp\n*.bak", "exclude", ("*.tmp", "*.bak")),
        ("digest", "none", "digest", "none"),
        ("grace-seconds", "300", "grace_seconds", 300.0),
        ("grace-seconds", "130.5", "grace_seconds", 131.0),
    ],
)
def test_annotations_are_taken(annotation: str, text: str, field: str, expected: object) -> None:
    settings, warnings = told({annotation: text})
    assert getattr(settings, field) == expected
    assert warnings == []


def test_mains_variables_are_taken_and_annotations_go_before_them() -> None:
    env = [variable("LIMIT_FILES", "7"), variable("LIMIT_SIZE_MB", "8"), variable("RETENTION_SECONDS", "9")]
    settings, warnings = told({"limit-files": "5"}, env)
    assert (settings.limit_files, settings.limit_size_mb, settings.retention_seconds) == (5, 8, 9)
    assert warnings == []


def test_of_two_variables_of_one_name_the_later_holds() -> None:
    assert told(None, [variable("LIMIT_FILES", "7"), variable("LIMIT_FILES", "8")])[0].limit_files == 8


def test_the_administrators_defaults_reach_every_sidecar_and_pods_go_before_them() -> None:
    environ = {
        "PHJOB_ARTIFACT_LIMIT_FILES": "50",
        "PHJOB_ARTIFACT_LINGER_SECONDS": "20",
        "PHJOB_ARTIFACT_EXCLUDE": "*.o",
    }
    assert told(**environ)[0].limit_files == 50
    assert told(**environ)[0].linger_seconds == 20.0
    assert told(**environ)[0].exclude == ("*.o",)
    assert told({"limit-files": "5", "exclude": ""}, **environ)[0].limit_files == 5
    assert told({"exclude": ""}, **environ)[0].exclude == ()


@pytest.mark.parametrize(
    ("annotation", "field", "bound"),
    [
        ("limit-size-mb", "limit_size_mb", 10240),
        ("limit-files", "limit_files", 100_000),
        ("retention-seconds", "retention_seconds", 31_536_000),
        ("grace-seconds", "grace_seconds", 600),
    ],
)
def test_more_than_the_administrator_allows_is_brought_down_to_it(annotation: str, field: str, bound: int) -> None:
    settings, warnings = told({annotation: str(bound + 1)})
    assert getattr(settings, field) == bound
    assert warnings == [f"annotation {PREFIX}{annotation} is more than the administrator allows: {bound} is used"]
    assert told(None, [variable(field.upper(), str(bound + 1))])[1] == [
        f"variable PHJOB_ARTIFACT_{field.upper()} is more than the administrator allows: {bound} is used"
    ]


def test_a_bound_below_the_default_holds_too() -> None:
    settings, warnings = told(PHJOB_ARTIFACT_MAX_LIMIT_FILES="10")
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
def test_what_cannot_be_used_is_ignored_with_a_warning(annotation: str, text: str) -> None:
    settings, warnings = told({annotation: text})
    assert settings == told()[0]
    (warning,) = warnings
    assert warning.startswith(f"annotation {PREFIX}{annotation}=")
    assert warning.isascii()
    assert warning.isprintable()


def test_an_annotation_that_cannot_be_used_leaves_mains_variable_in_force() -> None:
    assert told({"limit-files": "many"}, [variable("LIMIT_FILES", "7")])[0].limit_files == 7


def test_a_misspelled_annotation_is_told() -> None:
    _, warnings = told({"retention": "3600"})
    assert len(warnings) == 1
    assert "'primehub.io/artifact-retention' means nothing here" in warnings[0]
    assert "retention-seconds" in warnings[0]
    assert len(warnings[0]) < 240


def test_what_only_the_kubelet_could_tell_is_not_guessed() -> None:
    env = [
        variable("LIMIT_FILES", "$(OTHER)"),
        variable("INCLUDE", "$$x"),
        {"name": "PHJOB_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    settings, warnings = told(None, env)
    assert (settings.limit_files, settings.include, settings.job) == (1000, (), "job-1")
    assert warnings == []


def test_a_reference_in_an_annotation_stays_the_text_that_it_is() -> None:
    pod = make_pod(annotations={PREFIX + "include": "$(PHJOB_NAME),$$x"})
    container = inject(pod, make_settings(), NEW).pod["spec"]["initContainers"][0]
    (include,) = [each["value"] for each in container["env"] if each["name"] == "PHJOB_ARTIFACT_INCLUDE"]
    assert include == "$$(PHJOB_NAME),$$$$x"


@pytest.mark.parametrize(
    ("value", "job", "warned"),
    [
        ("other", "other", False),
        ("../evil", "job-1", True),
        ("A", "job-1", True),
        ("", "job-1", False),
        ("a\nb", "job-1", True),
    ],
)
def test_the_jobs_name_is_mains_variable_or_the_pods(value: str, job: str, warned: bool) -> None:
    settings, warnings = told(None, [{"name": "PHJOB_NAME", "value": value}])
    assert settings.job == job
    assert bool(warnings) == warned
    assert all(warning.isprintable() for warning in warnings)
