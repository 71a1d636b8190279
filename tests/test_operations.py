"""docs/operations.md agrees with the code on settings, Events, reasons, names of objects and folders."""

import re
from pathlib import Path

from artifacts.environment import Setting
from artifacts.job_options import ANNOTATION_PREFIX, OPTIONS
from controller.inject.pod import GROUP_LABEL, OUTCOME_ANNOTATION, RESULT_ANNOTATION, USER_LABEL
from controller.injection_pauses import RESUMED_AT_ANNOTATION
from controller.reconcile import settings
from controller.reconcile.events import (
    ARTIFACT_EVENTS,
    LEFT_TO_WRAPPER,
    POD_DELAYED,
    SIDECAR_FAILED,
    SWITCHED_OFF,
)
from controller.reconcile.names import INJECTION_LABEL
from controller.reconcile.outcome import NOT_INJECTED_REASONS
from controller.settings import SETTINGS_TABLE as WEBHOOK
from tests.test_docs import rows

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/operations.md").read_text()


def row(setting: Setting) -> tuple[str, str, str]:
    default = "required" if setting.default is None else f"`{setting.default}`" if setting.default else "empty"
    return f"`{setting.env}`", default, setting.help


def test_page_lists_all_settings_of_controller_and_webhook() -> None:
    listed = {cells for cells in rows(PAGE, 3) if cells[0].startswith("`PHJOB_")}
    assert listed == {row(setting) for setting in settings.SETTINGS_TABLE + WEBHOOK}


def test_page_lists_all_events_with_their_meaning() -> None:
    listed = {cells for cells in rows(PAGE, 3) if cells[1] in ("Normal", "Warning")}
    events = (*ARTIFACT_EVENTS.values(), LEFT_TO_WRAPPER, SIDECAR_FAILED, SWITCHED_OFF, POD_DELAYED)
    assert listed == {(f"`{reason}`", kind, words) for kind, reason, words in events}


def test_page_lists_all_reasons_for_pods_without_a_sidecar() -> None:
    assert {(f"`{reason}`", text) for reason, text in NOT_INJECTED_REASONS.items()} <= rows(PAGE, 2)


def test_page_names_only_labels_and_annotations_of_the_code() -> None:
    named = {name.replace("\\", "") for name in re.findall(r"primehub\\?\.io/[a-z-]*[a-z]", PAGE)}
    options = {ANNOTATION_PREFIX + name.replace("_", "-") for name in OPTIONS}
    assert named - options == {
        *(INJECTION_LABEL, RESUMED_AT_ANNOTATION, USER_LABEL, GROUP_LABEL),
        *(RESULT_ANNOTATION, OUTCOME_ANNOTATION),
    }


def test_folders_exist() -> None:
    folders = re.findall(r"`((?:manifests|components)/[a-z0-9/-]+/)`", PAGE)
    assert len(folders) > 8
    missing = [name for name in folders if not any((root / name).is_dir() for root in (ROOT, ROOT / "manifests"))]
    assert missing == []
