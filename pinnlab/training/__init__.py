"""The Lightning side: module, data module, points, phases, and the way from one phase to the next."""
