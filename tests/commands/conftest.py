"""Fixtures of the commands' tests."""

import pytest

from tests.commands.ground import Ground, make_ground


@pytest.fixture
def ground() -> Ground:
    """A product of the test's own, in memory."""
    return make_ground()
