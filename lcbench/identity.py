"""What a run is, and where it was made: the first lines of run.json, and the folder's name."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lcbench import __version__
from lcbench.engines.transformers import TransformersEngine
from lcbench.lengths import show_length
from lcbench.plan import Plan
from lcbench.schema import Data, Task
from lcbench.seeds import digest


def identity(plan: Plan) -> dict[str, Any]:
    """What decides a run's records: a run folder holds one identity, and refuses another by naming what differs."""
    c = plan.config
    return {
        "lcbench": __version__,
        "model": plan.model.name,
        "model_source": plan.model.source,
        "model_revision": plan.model.revision,
        "model_fingerprint": plan.model.fingerprint,
        "model_args": dict(sorted(c.model_args.items())),
        "attn": [str(s) for s in plan.attention],
        "tasks": {x.task.name: f"version {x.task.version}, {_content(x.task)}" for x in plan.cells},
        "lengths": [show_length(x) for x in dict.fromkeys(x.length for x in plan.cells)],
        "samples": plan.samples,
        "until_ci": c.until_ci,
        "prompt": {x.task.name: x.wording.prompt for x in plan.cells},
        "texts": {x.task.name: x.wording.sha256 for x in plan.cells},
        "materials": plan.materials,
        "max_new_tokens": c.max_new_tokens,
        "strategy": c.strategy,
        "engine": f"{c.engine} {TransformersEngine.version}",
        "dtype": c.dtype,
        "device": c.device,
        "seed": c.seed,
        "tokenizer": digest(plan.prompter.backend.to_str()),
        "chat_template": None if plan.prompter.template is None else digest(plan.prompter.template),
        "chat_template_args": plan.prompter.template_args,
        # the rendered frame too: a template may print the date
        "chat_frame": digest(plan.prompter.render(plan.prompter.conversation("content"), "")),
        "system": c.system,
    }


def surroundings(plan: Plan) -> dict[str, Any]:
    """Where a run was made: for the reader of a result; it decides nothing."""
    import torch

    return {
        "config": plan.config.model_dump(),
        "model": {
            "licence": plan.model.licence,
            "context_length": plan.model.context_length,
            "trained_attention": plan.model.trained_attention,
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": TransformersEngine.version,
        },
        "machine": {
            "platform": platform.platform(),
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
        "git_revision": _git_revision(),
        "not_available": {f"{c.task.name}:{show_length(c.length)}": c.na for c in plan.cells if c.na},
    }


def _cpu() -> str | None:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), None)


def _git_revision() -> str | None:
    """The commit of the checkout that this package lies in, None for an installed one, and where git is not there."""
    here = Path(__file__).parent.parent
    if not (here / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def _content(task: Task) -> str:
    """A digest of all that decides a task's samples and scores; its description does not."""
    content = task.model_dump(exclude={"description", "source", "divergences", "aliases", "group", "split"})
    if isinstance(task.data, Data):
        content["data"]["file"] = None  # what the file holds is in the materials
    return digest(content)[:12]


def default_folder(plan: Plan) -> Path:
    """results/runs/NAME-CONFIGHASH: the same command finds its own folder again."""
    c = plan.config
    name = f"{Path(plan.model.name).name}-{c.suite or '+'.join(c.tasks) or 'quick'}"
    prompts = [x.wording.prompt for x in plan.cells]
    asked = [c.model_dump(), [str(s) for s in plan.attention], [x.id for x in plan.cells], plan.samples, prompts]
    return Path("results/runs") / f"{re.sub('[^A-Za-z0-9._+-]', '_', name)[:80]}-{digest(asked)[:10]}"
