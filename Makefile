# Every target sets itself up: an environment in .venv, and missing programs from Debian's packages.
# A second run finds the stamps in .venv and starts at once.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
QUIETLY := --quiet --quiet --disable-pip-version-check

# What the demo needs beside Python, and what the tests drive the daemon with.
DEMO_PROGRAMS := sftp ssh-keygen sqlite3
TEST_PROGRAMS := $(DEMO_PROGRAMS) scp ssh sshpass rclone psftp strace curl lftp openssl sslscan \
	systemd-analyze setpriv unshare mount mkfs.ext4 ip faketime fail2ban-regex
BENCH_PROGRAMS := $(DEMO_PROGRAMS) sshd

.PHONY: run test check bench load faults fuzz clients clean

run: .venv/ready-to-run
	@sh tests/install-programs.sh $(DEMO_PROGRAMS)
	@$(BIN)/python -m tilldrop.demo

# Two workers, one file a worker: fault tests watch system calls and want a core for themselves.
test: .venv/ready-to-test
	@sh tests/install-programs.sh $(TEST_PROGRAMS)
	$(PYTEST) -n 2 --dist loadgroup $(PYTEST_ARGS)

check: .venv/ready-to-test
	$(BIN)/ruff format --check daemon tests
	$(BIN)/ruff check daemon tests
	$(BIN)/mypy

# Sessions, uploads, guesses, a large upload and a large import at once; LOAD_ARGS=--fair measures by
# how much a bulk upload slows small ones; LOAD_ARGS=--help tells the sizes.
load: .venv/ready-to-test
	@sh tests/install-programs.sh $(TEST_PROGRAMS)
	$(BIN)/python -m tests.load $(LOAD_ARGS)

bench: .venv/ready-to-test
	@sh tests/install-programs.sh $(BENCH_PROGRAMS)
	$(BIN)/python -m tests.bench

# Kills, errors of system calls and faults that last, for FAULTS_SECONDS; `make test` runs short
# ones. FAULTS_ARGS: a seed to repeat a run; --write puts the figures into docs/promises.md.
FAULTS_SECONDS ?= 900
faults: .venv/ready-to-test
	@sh tests/install-programs.sh $(TEST_PROGRAMS)
	$(BIN)/python -m tests.faults $(FAULTS_SECONDS) $(FAULTS_ARGS)

# The coverage-guided fuzzer, FUZZ_SECONDS for each of FUZZ_TARGETS (all); its corpus is in .fuzz.
FUZZ_SECONDS ?= 600
fuzz: .venv/ready-to-fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# Every client of docs/clients.md against a real daemon; CLIENTS_ARGS=--write writes its table.
clients: .venv/ready-for-clients
	$(BIN)/python -m tests.client_matrix $(CLIENTS_ARGS)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

.venv/ready-to-run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Tilldrop needs Python 3.11 or later; name one: make PYTHON=python3.11 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tests/install-programs.sh python3-venv
	@echo 'Setting up .venv (once) ...'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install $(QUIETLY) --upgrade 'pip>=25.1'
	@$(BIN)/pip install $(QUIETLY) --editable .
	@touch $@

.venv/ready-to-test: .venv/ready-to-run
	@echo 'Adding what tests and checks need ...'
	@$(BIN)/pip install $(QUIETLY) --group test --group check
	@touch $@

.venv/ready-to-fuzz: .venv/ready-to-test
	@$(BIN)/pip install $(QUIETLY) --group fuzz
	@touch $@

.venv/ready-for-clients: .venv/ready-to-test tests/client_matrix/install.sh
	$(BIN)/pip install --quiet --group clients
	sh tests/client_matrix/install.sh $(BIN)/python .venv/clients
	@touch $@
