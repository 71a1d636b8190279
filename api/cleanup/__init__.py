"""Removing what has expired: plan, guard, run, timetable, and the lock that leaves it to one replica."""
