"""The prompts that wait, the one that runs, and what became of those before. Used from two threads."""

import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from workflows.protocol.history import HistoryEntry
from workflows.protocol.queue import Queue, QueuedPrompt

HISTORY_MAX = 10_000


class AmbiguousOrderError(Exception):
    """Number and id equal those of a waiting prompt. It is queued all the same, as in the original."""


class PromptQueue:
    """`changed` is called with the number of unfinished prompts, in the order of the changes."""

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._lock = threading.Condition()
        self._waiting: list[tuple[float, str, int, QueuedPrompt]] = []
        self._sequence = count()
        self._running: QueuedPrompt | None = None
        self._history: dict[str, HistoryEntry] = {}
        self._numbers = count()
        self._to_free = {"unload_models": False, "free_memory": False}

    def next_number(self) -> int:
        return next(self._numbers)

    def put(self, prompt: QueuedPrompt) -> None:
        """Raises AmbiguousOrderError after queueing."""
        with self._lock:
            ambiguous = any(entry[:2] == (prompt.number, prompt.prompt_id) for entry in self._waiting)
            heappush(self._waiting, (prompt.number, prompt.prompt_id, next(self._sequence), prompt))
            self._changed(self._remaining())
            self._lock.notify()
        if ambiguous:
            raise AmbiguousOrderError

    def take(self) -> QueuedPrompt | None:
        """Wait for the next prompt, which now runs; None when there is memory to be freed first."""
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or any(self._to_free.values()))
            if any(self._to_free.values()):
                return None
            self._running = heappop(self._waiting)[3]
            self._changed(self._remaining())
            return self._running

    def free(self, *, unload_models: bool, free_memory: bool) -> None:
        with self._lock:
            self._to_free["unload_models"] |= unload_models
            self._to_free["free_memory"] |= free_memory
            self._lock.notify()

    def to_free(self) -> bool:
        """Whether the results are to be forgotten; asked once."""
        with self._lock:
            forget = self._to_free["free_memory"]
            self._to_free = dict.fromkeys(self._to_free, False)
            return forget

    def done(self, entry: HistoryEntry) -> None:
        with self._lock:
            self._running = None
            self._history.pop(entry.prompt.prompt_id, None)
            self._history[entry.prompt.prompt_id] = entry
            while len(self._history) > HISTORY_MAX:
                self._history.pop(next(iter(self._history)))
            self._changed(self._remaining())

    def _remaining(self) -> int:
        return len(self._waiting) + (self._running is not None)

    def remaining(self) -> int:
        with self._lock:
            return self._remaining()

    def shown(self) -> Queue:
        """Waiting prompts in heap order."""
        with self._lock:
            running = (self._running,) if self._running else ()
            return Queue(running, tuple(entry[3] for entry in self._waiting))

    def runs(self, prompt_id: str) -> bool:
        with self._lock:
            return self._running is not None and self._running.prompt_id == prompt_id

    def remove(self, prompt_id: str) -> None:
        """Take one waiting prompt out. Unknown and running ones are ignored."""
        with self._lock:
            for place, entry in enumerate(self._waiting):
                if entry[1] == prompt_id:
                    del self._waiting[place]
                    heapify(self._waiting)
                    self._changed(self._remaining())
                    return

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._changed(self._remaining())

    def history(self, prompt_id: str) -> dict[str, HistoryEntry]:
        with self._lock:
            entry = self._history.get(prompt_id)
        return {prompt_id: entry} if entry else {}

    def histories(self, most: int | None, offset: int) -> dict[str, HistoryEntry]:
        """The newest `most`, oldest first; with an offset of 0 or more counted from the oldest."""
        with self._lock:
            entries = list(self._history.items())
        if most is None and offset < 0:
            return dict(entries)
        start = offset if offset >= 0 else max(0, len(entries) - (most or 0))
        return dict(entries[start : None if most is None else start + most])

    def forget(self, prompt_id: str) -> None:
        with self._lock:
            self._history.pop(prompt_id, None)

    def forget_all(self) -> None:
        with self._lock:
            self._history.clear()
