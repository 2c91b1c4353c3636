"""What commands share on a terminal: a bar that shows their `Progress`, and Ctrl-C that ends them in order."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sg_blender_addon.core.progress import Progress

_LAYOUT = "{desc:<26}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that work ends at its next step with its files in order; a second one is brutal."""
    cancel = threading.Event()

    def stop(signum: int, frame: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    if threading.current_thread() is not threading.main_thread():  # nobody can send us signals here
        yield cancel
        return
    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


@contextmanager
def progress_bar(cancel: threading.Event, quiet: bool = False) -> Iterator[Progress]:
    """A progress shown as a bar on stderr with an estimate; silent where stderr is no terminal, or where asked."""
    from tqdm import tqdm

    with tqdm(total=1000, bar_format=_LAYOUT, leave=False, disable=quiet or None, file=sys.stderr) as bar:

        def show(stage: str, fraction: float) -> None:
            bar.set_description_str(stage[-40:], refresh=False)
            bar.update(round(1000 * fraction) - bar.n)

        yield Progress(show, cancel)


def say(text: str) -> None:
    """Print a line above the bar, if there is one."""
    from tqdm import tqdm

    tqdm.write(text)
