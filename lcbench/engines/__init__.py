"""Engines: token ids in, completions out. They know nothing of tasks. `base` says what one is; a module builds each."""
