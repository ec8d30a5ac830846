/* The listening sockets, kept by address over all generations: they never close across a reload. */
#ifndef PROC_SOCKETS_H
#define PROC_SOCKETS_H

#include "base/addr.h"
#include "base/err.h"
#include "proc/proc_msg.h"

struct sockets;

struct sockets *sockets_new(void);
void sockets_free(struct sockets **s);
/* The socket for this address, the one there is or a new one, marked as wanted by `generation`. Port 0 is the port that
 * this listener got for it before. Returns the descriptor, which stays ours; or -1, *error (errno) and e. */
int sockets_get(struct sockets *s, const struct proc_bind *b, unsigned generation, struct addr *local, int *error,
                struct err *e);
/* The control socket in b->dir; takes the lock of the directory first (a second daemon is refused). */
int sockets_control(struct sockets *s, const struct proc_bind *b, int *error, struct err *e);
/* Closes what this generation, now the active one, did not ask for. */
void sockets_retire(struct sockets *s, unsigned generation);
/* Writes "listener address" of every socket this generation has, atomically. */
int sockets_write_ports(const struct sockets *s, unsigned generation, const char *file, struct err *e);

#endif
