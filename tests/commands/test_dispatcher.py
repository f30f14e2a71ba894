"""Everything that can be wished for is granted by somebody."""

from commands.dispatcher import HANDLERS
from commands.needs import Command


def test_every_command_has_its_handler() -> None:
    ours = {each for each in Command.__subclasses__() if each.__module__.startswith("commands.")}
    assert set(HANDLERS) == ours
