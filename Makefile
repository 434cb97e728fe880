# make demo    a fleet in a box and a camera, in a browser       make test    everything, with what it needs
# make lint    ruff, mypy, import-linter                         make fresh   the demo in a bare Debian (root)
# make bench   this agent beside its peers (half an hour)        make tls     testssl.sh on the fleet's servers
# make flood   a minute of forged calls, measured                make fuzz    hostile bytes at every door, CASES= for each
# make lock    pin and hash what each role installs              make sbom    a bill of materials for each role, in dist/
# make hw      the suite for a board, here or on HOST=           make hw-ssh  that suite over SSH to this machine
# make guest   a real camera driver, in a virtual machine        make board   picamera2 on libcamera's virtual cameras (root)
# make pulls   cameras pulled away fifty times each            make links   links that are weak, slow or elsewhere (root)
# make audit   known holes in it; wants the Internet             make clean   forget the environments and the demo
# make wheel   with the hot path compiled, into dist/            make compiled  that wheel, tested and fuzzed
PYTHON ?= python3
SOURCE ?= auto
BROKER ?= embedded
DEMO_OPTIONS ?=
TESTS ?= tests
BUT ?=
BENCH ?= benchmarks
BENCH_OPTIONS ?=
BENCH_PYTHON ?= /usr/bin/python3
HOST ?=
HW_OPTIONS ?=
CASES ?= 50000
FUZZ_OPTIONS ?=
VENV := .venv
ROLES := device fleet view
PYTEST := $(VENV)/bin/python -m pytest
# Marks of tests that have a target of their own.
ELSEWHERE := board or compiled or fresh or guest or hw or links or pulls or tls
# Real servers and browsers on a machine that others use as well: what fails beside others is run once more by itself.
AGAIN := $(PYTEST) --last-failed --last-failed-no-failures none
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
LOCK := $(VENV)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# What is in the wheel comes first, and what lies in the working directory last: the tests, and nothing that is tested.
TREE := $(VENV)-compiled
COMPILED := env PYTHONSAFEPATH=1 PYTHONPATH='$(CURDIR)/$(TREE):$(CURDIR)'
LIVE_VIEW := $(addprefix tests/e2e/test_live_view.py::,test_real_footage_plays_as_it_is \
    'test_the_demo_shows_a_moving_picture_of_a_verified_camera[mosquitto]')
PACKAGES := camward agent protocol provisioning viewer

BOARD := .board/tree
ON_BOARD := tests/board/enter.sh $(BOARD) env LD_PRELOAD=/dmabuf_shim.so LIBCAMERA_LOG_LEVELS='*:ERROR' \
    python3 -m pytest -m board -o cache_dir=/var/cache/pytest tests/board

.PHONY: demo test fresh guest board tls links pulls flood lint bench measured hw hw-ssh fuzz wheel compiled lock sbom audit clean

demo: $(VENV)/.demo
	@exec $(VENV)/bin/camward demo --source '$(SOURCE)' --broker $(BROKER) $(DEMO_OPTIONS)

test: $(VENV)/.test
	$(PYTEST) -n 2 --dist loadgroup -m 'not alone and not ($(ELSEWHERE)) $(BUT)' $(TESTS) || $(AGAIN)
	$(PYTEST) -m 'alone and not ($(ELSEWHERE))' || $(AGAIN)

fresh: $(VENV)/.test
	command -v debootstrap >/dev/null || { apt-get update --quiet=2 && apt-get install --quiet=2 --yes debootstrap; }
	$(PYTEST) -m fresh

guest: $(VENV)/.test
	tests/guest/needs.sh
	tests/guest/boot.sh $(PYTEST) -p no:cacheprovider -m guest tests/guest

board: $(BOARD)/.made
	$(ON_BOARD) || $(ON_BOARD) --last-failed --last-failed-no-failures none

tls: $(VENV)/.test
	tests/tls/needs.sh
	$(PYTEST) -n 3 -m tls tests/tls || $(AGAIN)

lint: $(VENV)/.test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	for module in viewer/web/*.js; do node --check "$$module" || exit 1; done

# Of camward as a board with many viewers would be given it: compiled, and on the Python that Debian has built.
bench:
	benchmarks/needs.sh
	@$(MAKE) --no-print-directory measured VENV=$(VENV)-debian PYTHON=$(BENCH_PYTHON)

measured: $(VENV)/.test $(TREE)/.made
	$(PYTHON) benchmarks/as_booted.py $(VENV) $(TREE)
	$(COMPILED) $(VENV)/bin/python -m $(BENCH) $(BENCH_OPTIONS)
	$(VENV)/bin/python -m benchmarks.report

# An environment of its own: a board has no use for browsers and linters, and picamera2 fits only the system's Python.
hw:
	@if [ -n '$(HOST)' ]; then hw-tests/over-ssh.sh '$(HOST)' $(HW_OPTIONS); status=$$?; python3 -m benchmarks.board.page; exit $$status; \
	else hw-tests/run.sh "$$PWD/$(VENV)-hw" $(HW_OPTIONS); fi

hw-ssh: $(VENV)/.test
	tests/hw/needs.sh
	$(PYTEST) -m hw tests/hw

flood: $(VENV)/.test
	CAMWARD_FLOOD_S=60 $(PYTEST) -s tests/e2e/test_flood.py

links: $(VENV)/.test
	$(PYTEST) -m links || $(AGAIN)

pulls: $(VENV)/.test
	$(PYTEST) -m pulls tests/agent/capture/test_pulled.py

fuzz: $(VENV)/.fuzz
	$(VENV)/bin/python -m tests.fuzz --cases $(CASES) $(FUZZ_OPTIONS)

wheel: $(VENV)/bin/python
	CAMWARD_COMPILE=1 $(PIP) wheel --no-deps --wheel-dir dist .

# First that it is compiled; then what is C now is tested again: the rooms it is of, with a browser, on hostile bytes.
compiled: $(TREE)/.made $(VENV)/.fuzz
	$(COMPILED) $(PYTEST) -o pythonpath= -m compiled tests/compiled
	$(COMPILED) $(PYTEST) -o pythonpath= -n 2 --dist loadgroup -m 'not (alone or $(ELSEWHERE))' \
	    tests/agent/media tests/agent/webrtc tests/agent/capture $(LIVE_VIEW) || $(COMPILED) $(AGAIN) -o pythonpath=
	$(COMPILED) $(VENV)/bin/python -m tests.fuzz --cases $(CASES) $(foreach door,feedback h264 rtcp stun,--target $(door))

# Of each role, as pyproject.toml has it: what a person installs, on Python 3.11 and 3.13, x86-64 and aarch64.
lock: $(VENV)/.supply
	for role in $(ROLES); do $(LOCK) $$(test $$role != device || echo --extra board) --extra $$role \
	    --output-file requirements/$$role.txt pyproject.toml || exit 1; done

sbom: $(VENV)/.supply
	mkdir -p dist
	for role in $(ROLES); do $(VENV)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	    --output-file dist/$$role.cdx.json requirements/$$role.txt || exit 1; done

audit: $(VENV)/.supply
	for role in $(ROLES); do $(VENV)/bin/pip-audit --strict --require-hashes --disable-pip \
	    --requirement requirements/$$role.txt || exit 1; done

$(VENV)/bin/python:
	@echo 'Making the Python environment in $(VENV).'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(VENV)/bin/python
	@echo 'Installing what the demo needs (once; a minute or two).'
	@$(PIP) install --editable '.[device,fleet]'
	@touch $@

$(VENV)/.test: pyproject.toml tests/needs.sh tests/kit/debian.sh $(VENV)/bin/python
	@tests/needs.sh
	@echo 'Installing what the tests need.'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable '.[device,fleet,view]' --group dev
	@touch $@

$(BOARD)/.made: pyproject.toml tests/board/tree.sh tests/board/virtual.yaml tests/board/dmabuf_shim.c
	command -v debootstrap >/dev/null || { apt-get update --quiet=2 && apt-get install --quiet=2 --yes debootstrap; }
	tests/board/tree.sh $(BOARD)
	@touch $@

$(TREE)/.made: pyproject.toml hatch_build.py $(VENV)/.test $(shell find $(PACKAGES) -type f -not -name '*.pyc')
	@$(MAKE) --no-print-directory wheel
	@rm -rf $(TREE)
	@$(PIP) install --no-deps --no-index --find-links dist --target $(TREE) camward
	@touch $@

$(VENV)/.fuzz: $(VENV)/.test
	@$(PIP) install --group fuzz
	@touch $@

$(VENV)/.supply: $(VENV)/.test
	@$(PIP) install --group supply
	@touch $@

clean:
	rm -rf $(VENV) $(TREE) $(VENV)-debian $(VENV)-debian-compiled .board demo test-results
