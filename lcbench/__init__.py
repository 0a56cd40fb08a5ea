"""lcbench: how well a language model uses long context, under a chosen attention mechanism, and what that costs."""

__version__ = "0.1.0"
