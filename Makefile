# make build | test | demo | bench | fuzz | install | packages | clean.  What is behind it: meson, tools/.
BUILD ?= build
PREFIX ?= /usr/local
PYTHON ?= python3
MESON_FLAGS ?=

.PHONY: build test demo bench fuzz install clean packages packages-build

build: packages-build
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_FLAGS)
	@ninja -C $(BUILD)

test:
	@tools/packages build test demo
	@tools/run-tests $(TESTS)

demo: build
	@tools/packages demo
	@tools/demo $(BUILD)/sluice

bench: build
	@tools/packages bench
	@$(PYTHON) bench/run.py $(BENCH)

fuzz:
	@tools/packages build test
	@tools/run-tests fuzz $(FUZZ)

install: build
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD) $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

packages:
	@tools/packages build test demo bench

packages-build:
	@tools/packages build

clean:
	rm -rf build build-*
