/* Errors as values: a function that can fail for a reason the world gives returns 0 or -1 and
 * writes one sentence into a struct err of its caller. assert() is for bugs, err for the world. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
    char text[1024]; /* one sentence, no newline; "" when nothing failed */
};

/* Writes the sentence. Always returns -1, so that `return err_set(...)` reads well. e may be NULL. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts a sentence in front of the one already there: "<new>: <old>". Always returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
