"""The same tests on PostgreSQL and Redis: `python -m tests.services` starts both, runs pytest, and stops them."""
