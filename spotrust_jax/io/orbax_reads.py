"""Reading by Orbax that says nothing but its exception, and leaves nothing going on, where a checkpoint is damaged.

At the first array that is damaged Orbax closes its event loop. TensorStore's threads are reading the others still, find
the loop closed, and each prints a traceback. Before, Orbax logs what it finds wrong in its own files.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()


@contextlib.contextmanager
def quiet_reads() -> Iterator[None]:
    """Around reading: event loops wait before they close until all of their tasks are done, and absl logs nothing."""
    logger = logging.getLogger("absl")
    with _LOCK:
        policy, level = asyncio.get_event_loop_policy(), logger.level
        asyncio.set_event_loop_policy(_WaitingPolicy())
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            asyncio.set_event_loop_policy(policy)
            logger.setLevel(level)


def reason(error: BaseException) -> str:
    """The first words of what went wrong at the bottom: Orbax wraps it in its own description of the array."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:100]}"


class _WaitingLoop(asyncio.SelectorEventLoop):
    def close(self) -> None:
        if not self.is_closed() and (tasks := asyncio.all_tasks(self)):
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        super().close()


class _WaitingPolicy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return _WaitingLoop()
