"""GraphQL: the schema in Graphene, its execution, and the limits on requests."""
