"""The service that lists, serves and cleans up what jobs left: GraphQL, downloads, retention."""
