/* test_webhook.c -- webhooks: what may be said of one, which change is told to
 * whom and in which words, the signature, and the sender against a receiver
 * that answers what the test says. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "registry/registry.h"
#include "registry/webhook.h"
#include "store/event.h"
#include "tests/slw_test.h"

#define T0 INT64_C(1700000000123)

struct fixture {
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_webhooks *sender;
};

static int
setup(void **state)
{
    static struct fixture f;
    struct slw_err err;
    char dir[256];
    slw_test_dir(dir);
    f = (struct fixture){0};
    setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http, https", 1);
    setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true", 1);
    setenv("MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES", "3", 1);
    const struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&f.store, &opt, &err), err);
    *state = &f;
    return 0;
}

static void
sender_stop(struct fixture *f)
{
    slw_webhooks_stop(f->sender);
    f->sender = NULL;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    sender_stop(f); /* of a test that failed */
    slw_store_close(f->store);
    slw_arena_done(&f->arena);
    return 0;
}

static uint32_t
bit(const char *entity, const char *action)
{
    struct slw_err err;
    size_t event = 0;
    assert_ok(slw_webhook_event_find(slw_str_of(entity), slw_str_of(action),
                                     &event, &err),
              err);
    return UINT32_C(1) << event;
}

#define ALL ((UINT32_C(1) << 15) - 1)

static struct slw_webhook
hook_add(struct fixture *f, const char *name, const char *url, uint32_t events)
{
    struct slw_err err;
    struct slw_webhook w = {.name = slw_str_of(name),
                            .url = slw_str_of(url),
                            .description = SLW_STR(""),
                            .secret = SLW_STR("s3cret"),
                            .events = events,
                            .active = true};
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_webhook_add(&tx, T0, &w, &f->arena, &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    return w;
}

static size_t
deliveries(struct fixture *f, const struct slw_webhook *w,
           struct slw_webhook_delivery **out)
{
    struct slw_err err;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(
        slw_webhook_deliveries(&tx, w->row, 100, &f->arena, out, &count, &err),
        err);
    return count;
}

/* ---- what may be said ---- */

static void
names_are_those_that_mlflow_takes(void **state)
{
    (void)state;
    struct slw_err err;
    static const char *const good[] = {"a", "A.b_c-9", "0"};
    static const char *const bad[] = {"", "-a", "a-", "a b", "a/b", "\xc3\xa4"};
    char longest[65];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_fails(slw_webhook_name_check(slw_str_of(longest), &err), SLW_INVALID,
                 err, "63 characters");
    longest[63] = '\0';
    assert_ok(slw_webhook_name_check(slw_str_of(longest), &err), err);
    for (size_t i = 0; i < SLW_ARRAY_LEN(good); i++)
        assert_ok(slw_webhook_name_check(slw_str_of(good[i]), &err), err);
    for (size_t i = 0; i < SLW_ARRAY_LEN(bad); i++)
        assert_fails(slw_webhook_name_check(slw_str_of(bad[i]), &err),
                     SLW_INVALID, err, "is invalid");
    assert_fails(slw_webhook_name_check(SLW_STR("it's"), &err), SLW_INVALID,
                 err, "Webhook name \"it's\" is invalid");
}

static void
addresses_of_this_machine_and_network_are_refused(void **state)
{
    (void)state;
    struct slw_err err;
    static const struct {
        const char *url, *part;
    } cases[] = {
        {"http://127.0.0.1/", "Invalid webhook URL scheme: 'http'. Allowed "
                              "schemes are: https."},
        {"x", "Invalid webhook URL scheme: ''."},
        {" ", "cannot be empty or just whitespace: ' '"},
        {"https://", "Webhook URL must include a hostname: 'https://'"},
        {"https://[::1", "Invalid webhook URL 'https://[::1': "},
        {"https://a b/", "Invalid webhook URL 'https://a b/': "},
        {"https://127.0.0.1:9/x",
         "Webhook URL must not resolve to a non-public IP address. "
         "'127.0.0.1' resolves to 127.0.0.1."},
        {"HTTPS://LocalHost/", "resolves to "},
        {"https://2130706433/", "resolves to 127.0.0.1."},
        {"https://0177.0.0.1/", "resolves to 127.0.0.1."},
        {"https://169.254.169.254/latest", "resolves to 169.254.169.254."},
        {"https://u:p@10.0.0.1/", "resolves to 10.0.0.1."},
        {"https://172.31.255.255/", "non-public"},
        {"https://192.168.1.1/", "non-public"},
        {"https://100.64.0.1/", "non-public"},
        {"https://0.0.0.0/", "non-public"},
        {"https://224.0.0.1/", "non-public"},
        {"https://255.255.255.255/", "non-public"},
        {"https://[::1]/", "'::1' resolves to ::1."},
        {"https://[::]/", "non-public"},
        {"https://[::ffff:10.0.0.1]/", "non-public"},
        {"https://[64:ff9b::a00:1]/", "non-public"},
        {"https://[2002:a00:1::]/", "non-public"},
        {"https://[fe80::1]/", "non-public"},
        {"https://[fc00::1]/", "non-public"},
        {"https://[2001:db8::1]/", "non-public"},
        {"https://[ff02::1]/", "non-public"},
        {"https://no.such.host.invalid/",
         "Cannot resolve Webhook URL hostname 'no.such.host.invalid': [Errno "},
    };
    unsetenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES");
    unsetenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS");
    for (size_t i = 0; i < SLW_ARRAY_LEN(cases); i++)
        assert_fails(slw_webhook_url_check(slw_str_of(cases[i].url), &err),
                     SLW_INVALID, err, cases[i].part);
    static const char *const public[] = {
        "https://8.8.8.8/hook", "https://[2001:4860:4860::8888]:8443/x?y=z",
        "https://[::ffff:8.8.8.8]/", "https://172.32.0.1/"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(public); i++)
        assert_ok(slw_webhook_url_check(slw_str_of(public[i]), &err), err);
    setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true", 1);
    assert_ok(slw_webhook_url_check(SLW_STR("https://127.0.0.1/"), &err), err);
    setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "maybe", 1);
    assert_fails(slw_webhook_url_check(SLW_STR("https://127.0.0.1/"), &err),
                 SLW_INVALID, err, "non-public");
}

static void
an_event_is_a_pair_that_mlflow_knows(void **state)
{
    (void)state;
    struct slw_err err;
    size_t event = 0;
    assert_int_equal(slw_webhook_event_count, 15);
    for (size_t i = 0; i < slw_webhook_event_count; i++) {
        SLW_AUTO(slw_json, doc);
        assert_ok(slw_json_parse(
                      &doc, slw_str_of(slw_webhook_events[i].example), &err),
                  err);
    }
    assert_fails(slw_webhook_event_find(SLW_STR("prompt_tag"),
                                        SLW_STR("created"), &event, &err),
                 SLW_INVALID, err,
                 "Invalid action 'created' for entity 'prompt_tag'. Valid "
                 "actions are: ['deleted', 'set']");
}

/* By Python: base64(hmac(b"s3cret", b"id.1700000000.{}", sha256)). */
static void
the_signature_is_the_one_that_mlflow_makes(void **state)
{
    (void)state;
    SLW_AUTO(slw_buf, b);
    slw_webhook_sign(&b, SLW_STR("s3cret"), SLW_STR("id"),
                     SLW_STR("1700000000"), SLW_STR("{}"));
    assert_true(slw_str_eqz(slw_buf_view(&b),
                            "v1,E1jT1gXbthS5zn30uBh7ToafsgF7EE2I1cmPPlN15rY="));
}

/* ---- rows ---- */

static void
webhooks_are_paged_newest_first_and_changed_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_webhook *page = NULL, w;
    size_t count = 0;
    bool more = false;
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "h%d", i);
        w = hook_add(f, name, "https://8.8.8.8/", ALL);
    }
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(
        slw_webhook_list(&tx, 0, 2, &f->arena, &page, &count, &more, &err),
        err);
    assert_int_equal(count, 2);
    assert_true(more);
    assert_true(slw_str_eqz(page[0].name, "h4"));
    assert_true(slw_str_eqz(page[1].name, "h3"));
    assert_ok(
        slw_webhook_list(&tx, 4, 2, &f->arena, &page, &count, &more, &err),
        err);
    assert_int_equal(count, 1);
    assert_false(more);
    assert_int_equal(w.id.len, 36);
    assert_int_equal(w.id.ptr[14], '4');
    w.name = SLW_STR("other");
    w.secret = SLW_STR("");
    w.active = false;
    assert_ok(slw_webhook_put(&tx, T0 + 5, &w, &err), err);
    assert_ok(slw_webhook_get(&tx, w.id, &f->arena, &w, &err), err);
    assert_true(slw_str_eqz(w.name, "other"));
    assert_false(w.active);
    assert_int_equal(w.created_at_ms, T0);
    assert_int_equal(w.updated_at_ms, T0 + 5);
    assert_ok(slw_webhook_delete(&tx, w.id, &err), err);
    assert_fails(slw_webhook_get(&tx, w.id, &f->arena, &w, &err), SLW_NOT_FOUND,
                 err, "not found.");
    int64_t total = 0;
    assert_ok(slw_webhook_count(&tx, &total, &err), err);
    assert_int_equal(total, 4);
}

/* ---- which change is told to whom ---- */

/* Everything that is told, once, about a model or a prompt. */
static void
everything_happens(struct slw_tx *tx, struct slw_str model, bool prompt)
{
    struct slw_err err;
    const struct slw_kv model_tags[] = {
        {SLW_STR("team"), SLW_STR("prices")},
        {SLW_STR("mlflow.prompt.is_prompt"), SLW_STR("True")}};
    const struct slw_kv version_tags[] = {
        {SLW_STR("lang"), SLW_STR("c")},
        {SLW_STR("mlflow.prompt.is_prompt"), SLW_STR("true")},
        {SLW_STR("mlflow.prompt.text"), SLW_STR("Say {{x}}")}};
    const struct slw_kv tag = {SLW_STR("k"), SLW_STR("v")};
    int64_t version = 0;
    assert_ok(slw_registry_model_create(tx, T0, model, SLW_STR("d"), model_tags,
                                        prompt ? 2 : 1, &err),
              err);
    const struct slw_version_new new = {.run_id = SLW_STR(""),
                                        .source = SLW_STR("s3://b/x"),
                                        .description = SLW_STR(""),
                                        .tags = version_tags,
                                        .tag_count = prompt ? 3 : 1};
    assert_ok(
        slw_registry_version_register(tx, T0, model, &new, &version, &err),
        err);
    assert_ok(slw_registry_model_tag_set(tx, T0, model, tag, &err), err);
    assert_ok(slw_registry_model_tag_remove(tx, T0, model, tag.key, &err), err);
    assert_ok(slw_registry_model_tag_remove(tx, T0, model, tag.key, &err), err);
    assert_ok(slw_registry_version_tag_set(tx, T0, model, 1, tag, &err), err);
    assert_ok(slw_registry_version_tag_remove(tx, T0, model, 1, tag.key, &err),
              err);
    assert_ok(slw_registry_version_tag_remove(tx, T0, model, 1, tag.key, &err),
              err);
    assert_ok(slw_registry_alias_set(tx, T0, model, SLW_STR("champion"), 1,
                                     SLW_STR(""), &err),
              err);
    assert_ok(
        slw_registry_version_delete(tx, T0, model, 1, SLW_STR("me"), &err),
        err);
}

#define AT "\"timestamp\":\"2023-11-14T22:13:20.123000+00:00\",\"data\":"

static void
a_delivery_says_what_mlflow_would_say(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    static const char *const of_model[] = {
        "{\"entity\":\"registered_model\",\"action\":\"created\"," AT
        "{\"name\":\"m\",\"tags\":{\"team\":\"prices\"},\"description\":\"d\"}"
        "}",
        "{\"entity\":\"model_version\",\"action\":\"created\"," AT
        "{\"name\":\"m\",\"version\":\"1\",\"source\":\"s3://b/x\","
        "\"run_id\":null,\"tags\":{\"lang\":\"c\"},\"description\":null}}",
        "{\"entity\":\"model_version_tag\",\"action\":\"set\"," AT
        "{\"name\":\"m\",\"version\":\"1\",\"key\":\"k\",\"value\":\"v\"}}",
        "{\"entity\":\"model_version_tag\",\"action\":\"deleted\"," AT
        "{\"name\":\"m\",\"version\":\"1\",\"key\":\"k\"}}",
        "{\"entity\":\"model_version_alias\",\"action\":\"created\"," AT
        "{\"name\":\"m\",\"version\":\"1\",\"alias\":\"champion\"}}",
        "{\"entity\":\"model_version_alias\",\"action\":\"deleted\"," AT
        "{\"name\":\"m\",\"alias\":\"champion\"}}"};
    static const char *const of_prompt[] = {
        "{\"entity\":\"prompt\",\"action\":\"created\"," AT
        "{\"name\":\"p\",\"tags\":{\"team\":\"prices\"},\"description\":\"d\"}"
        "}",
        "{\"entity\":\"prompt_version\",\"action\":\"created\"," AT
        "{\"name\":\"p\",\"version\":\"1\",\"template\":\"Say {{x}}\","
        "\"tags\":{\"lang\":\"c\"},\"description\":null}}",
        "{\"entity\":\"prompt_tag\",\"action\":\"set\"," AT
        "{\"name\":\"p\",\"key\":\"k\",\"value\":\"v\"}}",
        "{\"entity\":\"prompt_tag\",\"action\":\"deleted\"," AT
        "{\"name\":\"p\",\"key\":\"k\"}}",
        "{\"entity\":\"prompt_version_tag\",\"action\":\"set\"," AT
        "{\"name\":\"p\",\"version\":\"1\",\"key\":\"k\",\"value\":\"v\"}}",
        "{\"entity\":\"prompt_version_tag\",\"action\":\"deleted\"," AT
        "{\"name\":\"p\",\"version\":\"1\",\"key\":\"k\"}}",
        "{\"entity\":\"prompt_alias\",\"action\":\"created\"," AT
        "{\"name\":\"p\",\"version\":\"1\",\"alias\":\"champion\"}}",
        "{\"entity\":\"prompt_alias\",\"action\":\"deleted\"," AT
        "{\"name\":\"p\",\"alias\":\"champion\"}}"};
    struct slw_webhook w = hook_add(f, "all", "https://8.8.8.8/", ALL);
    for (int prompt = 0; prompt < 2; prompt++) {
        const char *const *want = prompt ? of_prompt : of_model;
        size_t want_count =
            prompt ? SLW_ARRAY_LEN(of_prompt) : SLW_ARRAY_LEN(of_model);
        {
            SLW_AUTO(slw_tx, tx);
            assert_ok(slw_tx_begin(&tx, f->store, &err), err);
            everything_happens(&tx, prompt ? SLW_STR("p") : SLW_STR("m"),
                               prompt);
            assert_ok(slw_tx_commit(&tx, &err), err);
        }
        struct slw_webhook_delivery *d = NULL;
        size_t count = deliveries(f, &w, &d);
        assert_true(count >= want_count);
        for (size_t i = 0; i < want_count; i++) /* newest first */
            assert_true(slw_str_eqz(d[want_count - 1 - i].body, want[i]));
        assert_int_equal(count, prompt ? 14 : 6);
    }
}

static void
only_who_asked_and_is_active_is_told_and_a_rollback_tells_nobody(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_webhook_delivery *d = NULL;
    struct slw_webhook tags = hook_add(f, "tags", "https://8.8.8.8/",
                                       bit("model_version_tag", "set"));
    struct slw_webhook idle = hook_add(f, "idle", "https://8.8.8.8/", ALL);
    struct slw_webhook late = hook_add(f, "late", "https://8.8.8.8/", ALL);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        idle.active = false;
        assert_ok(slw_webhook_put(&tx, T0, &idle, &err), err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        everything_happens(&tx, SLW_STR("m"), false);
    } /* not committed */
    assert_int_equal(deliveries(f, &tags, &d), 0);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    everything_happens(&tx, SLW_STR("m"), false);
    late.active = false; /* what waits for it goes */
    assert_ok(slw_webhook_put(&tx, T0, &late, &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    slw_tx_done(&tx);
    assert_int_equal(deliveries(f, &tags, &d), 1);
    assert_true(slw_str_eqz(d[0].event, "model_version_tag.set"));
    assert_int_equal(deliveries(f, &idle, &d), 0);
    assert_int_equal(deliveries(f, &late, &d), 0);
}

static void
models_and_tags_are_in_the_event_log_also_when_nobody_is_told(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    static const char *const kinds[] = {
        "registry.model_created",   "registry.version_added",
        "registry.model_tag_set",   "registry.model_tag_removed",
        "registry.version_tag_set", "registry.version_tag_removed",
        "registry.alias_set",       "registry.alias_removed",
        "registry.version_deleted"};
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    everything_happens(&tx, SLW_STR("m"), false);
    int64_t after = 0;
    for (size_t i = 0; i < SLW_ARRAY_LEN(kinds); i++) {
        struct slw_event e;
        assert_ok(slw_event_after(&tx, after, SLW_STR("registry."),
                                  SLW_STR("m"), &f->arena, &e, &err),
                  err);
        assert_true(slw_str_eqz(e.kind, kinds[i]));
        if (i == 4)
            assert_true(slw_str_eqz(e.payload,
                                    "{\"model\":\"m\",\"version\":1,\"key\":"
                                    "\"k\",\"value\":\"v\"}"));
        after = e.id;
    }
}

/* ---- the sender ---- */

#define GOT_MAX 64

/* One thread that takes connections one after the other and answers with the
 * next of its statuses, the last one for ever; -1 is no answer. */
struct receiver {
    int fd;
    char url[64];
    pthread_t thread;
    pthread_mutex_t mutex;
    int statuses[8];
    const char *more; /* header lines of an answer that is not 200 */
    size_t next, got_count;
    char *got[GOT_MAX]; /* whole requests */
    bool ends;
};

static void
receive_one(struct receiver *r, int fd)
{
    SLW_AUTO(slw_buf, in);
    char chunk[4096];
    size_t want = 0;
    while (want == 0 || in.len < want) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            return;
        slw_buf_add(&in, chunk, (size_t)n);
        const char *end = strstr(in.ptr, "\r\n\r\n");
        const char *length = strstr(in.ptr, "Content-Length: ");
        if (end && length)
            want = (size_t)(end - in.ptr) + 4 + strtoul(length + 16, NULL, 10);
    }
    (void)pthread_mutex_lock(&r->mutex);
    int status = r->statuses[r->next];
    if (r->next + 1 < SLW_ARRAY_LEN(r->statuses) && r->statuses[r->next + 1])
        r->next++;
    if (r->got_count < GOT_MAX)
        r->got[r->got_count++] = slw_strdup(slw_buf_view(&in));
    (void)pthread_mutex_unlock(&r->mutex);
    int n = snprintf(chunk, sizeof chunk,
                     "HTTP/1.1 %d X\r\nContent-Length: 3\r\n%s"
                     "Connection: close\r\n\r\nyes",
                     status, status != 200 && r->more ? r->more : "");
    if (status > 0)
        (void)!write(fd, chunk, (size_t)n);
}

static void *
receive(void *arg)
{
    struct receiver *r = arg;
    for (;;) {
        int fd = accept(r->fd, NULL, NULL);
        (void)pthread_mutex_lock(&r->mutex);
        bool ends = r->ends;
        (void)pthread_mutex_unlock(&r->mutex);
        if (fd < 0 || ends) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        receive_one(r, fd);
        close(fd);
    }
}

static void
receiver_start(struct receiver *r)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    (void)pthread_mutex_init(&r->mutex, NULL);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(r->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(r->fd, 16), 0);
    assert_int_equal(getsockname(r->fd, (struct sockaddr *)&at, &size), 0);
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%d/hook",
             ntohs(at.sin_port));
    assert_int_equal(pthread_create(&r->thread, NULL, receive, r), 0);
}

static void
receiver_stop(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    r->ends = true;
    (void)pthread_mutex_unlock(&r->mutex);
    (void)shutdown(r->fd, SHUT_RDWR);
    (void)pthread_join(r->thread, NULL);
    close(r->fd);
    for (size_t i = 0; i < r->got_count; i++)
        slw_free(r->got[i]);
    (void)pthread_mutex_destroy(&r->mutex);
}

static size_t
got_count(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    size_t count = r->got_count;
    (void)pthread_mutex_unlock(&r->mutex);
    return count;
}

#define wait_for(cond)                                                         \
    do {                                                                       \
        int64_t until_ = slw_mono_ns() + INT64_C(20000000000);                 \
        while (!(cond) && slw_mono_ns() < until_)                              \
            usleep(5000);                                                      \
        assert_true(cond);                                                     \
    } while (0)

/* "value" of the header "name: value". */
static struct slw_str
header_of(struct fixture *f, const char *request, const char *name)
{
    SLW_AUTO(slw_buf, line);
    slw_buf_printf(&line, "\r\n%s: ", name);
    const char *at = strstr(request, line.ptr);
    if (!at)
        return SLW_STR("");
    at += line.len;
    return slw_arena_str(
        &f->arena, (struct slw_str){at, (size_t)(strstr(at, "\r\n") - at)});
}

static void
sender_start(struct fixture *f, struct slw_clock *clock)
{
    struct slw_err err;
    slw_clock_init_manual(clock, T0 + 1000);
    const struct slw_webhooks_options opt = {
        .store = f->store, .clock = clock, .look_ms = 10, .pause_ms = 10};
    assert_ok(slw_webhooks_start(&f->sender, &opt, &err), err);
}

static void
model_create(struct fixture *f, const char *name)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_registry_model_create(&tx, T0, slw_str_of(name), SLW_STR(""),
                                        NULL, 0, &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static bool
last_is(struct fixture *f, const struct slw_webhook *w, const char *state,
        int64_t attempts, int64_t status)
{
    struct slw_webhook_delivery *d = NULL;
    return deliveries(f, w, &d) && slw_str_eqz(d[0].state, state) &&
           d[0].attempts == attempts && d[0].status == status;
}

static void
a_delivery_is_signed_and_repeated_with_its_id_until_it_is_taken(void **state)
{
    struct fixture *f = *state;
    struct receiver r = {.statuses = {503, 429, -1, 200}};
    static struct slw_clock clock;
    receiver_start(&r);
    struct slw_webhook w = hook_add(f, "h", r.url, ALL);
    model_create(f, "m");
    sender_start(f, &clock);
    wait_for(last_is(f, &w, "sent", 4, 200)); /* the third broke off */
    sender_stop(f);
    assert_int_equal(got_count(&r), 4);
    struct slw_str id = header_of(f, r.got[0], "X-MLflow-Delivery-Id");
    assert_int_equal(id.len, 36);
    for (size_t i = 0; i < 4; i++) {
        SLW_AUTO(slw_buf, sign);
        const char *body = strstr(r.got[i], "\r\n\r\n") + 4;
        slw_webhook_sign(&sign, SLW_STR("s3cret"), id, SLW_STR("1700000001"),
                         slw_str_of(body));
        assert_true(
            slw_str_eq(header_of(f, r.got[i], "X-MLflow-Delivery-Id"), id));
        assert_true(slw_str_eqz(header_of(f, r.got[i], "X-MLflow-Timestamp"),
                                "1700000001"));
        assert_true(slw_str_eq(header_of(f, r.got[i], "X-MLflow-Signature"),
                               slw_buf_view(&sign)));
        assert_true(slw_str_eqz(header_of(f, r.got[i], "Content-Type"),
                                "application/json"));
        assert_true(slw_str_starts(slw_str_of(body),
                                   "{\"entity\":\"registered_model\""));
    }
    receiver_stop(&r);
}

static void
what_is_given_up_is_an_event_and_the_next_one_goes_on(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct receiver r = {.statuses = {503, 503, 503, 503, 404, 302, 200},
                         .more = "Location: http://127.0.0.1:1/\r\n"};
    static struct slw_clock clock;
    struct slw_webhook_delivery *d = NULL;
    receiver_start(&r);
    struct slw_webhook w = hook_add(f, "h", r.url, ALL);
    for (int i = 0; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        model_create(f, name);
    }
    sender_start(f, &clock);
    wait_for(last_is(f, &w, "sent", 1, 200));
    sender_stop(f);
    assert_int_equal(got_count(&r), 7);
    assert_int_equal(deliveries(f, &w, &d), 4);
    assert_true(slw_str_eqz(d[3].state, "failed")); /* the first */
    assert_int_equal(d[3].attempts, 4);             /* and three more */
    assert_true(slw_str_eqz(d[3].error, "answered 503"));
    assert_true(slw_str_eqz(d[3].body, ""));
    assert_true(slw_str_eqz(d[2].state, "failed"));
    assert_int_equal(d[2].attempts, 1); /* 404 does not come again */
    assert_true(
        slw_str_eqz(d[1].error, "answered 302; redirects are not followed"));
    SLW_AUTO(slw_tx, tx);
    struct slw_event e = {.id = 0};
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_event_after(&tx, 0, SLW_STR("registry.webhook_failed"), w.id,
                              &f->arena, &e, &err),
              err);
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_json_parse(&doc, e.payload, &err), err);
    assert_int_equal(slw_json_i64_or(slw_json_get(doc.root, "attempts"), 0), 4);
    assert_true(slw_str_eqz(
        slw_json_str_or(slw_json_get(doc.root, "event"), SLW_STR("")),
        "registered_model.created"));
    receiver_stop(&r);
}

static void
a_receiver_that_never_answers_holds_up_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct receiver good = {.statuses = {200}};
    static struct slw_clock clock;
    struct slw_webhook slow[3];
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char url[64];
    int hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hole, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(hole, 16), 0);
    assert_int_equal(getsockname(hole, (struct sockaddr *)&at, &size), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    for (int i = 0; i < 3; i++)
        slow[i] = hook_add(f, "slow", url, ALL);
    receiver_start(&good);
    struct slw_webhook w = hook_add(f, "good", good.url, ALL);
    sender_start(f, &clock);
    for (int i = 0; i < 30; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        model_create(f, name);
    }
    wait_for(got_count(&good) == 30);
    for (size_t i = 0; i < 30; i++) { /* in order */
        char part[24];
        snprintf(part, sizeof part, "\"name\":\"m%zu\"", i);
        assert_non_null(strstr(good.got[i], part));
    }
    wait_for(last_is(f, &w, "sent", 1, 200)); /* its answer was taken, too */
    const int64_t begin_ns = slw_mono_ns();
    sender_stop(f); /* breaks the calls off */
    assert_true(slw_mono_ns() - begin_ns < INT64_C(10000000000));
    assert_true(last_is(f, &slow[0], "waiting", 0, 0));
    close(hole);
    receiver_stop(&good);
}

static void
only_the_newest_that_are_over_are_kept(void **state)
{
    struct fixture *f = *state;
    struct receiver r = {.statuses = {200}};
    static struct slw_clock clock;
    struct slw_webhook_delivery *d = NULL;
    receiver_start(&r);
    struct slw_webhook w = hook_add(f, "h", r.url, ALL);
    for (int i = 0; i < SLW_WEBHOOK_KEPT_MAX + 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        model_create(f, name);
    }
    sender_start(f, &clock);
    wait_for(last_is(f, &w, "sent", 1, 200));
    sender_stop(f);
    assert_int_equal(deliveries(f, &w, &d), SLW_WEBHOOK_KEPT_MAX);
    receiver_stop(&r);
}

static void
an_address_that_became_private_is_not_connected_to(void **state)
{
    struct fixture *f = *state;
    struct receiver r = {.statuses = {200}};
    struct slw_webhook_answer answer;
    receiver_start(&r);
    struct slw_webhook w = hook_add(f, "h", r.url, ALL);
    slw_webhook_test(&w, 1, T0, &f->arena, &answer);
    assert_true(answer.ok);
    assert_true(slw_str_eqz(answer.body, "yes"));
    /* As a name that meant a public address when it was looked up: only the
     * check of the address that is connected to is left. */
    unsetenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS");
    slw_webhook_test(&w, 1, T0, &f->arena, &answer);
    assert_false(answer.ok);
    assert_false(answer.retry);
    assert_non_null(strstr(answer.error, "127.0.0.1 is not a public address"));
    unsetenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES");
    slw_webhook_test(&w, 1, T0, &f->arena, &answer);
    assert_non_null(strstr(answer.error, "Allowed schemes are: https."));
    assert_int_equal(got_count(&r), 1);
    receiver_stop(&r);
}

#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IT(names_are_those_that_mlflow_takes),
        IT(addresses_of_this_machine_and_network_are_refused),
        IT(an_event_is_a_pair_that_mlflow_knows),
        IT(the_signature_is_the_one_that_mlflow_makes),
        IT(webhooks_are_paged_newest_first_and_changed_and_deleted),
        IT(a_delivery_says_what_mlflow_would_say),
        IT(only_who_asked_and_is_active_is_told_and_a_rollback_tells_nobody),
        IT(models_and_tags_are_in_the_event_log_also_when_nobody_is_told),
        IT(a_delivery_is_signed_and_repeated_with_its_id_until_it_is_taken),
        IT(what_is_given_up_is_an_event_and_the_next_one_goes_on),
        IT(a_receiver_that_never_answers_holds_up_nobody_else),
        IT(only_the_newest_that_are_over_are_kept),
        IT(an_address_that_became_private_is_not_connected_to),
    };
    return cmocka_run_group_tests_name("registry/webhook", tests, NULL, NULL);
}
