#include "auth/auth_local.h"

#include <gsasl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "auth/secret.h"
#include "base/text.h"

struct local;

struct auth_exchange {
    struct auth_exchange *next; /* in a list of the pool */
    struct local *local;
    void *talk;
    Gsasl_session *session;
    char *in;                  /* what came, NULL: nothing */
    bool login;                /* the mechanism speaks first, whatever came */
    bool finished;             /* all is proven; its last words were a challenge */
    bool running, cancelled;   /* running: in the pool's hands */
    enum auth_verdict verdict; /* what came out */
    char *out;
    char name[CONF_USER_NAME], identity[CONF_USER_NAME];
};

struct local {
    struct auth_backend backend;
    struct loop *loop;
    const struct conf_users *users;
    Gsasl *lib;
    unsigned char seed[SECRET_SEED];
    unsigned iterations; /* shown to those who do not exist */
    int done_fd;
    struct watch *watch;
    pthread_t threads[AUTH_LOCAL_THREADS];
    unsigned thread_count;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct auth_exchange *todo, **last, *done;
    bool stop;
};

/* ---- in the threads: what the mechanisms ask */

static const struct conf_user *look_up(Gsasl_session *session, struct auth_exchange *x)
{
    const char *id = gsasl_property_fast(session, GSASL_AUTHID);
    const struct conf_user *u = id ? conf_users_find(x->local->users, span_str(id)) : NULL;

    snprintf(x->name, sizeof x->name, "%s", id ? id : "");
    /* as it is compared: who exists gets one answer however the name is written, so must who does not */
    if (conf_user_name(x->identity, span_str(x->name), NULL) < 0)
        memcpy(x->identity, x->name, sizeof x->identity);
    return u;
}

/* RFC 4616 2, RFC 5802 7: nobody acts for somebody else here. */
static bool is_oneself(Gsasl_session *session, const struct auth_exchange *x, const struct conf_user *u)
{
    const char *as = gsasl_property_fast(session, GSASL_AUTHZID);

    return !as || !*as || (u && conf_users_find(x->local->users, span_str(as)) == u);
}

/* Somebody's hash, the same one each time for one name: made-up users cost what real ones do. */
static const char *decoy(const struct local *l, const char *name)
{
    unsigned long h = 5381;

    for (; *name; name++)
        h = h * 33 + (unsigned char)*name;
    return l->users->count ? l->users->list[h % l->users->count].hash : "$y$j9T$................$";
}

static int check_password(Gsasl_session *session, struct auth_exchange *x)
{
    const char *password = gsasl_property_fast(session, GSASL_PASSWORD);
    const struct conf_user *u = look_up(session, x);
    bool right = secret_is_right(u ? u->hash : decoy(x->local, x->identity), password ? password : "");

    return u && right && is_oneself(session, x, u) ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int tell_secrets(Gsasl_session *session, struct auth_exchange *x)
{
    const struct conf_user *u = look_up(session, x);
    bool oneself = is_oneself(session, x, u);
    struct secret_made_up made;
    char iterations[16];

    if (secret_make_up(&made, x->local->seed, x->identity) < 0)
        return GSASL_AUTHENTICATION_ERROR;
    if (u && !u->salt)
        u = NULL;
    snprintf(iterations, sizeof iterations, "%u", u ? u->iterations : x->local->iterations);
    gsasl_property_set(session, GSASL_SCRAM_ITER, iterations);
    gsasl_property_set(session, GSASL_SCRAM_SALT, u ? u->salt : made.salt);
    gsasl_property_set(session, GSASL_SCRAM_STOREDKEY, u && oneself ? u->stored : made.stored);
    gsasl_property_set(session, GSASL_SCRAM_SERVERKEY, u ? u->server : made.server);
    explicit_bzero(&made, sizeof made);
    return GSASL_OK;
}

static int on_property(Gsasl *lib, Gsasl_session *session, Gsasl_property property)
{
    struct auth_exchange *x = gsasl_session_hook_get(session);

    (void)lib;
    switch (property) {
    case GSASL_VALIDATE_SIMPLE:
        return check_password(session, x);
    case GSASL_SCRAM_ITER:
    case GSASL_SCRAM_SALT:
    case GSASL_SCRAM_STOREDKEY:
    case GSASL_SCRAM_SERVERKEY:
        return tell_secrets(session, x);
    default:
        return GSASL_NO_CALLBACK;
    }
}

static enum auth_verdict verdict_of(struct auth_exchange *x, int r)
{
    if (r == GSASL_NEEDS_MORE)
        return AUTH_CONTINUE;
    if (r == GSASL_MECHANISM_PARSE_ERROR || r == GSASL_BASE64_ERROR || r == GSASL_MECHANISM_CALLED_TOO_MANY_TIMES)
        return AUTH_MALFORMED;
    if (r != GSASL_OK)
        return AUTH_FAILED;
    if (!x->out || !*x->out)
        return AUTH_OK;
    x->finished = true; /* RFC 4954 4: last words of the server go as a challenge, which is answered with nothing */
    return AUTH_CONTINUE;
}

/* One step, however long the hash takes. */
static void work(struct auth_exchange *x)
{
    int r;

    gsasl_free(x->out);
    x->out = NULL;
    if (x->finished) {
        x->verdict = *x->in ? AUTH_MALFORMED : AUTH_OK;
        return;
    }
    if (x->login) {
        x->login = false;
        r = gsasl_step64(x->session, "", &x->out);
        if (r != GSASL_NEEDS_MORE || !x->in) {
            x->verdict = verdict_of(x, r);
            return;
        }
        gsasl_free(x->out);
        x->out = NULL;
    }
    r = gsasl_step64(x->session, x->in ? x->in : "", &x->out);
    x->verdict = verdict_of(x, r);
}

static void *pool_thread(void *arg)
{
    struct local *l = arg;
    uint64_t one = 1;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        struct auth_exchange *x;

        while (!l->todo && !l->stop)
            pthread_cond_wait(&l->wake, &l->lock);
        if (l->stop)
            break;
        x = l->todo;
        l->todo = x->next;
        if (!l->todo)
            l->last = &l->todo;
        if (!x->cancelled) { /* a client that asks and goes costs no hash */
            pthread_mutex_unlock(&l->lock);
            work(x);
            pthread_mutex_lock(&l->lock);
        }
        x->next = l->done;
        l->done = x;
        (void)!write(l->done_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- in the loop */

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static void free_exchange(struct auth_exchange *x)
{
    wipe(&x->in);
    gsasl_free(x->out);
    gsasl_finish(x->session);
    free(x);
}

static void hand_over(struct auth_exchange *x)
{
    struct local *l = x->local;

    x->next = NULL;
    x->running = true;
    pthread_mutex_lock(&l->lock);
    *l->last = x;
    l->last = &x->next;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static struct auth_exchange *local_begin(struct auth_backend *b, const struct auth_begin_msg *m, const char *text,
                                         void *talk)
{
    struct local *l = (struct local *)b;
    struct auth_exchange *x;
    Gsasl_session *session;

    if (gsasl_server_start(l->lib, m->mechanism, &session) != GSASL_OK)
        return NULL;
    x = mem_alloc(sizeof *x);
    x->local = l;
    x->talk = talk;
    x->session = session;
    x->login = strcmp(m->mechanism, "LOGIN") == 0;
    x->in = m->has_text ? mem_str(text) : NULL;
    gsasl_session_hook_set(session, x);
    hand_over(x);
    return x;
}

static void local_step(struct auth_backend *b, struct auth_exchange *x, const char *text)
{
    (void)b;
    wipe(&x->in);
    x->in = mem_str(text);
    hand_over(x);
}

static void local_cancel(struct auth_backend *b, struct auth_exchange *x)
{
    (void)b;
    pthread_mutex_lock(&x->local->lock);
    x->cancelled = true;
    pthread_mutex_unlock(&x->local->lock);
    if (!x->running)
        free_exchange(x);
}

static void report(struct auth_exchange *x)
{
    const struct auth_backend_events *ev = x->local->backend.events;

    x->running = false;
    wipe(&x->in);
    if (x->cancelled) {
        free_exchange(x);
    } else if (x->verdict == AUTH_CONTINUE) {
        ev->answer(x->talk, AUTH_CONTINUE, x->out ? x->out : "", x->name);
    } else {
        ev->answer(x->talk, x->verdict, x->verdict == AUTH_OK ? x->identity : "", x->name);
        free_exchange(x);
    }
}

static void on_done(void *arg, unsigned what)
{
    struct local *l = arg;
    struct auth_exchange *x, *next;
    uint64_t count;

    (void)what;
    (void)!read(l->done_fd, &count, sizeof count);
    pthread_mutex_lock(&l->lock);
    x = l->done;
    l->done = NULL;
    pthread_mutex_unlock(&l->lock);
    for (; x; x = next) {
        next = x->next;
        report(x);
    }
}

static const char *local_mechanisms(const struct auth_backend *b)
{
    return ((const struct local *)b)->users->scram ? "SCRAM-SHA-256 PLAIN LOGIN" : "PLAIN LOGIN";
}

static void free_list(struct auth_exchange *x)
{
    while (x) {
        struct auth_exchange *next = x->next;

        free_exchange(x);
        x = next;
    }
}

static void local_free(struct auth_backend **b)
{
    struct local *l = (struct local *)*b;

    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->thread_count; i++)
        pthread_join(l->threads[i], NULL);
    free_list(l->todo);
    free_list(l->done);
    watch_free(&l->watch);
    if (l->done_fd >= 0)
        close(l->done_fd);
    if (l->lib)
        gsasl_done(l->lib);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->wake);
    explicit_bzero(l, sizeof *l);
    free(l);
    *b = NULL;
}

static const struct auth_backend_ops ops = {.mechanisms = local_mechanisms,
                                            .begin = local_begin,
                                            .step = local_step,
                                            .cancel = local_cancel,
                                            .free = local_free};

static int start_threads(struct local *l, struct err *e)
{
    sigset_t all, before;
    int r = 0;

    sigfillset(&all); /* signals are for the loop */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (l->thread_count < AUTH_LOCAL_THREADS &&
           (r = pthread_create(&l->threads[l->thread_count], NULL, pool_thread, l)) == 0)
        l->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r ? err_set(e, "threads for hashing: %s", strerror(r)) : 0;
}

/* The same as long as the file's first user keeps the hash: salts that change with each start, or each change of the
 * file, would tell that they are made up. The hash itself is never shown to anybody. */
static int make_seed(struct local *l)
{
    const struct conf_user *first = l->users->list;

    for (unsigned i = 1; i < l->users->count; i++)
        if (l->users->list[i].line < first->line)
            first = &l->users->list[i];
    if (!first)
        return getrandom(l->seed, sizeof l->seed, 0) == sizeof l->seed ? 0 : -1;
    return secret_seed(l->seed, first->hash);
}

int auth_local_new(struct auth_backend **out, struct loop *loop, const struct conf_users *users,
                   const struct auth_backend_events *events, void *arg, struct err *e)
{
    struct local *l = mem_alloc(sizeof *l);

    l->backend = (struct auth_backend){.ops = &ops, .events = events, .arg = arg};
    l->loop = loop;
    l->users = users;
    l->iterations = users->scram ? users->list[0].iterations : 4096;
    l->last = &l->todo;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = &l->backend;
    if (l->done_fd < 0 || make_seed(l) < 0 || gsasl_init(&l->lib) != GSASL_OK) {
        err_set(e, "libgsasl, random bytes or a descriptor cannot be had");
        local_free(out);
        return -1;
    }
    gsasl_callback_set(l->lib, on_property);
    l->watch = watch_new(loop, l->done_fd, on_done, l);
    watch_want(l->watch, LOOP_READ);
    if (start_threads(l, e) == 0)
        return 0;
    local_free(out);
    return -1;
}
