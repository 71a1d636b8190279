PYTHON ?= python3
BIN := .venv/bin
LOCKS := controller sidecar api local test
# Of a function, with boolean operators and comprehensions, which ruff's C901 does not count.
MAX_COMPLEXITY := 15
PYTHON_FOLDERS := artifacts sidecar kube controller api local manifests bench tests
VERSITYGW := 1.8.0
KEYCLOAK := 26.4.7
KEYCLOAK_SHA256 := dd9834c023460be856f731423d86228c23b5d002194a2064642bec0cc6573eaa
MAVEN_DEPENDENCY := 3.8.1
CERT_MANAGER := 1.21.2
PROMETHEUS_OPERATOR := 0.85.0

SIDECAR_IMAGE ?= localhost/phjob-artifacts-sidecar:dev
API_IMAGE ?= localhost/phjob-artifacts-api:dev
BASE_IMAGE ?= docker.io/library/python:3.11-slim
BARE_IMAGE ?= localhost/phjob-artifacts-bare:dev
S3_IMAGE ?= localhost/phjob-artifacts-s3:dev
BUILDER ?= $(firstword $(foreach tool,buildah docker podman,$(if $(shell command -v $(tool)),$(tool))))
# These flags let buildah run inside a container, where it cannot create namespaces or networks.
BUILD_FLAGS ?= $(if $(filter buildah,$(BUILDER)),--isolation chroot --network host)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp is written last, so an interrupted installation is repeated.
.venv/.stamp: requirements/dev.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements/dev.txt
	touch $@

.venv-sidecar/.stamp: requirements/sidecar.txt requirements/test.txt
	$(PYTHON) -m venv --clear .venv-sidecar
	.venv-sidecar/bin/pip install --quiet --require-hashes \
		--requirement requirements/sidecar.txt --requirement requirements/test.txt
	touch $@

# PrimeHub's SDK. Its wheel contains a package `tests`, which would hide the folder tests/ in .venv.
.venv-sdk/.stamp: requirements/sdk.txt
	$(PYTHON) -m venv --clear .venv-sdk
	.venv-sdk/bin/pip install --quiet --require-hashes --requirement requirements/sdk.txt
	touch $@

.PHONY: venv
venv: .venv/.stamp ## Create .venv from the locked requirements (other targets do this if needed)

# The linters of the page's JavaScript. npm ci removes node_modules first, so the stamp is written last here too.
node_modules/.stamp: package-lock.json
	npm ci --silent --no-audit --no-fund --ignore-scripts
	touch $@

# Without npm the JavaScript is not checked; in CI that is an error.
NODE_STAMP := $(if $(shell command -v npm),node_modules/.stamp)

.tools/versitygw: .tools/versitygw-$(VERSITYGW)
	ln -sf $(notdir $<) $@

.tools/versitygw-$(VERSITYGW):
	mkdir -p .tools
	GOBIN=$(CURDIR)/.tools go install github.com/versity/versitygw/cmd/versitygw@v$(VERSITYGW)
	mv .tools/versitygw $@

# The name contains the number of files, so adding a file downloads them again.
CRDS := $(addprefix cert-manager/cert-manager@v$(CERT_MANAGER):deploy/crds/cert-manager.io_,certificates.yaml issuers.yaml) \
	$(addprefix prometheus-operator/prometheus-operator@v$(PROMETHEUS_OPERATOR):example/prometheus-operator-crd/monitoring.coreos.com_,\
		podmonitors.yaml servicemonitors.yaml prometheusrules.yaml)
CRDS_FOLDER := .tools/crds-$(CERT_MANAGER)-$(PROMETHEUS_OPERATOR)-$(words $(CRDS))

.tools/crds: $(CRDS_FOLDER)
	ln -sfn $(notdir $<) $@

$(CRDS_FOLDER):
	mkdir -p $@.new
	for each in $(CRDS); do \
		folder=$$(go mod download -json github.com/$${each%%:*} | sed -n 's/^\t"Dir": "\(.*\)".*/\1/p') && \
		install -m 644 "$$folder/$${each#*:}" $@.new || exit; \
	done
	mv $@.new $@

KEYCLOAK_ARCHIVE := .tools/keycloak-quarkus-dist-$(KEYCLOAK).zip

.tools/keycloak: .tools/keycloak-$(KEYCLOAK)/.installed
	ln -sfn keycloak-$(KEYCLOAK) $@

# The installation writes the stamp last. It takes a minute, which each start of Keycloak would take otherwise.
.tools/keycloak-$(KEYCLOAK)/.installed:
	mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:$(MAVEN_DEPENDENCY):copy \
		-Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK):zip -DoutputDirectory=$(CURDIR)/.tools
	echo "$(KEYCLOAK_SHA256)  $(KEYCLOAK_ARCHIVE)" | sha256sum --check --quiet
	$(PYTHON) -m tests.keycloak.install $(KEYCLOAK_ARCHIVE) $(@D)
	rm $(KEYCLOAK_ARCHIVE)

.PHONY: tools
tools: .tools/versitygw .tools/crds .tools/keycloak ## Build or download test tools that are not on PyPI: an S3 server, CRDs of other projects, Keycloak (4 minutes, needs Go, Java and Maven)

.PHONY: demo
demo: .venv/.stamp ## Run jobs on this machine and show which files were collected
	$(BIN)/python -m local demo

.PHONY: run
run: .venv/.stamp ## Serve the page and the API on loopback and run jobs, until Ctrl-C (make run ARGS="--port 0")
	$(BIN)/python -m local serve $(ARGS)

.PHONY: test
test: .venv/.stamp .venv-sdk/.stamp ## Run the tests, except those of the page, with Keycloak, and the end-to-end tests
	$(BIN)/pytest -n 4 --dist worksteal --ignore tests/web --ignore tests/keycloak

# A browser needs a third of the processor time of all tests. With four browsers on two slow processors, requests of a page
# got no response for 30 s now and then.
.PHONY: test-page
test-page: .venv/.stamp ## Run the tests of the page in a browser (5 minutes, needs chromium)
	$(BIN)/pytest -n 2 --dist worksteal --timeout 120 tests/web

# In one process, because each process would start a Keycloak of its own.
.PHONY: test-keycloak
test-keycloak: .venv/.stamp ## Run the tests of sign-in and API tokens with a real Keycloak (1 minute, needs Java and make tools)
	$(BIN)/pytest tests/keycloak --durations=5

.PHONY: test-sidecar
test-sidecar: .venv-sidecar/.stamp ## Run the sidecar's tests with only the sidecar's dependencies installed
	.venv-sidecar/bin/pytest tests/artifacts tests/sidecar

.PHONY: lint
lint: .venv/.stamp $(NODE_STAMP) ## Check style, complexity, formatting, the parts' imports, YAML, and the page's JavaScript with its types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/yamllint --strict .
	$(BIN)/lizard --languages python --CCN $(MAX_COMPLEXITY) --warnings_only $(PYTHON_FOLDERS)
ifdef NODE_STAMP
	npm run --silent lint
else
	@echo "npm is not installed: the JavaScript is not checked"; test -z "$$CI"
endif

.PHONY: types
types: .venv/.stamp ## Check types
	$(BIN)/mypy

.PHONY: images
images: ## Build both images (SIDECAR_IMAGE, API_IMAGE, BASE_IMAGE) with buildah, docker or podman
	$(BUILDER) build $(BUILD_FLAGS) --build-arg BASE=$(BASE_IMAGE) --file Dockerfile.sidecar --tag $(SIDECAR_IMAGE) .
	$(BUILDER) build $(BUILD_FLAGS) --build-arg BASE=$(BASE_IMAGE) --file Dockerfile.api --tag $(API_IMAGE) .

.PHONY: e2e-images
e2e-images: .tools/versitygw ## Build the images that only e2e needs: a main without a shell (BARE_IMAGE) and an S3 server (S3_IMAGE)
	$(CC) -O2 -static -o .tools/bare tests/e2e/images/bare.c
	$(BUILDER) build $(BUILD_FLAGS) --file tests/e2e/images/Dockerfile.bare --tag $(BARE_IMAGE) .tools
	$(BUILDER) build $(BUILD_FLAGS) --build-arg BASE=$(BASE_IMAGE) \
		--file tests/e2e/images/Dockerfile.s3 --tag $(S3_IMAGE) .tools

.PHONY: golden
golden: .venv/.stamp ## Build the manifests into tests/manifests/golden and show the difference
	for each in manifests/overlays/demo manifests/overlays/primehub tests/manifests/everything; do \
		$(BIN)/kubectl kustomize $$each > tests/manifests/golden/$$(basename $$each).txt || exit; \
	done
	git diff --stat -- tests/manifests/golden

RULES := manifests/components/prometheus

.PHONY: rules
rules: ## Generate the Prometheus operator's rules from the plain ones
	sed -i '/^  groups:$$/q' $(RULES)/prometheusrule.yaml
	sed -s '1,/^groups:$$/d; s/./  &/' $(RULES)/rules/*.yaml >> $(RULES)/prometheusrule.yaml

.PHONY: dashboards
dashboards: .venv/.stamp ## Generate the Grafana dashboards from manifests/dashboards
	$(BIN)/python -m manifests.dashboards

.PHONY: dashboards-check
dashboards-check: .venv/.stamp ## Print every panel's title and queries with the answers of a Prometheus (PROMETHEUS=http://...)
	$(BIN)/python -m manifests.dashboards $(or $(PROMETHEUS),$(error set PROMETHEUS: make dashboards-check PROMETHEUS=http://host:9090))

.PHONY: e2e
e2e: .venv/.stamp ## Run the end-to-end tests on KUBECONFIG's cluster with images that its nodes have (see CONTRIBUTING.md; KEEP=1 keeps the installation)
	SIDECAR_IMAGE=$(SIDECAR_IMAGE) API_IMAGE=$(API_IMAGE) $(BIN)/pytest tests/e2e --durations=15 -o faulthandler_timeout=900

.PHONY: screenshots
screenshots: .venv/.stamp ## Take screenshots of the page's states into screenshots/, and those of the README
	$(BIN)/python -m tests.web.screenshots screenshots

.PHONY: bench
bench: .venv/.stamp ## Run the benchmarks
	$(BIN)/python -m bench

.PHONY: check
check: lint types test test-page test-keycloak test-sidecar ## Run all checks that must pass before a commit

# All extras are resolved together into dev.txt, which constrains the other locks: a package has one version in all.
.PHONY: lock
lock: export PIP_FIND_LINKS :=
lock: export CUSTOM_COMPILE_COMMAND := make lock
lock: .venv/.stamp ## Lock the requirements with Python 3.11 (make lock UPGRADE=--upgrade for the newest versions)
	$(BIN)/pip-compile --quiet $(UPGRADE) --all-extras --output-file requirements/dev.txt pyproject.toml
	for extra in $(LOCKS); do \
		$(BIN)/pip-compile --quiet --upgrade --constraint requirements/dev.txt --extra $$extra \
			--output-file requirements/$$extra.txt pyproject.toml || exit; \
	done
	$(BIN)/pip-compile --quiet --upgrade --constraint requirements/dev.txt --output-file requirements/sdk.txt requirements/sdk.in
	sed -i '/^# WARNING: The following packages were not pinned/,$$d; /^# satisfied by/d' requirements/*.txt

.PHONY: clean
clean: ## Remove all generated files
	rm -rf .venv .venv-sidecar .venv-sdk node_modules build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
