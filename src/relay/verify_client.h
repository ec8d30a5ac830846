/* The worker's side of verify_msg.h: questions to the relay, answers by the loop.
 *
 * Each question is answered exactly once, unless it is cancelled, and never from inside verify_client_ask(). A relay that
 * is gone, or says what is not well-formed, answers by "unknown": what was open then, and whatever is asked until
 * verify_client_use() brings another one. */
#ifndef RELAY_VERIFY_CLIENT_H
#define RELAY_VERIFY_CLIENT_H

#include "net/loop.h"
#include "relay/verify_msg.h"

struct verify_client;
struct verify_question;
/* a and its text are valid until the call returns. It may ask, and cancel others; the question itself is gone,
 * its pointer is to be forgotten. */
typedef void verify_told(void *arg, const struct verify_answer *a);

/* fd: a channel to the relay, the client's from now on. */
struct verify_client *verify_client_new(struct loop *l, int fd);
/* Nobody is called any more. */
void verify_client_free(struct verify_client **c);
/* The relay was made anew. What the old one has left open is answered from inside. Not from inside an answer. */
void verify_client_use(struct verify_client *c, int fd);

/* route: title of a delivery of type lmtp or smtp. Both are copied. */
struct verify_question *verify_client_ask(struct verify_client *c, const char *route, const char *address,
                                          verify_told *told, void *arg);
void verify_question_cancel(struct verify_question **q); /* any time before told; NULL is nothing */
unsigned verify_client_open(const struct verify_client *c);

#endif
