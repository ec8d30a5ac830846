/* Landlock: landlock(7). Constants newer than the oldest kernel headers we build with are written out here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/sandbox.h"

#define FS_ABI1 ((UINT64_C(1) << 13) - 1) /* EXECUTE .. MAKE_SYM */
#define FS_REFER (UINT64_C(1) << 13)      /* ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)   /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15)  /* ABI 5 */
#define NET_BIND_TCP (UINT64_C(1))        /* ABI 4 */
#define NET_TCP (UINT64_C(3))             /* and CONNECT_TCP */
#define SCOPES (UINT64_C(3))              /* ABI 6: abstract unix sockets, signals */

struct ruleset_attr { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t handled_access_fs, handled_access_net, scoped;
};

static size_t attr_size(long abi)
{
    return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

/* What the store does below its directories: make files and directories, write, link, remove. */
static uint64_t store_rights(uint64_t handled)
{
    return handled & (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                      LANDLOCK_ACCESS_FS_MAKE_DIR | FS_REFER | FS_TRUNCATE);
}

static int allow_dirs(int rules, const struct sandbox *s, uint64_t handled, struct err *e)
{
    for (unsigned i = 0; i < s->dir_count; i++) {
        struct landlock_path_beneath_attr below = {
            .allowed_access = store_rights(handled),
            .parent_fd = s->dirs[i],
        };

        if (s->dirs[i] < 0)
            continue;
        if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0)
            return err_set(e, "landlock_add_rule: %s", strerror(errno));
    }
    return 0;
}

int sandbox_landlock(const struct sandbox *s, char words[SANDBOX_WORDS], struct err *e)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset_attr attr = {0};
    int rules, rc = -1;

    if (abi < 0) {
        snprintf(words, SANDBOX_WORDS, "none (this kernel: %s)", strerror(errno));
        return 0;
    }
    attr.handled_access_fs =
        FS_ABI1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
    attr.handled_access_net = s->profile == SANDBOX_RELAY ? NET_BIND_TCP : NET_TCP;
    attr.scoped = SCOPES;
    rules = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size(abi), 0);
    if (rules < 0)
        return err_set(e, "landlock_create_ruleset: %s", strerror(errno));
    if (allow_dirs(rules, s, attr.handled_access_fs, e) < 0)
        goto out;
    if (syscall(SYS_landlock_restrict_self, rules, 0) < 0) {
        err_set(e, "landlock_restrict_self: %s", strerror(errno));
        goto out;
    }
    snprintf(words, SANDBOX_WORDS, "abi %ld, %s%s%s%s", abi,
             s->dir_count ? "only the mail and state directories" : "no file",
             abi < 3 ? "; truncate not covered by this kernel" : "",
             abi < 4                       ? "; TCP not covered by this kernel"
             : s->profile == SANDBOX_RELAY ? ", no TCP bind"
                                           : ", no TCP bind or connect",
             abi < 6 ? "; signals not covered by this kernel" : ", no signals outside");
    rc = 0;
out:
    close(rules);
    return rc;
}
