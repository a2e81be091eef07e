"""Figures that nobody looks at: made, but not laid out, and blank in TensorBoard, which takes half of a small run."""

import numpy as np


def blank_figures(set_attribute=setattr):
    """Has figures rendered blank for TensorBoard from here on; `set_attribute` may be that of `monkeypatch`."""
    from matplotlib import pyplot
    from torch.utils.tensorboard import writer

    def blank(figure, close=True):
        if close:
            pyplot.close(figure)
        return np.zeros((3, 4, 4), np.uint8)

    set_attribute(writer, "figure_to_image", blank)


def leave_margins(set_attribute=setattr):
    """Spares figures the search for their margins, which takes half the time of drawing them."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    set_attribute(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)
