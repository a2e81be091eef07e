"""What is shown of a run: loggers, cards, TensorBoard's layout, figures."""
