/* An HTTP/1.1 server for a few local programs: whole requests in, one answer each, and the connection ends with it.
 *
 * Whoever connects is bounded before it is known who that is: so many connections (more wait in the kernel's queue), so
 * many octets of headers and body, and so long until the request is there, however slowly it drips. A request may be kept
 * unanswered as long as its owner likes; when its client leaves meanwhile, the owner is told.
 *
 * What evhttp itself refuses (no HTTP at all, too long) it refuses in its own words, with 400, 413 or 501. */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "base/addr.h"
#include "base/text.h"
#include "net/loop.h"

struct http_server;
struct http_request;

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OTHER };

struct http_limits {
    unsigned connections;
    size_t headers, body; /* octets */
    unsigned seconds;     /* for a request to come, and for its answer to go */
};

/* r is the handler's until it is answered. */
typedef void http_handler(void *arg, struct http_request *r);
/* The client has left: r is answered already, as it were, and must not be used any more. */
typedef void http_gone(void *arg);

/* Listens there (port 0: a free one). -1 and e. */
int http_server_new(struct http_server **out, struct loop *l, const struct addr *at, const struct http_limits *limits,
                    http_handler *fn, void *arg, struct err *e);
/* What is unanswered is answered with 503; those who are told that it is gone are told. */
void http_server_free(struct http_server **s);
const struct addr *http_server_address(const struct http_server *s);
unsigned http_server_connections(const struct http_server *s);

enum http_method http_request_method(const struct http_request *r);
const char *http_request_path(const struct http_request *r); /* still percent-encoded; begins with / */
/* NULL: not there, or twice. Of the query string it is decoded. */
const char *http_request_query(const struct http_request *r, const char *name);
const char *http_request_header(const struct http_request *r, const char *name);
/* Of the Host: line or of the address in the request line, without a port; "" when there is none. */
const char *http_request_host(const struct http_request *r);
struct span http_request_body(const struct http_request *r);
bool http_request_from(const struct http_request *r, const struct net *nets,
                       unsigned count); /* is its client of those? */

/* It will be answered later. */
void http_request_keep(struct http_request *r, http_gone *gone, void *arg);
void http_request_add(struct http_request *r, const char *header, const char *value); /* of the answer */
/* Answers, and frees r. */
void http_request_reply(struct http_request **r, int status, const char *type, struct span body);

#endif
