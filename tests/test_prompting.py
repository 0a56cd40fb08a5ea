"""Rendering: chat templates, their switches, system messages, and what stands before a prompt without a template."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lcbench.errors import CannotBuild, UsageError
from lcbench.plan import prompter_of
from lcbench.prompting import CONTEXT, Context, Fitter, Prompter
from lcbench.schema import RunConfig, split_specs
from tests.tokenizers_made import save

THINKING = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "<assistant>{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("byte-level BPE", tmp_path_factory.mktemp("tokenizer"))


def test_messages_and_answer_prefix_stand_as_the_template_puts_them(folder: Path) -> None:
    prompter = Prompter(folder, system="Be brief.")
    text = prompter.render(prompter.conversation("Hello"), " Answer:")
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n Answer:"
    )


def test_no_template_leaves_the_content_and_the_prefix(folder: Path) -> None:
    prompter = Prompter(folder, chat_template="none")
    assert prompter.render(prompter.conversation("Hello"), " Answer:") == "Hello Answer:"


def test_a_missing_template_file_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nosuch\.jinja"):
        Prompter(folder, chat_template=str(tmp_path / "nosuch.jinja"))


def test_thinking_is_off_unless_asked_for(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "thinking.jinja"
    file.write_text(THINKING)
    off = Prompter(folder, chat_template=str(file))
    assert not off.render(off.conversation("Hello"), "").endswith("<think>")
    assert off.template_args == {"enable_thinking": False}  # which run.json keeps

    class Model:
        path = folder

    asked = RunConfig(model="m", model_args={"chat_template.enable_thinking": "true"}, chat_template=str(file))
    on = prompter_of(Model, asked)  # type: ignore[arg-type]
    assert on.render(on.conversation("Hello"), "").endswith("<think>")


@pytest.mark.parametrize("template", ["{% for m in messages %}", "{{ raise_exception('no system role') }}"])
def test_a_template_that_cannot_be_rendered_is_refused(folder: Path, tmp_path: Path, template: str) -> None:
    file = tmp_path / "broken.jinja"
    file.write_text(template)
    prompter = Prompter(folder, chat_template=str(file))
    with pytest.raises(UsageError, match="cannot be rendered"):
        prompter.render(prompter.conversation("Hello"), "")


def test_the_first_token_comes_where_the_tokenizer_puts_one(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    plain = save("SentencePiece without", tmp_path)  # has no chat template
    assert Prompter(plain).bos == []
    file = plain / "tokenizer.json"
    made = Tokenizer.from_file(str(file))
    made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))])
    made.save(str(file))
    assert Prompter(plain).bos == [made.token_to_id("<s>")]
    assert Prompter(plain).encode("Hello")[1:] == made.encode("Hello", add_special_tokens=False).ids


@pytest.mark.parametrize("per_unit", [1.0, 5.0, 40.0])
def test_a_fitted_haystack_has_no_room_for_one_more_unit(folder: Path, per_unit: float) -> None:
    prompter = Prompter(folder)
    line = "A grey heron stood by the mill.\n"
    tokens = prompter.measure([(line,)] * 3)
    assert tokens is not None
    frame = prompter.frame(f"Read.\n{CONTEXT}\nWhat stood there?", " It was")

    def build(n: int) -> Context:
        return Context([line] * n, np.full(n, tokens[0, 0]), [])

    for length in range(300, 330):
        fitter = Fitter(prompter, "task", length, 20)
        found = fitter.fit(frame, build, least=1, most=1000, per_unit=per_unit)
        assert fitter.tokens(frame, found) <= length - 20 < fitter.tokens(frame, build(len(found.pieces) + 1))


def test_a_length_below_the_least_says_what_is_needed(folder: Path) -> None:
    prompter = Prompter(folder)
    frame = prompter.frame(f"Read.\n{CONTEXT}\nWhat stood there?", "")
    needed = prompter.count(frame.left + "word" + frame.right) + 20
    with pytest.raises(CannotBuild, match=f"needs {needed} tokens"):
        Fitter(prompter, "task", 30, 20).fit(frame, lambda n: Context(["word"] * n, None, []), 1, 10, 1.0)


def test_a_token_across_two_pieces_is_not_added_up(folder: Path) -> None:
    prompter = Prompter(folder)
    assert prompter.measure([(" the gr", "ass is green.")] * 3) is None
    assert prompter.measure([(" the", " grass is green.")] * 3) is not None


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("softmax,lucid", ("softmax", "lucid")),
        ("lucid:impl=reference,layers=full,softmax", ("lucid:impl=reference,layers=full", "softmax")),
        ("softmax,x:a=b:c,d=e", ("softmax", "x:a=b:c,d=e")),
        ("", ()),
    ],
)
def test_mechanisms_are_told_apart_from_their_arguments(text: str, specs: tuple[str, ...]) -> None:
    assert split_specs("--attn", text) == specs
