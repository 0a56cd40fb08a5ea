# make demo     a small model on a small suite, and the table of its scores
# make test     the tests that need no GPU
# make lint     ruff and mypy
# make clean    removes .venv and caches; run folders stay
# The first call sets up .venv, and a later one only when pyproject.toml or constraints.txt has changed.

.PHONY: demo test lint clean setup

demo: setup
	@.venv/bin/lcbench run

test: setup
	OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -n 2

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

setup:
	@sh scripts/setup.sh

clean:
	rm -rf .venv build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find lcbench kernels tests -name __pycache__ -type d -prune -exec rm -rf {} +
