"""The sources of BABILong, LongBench-v2, ZeroSCROLLS, GSM8K and MATH-500: addresses, revisions and hashes.

Where a size and a hash stand here, they were computed from the bytes at that revision. Two were not: MATH-500's are
those of openai/prm800k's own large-file pointer, and those of LongBench-v2's data are the ones that several public
projects agree on. ZeroSCROLLS and the bAbI archive are pinned by the commit in their address alone.
"""

from __future__ import annotations

from lcbench.data.convert import babi_archive, babilong_texts, json_lines, longbench_texts, unchanged, zip_member
from lcbench.data.source import Download, Source, github, hub

BABILONG_REVISION = "7a6efee29f5cac03c3c410e6799c80fd2ffe3610"
LONGBENCH_REVISION = "2e00731f8d0bff23dc4325161044d0ed8af94c1e"
LONGBENCH_DATA_REVISION = "2b48e494f2c7a2f0af81aae178e05c7e1dde0fe9"
ZERO_SCROLLS_REVISION = "6b18a58745ba43638ef1076a30fb2c38da6d459e"
GSM8K_REVISION = "3101c7d5072418e28b9008a6636bde82a006892c"
MATH500_REVISION = "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"
SQUALITY_REVISION = "dc08d4f574639d773bc64ef3ab3527043108fb4e"

# Data sets that are too big to pull whole, for `rows.hub_rows`: configurations are lengths, splits are tasks.
HUB = {
    "babilong": ("RMT-team/babilong", "ee0d588794c7ac098062ee0d247c733d62e94fe2"),
    "babilong_1k": ("RMT-team/babilong-1k-samples", "fc4d1a584dfc498c37578753bee4cdd91b987ae2"),
}

ZERO_SCROLLS = (
    "gov_report",
    "summ_screen_fd",
    "qmsum",
    "squality",
    "qasper",
    "narrative_qa",
    "quality",
    "musique",
    "space_digest",
    "book_sum_sort",
)


def _zero_scrolls(task: str, split: str) -> Source:
    """One split of one task. The test split has no answers: it is for the leaderboard."""
    return Source(
        name=f"zero_scrolls_{task}" + ("" if split == "validation" else f"_{split}"),
        file=f"zero_scrolls/{split}/{task}.jsonl.gz",
        purpose=f"ZeroSCROLLS {task}, {split}",
        licence="MIT, texts of their owners",
        origin="huggingface.co/datasets/tau/zero_scrolls",
        revision=ZERO_SCROLLS_REVISION,
        base=hub("tau/zero_scrolls", ZERO_SCROLLS_REVISION),
        downloads=(Download(f"{task}.zip"),),
        convert=zip_member(f"{task}/{split}.jsonl"),
    )


def _gsm8k(split: str, size: int, sha256: str) -> Source:
    return Source(
        name=f"gsm8k_{split}",
        file=f"gsm8k/{split}.jsonl.gz",
        purpose="the problems of GSM8K" if split == "test" else "examples for GSM8K prompts",
        licence="MIT",
        origin="github.com/openai/grade-school-math",
        revision=GSM8K_REVISION,
        base=github("openai/grade-school-math", GSM8K_REVISION),
        downloads=(Download(f"grade_school_math/data/{split}.jsonl", size, sha256),),
        convert=unchanged,
        sha256=sha256,
    )


BENCHMARKS = [
    Source(
        name="babilong",
        file="texts/babilong.json",
        purpose="the prompts and labels of BABILong",
        licence="Apache-2.0",
        origin="github.com/booydar/babilong",
        revision=BABILONG_REVISION,
        base=github("booydar/babilong", BABILONG_REVISION),
        downloads=(
            Download("babilong/prompts.py", 27590, "be08d7e466170177e38fddb997e3dd9ffb281d5a830edd240933e069a9c5c2ee"),
            Download("babilong/metrics.py", 2924, "f77c139809690588f85ed29c1c93f22394c6b48b1fdc8afeaaa5d0969d973daf"),
        ),
        convert=babilong_texts,
        sha256="4542091db989ab0fb1e65d445dfc4d195236a7f610ca0315e1917e03d433c6f2",
    ),
    # The archive lies beside the prompts in BABILong's repository; the address of the authors of bAbI is gone.
    Source(
        name="babi",
        file="babi_en_and_en-10k.tar.gz",
        purpose="the stories of BABILong",
        licence="CC BY 3.0",
        origin="github.com/booydar/babilong",
        revision=BABILONG_REVISION,
        base=github("booydar/babilong", BABILONG_REVISION),
        downloads=(Download("data/tasks_1-20_v1-2.zip"),),
        convert=babi_archive,
        sha256="a950ddfb0eea4eb01644d8aa38d1e069a0eb1402367f1ad670248d05eb42fb59",
    ),
    Source(
        name="books",
        file="corpora/books.jsonl.gz",
        purpose="the haystack of BABILong",
        licence="public domain (US)",
        origin="gutenberg.org",
        by_hand="books as Project Gutenberg has them (upstream takes PG-19), one {id, text} in JSON a line, gzip",
    ),
    Source(
        name="longbench_v2",
        file="texts/longbench_v2.json",
        purpose="the prompts of LongBench-v2",
        licence="MIT",
        origin="github.com/THUDM/LongBench",
        revision=LONGBENCH_REVISION,
        base=github("THUDM/LongBench", LONGBENCH_REVISION),
        downloads=(
            Download("prompts/0shot.txt", 262, "68a162252bc9ff71d5d7abca3d69bb31aac3c35f832d657a2866f2018b8a6950"),
            Download("prompts/0shot_cot.txt", 212, "6cc33d92fd8f611662b756c1f10f302c541ca005b58c46d5f3188ac3a939bfe8"),
            Download(
                "prompts/0shot_cot_ans.txt", 383, "85ec59df4ac0e27aabbc619a7ca5cf3ae1787dd5a76cf51a18944eb52c91955f"
            ),
            Download(
                "prompts/0shot_no_context.txt", 224, "125fb44183af01ffc623df19392b80a287db62af3e2a2805e5b2ff9c7b2bee30"
            ),
            Download("prompts/0shot_rag.txt", 279, "5c50ce4fa24d297b8c72eb048599681ee01ced5d24a6636464386d6d3c72c4c9"),
        ),
        convert=longbench_texts,
        sha256="3b515cc7434536220d06a812de77f2ce49deccef98f7ce06faa2f1c3511bcff6",
    ),
    Source(
        name="longbench_v2_data",
        file="longbench_v2/data.jsonl.gz",
        purpose="all 503 items of LongBench-v2",
        licence="Apache-2.0, contexts of their owners",
        origin="huggingface.co/datasets/THUDM/LongBench-v2",
        revision=LONGBENCH_DATA_REVISION,
        base=hub("THUDM/LongBench-v2", LONGBENCH_DATA_REVISION),
        downloads=(
            Download("data.json", 465490535, "15d61c22d92c96900b3c4948b6aeea218d3214b676a65df48e7b8555604c7fe2"),
        ),
        convert=json_lines,
    ),
    Source(
        name="longbench_v2_short",
        file="longbench_v2/short.jsonl.gz",
        purpose="a smaller stand-in for longbench_v2_data",
        licence="Apache-2.0, contexts of their owners",
        origin="the 180 short items of huggingface.co/datasets/THUDM/LongBench-v2",
        by_hand="the 180 lines of longbench_v2/data.jsonl.gz whose `length` is short, gzip",
    ),
    Source(
        name="longbench_v2_questions",
        file="longbench_v2/questions.jsonl.gz",
        purpose="LongBench-v2 without contexts",
        licence="Apache-2.0",
        origin="huggingface.co/datasets/THUDM/LongBench-v2",
        by_hand="the 503 lines of longbench_v2/data.jsonl.gz without the field `context`, gzip",
    ),
    *(_zero_scrolls(task, split) for split in ("validation", "test") for task in ZERO_SCROLLS),
    Source(
        name="musique",
        file="musique/dev_200.jsonl.gz",
        purpose="a stand-in for zero_scrolls_musique",
        licence="CC BY 4.0",
        origin="github.com/StonyBrookNLP/musique",
        by_hand="200 questions of musique_ans_v1.0_dev.jsonl, one JSON object a line, gzip",
    ),
    Source(
        name="squality",
        file="squality/dev.jsonl.gz",
        purpose="SQuALITY with four references",
        licence="CC BY 4.0",
        origin="github.com/nyu-mll/SQuALITY",
        revision=SQUALITY_REVISION,
        base=github("nyu-mll/SQuALITY", SQUALITY_REVISION),
        downloads=(
            Download(
                "data/v1-3/txt/dev.jsonl", 1474020, "e9cbb1daff74b70a6cd15641ba2f602a925761759200a17c9225aca90018a42b"
            ),
        ),
        convert=unchanged,
        sha256="e9cbb1daff74b70a6cd15641ba2f602a925761759200a17c9225aca90018a42b",
    ),
    _gsm8k("test", 749738, "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"),
    _gsm8k("train", 4166206, "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465"),
    Source(
        name="math500",
        file="math500/test.jsonl.gz",
        purpose="the problems of MATH-500",
        licence="MIT",
        origin="huggingface.co/datasets/HuggingFaceH4/MATH-500",
        revision=MATH500_REVISION,
        base=hub("HuggingFaceH4/MATH-500", MATH500_REVISION),
        downloads=(Download("test.jsonl", 446564, "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132"),),
        convert=unchanged,
        sha256="35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    ),
]
