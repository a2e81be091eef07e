"""What is in a folder of TensorBoard's logs."""

from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader


class Board(NamedTuple):
    """All that was written, in the order of writing.

    Attributes:
        layouts: of custom scalars, as bytes.
        steps: for each tag the steps at which something was written.
        files: how many files of events there are.
    """

    layouts: list[bytes]
    steps: dict[str, list[int]]
    files: int


def read_board(folder):
    """Reads all files of events in a folder."""
    layouts, steps = [], {}
    files = sorted(Path(folder).rglob("events.out.*"))
    for file in files:
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
                if value.tag == "custom_scalars__config__":
                    layouts.append(value.tensor.string_val[0])
    return Board(layouts, steps, len(files))
