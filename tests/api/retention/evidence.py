"""Evidence and rules for tests of terms: a moment, and days around it."""

from api.retention.expiry import RetentionPolicy

NOW = 1_700_000_000.0
DAY = 86400
RULES = RetentionPolicy(retention=7 * DAY, maximum=365 * DAY)
