from api.schema.schema import SCHEMA

print(SCHEMA)
