# Weir's front door: what people type. Meson and ninja do the building (meson.build); this file installs what they need, keeps one build folder
# for each kind of build, and names the few things one wants to do. Every target that builds first lets packaging/install-packages look (0.1 s when all is there).
#
#   make run PORT=8000 DATA=./demo-data      make test ONLY='wire|store'      make fuzz SECONDS=60      make install PREFIX=/usr/local DESTDIR=

PORT    ?= 8000
DATA    ?= ./demo-data
SECONDS ?= 60
PREFIX  ?= /usr/local
DESTDIR ?=
ONLY    ?=

comma := ,
# Progress on a terminal, silence in a log.
NINJA = ninja $(if $(MAKE_TERMOUT),,--quiet) -C
INSTALL_PACKAGES = @packaging/install-packages
# $(call setup,FOLDER,ENVIRONMENT,OPTIONS): configures a build folder once, quietly; meson keeps it up to date by itself.
setup = @[ -f $(1)/build.ninja ] || { echo "weir: configuring $(1)"; $(2) meson setup $(1) $(3) >$(1).log 2>&1 || { cat $(1).log >&2; exit 1; }; rm -f $(1).log; }
SANITIZE = -Dfaults=true -Db_lundef=false

.DEFAULT_GOAL := help
.PHONY: help run test browser torture build bench fuzz asan tsan lint clean install packages

help: ## this text
	@echo "Weir: a self-hosted WeChat backend. What you can make:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

run: build ## the demo on PORT (8000), its WeChat simulator on PORT+1, data in DATA (./demo-data)
	@exec build/weir demo --port $(PORT) --data $(DATA)

test: packages ## every test; the last line counts them (ONLY=REGEX for a part)
	$(INSTALL_PACKAGES) packages packages-test
	$(call setup,build-test,,-Dfaults=true)
	@$(NINJA) build-test
	@node tests/run.mjs build-test $(if $(ONLY),--only '$(ONLY)')

browser: packages ## the pages in a real browser (installs chromium, and playwright-core from npm); afterwards `make test` does it too
	$(INSTALL_PACKAGES) packages packages-test packages-browser
	@[ -d tests/node_modules/playwright-core ] || { echo "weir: fetching playwright-core"; cd tests && npm ci --loglevel=error; }
	$(call setup,build-test,,-Dfaults=true)
	@$(NINJA) build-test
	@node tests/run.mjs build-test --only '^browser'

torture: packages ## every fault at every place: the tests that `make test` only samples
	$(INSTALL_PACKAGES) packages packages-test
	$(call setup,build-test,,-Dfaults=true)
	@$(NINJA) build-test
	@TORTURE=full WEIR_TORTURE=whole node tests/run.mjs build-test --only 'torture|faults'

build: packages ## the program: build/weir
	$(call setup,build,,-Dtests=false)
	@$(NINJA) build weir

bench: build ## the table of ratios against nginx and bare SQLite (installs nginx; QUICK=1 for a short run)
	$(INSTALL_PACKAGES) packages packages-test packages-bench
	@$(NINJA) build
	@bench/run build

fuzz: packages ## every fuzzer for SECONDS (60) each, with ASan and UBSan
	$(INSTALL_PACKAGES) packages packages-test packages-fuzz
	$(call setup,build-fuzz,CC=clang,-Dfuzz=true $(SANITIZE) -Db_sanitize=address$(comma)undefined)
	@$(NINJA) build-fuzz fuzzers
	@tests/fuzz/run build-fuzz $(SECONDS)

asan: packages ## every test with AddressSanitizer and UBSan
	$(INSTALL_PACKAGES) packages packages-test
	$(call setup,build-asan,,$(SANITIZE) -Db_sanitize=address$(comma)undefined)
	@$(NINJA) build-asan
	@node tests/run.mjs build-asan $(if $(ONLY),--only '$(ONLY)')

tsan: packages ## the tests of what has threads, with ThreadSanitizer
	$(INSTALL_PACKAGES) packages packages-test
	$(call setup,build-tsan,,$(SANITIZE) -Db_sanitize=thread)
	@$(NINJA) build-tsan
	@tests/with-tsan node tests/run.mjs build-tsan --only '$(or $(ONLY),^(base|store|net|hub|engine|api))'

lint: packages ## gcc and clang with -Werror, the rules of tests/tidy, cppcheck if it is there
	$(INSTALL_PACKAGES) packages packages-test packages-lint
	$(call setup,build-gcc,CC=gcc,-Dwerror=true)
	$(call setup,build-clang,CC=clang,-Dwerror=true)
	@status=0; \
	$(NINJA) build-gcc -k 0 || status=1; \
	$(NINJA) build-clang -k 0 || status=1; \
	node tests/tidy/tidy.mjs || status=1; \
	if command -v cppcheck >/dev/null; then \
	    cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --suppressions-list=tests/tidy/cppcheck.txt --std=c11 -D_GNU_SOURCE -DWEIR_VERSION='""' -Isrc -j 2 src || status=1; \
	fi; \
	exit $$status
	@echo "lint: clean"

clean: ## removes what was built (never data)
	rm -rf build build-test build-asan build-tsan build-fuzz build-gcc build-clang

install: build ## into PREFIX (/usr/local), below DESTDIR: the program and a systemd unit
	@meson configure build -Dprefix=$(PREFIX)
	@$(NINJA) build weir
	@meson install -C build --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

packages:
	$(INSTALL_PACKAGES) packages
