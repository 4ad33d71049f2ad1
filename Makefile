# Flotilla. `make help` lists what can be made.
#
# Everything made lies in build/VARIANT, so that builds with and without a sanitizer do not mix:
#   make                                  build/plain
#   make SANITIZER=address,undefined      build/address-undefined     (or address, undefined, thread)
#   make CC=clang                         build/clang
#   make FAULTS=1                         build/faults, with the fault points of shared/base/fault.h; with SANITIZER too
#   make V=1                              shows the whole commands
# A new file in one of the directories below is taken up by itself.

VERSION := $(shell sed -n 's/^\#define FLOTILLA_VERSION "\(.*\)"/\1/p' shared/include/flotilla/version.h)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
SANITIZER ?=
COVERAGE ?=
FAULTS ?=
V ?= 0
# What the tests run on, and for how long each fuzzer runs.
TEST_SANITIZER ?= address,undefined
THREAD_TESTS ?=
FUZZ_SECONDS ?= 60
# What make fault breaks: points by regex (- for none), letters of kill, stall and error, seconds at random and their seed.
FAULT_POINTS ?= .
FAULT_ACTIONS ?= kse
RANDOM_SECONDS ?= 60
SEED ?=

ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format

empty :=
space := $(empty) $(empty)
rparen := )
is_clang := $(findstring clang,$(notdir $(CC)))
comma := ,
variant := $(or $(subst $(space),-,$(strip $(if $(is_clang),clang) $(subst $(comma),-,$(SANITIZER)) \
	$(if $(COVERAGE),coverage) $(if $(FAULTS),faults))),plain)
BUILD := build/$(variant)

# --- what is built from what ---------------------------------------------------------------------------------------

library_sources := $(wildcard shared/base/*.c) $(wildcard shared/job/*.c) $(wildcard shared/broker/*.c) \
	$(wildcard shared/store/*.c) $(wildcard shared/fleet/*.c)
lua_sources := $(wildcard shared/store/lua/*.lua)
public_headers := $(wildcard shared/include/flotilla/*.h)
worker_sources := $(wildcard consumer/*.c) $(wildcard consumer/exec/*.c)
command_sources := $(wildcard producer/*.c) $(wildcard producer/access/*.c) $(wildcard producer/doctor/*.c) $(wildcard producer/workflow/*.c)
runner_sources := $(wildcard consumer/runner/*.c)

support_sources := $(wildcard tests/support/*.c)
unit_sources := $(wildcard tests/unit/test_*.c)
integration_sources := $(wildcard tests/integration/test_*.c)
thread_sources := $(wildcard tests/thread/test_*.c)
test_programs_sources := $(wildcard tests/programs/*.c)
test_plugins_sources := $(wildcard tests/plugins/*.c)
fuzz_sources := $(wildcard tests/fuzz/fuzz_*.c)
load_sources := $(wildcard bench/load/*.c)
bench_plugins_sources := $(wildcard bench/plugins/*.c)

object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
library_objects := $(call object,$(library_sources)) $(if $(lua_sources),$(BUILD)/obj/lua_scripts.o)
worker_objects := $(call object,$(worker_sources))
command_objects := $(call object,$(command_sources))
runner_objects := $(call object,$(runner_sources))
support_objects := $(call object,$(support_sources))

programs := $(strip $(if $(wildcard producer/main.c),$(BUILD)/bin/flotilla) \
	$(if $(wildcard consumer/main.c),$(BUILD)/bin/flotillad) \
	$(if $(runner_sources),$(BUILD)/bin/flotilla-runner))
static_library := $(BUILD)/libflotilla.a
shared_library := $(BUILD)/libflotilla.so.0
pkgconfig_file := $(BUILD)/flotilla.pc

unit_tests := $(patsubst tests/%.c,$(BUILD)/tests/%,$(unit_sources))
integration_tests := $(patsubst tests/%.c,$(BUILD)/tests/%,$(integration_sources))
thread_tests := $(patsubst tests/%.c,$(BUILD)/tests/%,$(thread_sources))
test_programs := $(patsubst tests/%.c,$(BUILD)/tests/%,$(test_programs_sources))
test_plugins := $(patsubst tests/%.c,$(BUILD)/tests/%.so,$(test_plugins_sources))
fuzzers := $(patsubst tests/%.c,$(BUILD)/%,$(fuzz_sources))
# Compiled with the tests, in every build: what no longer fits is found there, not when the fuzzers run.
fuzz_objects := $(patsubst %.c,$(BUILD)/obj/%.o,$(fuzz_sources))
benches := $(BUILD)/bench/load $(BUILD)/bench/spin $(patsubst %.c,$(BUILD)/%.so,$(bench_plugins_sources))

# --- the libraries that are needed ---------------------------------------------------------------------------------

modules := librabbitmq hiredis libuv msgpack jansson yaml-0.1 nettle openssl
# The worker's alone.
worker_modules := libmicrohttpd
# Newer releases call msgpack's module otherwise.
modules := $(if $(shell $(PKG_CONFIG) --exists msgpack-c 2>/dev/null && echo yes),$(modules:msgpack=msgpack-c),$(modules))
package_of = $(or $(package_of_$(1)),lib$(1)-dev)
package_of_librabbitmq := librabbitmq-dev
package_of_libuv := libuv1-dev
package_of_libmicrohttpd := libmicrohttpd-dev
package_of_nettle := nettle-dev
package_of_openssl := libssl-dev
package_of_yaml-0.1 := libyaml-dev

missing_module = $(if $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null || echo no),$(1) (Debian package $(call package_of,$(1))))
missing_tool = $(if $(shell command -v $(1) 2>/dev/null),,$(1) (Debian package $(2)))
missing_header = $(if $(shell printf '\043include <$(1)>\n' | $(CC) -E - >/dev/null 2>&1 || echo no),$(1) (Debian package $(2)))

goals := $(or $(MAKECMDGOALS),all)
without_libraries := deps deb deb-test demo test outage upgrade compose-test fault bench bench-peers pressure model coverage lint layers format clean help uninstall fuzz ci
ifneq ($(filter-out $(without_libraries),$(goals)),)
missing := $(strip $(call missing_tool,$(CC),$(if $(is_clang),clang,gcc)) $(call missing_tool,$(PKG_CONFIG),pkg-config))
ifeq ($(missing),)
missing := $(strip $(foreach module,$(modules) $(worker_modules),$(call missing_module,$(module))) $(call missing_header,uthash.h,uthash-dev) $(call missing_header,curl/curl.h,libcurl4-openssl-dev))
endif
ifneq ($(missing),)
$(error missing: $(subst $(rparen)$(space),$(rparen)$(comma)$(space),$(missing)); run `make deps`, which installs what is missing)
endif
library_cflags := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(modules) $(worker_modules)))
library_libs := $(shell $(PKG_CONFIG) --libs $(modules) $(worker_modules))
ifneq ($(filter unit integration test-programs run-tests run-outage,$(goals)),)
ifneq ($(shell $(PKG_CONFIG) --exists criterion 2>/dev/null || echo no),)
$(error missing: criterion (Debian package libcriterion-dev); run `make deps`, which installs what is missing)
endif
endif
endif

# --- flags ---------------------------------------------------------------------------------------------------------

warnings := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings -Werror \
	$(if $(is_clang),-Wno-gnu-statement-expression)
CFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=
includes := -I shared -I shared/include -I consumer -I producer -I .
compile_flags := -std=gnu17 -D_GNU_SOURCE -DFLOTILLA_VERSION='"$(VERSION)"' $(includes) $(library_cflags) $(CPPFLAGS) \
	$(warnings) -fstack-protector-strong -fPIC -pthread -MMD -MP $(CFLAGS)
link_flags := -pthread -Wl,--as-needed $(LDFLAGS)
ifneq ($(SANITIZER),)
compile_flags += -fsanitize=$(SANITIZER) -fno-omit-frame-pointer
link_flags += -fsanitize=$(SANITIZER)
ifneq ($(findstring undefined,$(SANITIZER)),)
compile_flags += -fno-sanitize-recover=undefined
endif
else
compile_flags += $(if $(COVERAGE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif
compile_flags += $(if $(FAULTS),-DFLOTILLA_FAULTS)
ifneq ($(COVERAGE),)
compile_flags += --coverage -O0 -Wno-error -fprofile-update=atomic
link_flags += --coverage
endif
# The test framework's macros are not pedantic.
test_flags := -I tests -I tests/support -Wno-pedantic -Wno-missing-prototypes

ifeq ($(V),1)
say = @:
Q :=
else
say = @printf '  %-4s %s\n' $(1) $(2)
Q := @
endif

# The targets that do all by themselves use all processors, unless they were told how many.
parallel = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# --- targets for people --------------------------------------------------------------------------------------------

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps demo test outage run-outage run-tests unit integration clients model lint layers format fuzz run-fuzzers bench coverage install pressure \
	uninstall clean help ci FORCE

all: $(static_library) $(shared_library) $(programs)

help:
	@printf '%s\n' \
	'make            build everything into $(BUILD)' \
	'make deps       install what is missing from Debian packages (with apt-get)' \
	'make demo       a pipeline on real data, on a private RabbitMQ and Redis; installs and builds what it needs' \
	'make test       unit, integration and client tests, with sanitizers; installs and builds what it needs' \
	'make outage     servers that die, networks that are cut, workers that are stopped or killed: some minutes' \
	'make upgrade    an older version beside this one: workers replaced, commands mixed (docs/operations.md)' \
	'make unit | integration | clients    one kind of test, on this build' \
	'make compose-test   a fleet in containers, as docs/compose.md says; installs an engine where there is none' \
	'make model      the protocol, checked by spin; installs what it needs (docs/model.md)' \
	'make lint       format, static analysis, layers, sizes, scripts; gcc and clang' \
	'make layers     which directory may include which' \
	'make format     format all C files' \
	'make fuzz       each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)' \
	'make fault      breaks workers at every fault point, then RANDOM_SECONDS=$(RANDOM_SECONDS) at random (docs/faults.md)' \
	'make bench      how fast it is on this machine' \
	'make bench-peers   installs what it is compared with: Celery, BullMQ' \
	'make pressure   a million jobs, a hundred thousand dependents: memory, and how long Redis is held up; PRESSURE_*= for less' \
	'make coverage   which lines the tests reach' \
	'make deb        the Debian packages, in build/deb; make deb-test tries them in a bare Debian' \
	'make install    to PREFIX=$(PREFIX), below DESTDIR=; make uninstall' \
	'make clean      remove build/' \
	'' \
	'SANITIZER=address|undefined|thread|address,undefined   CC=clang   V=1'

deps:
	@scripts/deps build run test demo lint

demo:
	@scripts/deps build run demo
	@$(parallel) all
	@FLOTILLA_BUILD='$(BUILD)' scripts/demo

# The tests in one go, on the build with sanitizers.
test:
	@scripts/deps build run test
	@$(parallel) SANITIZER='$(TEST_SANITIZER)' run-tests

run-tests: test-programs
	@tests/run $(BUILD) unit integration clients

# Servers that die, networks that are cut, workers that are stopped or killed; on the build with sanitizers as well.
outage:
	@scripts/deps build run test
	@$(parallel) SANITIZER='$(TEST_SANITIZER)' run-outage

run-outage: test-programs
	@tests/run $(BUILD) outage

.PHONY: upgrade run-upgrade
upgrade:
	@scripts/deps build run test
	@$(parallel) SANITIZER='$(TEST_SANITIZER)' run-upgrade

run-upgrade: all
	@tests/upgrade/run $(BUILD)

.PHONY: compose-test
compose-test:
	@tests/compose/run

unit: $(unit_tests) $(test_programs) $(test_plugins) $(filter %/flotilla-runner,$(programs))
	@tests/run $(BUILD) unit

integration: test-programs
	@tests/run $(BUILD) integration

clients: all
	@tests/run $(BUILD) clients

model:
	@scripts/deps model
	@tests/model/run

.PHONY: test-programs
test-programs: all $(fuzz_objects) $(unit_tests) $(integration_tests) $(test_programs) $(test_plugins)

# What uses threads, for SANITIZER=thread: plain programs (the test framework does not work under that sanitizer), and the
# integration tests in Python, whose workers and commands are then of this build.
.PHONY: thread-tests
thread-tests: all $(thread_tests) $(test_programs) $(test_plugins)
	@TESTS='$(THREAD_TESTS)' tests/run $(BUILD) thread python

lint:
	@scripts/lint

layers:
	@scripts/check-layers

format:
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r $(CLANG_FORMAT) -i

fuzz:
	@$(parallel) BUILD=build/fuzz CC=clang SANITIZER=fuzzer-no-link,address,undefined run-fuzzers

.PHONY: fault run-fault
fault:
	@scripts/deps build run test
	@$(parallel) FAULTS=1 run-fault

run-fault: all $(BUILD)/tests/programs/faults $(BUILD)/tests/plugins/note.so
	@FLOTILLA_BUILD='$(abspath $(BUILD))' tests/fault/run --points '$(FAULT_POINTS)' --actions '$(FAULT_ACTIONS)' \
		--random '$(RANDOM_SECONDS)' $(if $(SEED),--seed '$(SEED)')

run-fuzzers: $(fuzzers)
	@scripts/run-fuzzers $(BUILD) $(FUZZ_SECONDS)

bench:
	@scripts/deps build run bench
	@$(parallel) all build-benches
	@FLOTILLA_BUILD='$(BUILD)' bench/run

.PHONY: bench-peers
bench-peers:
	@bench/peers/install

.PHONY: build-benches print-includes print-packages
print-includes:
	@echo '$(includes) $(library_cflags) -DFLOTILLA_VERSION="\"$(VERSION)\""'

# Which packages the libraries come from that are linked.
print-packages:
	@printf '%s\n' $(foreach module,$(modules),$(call package_of,$(module)))

build-benches: $(benches)

# How much of it; .ci/run takes less.
PRESSURE_JOBS ?= 1000000
PRESSURE_WAITING ?= 10000
PRESSURE_WIDE ?= 100000
pressure:
	@scripts/deps build run test
	@$(parallel) all build-benches
	@tests/run $(BUILD) pressure

coverage:
	@scripts/coverage

.PHONY: deb deb-test
deb:
	@scripts/deps build deb
	@packaging/build

deb-test: deb
	@scripts/deps run deb-test
	@tests/packages/run

ci:
	@.ci/run

clean:
	$(call say,RM,build)
	$(Q)rm -rf build

# --- how -----------------------------------------------------------------------------------------------------------

# The command line of the compiler: all is made again when it changes.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(subst ','\'',$(compile_flags) $(link_flags))' | cmp -s - $@ || \
		printf '%s\n' '$(CC) $(subst ','\'',$(compile_flags) $(link_flags))' >$@

$(BUILD)/obj/lua_scripts.c: scripts/embed-lua shared/store/keys.h $(lua_sources)
	$(call say,LUA,$@)
	@mkdir -p $(@D)
	$(Q)scripts/embed-lua shared/store/lua shared/store/keys.h >$@

$(BUILD)/obj/lua_scripts.o: $(BUILD)/obj/lua_scripts.c $(BUILD)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(compile_flags) -c -o $@ $<

# Only what the public headers mark is seen from outside of the library.
$(library_objects): compile_flags += -fvisibility=hidden

$(BUILD)/obj/tests/fuzz/%.o: compile_flags += $(test_flags)
$(BUILD)/obj/tests/%.o: compile_flags += $(test_flags)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(compile_flags) -c -o $@ $<

$(static_library): $(library_objects)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(shared_library): $(library_objects)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libflotilla.so.0 $(link_flags) -o $@ $^ $(library_libs)
	$(Q)ln -sf libflotilla.so.0 $(BUILD)/libflotilla.so

# Everything of a program but its main(), for the tests.
$(BUILD)/libworker.a: $(filter-out $(BUILD)/obj/consumer/main.o,$(worker_objects))
$(BUILD)/libcommand.a: $(filter-out $(BUILD)/obj/producer/main.o,$(command_objects))
$(BUILD)/librunner.a: $(filter-out $(BUILD)/obj/consumer/runner/main.o,$(runner_objects))
$(BUILD)/libsupport.a: $(support_objects)
$(BUILD)/libworker.a $(BUILD)/libcommand.a $(BUILD)/librunner.a $(BUILD)/libsupport.a:
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

define link_program
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(link_flags) -o $@ $(filter %.o,$^) $(1)
endef

$(BUILD)/bin/flotilla: $(command_objects) $(static_library)
	$(call link_program,$(static_library) $(library_libs) -ldl -lm)

$(BUILD)/bin/flotillad: $(worker_objects) $(static_library)
	$(call link_program,$(static_library) $(library_libs) -lm)

# Plugins are loaded into the runner, and find its functions there.
$(BUILD)/bin/flotilla-runner: $(runner_objects) $(static_library)
	$(call link_program,-rdynamic $(static_library) $(library_libs) -ldl -lm)

parts := $(BUILD)/libsupport.a $(BUILD)/libworker.a $(BUILD)/libcommand.a $(BUILD)/librunner.a $(static_library)
link_parts = -Wl,--start-group $(parts) -Wl,--end-group $(library_libs)

$(unit_tests) $(integration_tests): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(parts)
	$(call link_program,$(link_parts) -lcriterion -lm)

$(thread_tests) $(test_programs): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(parts)
	$(call link_program,$(link_parts) -lm)

$(test_plugins) $(patsubst %.c,$(BUILD)/%.so,$(bench_plugins_sources)): $(BUILD)/%.so: %.c $(BUILD)/flags
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(compile_flags) $(test_flags) -shared $(link_flags) -o $@ $<

$(BUILD)/bench/load: $(call object,$(load_sources))
	$(call link_program,$(library_libs))

# As small as a program can be: starting it is not what is measured.
$(BUILD)/bench/spin: $(BUILD)/obj/bench/spin.o
	$(call link_program)

$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(parts)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(subst fuzzer-no-link,fuzzer,$(link_flags)) -o $@ $< $(link_parts) -lm

# --- installation --------------------------------------------------------------------------------------------------

bindir := $(DESTDIR)$(PREFIX)/bin
libexecdir := $(DESTDIR)$(PREFIX)/libexec/flotilla
libdir := $(DESTDIR)$(LIBDIR)
includedir := $(DESTDIR)$(PREFIX)/include/flotilla
mandir := $(DESTDIR)$(PREFIX)/share/man
bashdir := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir := $(DESTDIR)$(PREFIX)/share/zsh/site-functions

$(pkgconfig_file): flotilla.pc.in $(BUILD)/flags Makefile
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@MODULES@|$(modules)|' $< >$@

install: all $(pkgconfig_file)
	$(call say,INST,$(DESTDIR)$(PREFIX))
	$(Q)install -d $(bindir) $(libdir)/pkgconfig $(includedir) $(mandir)/man1 $(mandir)/man8 $(bashdir) $(zshdir)
	$(Q)install -d $(libexecdir)
	$(Q)install -m 755 $(filter-out %/flotilla-runner,$(programs)) $(bindir)
	$(Q)install -m 755 $(filter %/flotilla-runner,$(programs)) $(libexecdir)
	$(Q)install -m 644 $(static_library) $(libdir)
	$(Q)install -m 755 $(shared_library) $(libdir)
	$(Q)ln -sf libflotilla.so.0 $(libdir)/libflotilla.so
	$(Q)$(if $(public_headers),install -m 644 $(public_headers) $(includedir))
	$(Q)install -m 644 $(pkgconfig_file) $(libdir)/pkgconfig
	$(Q)install -m 644 man/flotilla.1 $(mandir)/man1
	$(Q)install -m 644 man/flotillad.8 $(mandir)/man8
	$(Q)install -m 644 completions/flotilla.bash $(bashdir)/flotilla
	$(Q)install -m 644 completions/flotillad.bash $(bashdir)/flotillad
	$(Q)install -m 644 completions/_flotilla $(zshdir)

uninstall:
	$(call say,RM,$(DESTDIR)$(PREFIX))
	$(Q)rm -f $(bindir)/flotilla $(bindir)/flotillad $(libexecdir)/flotilla-runner
	$(Q)rm -f $(libdir)/libflotilla.a $(libdir)/libflotilla.so $(libdir)/libflotilla.so.0 $(libdir)/pkgconfig/flotilla.pc
	$(Q)rm -f $(patsubst shared/include/flotilla/%,$(includedir)/%,$(public_headers))
	$(Q)rm -f $(mandir)/man1/flotilla.1 $(mandir)/man8/flotillad.8
	$(Q)rm -f $(bashdir)/flotilla $(bashdir)/flotillad $(zshdir)/_flotilla
	$(Q)rmdir $(includedir) $(libexecdir) 2>/dev/null || true

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
