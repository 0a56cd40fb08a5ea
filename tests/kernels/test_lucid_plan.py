"""The order and the geometry of LUCID's row blocks."""

import time

import pytest
import torch
from lcbench_kernels.lucid.plan import Plan, plan, plan_of

CASES = {
    "one token": dict(batch=1, heads=1, steps=1),
    "even": dict(batch=2, heads=3, steps=64),
    "short last block": dict(batch=2, heads=2, steps=75),
    "groups": dict(batch=2, heads=4, steps=75, group=3),
    "ragged past": dict(batch=4, heads=2, steps=40, lengths=[0, 5, 16, 33]),
    "nothing before": dict(batch=2, heads=2, steps=40, lengths=[0, 0]),
    "packed": dict(batch=1, heads=2, steps=90, cu_seqlens=[0, 40, 40, 41, 90]),
    "packed in groups": dict(batch=1, heads=2, steps=90, cu_seqlens=[0, 40, 57, 90], group=2),
    "in two parts": dict(batch=1, heads=3, steps=470, reach=5),
    "in two parts, in groups": dict(batch=2, heads=2, steps=470, reach=3, group=3),
    "in two parts, packed": dict(batch=1, heads=2, steps=400, cu_seqlens=[0, 16, 280, 400], reach=6),
    "in two parts, one of many": dict(
        batch=1, heads=2, steps=700, cu_seqlens=[0, 400, *range(410, 701, 10)], reach=6, group=9
    ),
    "no parts with a past": dict(batch=1, heads=2, steps=400, lengths=[5], reach=6),
}
cases = pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)


def make(arguments: dict, block: int = 16) -> Plan:
    return plan(**arguments, block=block)


@cases
def test_tasks_need_earlier_ones_alone(arguments):
    made = {}
    for _, block, first, fresh, chain, *_ in make(arguments).tasks.tolist():
        assert first <= fresh <= block
        assert block - fresh == made.get(chain, 0), "a chain's blocks come in order, none left out"
        made[chain] = block - fresh + 1
    assert set(made) <= set(range(make(arguments).chains))


@cases
def test_every_new_token_is_in_one_row_and_every_row_in_one_block(arguments):
    made = make(arguments)
    batch, heads, steps = (arguments[name] for name in ("batch", "heads", "steps"))
    tokens = torch.zeros(batch * heads, steps, dtype=int)
    blocks = torch.zeros(made.lines, made.columns // made.block, dtype=int)
    for number, (line, block, _, _, _, source, rows, own) in enumerate(made.tasks.tolist()):
        assert 1 <= rows <= made.block and own == number
        tokens[line, source : source + rows] += 1
        blocks[line, block] += 1
    assert (tokens == 1).all()
    assert (blocks[:, : made.past_blocks] == 0).all() and (blocks[:, made.past_blocks :] == 1).all()


@cases
def test_sweeps_need_earlier_ones_alone(arguments):
    made = make(arguments)
    solved, swept, waiting = {}, {}, {}
    for *task, split, closing, slot in made.sweeps.tolist():
        _, block, first, fresh, chain, _, _, number = task
        assert task == made.tasks[number].tolist()
        if not closing:
            assert first < split <= fresh + solved.get(chain, 0), "what it takes is made, or nearly"
            # Whoever had the slot before has read it once the block before the split is solved.
            assert waiting.get(slot, (chain, 0))[0] == chain and waiting.get(slot, (chain, 0))[1] < split
            waiting[slot] = (chain, block)
            swept[chain, block] = split
        else:
            assert split == swept.pop((chain, block), first)
            assert block - fresh == solved.get(chain, 0)
            solved[chain] = block - fresh + 1
    assert not swept and sum(solved.values()) == len(made.tasks)
    assert set(waiting) <= set(range(made.slots))
    assert made.slots <= len(made.sweeps) - len(made.tasks), "none that no sweep uses"
    cut = "reach" in arguments and "lengths" not in arguments
    assert bool(waiting) == cut and len(made.sweeps) >= len(made.tasks)


def test_a_closing_sweep_is_as_long_as_asked():
    made = plan(1, 1, 470, block=16, reach=5)
    closing = made.sweeps[made.sweeps[:, 9] == 1]
    assert (closing[:, 1] - closing[:, 8]).tolist() == [*range(7), *[5] * 23]
    assert made.slots == 6


def test_few_chains_are_swept_in_two_parts_and_packed_sequences_are_chains():
    k = torch.zeros(1, 1, 8192, 8)
    one = plan_of(k, None, None, programs=4)
    two = plan_of(k, None, torch.tensor([0, 4096, 8192]), programs=4)
    assert (one.slots, two.slots) == (12, 2 * 7)  # reach + 1, of a chain that has 4 programs, and 2
    assert plan_of(k, None, torch.arange(0, 8193, 512), programs=4).slots == 0


def test_sequences_begin_at_blocks_and_see_themselves_alone():
    limits = [0, 40, 40, 41, 90]
    made = plan(1, 2, 90, cu_seqlens=limits, block=16)
    assert made.chains == 8 and made.columns == 16 * (3 + 0 + 1 + 4)
    for line, block, first, fresh, chain, source, rows, _ in made.tasks.tolist():
        begin, end = limits[chain % 4], limits[chain % 4 + 1]
        assert chain // 4 == line and first == fresh
        assert source == begin + (block - fresh) * 16 and rows == min(16, end - source)
    firsts = {task[4] % 4: task[2] for task in made.tasks.tolist()}
    assert firsts == {0: 0, 2: 3, 3: 4}


def test_pasts_end_together_and_each_row_sees_its_own():
    made = plan(4, 2, 40, lengths=[0, 5, 16, 33], block=16)
    assert made.past_blocks == 3 and made.columns == 48 + 48
    firsts = {task[0] // 2: task[2] for task in made.tasks.tolist()}
    assert firsts == {0: 3, 1: 2, 2: 2, 3: 0}  # the first block with a token of the row's past, which ends at column 48
    assert (made.tasks[:, 3] == 3).all()


def test_groups_follow_one_another_and_go_by_row_block():
    chains, blocks = plan(1, 4, 64, group=2, block=16).tasks[:, [4, 1]].T.tolist()
    assert chains == [0, 1] * 4 + [2, 3] * 4
    assert blocks == [0, 0, 1, 1, 2, 2, 3, 3] * 2


def test_no_tokens_no_tasks():
    assert len(plan(2, 2, 0).tasks) == 0
    assert len(plan(1, 2, 0, cu_seqlens=[0, 0]).tasks) == 0


def test_a_long_table_takes_little_time_and_is_kept():
    plan(1, 8, 131072 - 1)
    start = time.perf_counter()
    made = plan(1, 8, 131072)
    assert time.perf_counter() - start < 0.1  # 3 ms, and others use this machine
    assert len(made.tasks) == 8192 and plan(1, 8, 131072) is made


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (dict(batch=2, heads=1, steps=9, cu_seqlens=[0, 9]), "one batch row"),
        (dict(batch=1, heads=1, steps=9, cu_seqlens=[0, 9], lengths=[1]), "no past"),
        (dict(batch=1, heads=1, steps=9, cu_seqlens=[0, 8]), "from 0 to the 9"),
        (dict(batch=1, heads=1, steps=9, cu_seqlens=[0, 5, 4, 9]), "must rise"),
        (dict(batch=1, heads=1, steps=9, cu_seqlens=[]), "must rise"),
        (dict(batch=2, heads=1, steps=9, lengths=[1]), "1 lengths"),
    ],
)
def test_refusals(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        plan(**arguments)


@pytest.mark.parametrize("length", [-1, 6])
def test_lengths_beyond_the_past(length):
    k = torch.zeros(1, 1, 4, 8)
    past = (torch.zeros(1, 1, 5, 8), torch.zeros(1, 1, 5, 8), torch.tensor([length]))
    with pytest.raises(ValueError, match="between 0 and the 5"):
        plan_of(k, past, None)
