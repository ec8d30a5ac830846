# postern: `make run` builds and serves a demo, `make check` runs every test. See README.md.
# Built by hand-written rules: one static library per room of src/, one program on top.

BUILD ?= build
SAN ?=
ROOMS = base smtp conf policy tls net sink auth dns relay session proc main

.DEFAULT_GOAL := all
NOCONFIG = clean distclean deps-build deps-check run check help
ifneq ($(filter-out $(NOCONFIG),$(or $(MAKECMDGOALS),all)),)
include build/config.mk
endif

CSTD = -std=c17 -D_GNU_SOURCE
WARN = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
       -Wformat=2 -Wvla
# -U: compilers of Ubuntu define it themselves, with another value
HARDEN = -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS ?= -O2 -g
LINKFLAGS = -pie -Wl,-z,relro,-z,now -pthread
ifneq ($(SAN),)
OBJDIR = $(BUILD)/asan
SANFLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DPOSTERN_SANITIZED=1
HARDEN = -fPIE
else
OBJDIR = $(BUILD)
SANFLAGS =
endif
ALLCFLAGS = $(CSTD) $(WARN) $(CFLAGS) $(HARDEN) $(SANFLAGS) $(WERROR) -pthread -Isrc -Ibuild $(LIB_CFLAGS) $(CPPFLAGS)
LIBS = $(EVENT_LIBS) $(OPENSSL_LIBS) $(CONFUSE_LIBS) $(JANSSON_LIBS) $(SECCOMP_LIBS) $(IDN2_LIBS) $(UNBOUND_LIBS) $(GSASL_LIBS) -lcrypt

obj = $(patsubst src/%.c,$(OBJDIR)/obj/%.o,$(1))
ROOM_LIBS = $(foreach r,$(ROOMS),$(OBJDIR)/lib$(r).a)
# high to low, as the linker wants them
room_from = $(foreach r,$(shell printf '%s\n' $(ROOMS) | sed '/^$(1)$$/q' | tac),$(OBJDIR)/lib$(r).a)

.PHONY: all run check ci clean distclean install deps-build deps-check unit fuzzers fuzz bench programs lint help
# BENCH=no: the daemon alone, for packages that part the two (install, too)
BENCH ?= yes
HAS_BENCH = $(filter-out no,$(BENCH))
all: $(OBJDIR)/postern $(if $(HAS_BENCH),$(OBJDIR)/postern-bench)

help:
	@echo 'make            build build/postern'
	@echo 'make run        install what is missing, build, make ./demo and serve it on port 2525'
	@echo 'make check      install what the tests need and run every test, plain and under ASan+UBSan'
	@echo 'make bench      measure (prints figures, judges nothing)'
	@echo 'make matrix     play every scenario of postern-bench to every sender that is here (40 minutes on 2 CPUs), for docs/matrix.md'
	@echo 'make fuzz       run every fuzz target for FUZZ_SECONDS (default 600) each'
	@echo 'make install    DESTDIR= PREFIX=/usr/local; BENCH=no: without postern-bench'

deps-build:
	@.ci/install-deps build
deps-check:
	@.ci/install-deps build check mta beside

# A fresh machine: install, then let a second make find what is there now.
JOBS = $(shell nproc 2>/dev/null || echo 1)
run:
	@.ci/install-deps build run
	@$(MAKE) --no-print-directory -s -j$(JOBS) all
	@conf/demo build/postern demo

configure: configure.ac
	@command -v autoconf >/dev/null || { echo "autoconf is missing: make deps-build (as root or with sudo), or install autoconf" >&2; exit 1; }
	autoconf
	@# its help names the directories of every GNU package; here only the prefix counts, and builds are in build/
	@sed -i -e '/^  --exec-prefix=/,/^  *\[PREFIX\]/d' -e '/^By default, /,/^  --psdir=/d' -e '/^      --srcdir=/d' \
	    -e '/^  LIBS  *libraries to pass/d' configure
build/config.mk: configure src/config.mk.in src/config.h.in
	@mkdir -p build
	./configure -q

$(OBJDIR)/postern: $(ROOM_LIBS)
	$(CC) $(CFLAGS) $(SANFLAGS) $(LINKFLAGS) $(LDFLAGS) -o $@ $(call room_from,main) $(LIBS)

define room_rules
$(OBJDIR)/lib$(1).a: $(call obj,$(wildcard src/$(1)/*.c))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach r,$(ROOMS) bench,$(eval $(call room_rules,$(r))))

# ---- the second program: it stands on the lower rooms, and the daemon links nothing of it
BENCH_LIBS = $(CONFUSE_LIBS) $(IDN2_LIBS) -lcrypt $(OPENSSL_LIBS) $(EVENT_EXTRA_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS)
BENCH_DATA = $(PREFIX)/share/postern/bench
$(call obj,$(wildcard src/bench/*.c)): CPPFLAGS += -DBENCH_DIR='"$(BENCH_DATA)"'
$(OBJDIR)/postern-bench: $(OBJDIR)/libbench.a $(call room_from,net)
	$(CC) $(CFLAGS) $(SANFLAGS) $(LINKFLAGS) $(LDFLAGS) -o $@ $^ $(BENCH_LIBS)

$(OBJDIR)/obj/%.o: src/%.c build/config.mk
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -MMD -MP -c -o $@ $<

# ---- unit tests: tests/unit/<room>/test_*.c, each a program linked with its room and lower ones only
UNIT_SRC = $(wildcard tests/unit/*/test_*.c)
UNIT_BIN = $(patsubst tests/unit/%.c,$(OBJDIR)/unit/%,$(UNIT_SRC))
UNIT_LIBS_base =
UNIT_LIBS_smtp =
UNIT_LIBS_conf = $(CONFUSE_LIBS) $(IDN2_LIBS) -lcrypt
UNIT_LIBS_policy = $(UNIT_LIBS_conf)
UNIT_LIBS_tls = $(UNIT_LIBS_policy) $(OPENSSL_LIBS)
UNIT_LIBS_net = $(UNIT_LIBS_tls) $(EVENT_LIBS)
UNIT_LIBS_sink = $(UNIT_LIBS_net)
UNIT_LIBS_auth = $(UNIT_LIBS_net) $(GSASL_LIBS)
UNIT_LIBS_dns = $(UNIT_LIBS_net) $(UNBOUND_LIBS)
UNIT_LIBS_relay = $(UNIT_LIBS_dns) $(GSASL_LIBS)
UNIT_LIBS_session = $(UNIT_LIBS_relay)
UNIT_LIBS_proc = $(LIBS)
UNIT_LIBS_main = $(LIBS)
unit: $(UNIT_BIN)
# Asked for when tests are built, not by configure: `make check` installs it, often long after the first build.
CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)
.PHONY: have-check
have-check:
	@$(PKG_CONFIG) --exists 'check >= 0.13' || { echo 'missing package (Debian name): check' >&2; exit 1; }
define unit_rules
$(OBJDIR)/unit/$(1)/%: tests/unit/$(1)/%.c $(call room_from,$(1)) | have-check
	@mkdir -p $$(@D)
	$(CC) $(ALLCFLAGS) $$(CHECK_CFLAGS) -Itests -DTESTS_DIR='"$(CURDIR)/tests"' -MMD -MP $(LINKFLAGS) -o $$@ $$< $(call room_from,$(1)) $(UNIT_LIBS_$(1)) $$(CHECK_LIBS)
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rules,$(r))))

$(OBJDIR)/unit/bench/%: tests/unit/bench/%.c $(OBJDIR)/libbench.a $(call room_from,net) | have-check
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) $(CHECK_CFLAGS) -Itests -DTESTS_DIR='"$(CURDIR)/tests"' -MMD -MP $(LINKFLAGS) -o $@ $< $(OBJDIR)/libbench.a $(call room_from,net) $(BENCH_LIBS) $(CHECK_LIBS)

# ---- fuzz targets: tests/fuzz/fuzz_<name>.c, libFuzzer, the rooms built again with coverage
FUZZ_BIN = $(patsubst tests/fuzz/%.c,$(OBJDIR)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 600
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang BUILD=build/fuzz HARDEN=-fPIE \
            SANFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -DPOSTERN_SANITIZED=1'
fuzzers: $(FUZZ_BIN)
$(OBJDIR)/fuzz_%: tests/fuzz/fuzz_%.c $(OBJDIR)/libbench.a $(call room_from,proc)
	$(CC) $(ALLCFLAGS) -fsanitize=fuzzer,address,undefined -Wno-missing-prototypes -MMD -MP $(LINKFLAGS) -o $@ $< $(OBJDIR)/libbench.a $(call room_from,proc) $(LIBS)
fuzz:
	@$(FUZZ_MAKE) -j$(JOBS) fuzzers
	@tests/fuzz/run build/fuzz $(FUZZ_SECONDS)

# ---- everything the tests run
TEST_BUILD = $(MAKE) --no-print-directory -s -j$(JOBS)
check:
	@.ci/install-deps build check mta beside
	@$(TEST_BUILD) all unit programs
	@$(TEST_BUILD) SAN=1 all unit
	@$(FUZZ_MAKE) -s -j$(JOBS) fuzzers
	@/usr/bin/env python3 tests/run.py --build build --build build/asan --fuzz build/fuzz $(TESTS)

# ---- docs/matrix.md: every scenario of postern-bench, every sender that is here
.PHONY: matrix
matrix: all
	@.ci/install-deps run check mta beside
	@tests/bench-drivers/matrix

# ---- measuring: the load generator and what it is compared with
programs: $(patsubst tests/bench/%.c,$(OBJDIR)/bench/%,$(wildcard tests/bench/*.c))
$(OBJDIR)/bench/%: tests/bench/%.c $(call room_from,proc)
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -MMD -MP $(LINKFLAGS) -o $@ $< $(call room_from,proc) $(LIBS)
bench: all programs
	/usr/bin/env python3 tests/bench/bench.py --build $(OBJDIR)

# ---- static checks (used by .ci/run)
LINT = $(patsubst src/%.c,build/lint/%.ok,$(wildcard src/*/*.c))
lint: $(LINT)
build/lint/%.ok: src/%.c .ci/clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet --config-file=.ci/clang-tidy --warnings-as-errors='*' $< -- $(CSTD) -Isrc -Ibuild
	@touch $@

# ---- install
PREFIX ?= $(or $(prefix),/usr/local)
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
MANDIR = $(DESTDIR)$(PREFIX)/share/man
# What stands in /usr or /usr/local reads /etc/postern, as the manual pages say; elsewhere: postern -c FILE.
SYSCONFDIR = $(DESTDIR)$(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR = $(DESTDIR)$(if $(filter /usr,$(PREFIX)),,$(PREFIX))/lib/systemd/system
install: all
	install -d $(SBINDIR) $(MANDIR)/man1 $(MANDIR)/man5 $(MANDIR)/man8 $(SYSCONFDIR)/postern $(UNITDIR)
	install -m 755 $(OBJDIR)/postern $(SBINDIR)/postern
ifneq ($(HAS_BENCH),)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(BENCH_DATA)
	install -m 755 $(OBJDIR)/postern-bench $(DESTDIR)$(PREFIX)/bin/postern-bench
	install -m 644 conf/bench/*.conf $(DESTDIR)$(BENCH_DATA)/
	install -m 644 conf/bench.conf $(DESTDIR)$(PREFIX)/share/postern/bench.conf.sample
endif
	install -m 644 conf/bench.conf $(DESTDIR)$(PREFIX)/share/postern/bench.conf.sample
	install -m 644 docs/postern-bench.1 $(MANDIR)/man1/postern-bench.1
	install -m 644 docs/postern.8 $(MANDIR)/man8/postern.8
	$(OBJDIR)/postern reference --man > $(MANDIR)/man5/postern.conf.5
	install -m 644 conf/postern.conf $(SYSCONFDIR)/postern/postern.conf.sample
	test -e $(SYSCONFDIR)/postern/postern.conf || install -m 640 conf/postern.conf $(SYSCONFDIR)/postern/postern.conf
	sed 's|@SBINDIR@|$(PREFIX)/sbin|; s|@SYSCONFDIR@|$(patsubst $(DESTDIR)%,%,$(SYSCONFDIR))|' systemd/postern.service > $(UNITDIR)/postern.service

-include $(shell find $(OBJDIR) -path $(OBJDIR)/beside -prune -o -type f -name '*.d' -print 2>/dev/null)

clean:
	rm -rf build
distclean: clean
	rm -rf configure config.log config.status autom4te.cache demo
