"""What a run tells the mechanisms about the model before they choose their implementations."""

from types import SimpleNamespace

from lcbench import runner
from lcbench.attention import parse
from lcbench.attention.base import Choice
from lcbench.engines.transformers import Shape


def test_windows_and_the_widest_head(monkeypatch):
    asked = []

    def resolve(spec, device, dtype, windows=False, head_size=None):
        asked.append((str(spec), windows, head_size))
        return None, Choice("sdpa", "because")

    monkeypatch.setattr(runner, "resolve", resolve)
    shapes = [Shape(2, 64, 0.125, None), Shape(2, 256, 0.0625, 512)]
    engine = SimpleNamespace(
        shapes=shapes, device="cpu", dtype="float32", choices={}, use=lambda *_: None, batch_budget=lambda: (1, "why")
    )
    plan = SimpleNamespace(attention=[parse("softmax"), parse("lucid:layers=full")])
    found = runner.resolved(plan, engine)
    assert {name: choice["impl"] for name, choice in found["attention"].items()} == {
        "softmax": "sdpa",
        "lucid:layers=full": "sdpa",
    }
    assert ("softmax", True, 256) in asked and ("lucid:layers=full", False, 256) in asked
