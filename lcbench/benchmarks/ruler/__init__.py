"""RULER's 13 tasks. Formats, parameters and metrics follow NVIDIA/RULER at c3f5e3b (scripts/data/synthetic/*.py)."""
