"""Pure functions that look at a loss or an error: spectra of the kernel and the curvature, frequencies, signatures."""
