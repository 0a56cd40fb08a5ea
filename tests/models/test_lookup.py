"""What `--model` and `--model-args` mean, with nothing but folders: no network, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lcbench.errors import UsageError
from lcbench.models import aliases, parse_model_args, resolve
from tests.models import tiny


def write_folder(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64} | config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"start" + bytes(3 << 20) + b"end")
    return folder


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("LCBENCH_CONFIG", str(tmp_path / "config"))


def test_folder(tmp_path):
    folder = write_folder(tmp_path / "org" / "mine")
    model = resolve(str(folder))
    assert (model.name, model.path, model.source, model.revision) == ("mine", folder, "folder", None)
    assert (model.size_bytes, model.context_length, model.licence) == ((3 << 20) + 8, 64, None)
    assert model.trained_attention == "softmax"


def test_licence_comes_from_the_model_card(tmp_path):
    folder = write_folder(tmp_path / "mine")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# Mine\n")
    assert resolve(str(folder)).licence == "apache-2.0"


@pytest.mark.parametrize("config", [{"lcbench": {"attn": "lucid"}}, {"lcbench.attn": "lucid"}])
def test_weights_remember_their_attention(tmp_path, config):
    assert resolve(str(write_folder(tmp_path / "mine", **config))).trained_attention == "lucid"


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_file_is_named(tmp_path, file):
    folder = write_folder(tmp_path / "mine")
    (folder / file).unlink()
    with pytest.raises(UsageError, match=file):
        resolve(str(folder))


def test_missing_shard_is_named(tmp_path):
    folder = write_folder(tmp_path / "mine")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match=r"no model-2\.safetensors:"):
        resolve(str(folder))


def test_tokenizer_only_needs_no_weights(tmp_path):
    folder = write_folder(tmp_path / "mine")
    (folder / "model.safetensors").unlink()
    assert resolve(str(folder), tokenizer_only=True).size_bytes is None


def test_fingerprint_sees_what_changes_answers_and_nothing_else(tmp_path):
    folder = write_folder(tmp_path / "mine")
    seen = {resolve(str(folder)).fingerprint}
    (folder / "README.md").write_text("prose")
    assert {resolve(str(folder)).fingerprint} == seen

    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for changed in (b"Start" + content[5:], content[:-3] + b"END", content + b"!"):
        weights.write_bytes(changed)
        seen.add(resolve(str(folder)).fingerprint)
    (folder / "tokenizer.json").write_text("{ }")
    seen.add(resolve(str(folder)).fingerprint)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    seen.add(resolve(str(folder)).fingerprint)
    assert len(seen) == 6


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_python_code_runs_only_when_allowed(tmp_path, file):
    folder = write_folder(tmp_path / "mine")
    (folder / file).write_text(json.dumps({"auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}}))
    with pytest.raises(UsageError, match=rf"Python code .*{file}") as refusal:
        resolve(str(folder))
    assert "trust_remote_code=true" in refusal.value.hint
    with pytest.raises(UsageError, match="neither true nor false"):
        resolve(str(folder), {"trust_remote_code": "yes"})
    assert resolve(str(folder), {"trust_remote_code": "true"}).path == folder


def test_unknown_name_is_refused_with_the_nearest_alias():
    with pytest.raises(UsageError, match="smolm2-135m") as refusal:
        resolve("smolm2-135m")
    assert "smollm2-135m" in refusal.value.hint


@pytest.mark.parametrize("spec", ["./org/name", "/no/such/folder", "a/b/c", "org/model.gguf", "~/nothing-here"])
def test_a_path_that_is_not_there_is_no_hub_id(spec):
    with pytest.raises(UsageError, match="No model"):
        resolve(spec)


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"PK")
    with pytest.raises(UsageError, match="no GGUF file"):
        resolve(str(tmp_path / "model.bin"))


def test_revision_is_for_hub_ids(tmp_path):
    with pytest.raises(UsageError, match="revision=v1"):
        resolve(str(write_folder(tmp_path / "mine")), {"revision": "v1"})


def test_user_aliases_come_before_bundled_ones(tmp_path):
    assert aliases()["smollm2-135m"].licence == "Apache-2.0"
    tiny.write_alias(tmp_path / "config", "smollm2-135m", b"GGUF")
    tiny.write_alias(tmp_path / "config", "mine", b"GGUF")
    assert aliases()["smollm2-135m"].licence == aliases()["mine"].licence == "MIT"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("licence: MIT\ncontext_length: 8\nparameters: 1\n", "give `hub`, `gguf` or both"),
        ("hub: a/b\nlicence: MIT\ncontext_length: 8\nparameters: 1\ncolour: red\n", "colour"),
        ("hub: [", "not YAML"),
    ],
)
def test_broken_alias_names_file_and_key(tmp_path, text, said):
    file = tmp_path / "config" / "models" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as refusal:
        aliases()
    assert str(file) in refusal.value.message


def test_model_args():
    text = (
        """revision=v1.0,trust_remote_code=true,rope_scaling='{"factor": 4, "rope_type": "yarn"}',chat_template.a=b=c"""
    )
    assert parse_model_args(text) == {
        "revision": "v1.0",
        "trust_remote_code": "true",
        "rope_scaling": '{"factor": 4, "rope_type": "yarn"}',
        "chat_template.a": "b=c",
    }
    assert parse_model_args("") == {}
    assert parse_model_args("quantization=#8") == {"quantization": "#8"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("revison=v1", "no key 'revison'"),
        ("chat_template.=1", "no key"),
        ("revision", "not KEY=VALUE"),
        ("revision=a,revision=b", "twice"),
        ("rope_scaling='{", "does not close"),
    ],
)
def test_broken_model_args_are_refused(text, said):
    with pytest.raises(UsageError, match=said):
        parse_model_args(text)


def test_nearest_model_arg_is_hinted():
    with pytest.raises(UsageError) as refusal:
        parse_model_args("revison=v1")
    assert refusal.value.hint == "did you mean revision?"


def test_a_folder_resolves_without_heavy_imports(tmp_path):
    code = "import sys; from lcbench.models import resolve; resolve(sys.argv[1])\n"
    code += "print({'torch', 'transformers', 'huggingface_hub', 'pydantic'} & set(sys.modules))"
    command = [sys.executable, "-c", code, str(write_folder(tmp_path / "mine"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"
