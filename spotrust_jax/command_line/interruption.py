"""Ctrl-C: one line on standard error and exit code 130, whatever the process is doing.

SIGTERM, after which training saves, is in training/interruption.py.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_CODE = 130
_LINE = b"error: interrupted\n"
_GRACE = 5.0
"""Seconds for closing files and threads. Compiled code may not notice an exception for minutes, or may lose it."""


def end_at_once() -> None:
    """From here on, Ctrl-C ends the process at once: for a beginning that only imports and has nothing to close."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's background jobs are not to be interrupted
        signal.signal(signal.SIGINT, _end)


class CtrlC:
    """Whether Ctrl-C was pressed, and that its line is printed once."""

    def __init__(self) -> None:
        self.pressed = False
        self._said, self._lock = False, threading.Lock()

    def say(self) -> int:
        """Prints the line, if it is not there yet, and gives the exit code."""
        with self._lock:
            if not self._said:
                _print_line()
            self._said = True
        return EXIT_CODE


@contextlib.contextmanager
def closing_in_time() -> Iterator[CtrlC]:
    """Within it, Ctrl-C raises KeyboardInterrupt, and five seconds later, or at a second Ctrl-C, ends the process.

    What is written to disk replaces files whole, so an end at any moment leaves nothing half written.
    """
    ctrl_c, before = CtrlC(), signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield ctrl_c
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Python's handlers wait for the main thread to come back from compiled code; the byte in this pipe does not.
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_end_in_time, args=(reader, ctrl_c), daemon=True)
    thread.start()
    hook, sys.unraisablehook = sys.unraisablehook, _interrupt_again
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook
        signal.set_wakeup_fd(wakeup)
        if not ctrl_c.pressed:  # else the thread sees to it that the process ends
            os.close(writer)
            thread.join()


def _end_in_time(reader: int, ctrl_c: CtrlC) -> None:
    while not ctrl_c.pressed:
        signals = os.read(reader, 64)
        if not signals:
            os.close(reader)
            return
        ctrl_c.pressed = signal.SIGINT in signals
    select.select([reader], [], [], _GRACE)
    os._exit(ctrl_c.say())


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        # Packages take an exception that interrupts their import for a fault of their installation.
        _end(number, frame)
    # Not signal.default_int_handler, which asyncio would replace by one that cancels tasks.
    raise KeyboardInterrupt


def _interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Raises what Python drops where it cannot raise: in a finaliser, or in jax's callback of the garbage collector."""
    if not issubclass(ignored.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)
        return
    # Not from here, where it would be dropped again.
    threading.Timer(0.05, _raise_in_main_thread).start()


def _raise_in_main_thread() -> None:
    thread = ctypes.c_ulong(threading.main_thread().ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(KeyboardInterrupt))


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(number: int, frame: FrameType | None) -> None:
    _print_line()
    os._exit(EXIT_CODE)


def _print_line() -> None:
    """Prints the line on one of its own, below a progress bar if one is shown."""
    tqdm = sys.modules.get("tqdm")
    shown = [bar for bar in getattr(tqdm and tqdm.tqdm, "_instances", ()) if _is_shown(bar)]
    for bar in shown:
        bar.disable = True  # or it would be drawn once more when it is closed
    os.write(2, b"\n" * bool(shown) + _LINE)


def _is_shown(bar: "tqdm.tqdm") -> bool:
    return not bar.disable and (bar.delay <= 0 or bar.last_print_t > bar.start_t)
