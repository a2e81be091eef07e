"""Linear algebra, Lanczos, compilation, and the only caller of `torch.distributed`."""
