"""What `--model` names: an alias, a local folder, a GGUF file or a hub id, always answered with one local folder."""

from lcbench.models.folder import Model
from lcbench.models.lookup import aliases, parse_model_args, resolve

__all__ = ["Model", "aliases", "parse_model_args", "resolve"]
