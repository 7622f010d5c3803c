# The interface of the course. `make` alone prints what there is.
PYTHON ?= python3
BIN := .venv/bin
LESSON ?=
EXERCISE ?=

.DEFAULT_GOAL := help
.PHONY: help lab test status reset notebooks audit demo release bench compare weights lint

help:  ## this table
	@printf '%-16s %-12s %s\n' command for does
	@sed -n 's/^\([a-z]*\):.*## \(\[\([a-z]*\)\] \)\{0,1\}\(.*\)/\1|\3|\4/p' $(MAKEFILE_LIST) | \
	while IFS='|' read -r name who does; do printf 'make %-11s %-12s %s\n' "$$name" "$${who:-everyone}" "$$does"; done

# Two stamps: what a student needs, and everything.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

.venv/student: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ .venv/student

lab: .venv/student  ## [student] makes .venv if missing, lays the course into course/ around your work, opens JupyterLab
	$(BIN)/python -m seglab lay
	$(BIN)/jupyter lab course/start.ipynb

test: .venv/dev  ## makes .venv if missing, runs the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

status: .venv/student  ## [student] which exercises pass their visible checks, points so far, what comes next
	@$(BIN)/python -m seglab status $(LESSON)

reset: .venv/student  ## [student] EXERCISE=name: its stub again; your answer is kept beside the notebook
	@$(BIN)/python -m seglab reset $(or $(EXERCISE),$(error make reset EXERCISE=name))

notebooks: .venv/dev  ## [contributor] builds every notebook from text; LESSON=03 for one lesson
	$(BIN)/python -m autograde notebooks $(LESSON)

audit: .venv/dev  ## [contributor] tests of the graders; LESSON=03 for one lesson, EXERCISE=name for one
	$(BIN)/python -m autograde audit $(LESSON) $(EXERCISE)

demo: .venv/dev  ## [instructor] a whole class end to end: release, autograde, feedback, grade table
	$(BIN)/python -m autograde demo $(LESSON)

release: .venv/dev  ## [instructor] the student's bundle, dist/
	$(BIN)/python -m autograde release

bench: .venv/dev  ## [contributor] the benchmarks, as ratios
	$(BIN)/python -m benchmarks.sliding_window

compare: .venv/dev  ## [contributor] trains every network of the course, three seeds, and writes docs/architectures.md
	$(BIN)/python -m benchmarks.architectures --out seglab/data/assets/results.json --docs docs/architectures.md

weights: .venv/dev  ## [contributor] trains them until validation no longer rises (hours; stop it, call it again)
	$(BIN)/python -m benchmarks.weights

lint: .venv/dev  ## [contributor] format and lint as CI does
	$(BIN)/ruff format . && $(BIN)/ruff check .
