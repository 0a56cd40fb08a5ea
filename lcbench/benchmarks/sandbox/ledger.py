"""Transfers between accounts, one of them flawed. After it the log goes on from the wrong figures without another flaw.

The flaws:
CALC_ERROR: a balance after the transfer is not the one before it plus or minus the amount.
NEGATIVE_BAL: the payer pays more than there is.
LOST_UPDATE: a balance before the transfer is the one from before that account's latest transfer.
DUPLICATE_TXN: a transfer stands in the log a second time, under its id, and moves its amount again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("CALC_ERROR", "NEGATIVE_BAL", "LOST_UPDATE", "DUPLICATE_TXN")
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ida", "Jon", "Kim", "Leo")
ACCOUNTS = 6
OPENING = (100, 500)
MOST_PAID = 500
MOST_DEBT = 50  # less than some other account has, always, so that the debt can be paid back at once
MOST_ERROR = 20
LEAST_TRANSFERS = 4
MOST_BALANCE = ACCOUNTS * OPENING[1] + MOST_PAID + MOST_ERROR  # a lost update may add a payment to the total


@dataclass(frozen=True)
class Transfer:
    """Balances are (payer's, payee's)."""

    id: str
    payer: str
    payee: str
    amount: int
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True)
class Flaw:
    """What is wrong and where, both from 0 to 1 of the transfers before: the flawed one, and the one it repeats."""

    kind: str
    depth: float
    origin: float

    def places(self, n: int) -> tuple[int, int]:
        """Among n transfers: the flawed one, which has two before it at least, and the one that a duplicate repeats."""
        flawed = 2 + int(self.depth * (n - 2))
        return flawed, int(self.origin * flawed)


class Bank:
    """The balances as the log has them, each account's balance before its latest transfer, and what must not be spent
    before it has been paid a second time.
    """

    def __init__(self, opening: dict[str, int], rng: random.Random):
        self.rng = rng
        self.names = list(opening)
        self.balance = dict(opening)
        self.stale: dict[str, int] = {}
        self.held = dict.fromkeys(opening, 0)

    def draw(self, share: float = 1.0) -> tuple[str, str, int]:
        """A transfer of at most this share of what the payer has, that lifts a payee in debt out of it."""
        while True:
            payer, payee = self.rng.sample(self.names, 2)
            least = max(1, -self.balance[payee])
            most = min(int((self.balance[payer] - self.held[payer]) * share), MOST_PAID)
            if least <= most:
                return payer, payee, self.rng.randint(least, most)

    def write(self, name: str, payer: str, payee: str, amount: int, wrong: dict[str, tuple[int, int]]) -> Transfer:
        """Carry a transfer out. wrong: the balances before and after that an account's line has in place of the true
        ones.
        """
        figures = {payer: self._moved(payer, -amount), payee: self._moved(payee, amount), **wrong}
        for account, (_, after) in figures.items():
            self.stale[account], self.balance[account] = self.balance[account], after
        (b0, a0), (b1, a1) = figures[payer], figures[payee]
        return Transfer(name, payer, payee, amount, (b0, b1), (a0, a1))

    def _moved(self, account: str, change: int) -> tuple[int, int]:
        return self.balance[account], self.balance[account] + change

    def calc_error(self, name: str) -> Transfer:
        payer, payee, amount = self.draw()
        account, change = self.rng.choice([(payer, -amount), (payee, amount)])
        before, after = self._moved(account, change)
        errors = [e for e in range(-MOST_ERROR, MOST_ERROR + 1) if e and after + e >= 0]
        return self.write(name, payer, payee, amount, {account: (before, after + self.rng.choice(errors))})

    def negative_bal(self, name: str) -> Transfer:
        payer = min(self.names, key=lambda account: self.balance[account])
        payee = self.rng.choice([account for account in self.names if account != payer])
        return self.write(name, payer, payee, self.balance[payer] + self.rng.randint(1, MOST_DEBT), {})

    def lost_update(self, name: str) -> Transfer:
        outdated = [account for account, stale in self.stale.items() if stale != self.balance[account]]
        while True:
            account = self.rng.choice(outdated)
            other = self.rng.choice([a for a in self.names if a != account])
            stale = self.stale[account]
            payer, payee, most = self.rng.choice([(account, other, stale), (other, account, self.balance[other])])
            if most >= 1:
                amount = self.rng.randint(1, min(most, MOST_PAID))
                after = stale - amount if payer == account else stale + amount
                return self.write(name, payer, payee, amount, {account: (stale, after)})


def opening_balances(rng: random.Random) -> dict[str, int]:
    """Accounts in the order of the alphabet and what they have at first."""
    return {name: rng.randint(*OPENING) for name in sorted(rng.sample(NAMES, ACCOUNTS))}


def play(opening: dict[str, int], ids: Sequence[str], flaw: Flaw, seed: int) -> tuple[list[Transfer], list[int]]:
    """A log with as many transfers as there are ids, LEAST_TRANSFERS or more, and which of them show the flaw."""
    bank = Bank(opening, random.Random(seed))
    flawed, origin = flaw.places(len(ids))
    log: list[Transfer] = []
    for i, name in enumerate(ids):
        if flaw.kind == "DUPLICATE_TXN" and i == origin:
            log.append(bank.write(name, *bank.draw(share=0.5), {}))
            bank.held[log[-1].payer] = log[-1].amount
        elif i != flawed:
            log.append(bank.write(name, *bank.draw(), {}))
        elif flaw.kind == "DUPLICATE_TXN":
            first = log[origin]
            bank.held[first.payer] = 0
            log.append(bank.write(first.id, first.payer, first.payee, first.amount, {}))
        else:
            broken = {"CALC_ERROR": bank.calc_error, "NEGATIVE_BAL": bank.negative_bal, "LOST_UPDATE": bank.lost_update}
            log.append(broken[flaw.kind](name))
    return log, [origin, flawed] if flaw.kind == "DUPLICATE_TXN" else [flawed]
