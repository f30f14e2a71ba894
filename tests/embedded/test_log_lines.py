"""One line a record, whatever stands in its facts."""

import logging

from infra.logs import Facts


def line(message: str, **facts: object) -> str:
    record = logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO", **facts})
    return Facts().format(record)


def test_the_message_and_its_facts_stand_in_one_line() -> None:
    told = line("run started", run="r1", position=7)
    assert told.startswith("timestamp=")
    assert told.endswith("level=info event=run started run=r1 position=7")


def test_nobody_forges_a_line_by_what_he_calls_his_things() -> None:
    told = line("refused", name="x\ntimestamp=2026-01-01T00:00:00Z level=info event=all is well")
    assert len(told.splitlines()) == 1


def test_a_failure_is_told_with_its_trace() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        told = line("stopped", exc_info=(type(error), error, error.__traceback__))
    first, *trace = told.splitlines()
    assert first.endswith("event=stopped")
    assert trace[-1] == "ValueError: boom"
