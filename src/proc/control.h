/* state-dir/control.sock: one JSON object per line in each direction, then the connection ends. Requests
 * {"command":"why"|"status"|"reload"|"drain"|"version"}; replies {"ok":bool,"error":"...",...}. Readable by root and the
 * daemon's group (mode 0660 inside a directory of the daemon). Works for paths longer than sun_path. */
#ifndef PROC_CONTROL_H
#define PROC_CONTROL_H

#include <jansson.h>

#include "base/err.h"

/* Client side, used by the commands. 0 and *reply (new reference), or -1 and e: nobody is listening (exit code 3). */
int control_ask(const char *state_dir, const json_t *request, int timeout_ms, json_t **reply,
                struct err *e);

#endif
