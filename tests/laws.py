"""How laws are checked against generated values, however slow the machine is today.

The same values each time, so that a test gives the same answer each time; `make test-laws` explores others, and more.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", settings.get_profile("laws"), derandomize=False, max_examples=1000, print_blob=True
)
settings.load_profile(os.environ.get("REPROLOCK_LAWS", "laws"))
