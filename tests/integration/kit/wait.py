# SPDX-License-Identifier: Apache-2.0
"""Bounded waiting."""

import time

PATIENCE = 10.0  # seconds that anything may take on a busy machine


def until(condition, seconds=PATIENCE, what="the condition", every=0.01):
    """Returns the first true value of `condition()`; fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"after {seconds} s still waiting for {said}")
        time.sleep(every)
