"""Fixtures shared with the tests of training."""

from tests.training.conftest import base, toy

__all__ = ["base", "toy"]
