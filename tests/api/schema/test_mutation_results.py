"""Several mutations in one request: each mutation returns the state that it leaves."""

import time

from tests.api.schema.graphql_api import Api


def test_each_mutation_returns_the_state_after_it(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"f": b"x"})
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5 * 86400))
    data = api.execute(f"""mutation {{
        extendPhJobArtifact(where: {{id: "job-1"}}, until: "{until}") {{ pinned totalCount }}
        pinPhJobArtifact(where: {{id: "job-1"}}) {{ pinned pinnedBy }}
        unpinPhJobArtifact(where: {{id: "job-1"}}) {{ pinned totalCount }}
        deletePhJobArtifact(where: {{id: "job-1"}}) {{ files }}
        after: unpinPhJobArtifact(where: {{id: "job-1"}}) {{ totalCount items {{ name }} }}
    }}""")
    assert data == {
        "extendPhJobArtifact": {"pinned": False, "totalCount": 1},
        "pinPhJobArtifact": {"pinned": True, "pinnedBy": "alice"},
        "unpinPhJobArtifact": {"pinned": False, "totalCount": 1},
        "deletePhJobArtifact": {"files": 1},
        "after": {"totalCount": 0, "items": []},
    }
