/* state-dir/control.sock: one JSON object per line in each direction, then the connection ends. Requests
 * {"command":"why"|"status"|"reload"|"drain"|"version"}; replies {"ok":bool,"error":"...",...}. {"command":"queue",
 * "request":WORDS} is answered by the queue itself, in many lines (sink/queue_command.h). Readable by root and the daemon's
 * group (mode 0660 inside a directory of the daemon). Works for paths longer than sun_path. */
#ifndef PROC_CONTROL_H
#define PROC_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Client side, used by the commands. 0 and *reply (new reference), or -1 and e: nobody is listening (exit code 3). */
int control_ask(const char *state_dir, const json_t *request, int timeout_ms, json_t **reply, struct err *e);
/* The same for an answer of many lines: the connection, to be read to its end, or -1. */
int control_open(const char *state_dir, const json_t *request, struct err *e);

/* Server side, used by the supervisor (which binds) and the leader (which answers). */

/* Binds dir/control.sock, replacing what a dead daemon left; the caller has made sure (state-dir lock) that none
 * lives. dir exists. Listening, non-blocking; -1 and e. */
int control_listen(const char *dir, unsigned uid, unsigned gid, struct err *e);

struct control; /* the leader's clients */
/* A request that is whole: the handler answers now (control_answer) or later, by the client's number. */
typedef void control_handler(void *arg, unsigned client, const json_t *request);

struct control *control_new(control_handler *handler, void *arg);
/* Accepts one client from the listening socket; at most CONTROL_CLIENTS at once, the rest wait in the backlog. */
#define CONTROL_CLIENTS 16
void control_accept(struct control *c, int listen_fd, int64_t mono_us);
/* Fills pfds (room for CONTROL_CLIENTS) with what to poll for; returns how many. */
struct pollfd;
unsigned control_poll(const struct control *c, struct pollfd *pfds);
/* After poll: reads, calls the handler, writes, drops who is done, hung up or too slow (10 s). */
void control_pump(struct control *c, const struct pollfd *pfds, unsigned count, int64_t mono_us);
/* Sends the object as the reply, then ends the connection. Steals the reference. Unknown clients are ignored. */
void control_answer(struct control *c, unsigned client, json_t *reply);
/* Somebody else answers: the client's connection, the caller's from now on; -1: there is no such client any more. */
int control_take(struct control *c, unsigned client);
bool control_is_idle(const struct control *c); /* nobody waits for an answer */

#endif
