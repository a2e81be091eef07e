"""Figures that nobody looks at: made, but not laid out, and blank where they are shown: half of a small run."""

from pathlib import Path

import numpy as np
from PIL import Image


def blank_figures(set_attribute=setattr):
    """Has figures blank in TensorBoard and in files from here on; `set_attribute` may be that of `monkeypatch`."""
    from matplotlib import pyplot
    from torch.utils.tensorboard import writer

    from pinnlab.reporting.figures import style
    from pinnlab.reporting.files import whole

    def blank(figure, close=True):
        if close:
            pyplot.close(figure)
        return np.zeros((3, 4, 4), np.uint8)

    set_attribute(writer, "figure_to_image", blank)
    set_attribute(style, "save", lambda figure, path, dpi=150: whole(Path(path), Image.new("RGB", (4, 4)).save))


def leave_out(set_attribute=setattr):
    """Has runs make no figures at all, for tests of what else a run does: they take a quarter of a small one."""
    from pinnlab.callbacks import figures, frequencies

    for module in (figures, frequencies):
        set_attribute(module, "board_of", lambda trainer: None)


def leave_margins(set_attribute=setattr):
    """Spares figures the search for their margins, which takes half the time of drawing them."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    set_attribute(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)
