"""Who calls and what they may: authenticators, rules, signed links."""
