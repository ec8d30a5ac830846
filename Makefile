# postern: `make run` builds and serves a demo, `make check` runs every test. See README.md.
# Built by hand-written rules: one static library per room of src/, one program on top.

BUILD ?= build
SAN ?=
ROOMS = base smtp conf policy tls net sink session proc main

.DEFAULT_GOAL := all
NOCONFIG = clean distclean deps-build deps-check run check help
ifneq ($(filter-out $(NOCONFIG),$(or $(MAKECMDGOALS),all)),)
include build/config.mk
endif

CSTD = -std=c17 -D_GNU_SOURCE
WARN = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
       -Wformat=2 -Wvla
HARDEN = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
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
LIBS = $(EVENT_LIBS) $(OPENSSL_LIBS) $(CONFUSE_LIBS) $(JANSSON_LIBS) $(SECCOMP_LIBS) $(IDN2_LIBS)

obj = $(patsubst src/%.c,$(OBJDIR)/obj/%.o,$(1))
ROOM_LIBS = $(foreach r,$(ROOMS),$(OBJDIR)/lib$(r).a)
# high to low, as the linker wants them
room_from = $(foreach r,$(shell printf '%s\n' $(ROOMS) | sed '/^$(1)$$/q' | tac),$(OBJDIR)/lib$(r).a)

.PHONY: all run check clean distclean install deps-build deps-check unit fuzz bench help
all: $(OBJDIR)/postern

configure: configure.ac
	@command -v autoconf >/dev/null || { echo "autoconf is missing: make deps-build (as root or with sudo), or install autoconf" >&2; exit 1; }
	autoconf
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
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

$(OBJDIR)/obj/%.o: src/%.c build/config.mk
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -MMD -MP -c -o $@ $<

# ---- unit tests: tests/unit/<room>/test_*.c, each a program linked with its room and lower ones only
UNIT_SRC = $(wildcard tests/unit/*/test_*.c)
UNIT_BIN = $(patsubst tests/unit/%.c,$(OBJDIR)/unit/%,$(UNIT_SRC))
UNIT_LIBS_base =
UNIT_LIBS_smtp =
UNIT_LIBS_conf = $(CONFUSE_LIBS) $(IDN2_LIBS)
UNIT_LIBS_policy = $(UNIT_LIBS_conf)
UNIT_LIBS_tls = $(UNIT_LIBS_policy) $(OPENSSL_LIBS)
UNIT_LIBS_net = $(UNIT_LIBS_tls) $(EVENT_LIBS)
UNIT_LIBS_sink = $(UNIT_LIBS_net)
UNIT_LIBS_session = $(UNIT_LIBS_net)
UNIT_LIBS_proc = $(LIBS)
UNIT_LIBS_main = $(LIBS)
unit: $(UNIT_BIN)
define unit_rules
$(OBJDIR)/unit/$(1)/%: tests/unit/$(1)/%.c $(call room_from,$(1))
	@mkdir -p $$(@D)
	$(CC) $(ALLCFLAGS) $(CHECK_CFLAGS) -Itests -DTESTS_DIR='"$(CURDIR)/tests"' -MMD -MP $(LINKFLAGS) -o $$@ $$< $(call room_from,$(1)) $(UNIT_LIBS_$(1)) $(CHECK_LIBS)
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rules,$(r))))

-include $(shell find $(OBJDIR) -name '*.d' 2>/dev/null)

clean:
	rm -rf build
distclean: clean
	rm -rf configure config.log config.status autom4te.cache demo
