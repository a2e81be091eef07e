"""Figures, one file for what they show; each file imports Matplotlib only when it draws."""
