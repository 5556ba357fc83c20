/* main.c -- the command line: one table of commands, one way to take
 * arguments apart.
 *
 * Every command takes --json, --url and --help, and ends with 0 (done), 1
 * (failed: one sentence on standard error) or 2 (typed wrongly). */
#include "app/app.h"
#include "api/api.h"
#include "base/proc.h"
#include "rehearse/rehearse.h"

#include <signal.h>
#include <unistd.h>

#define URL_DEFAULT "http://" APP_DEFAULT_LISTEN

const char *
app_option(const struct app_args *a, const char *name)
{
    for (int i = a->option_count - 1; i >= 0; i--)
        if (strcmp(a->option_names[i], name) == 0)
            return a->option_values[i];
    return NULL;
}

/* Is an option declared with '!'?  Then without it. */
static bool
must_be_given(struct slw_str *word)
{
    if (!slw_str_starts(*word, "!"))
        return false;
    word->ptr++;
    word->len--;
    return true;
}

static void
usage_line(FILE *to, const struct app_command *c)
{
    fprintf(to, "usage: slipway %s%s%s", c->name, *c->synopsis ? " " : "",
            c->synopsis);
    struct slw_str rest = slw_str_of(c->options ? c->options : "");
    while (rest.len) {
        struct slw_str word, name, value;
        slw_str_cut(rest, ' ', &word, &rest);
        const bool must = must_be_given(&word);
        if (slw_str_cut(word, '=', &name, &value))
            fprintf(to, must ? " --%.*s %.*s" : " [--%.*s %.*s]", SLW_FMT(name),
                    SLW_FMT(value));
        else
            fprintf(to, " [--%.*s]", SLW_FMT(word));
    }
    fputs(" [--json] [--url URL]\n", to);
}

static int
help_command(const struct app_command *c)
{
    printf("slipway %s: %s\n\n", c->name, c->help);
    usage_line(stdout, c);
    if (c->example)
        printf("\nexample:\n  %s\n", c->example);
    return APP_OK;
}

static int
help_all(FILE *to)
{
    fputs("Slipway " SLIPWAY_VERSION
          ": the whole MLOps loop in one server.\n\n",
          to);
    for (size_t i = 0; i < app_command_count; i++)
        fprintf(to, "  %-22s %s\n", app_commands[i].name, app_commands[i].help);
    fputs("\n`slipway COMMAND --help` shows arguments and an example.  Commands"
          " find a server\nby --url or SLIPWAY_URL (" URL_DEFAULT
          "); SLIPWAY_TOKEN is sent when set.\nExit codes: 0 done, 1 failed, 2 "
          "typed wrongly.\n",
          to);
    return to == stderr ? APP_USAGE : APP_OK;
}

/* The command whose words are the first words typed; the longest wins. */
static const struct app_command *
find_command(int argc, char **argv, int *out_word_count)
{
    char two[64];
    snprintf(two, sizeof two, "%s %s", argv[1],
             argc > 2 && argv[2][0] != '-' ? argv[2] : "");
    for (int words = 2; words >= 1; words--)
        for (size_t i = 0; i < app_command_count; i++)
            if (strcmp(app_commands[i].name, words == 2 ? two : argv[1]) == 0) {
                *out_word_count = words;
                return &app_commands[i];
            }
    return NULL;
}

/* The commands that begin with a word. */
static void
group_list(FILE *to, const char *word)
{
    const size_t len = strlen(word);
    for (size_t i = 0; i < app_command_count; i++)
        if (strncmp(app_commands[i].name, word, len) == 0 &&
            app_commands[i].name[len] == ' ')
            fprintf(to, "  slipway %-22s %s\n", app_commands[i].name,
                    app_commands[i].help);
}

static int
no_such_command(char **argv, bool help)
{
    struct slw_str typed = slw_str_of(argv[1]);
    const struct app_command *near = NULL;
    size_t best = 4;
    bool group = false;
    for (size_t i = 0; i < app_command_count; i++) {
        struct slw_str first, rest, name = slw_str_of(app_commands[i].name);
        slw_str_cut(name, ' ', &first, &rest);
        size_t d = slw_str_distance(typed, first);
        group = group || (d == 0 && rest.len);
        if (d < best) {
            best = d;
            near = &app_commands[i];
        }
    }
    if (group) {
        FILE *to = help ? stdout : stderr;
        fprintf(to, "slipway: '%s' needs one of these words behind it:\n",
                argv[1]);
        group_list(to, argv[1]);
        return help ? APP_OK : APP_USAGE;
    }
    fprintf(stderr,
            "slipway: there is no command '%s'%s%s%s; see `slipway "
            "help`\n",
            argv[1], near ? "; did you mean '" : "", near ? near->name : "",
            near ? "'" : "");
    return APP_USAGE;
}

/* Does the command declare this option; takes it a value? */
static bool
declared(const struct app_command *c, struct slw_str name, bool *out_value)
{
    struct slw_str rest = slw_str_of(c->options ? c->options : "");
    while (rest.len) {
        struct slw_str word, have, value;
        slw_str_cut(rest, ' ', &word, &rest);
        (void)must_be_given(&word);
        *out_value = slw_str_cut(word, '=', &have, &value);
        if (slw_str_eq(have, name))
            return true;
    }
    *out_value = true;
    return slw_str_eqz(name, "url");
}

static int
wrong(const struct app_command *c, const char *what, const char *word)
{
    fprintf(stderr, "slipway %s: %s%s\n", c->name, what, word);
    usage_line(stderr, c);
    return APP_USAGE;
}

/* One option; *i moves over its value.  0 or a usage error. */
static int
take_option(struct app_args *a, int argc, char **argv, int *i)
{
    const struct app_command *c = a->command;
    struct slw_str name, inline_value;
    bool has_inline =
        slw_str_cut(slw_str_of(argv[*i] + 2), '=', &name, &inline_value);
    bool takes_value = false;
    if (slw_str_eqz(name, "json")) {
        a->json = true;
        return 0;
    }
    if (!declared(c, name, &takes_value))
        return wrong(c, "unknown option ", argv[*i]);
    const char *value = "";
    if (!takes_value && has_inline)
        return wrong(c, "no value belongs to ", argv[*i]);
    if (takes_value && has_inline)
        value = inline_value.ptr;
    else if (takes_value && *i + 1 < argc)
        value = argv[++*i];
    else if (takes_value)
        return wrong(c, "a value is missing behind ", argv[*i]);
    if (a->option_count == APP_OPTION_MAX)
        return wrong(c, "too many options at ", argv[*i]);
    a->option_names[a->option_count] = slw_arena_strz(&a->arena, name);
    a->option_values[a->option_count++] = value;
    return 0;
}

/* The first option that must be given and was not, or NULL. */
static const char *
option_missing(struct app_args *a)
{
    const char *options = a->command->options;
    struct slw_str rest = slw_str_of(options ? options : "");
    while (rest.len) {
        struct slw_str word, name, value;
        slw_str_cut(rest, ' ', &word, &rest);
        const bool must = must_be_given(&word);
        slw_str_cut(word, '=', &name, &value);
        const char *text = slw_arena_strz(&a->arena, name);
        if (must && !app_option(a, text))
            return text;
    }
    return NULL;
}

static int
take_arguments(struct app_args *a, int argc, char **argv)
{
    const struct app_command *c = a->command;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
            int code = take_option(a, argc, argv, &i);
            if (code)
                return code;
        } else {
            a->words[a->word_count++] = argv[i];
        }
    }
    for (int i = 0; i < a->word_count; i++)
        if (!*a->words[i]) /* an unset variable of a script, as a rule */
            return wrong(c, "an argument is empty: ", c->synopsis);
    if (a->word_count < c->word_min)
        return wrong(c, "something is missing: ", c->synopsis);
    const char *missing = option_missing(a);
    if (missing)
        return wrong(c, "an option is missing: --", missing);
    if (c->word_max >= 0 && a->word_count > c->word_max)
        return wrong(c, "too much: ", a->words[c->word_max]);
    const char *url = app_option(a, "url");
    if (!url)
        url = getenv("SLIPWAY_URL");
    a->url = url && *url ? url : URL_DEFAULT;
    return 0;
}

/* A plain request described by the table. */
static int
plain_request(struct app_args *a)
{
    const struct app_command *c = a->command;
    SLW_AUTO(slw_buf, path);
    for (const char *p = c->path; *p; p++) {
        if (p[0] == '{' && p[1] >= '0' && p[1] <= '9' && p[2] == '}') {
            int at = p[1] - '0';
            slw_buf_z(&path, at < a->word_count ? app_segment(a, a->words[at])
                                                : "latest");
            p += 2;
        } else {
            slw_buf_char(&path, *p);
        }
    }
    char separator = '?';
    struct slw_str rest = slw_str_of(c->query ? c->query : "");
    while (rest.len) {
        struct slw_str word;
        slw_str_cut(rest, ' ', &word, &rest);
        const char *value = app_option(a, slw_arena_strz(&a->arena, word));
        if (!value)
            continue;
        slw_buf_printf(&path, "%c%.*s=%s", separator, SLW_FMT(word),
                       app_segment(a, value));
        separator = '&';
    }
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    if (app_request_json(a, c->method, slw_buf_view(&path).ptr, SLW_STR(""),
                         &doc, &err) != SLW_OK)
        return app_error(a, &err);
    app_show(a, doc.root, c->rows, c->columns);
    return APP_OK;
}

/* `slipway exec -- CMD …`: a foreign command that dies with its parent. */
static int
exec_command(int argc, char **argv)
{
    int at = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;
    if (at >= argc)
        return APP_USAGE;
    return slw_proc_guard(argv + at);
}

/* `slipway job ID --data DIR` and `slipway task NAME --data DIR`. */
static int
child_command(int argc, char **argv)
{
    slw_proc_die_with_parent();
    if (argc < 5 || strcmp(argv[3], "--data") != 0)
        return APP_USAGE;
    struct slw_err err;
    struct slw_store *store = NULL;
    struct slw_store_options opt = {.dir = argv[4], .server = false};
    if (slw_store_open(&store, &opt, &err) != SLW_OK)
        return app_error(NULL, &err);
    int code = 1;
    int64_t id = 0;
    if (strcmp(argv[1], "task") == 0)
        code = slw_task_child_main(store, argv[2], app_task_kinds,
                                   app_task_kind_count, NULL);
    else if (slw_str_i64(slw_str_of(argv[2]), &id, &err) == SLW_OK)
        code = slw_job_child_main(store, id, app_job_kinds, app_job_kind_count,
                                  NULL);
    slw_store_close(store);
    return code;
}

static int
run_command(const struct app_command *c, int argc, char **argv)
{
    struct app_args a = {.command = c};
    a.words = slw_alloc(((size_t)argc + 1) * sizeof *a.words);
    int code = take_arguments(&a, argc, argv);
    if (code == 0)
        code = c->fn ? c->fn(&a) : plain_request(&a);
    slw_free(a.words);
    slw_arena_done(&a.arena);
    return code;
}

int
main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on sizes of files: write() says so */
    if (argc < 2)
        return help_all(stderr);
    if (strcmp(argv[1], "job") == 0 || strcmp(argv[1], "task") == 0)
        return child_command(argc, argv);
    if (strcmp(argv[1], "exec") == 0)
        return exec_command(argc, argv);
    if (strcmp(argv[1], "rehearse-child") == 0 && argc == 4)
        return slw_rehearse_child_main(argv[2], argv[3]);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        puts("slipway " SLIPWAY_VERSION);
        return APP_OK;
    }
    bool help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0;
    if (help && argc == 2)
        return help_all(stdout);
    if (help) {
        argv++;
        argc--;
    }
    int words = 0;
    const struct app_command *c = find_command(argc, argv, &words);
    if (!c)
        return no_such_command(
            argv, help || (argc == 3 && strcmp(argv[2], "--help") == 0));
    for (int i = 1 + words; i < argc && strcmp(argv[i], "--") != 0; i++)
        help = help || strcmp(argv[i], "--help") == 0;
    if (help)
        return help_command(c);
    return run_command(c, argc - 1 - words, argv + 1 + words);
}
