#include "bench/scenario_file.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_facts.h"
#include "bench/scenario_step.h"
#include "bench/scenario_value.h"

/* ---- sections */

/* `any` and the policy's own add up, in whichever order they stand. */
static void more_words(char ***list, cfg_t *sec, const char *option)
{
    unsigned have = 0, n = cfg_size(sec, option);

    while (*list && (*list)[have])
        have++;
    *list = mem_grow(*list, (have + n + 1) * sizeof **list);
    for (unsigned i = 0; i < n; i++)
        (*list)[have + i] = mem_str(cfg_getnstr(sec, option, i));
    (*list)[have + n] = NULL;
}

static void one_text(char **text, cfg_t *sec, const char *option)
{
    if (!cfg_getstr(sec, option))
        return;
    free(*text);
    *text = scenario_value_text(sec, option);
}

/* Facts that nobody sees would never be there. */
static int are_facts(cfg_t *sec, const char *option)
{
    static const char *names[BENCH_FACTS + 1];

    for (unsigned i = 0; i < BENCH_FACTS; i++)
        names[i] = bench_fact_name((enum bench_fact)i);
    for (unsigned i = 0; i < cfg_size(sec, option); i++)
        if (bench_fact_find(cfg_getnstr(sec, option, i)) < 0)
            return scenario_cfg_unknown(sec, option, cfg_getnstr(sec, option, i), names);
    return 0;
}

static int expect_of(cfg_t *sec, struct bench_scenario *s)
{
    bool any = strcmp(cfg_title(sec), "any") == 0;
    int only = bench_policy_find(cfg_title(sec));

    if (only < 0 && !any)
        return scenario_cfg_complain(sec, "expect", "opportunistic, required, verified or any");
    if (are_facts(sec, "forbid") < 0 || are_facts(sec, "demand") < 0)
        return -1;
    for (int p = 0; p < BENCH_POLICIES; p++) {
        struct bench_expect *x = &s->expect[p];

        if (!any && p != only)
            continue;
        x->given = true;
        more_words(&x->forbid, sec, "forbid");
        more_words(&x->demand, sec, "demand");
        one_text(&x->wait, sec, "wait");
        one_text(&x->undecided, sec, "undecided");
    }
    return 0;
}

static int ehlo_of(cfg_t *sec, struct bench_ehlo *h)
{
    static const char *const places[] = {"first", "middle", "last", "lower", "param", "none", NULL};

    h->add = scenario_value_list(sec, "add");
    h->drop = scenario_value_list(sec, "drop");
    h->add_clear = scenario_value_list(sec, "add_clear");
    h->add_tls = scenario_value_list(sec, "add_tls");
    h->split = cfg_getbool(sec, "split");
    h->own_name = cfg_getbool(sec, "own_name");
    return scenario_value_one_of(sec, "starttls", places, &h->starttls);
}

/* Certificates are files of one directory: a name over HTTP must not lead out of it. */
static int check_pair(cfg_t *sec, const char *option, const char *name)
{
    if (!name || (*name && *name != '.' && !strchr(name, '/')))
        return 0;
    return scenario_cfg_complain(sec, option, "a name that postern-bench pki lists, or of a pair put beside those");
}

static int check_pairs(cfg_t *sec, const struct bench_tls *t)
{
    for (char **r = t->rotate; r && *r; r++)
        if (check_pair(sec, "rotate", *r) < 0)
            return -1;
    return check_pair(sec, "cert", t->cert) < 0 || check_pair(sec, "sni_cert", t->sni_cert) < 0 ? -1 : 0;
}

static int tls_of(cfg_t *sec, struct bench_tls *t)
{
    static const char *const versions[] = {"1.0", "1.1", "1.2", "1.3", NULL};
    static const char *const statuses[] = {"good", "expired", "revoked", NULL};
    static const char *const certs[] = {"optional", "required", NULL};
    static const char *const tickets[] = {"garbage", NULL};
    static const char *const told[] = {"implicit", "starttls", NULL};
    bool words = scenario_value_one_of(sec, "min", versions, &t->min) == 0 &&
                 scenario_value_one_of(sec, "max", versions, &t->max) == 0 &&
                 scenario_value_one_of(sec, "ocsp", statuses, &t->ocsp) == 0 &&
                 scenario_value_one_of(sec, "client_cert", certs, &t->client_cert) == 0 &&
                 scenario_value_one_of(sec, "tickets", tickets, &t->tickets) == 0 &&
                 scenario_value_one_of(sec, "told", told, &t->told) == 0;

    t->cert = scenario_value_text(sec, "cert");
    t->sni_cert = scenario_value_text(sec, "sni_cert");
    t->rotate = scenario_value_list(sec, "rotate");
    t->ciphers = scenario_value_text(sec, "ciphers");
    t->groups = scenario_value_text(sec, "groups");
    t->sigalgs = scenario_value_text(sec, "sigalgs");
    t->need_sni = cfg_getbool(sec, "need_sni");
    t->implicit = cfg_getbool(sec, "implicit");
    t->no_resume = cfg_getbool(sec, "no_resume");
    return !words || check_pairs(sec, t) < 0 ||
                   scenario_value_number(sec, "rotate_every", 0, 1000000, &t->rotate_every) < 0 ||
                   scenario_value_number(sec, "dh_bits", 0, 8192, &t->dh_bits) < 0 ||
                   scenario_value_number(sec, "record", 0, 16384, &t->record) < 0 ||
                   scenario_value_number(sec, "record_ms", 0, 60000, &t->record_ms) < 0
               ? -1
               : 0;
}

static int select_of(cfg_t *sec, struct bench_choice *c)
{
    c->sni = scenario_value_list(sec, "sni");
    c->helo = scenario_value_list(sec, "helo");
    c->mail = scenario_value_list(sec, "mail");
    c->rcpt = scenario_value_list(sec, "rcpt");
    return scenario_value_nets(sec, "client", &c->client, &c->client_count);
}

static int recipients_of(cfg_t *sec, struct bench_scenario *s)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+=";
    unsigned n = cfg_size(sec, "recipients");
    uint64_t many = 0;

    if (n == 0)
        many = 1;
    else if (n == 1 && text_u64(span_str(cfg_getstr(sec, "recipients")), &many) &&
             (many < 1 || many > BENCH_RCPTS_MOST))
        return scenario_cfg_complain(sec, "recipients", "from 1 to 100");
    if (n > BENCH_RCPTS_MOST)
        return scenario_cfg_complain(sec, "recipients", "100 at most");
    if (!many) {
        s->recipients = scenario_value_list(sec, "recipients");
    } else {
        s->recipients = mem_alloc((many + 1) * sizeof *s->recipients);
        for (unsigned i = 0; i < many; i++)
            s->recipients[i] = i ? mem_printf("rcpt-%u", i + 1) : mem_str("rcpt");
    }
    for (char **r = s->recipients; *r; r++)
        if (!**r || (*r)[strspn(*r, safe)])
            return scenario_cfg_complain(sec, "recipients", "local parts of letters, digits and . - _ + =");
    return 0;
}

static int scenario_of(cfg_t *sec, struct bench_scenario *s)
{
    static const char *const listen[] = {"accept", "refuse", "blackhole", NULL};
    unsigned steps = cfg_size(sec, "step");
    int how = scenario_value_word(sec, "listen", listen, "accept");
    const char *also = cfg_getstr(sec, "also_ends");

    s->name = mem_str(cfg_title(sec));
    s->section = scenario_value_text(sec, "section");
    s->doc = scenario_value_text(sec, "doc");
    s->correct = scenario_value_text(sec, "correct");
    s->source = scenario_value_text(sec, "source");
    s->why_not = scenario_value_text(sec, "unavailable");
    s->file = mem_str(scenario_cfg_file(sec));
    s->line = scenario_cfg_line(sec);
    s->eight_bit = cfg_getbool(sec, "eight_bit");
    if (how < 0 || recipients_of(sec, s) < 0 ||
        scenario_value_number(sec, "receive_buffer", 0, 1u << 30, &s->receive_buffer) < 0 ||
        scenario_value_number(sec, "messages", 1, BENCH_MESSAGES_MOST, &s->messages) < 0 ||
        scenario_value_number(sec, "octets", 0, BENCH_OCTETS_MOST, &s->octets) < 0 ||
        (also && scenario_value_bytes(sec, "also_ends", also, &s->also_ends) < 0))
        return -1;
    s->listen = (enum bench_listen)how;
    if (select_of(cfg_getsec(sec, "select"), &s->select) < 0 || ehlo_of(cfg_getsec(sec, "ehlo"), &s->ehlo) < 0 ||
        tls_of(cfg_getsec(sec, "tls"), &s->tls) < 0)
        return -1;
    s->steps = mem_alloc((steps + 1) * sizeof *s->steps);
    for (; s->step_count < steps; s->step_count++)
        if (scenario_step_take(cfg_getnsec(sec, "step", s->step_count), &s->steps[s->step_count]) < 0) {
            s->step_count++;
            return -1;
        }
    for (unsigned i = 0; i < cfg_size(sec, "expect"); i++)
        if (expect_of(cfg_getnsec(sec, "expect", i), s) < 0)
            return -1;
    return 0;
}

/* ---- a file */

static cfg_opt_t ehlo_options[] = {
    CFG_STR_LIST("add", NULL, CFGF_NODEFAULT),     CFG_STR_LIST("drop", NULL, CFGF_NODEFAULT),
    CFG_STR("starttls", NULL, CFGF_NODEFAULT),     CFG_STR_LIST("add_clear", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("add_tls", NULL, CFGF_NODEFAULT), CFG_BOOL("split", cfg_false, CFGF_NONE),
    CFG_BOOL("own_name", cfg_false, CFGF_NONE),    CFG_END(),
};
static cfg_opt_t tls_options[] = {
    CFG_STR("cert", NULL, CFGF_NODEFAULT),
    CFG_STR("min", NULL, CFGF_NODEFAULT),
    CFG_STR("max", NULL, CFGF_NODEFAULT),
    CFG_STR("ciphers", NULL, CFGF_NODEFAULT),
    CFG_STR("groups", NULL, CFGF_NODEFAULT),
    CFG_STR("client_cert", NULL, CFGF_NODEFAULT),
    CFG_BOOL("need_sni", cfg_false, CFGF_NONE),
    CFG_BOOL("implicit", cfg_false, CFGF_NONE),
    CFG_BOOL("no_resume", cfg_false, CFGF_NONE),
    CFG_STR("sni_cert", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("rotate", NULL, CFGF_NODEFAULT),
    CFG_INT("rotate_every", 1, CFGF_NONE),
    CFG_STR("ocsp", NULL, CFGF_NODEFAULT),
    CFG_STR("sigalgs", NULL, CFGF_NODEFAULT),
    CFG_INT("dh_bits", 0, CFGF_NONE),
    CFG_STR("tickets", NULL, CFGF_NODEFAULT),
    CFG_STR("told", NULL, CFGF_NODEFAULT),
    CFG_INT("record", 0, CFGF_NONE),
    CFG_INT("record_ms", 0, CFGF_NONE),
    CFG_END(),
};
static cfg_opt_t expect_options[] = {
    CFG_STR_LIST("forbid", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("demand", NULL, CFGF_NODEFAULT),
    CFG_STR("wait", NULL, CFGF_NODEFAULT),
    CFG_STR("undecided", NULL, CFGF_NODEFAULT),
    CFG_END(),
};
static cfg_opt_t select_options[] = {
    CFG_STR_LIST("client", NULL, CFGF_NODEFAULT), CFG_STR_LIST("sni", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("helo", NULL, CFGF_NODEFAULT),   CFG_STR_LIST("mail", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("rcpt", NULL, CFGF_NODEFAULT),   CFG_END(),
};
static cfg_opt_t scenario_options[] = {
    CFG_STR("section", "", CFGF_NONE),
    CFG_STR("doc", "", CFGF_NONE),
    CFG_STR("correct", "", CFGF_NONE),
    CFG_STR("source", "", CFGF_NONE),
    CFG_STR("unavailable", NULL, CFGF_NODEFAULT),
    CFG_STR("listen", NULL, CFGF_NODEFAULT),
    CFG_INT("receive_buffer", 0, CFGF_NONE),
    CFG_INT("octets", 0, CFGF_NONE),
    CFG_BOOL("eight_bit", cfg_false, CFGF_NONE),
    CFG_STR("also_ends", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("recipients", NULL, CFGF_NODEFAULT),
    CFG_INT("messages", 1, CFGF_NONE),
    CFG_SEC("select", select_options, CFGF_NONE),
    CFG_SEC("ehlo", ehlo_options, CFGF_NONE),
    CFG_SEC("tls", tls_options, CFGF_NONE),
    CFG_SEC("step", scenario_step_options, CFGF_MULTI),
    CFG_SEC("expect", expect_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_END(),
};
static cfg_opt_t file_options[] = {
    CFG_SEC("scenario", scenario_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_FUNC("include", scenario_cfg_include),
    CFG_END(),
};

/* Of a text that somebody brings: it reads no files. */
static cfg_opt_t text_options[] = {
    CFG_SEC("scenario", scenario_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_END(),
};

static int add(struct bench_catalogue *c, cfg_t *sec)
{
    struct bench_scenario s = {0};

    if (!bench_scenario_is_name(cfg_title(sec)))
        return scenario_cfg_complain(sec, "scenario", "its name: letters, digits, dot, minus, underscore; at most 64");
    if (bench_catalogue_find(c, cfg_title(sec)))
        return scenario_cfg_complain(sec, cfg_title(sec), "a scenario of that name is there already");
    if (scenario_of(sec, &s) < 0) {
        bench_scenario_free(&s);
        return -1;
    }
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->list = mem_grow(c->list, c->cap * sizeof *c->list);
    }
    c->list[c->count++] = s;
    return 0;
}

int scenario_file_take(struct bench_catalogue *c, cfg_t *cfg)
{
    unsigned before = c->count;
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < cfg_size(cfg, "scenario"); i++)
        rc = add(c, cfg_getnsec(cfg, "scenario", i));
    while (rc < 0 && c->count > before)
        bench_scenario_free(&c->list[--c->count]);
    return rc;
}

/* What stands in cfg, which is freed, if it could be parsed. */
static int take_all(struct bench_catalogue *c, cfg_t *cfg, int parsed)
{
    int rc = parsed == 0 ? scenario_file_take(c, cfg) : -1;

    cfg_free(cfg);
    return rc;
}

cfg_opt_t *scenario_file_options(void)
{
    return scenario_options;
}

int bench_scenario_load(struct bench_catalogue *c, const char *path, struct err *e)
{
    cfg_t *cfg = cfg_init(file_options, CFGF_NONE);

    return take_all(c, cfg, scenario_cfg_parse(cfg, path, e));
}

int bench_scenario_load_text(struct bench_catalogue *c, const char *name, const char *text, struct err *e)
{
    cfg_t *cfg = cfg_init(text_options, CFGF_NONE);

    return take_all(c, cfg, scenario_cfg_parse_text(cfg, name, text, e));
}

int bench_scenario_load_dir(struct bench_catalogue *c, const char *dir, struct err *e)
{
    char *pattern = mem_printf("%s/*.conf", dir);
    glob_t g;
    int rc = glob(pattern, 0, NULL, &g) == 0
                 ? 0
                 : err_set(e, "%s: no file there ends with .conf; --catalogue DIR names another one", dir);

    free(pattern);
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < g.gl_pathc && rc == 0; i++)
        rc = bench_scenario_load(c, g.gl_pathv[i], e);
    globfree(&g);
    return rc;
}

void bench_catalogue_free(struct bench_catalogue *c)
{
    for (unsigned i = 0; i < c->count; i++)
        bench_scenario_free(&c->list[i]);
    free(c->list);
    memset(c, 0, sizeof *c);
}

const struct bench_scenario *bench_catalogue_find(const struct bench_catalogue *c, const char *name)
{
    for (unsigned i = 0; i < c->count; i++)
        if (strcmp(c->list[i].name, name) == 0)
            return &c->list[i];
    return NULL;
}
