"""What the resolvers of one request are given."""

from dataclasses import dataclass, field
from functools import cached_property

from api.schema.budget import Budget
from api.schema.sight import Sight
from api.services import RequestContext
from api.usage import Usage


@dataclass(frozen=True)
class Request(RequestContext):
    """The context of one request's resolvers."""

    usage: Usage
    budget: Budget = field(default_factory=Budget)

    @cached_property
    def sight(self) -> Sight:
        """What the request sees of the store, each thing once."""
        return Sight(self.services, self.budget)
