"""Several decisions in one request: each answers what holds after it."""

import time

from tests.api.schema.asking import Api


def test_a_decision_is_answered_from_after_it_whatever_was_asked_before(api: Api) -> None:
    api.add("job-1")
    api.fill("job-1", {"f": b"x"})
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5 * 86400))
    told = api.ask(f"""mutation {{
        extendPhJobArtifact(where: {{id: "job-1"}}, until: "{until}") {{ pinned totalCount }}
        pinPhJobArtifact(where: {{id: "job-1"}}) {{ pinned pinnedBy }}
        unpinPhJobArtifact(where: {{id: "job-1"}}) {{ pinned totalCount }}
        deletePhJobArtifact(where: {{id: "job-1"}}) {{ files }}
        after: unpinPhJobArtifact(where: {{id: "job-1"}}) {{ totalCount items {{ name }} }}
    }}""")
    assert told == {
        "extendPhJobArtifact": {"pinned": False, "totalCount": 1},
        "pinPhJobArtifact": {"pinned": True, "pinnedBy": "alice"},
        "unpinPhJobArtifact": {"pinned": False, "totalCount": 1},
        "deletePhJobArtifact": {"files": 1},
        "after": {"totalCount": 0, "items": []},
    }
