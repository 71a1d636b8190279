"""The service that lists, serves and cleans up the artifacts of jobs: GraphQL, downloads, retention."""
