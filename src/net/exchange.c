/* exchange.c -- one request from its first byte to its answer.
 *
 * libmicrohttpd calls us once when the head is there, once for each piece of
 * the body, once when all is there and once more after a suspended connection
 * was resumed; see the states in net_internal.h.
 *
 * Exchanges are recycled by each event loop with their arena and their body
 * buffer, so a warm request takes nothing from the heap here (the library
 * takes about a dozen small blocks for the answer). */
#include "net/net_internal.h"

#define SPARE_MAX 64               /* exchanges a thread keeps */
#define SPARE_ARENA_SIZE_MAX 65536 /* what a kept one may hold on to */

/* Owner: this thread. */
static _Thread_local struct net_exchange *spares;
static _Thread_local int spare_count;
static pthread_key_t spares_key;
static pthread_once_t spares_once = PTHREAD_ONCE_INIT;

static void
exchange_free(struct net_exchange *x)
{
    slw_buf_done(&x->body);
    slw_arena_done(&x->arena);
    slw_free(x);
}

void
net_exchange_spares_free(void)
{
    while (spares) {
        struct net_exchange *x = spares;
        spares = x->next;
        exchange_free(x);
    }
    spare_count = 0;
}

static void
thread_ends(void *unused)
{
    (void)unused;
    net_exchange_spares_free();
}

static void
key_make(void)
{
    SLW_ASSERT(pthread_key_create(&spares_key, thread_ends) == 0);
}

static void
id_write(struct slw_http *h, char id[static 33])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t n =
        atomic_fetch_add_explicit(&h->id_next, 1, memory_order_relaxed);
    memcpy(id, h->id_prefix, 16);
    for (int i = 31; i >= 16; i--, n >>= 4)
        id[i] = digits[n & 15];
    id[32] = '\0';
}

struct net_exchange *
net_exchange_take(struct slw_http *h)
{
    struct net_exchange *x = spares;
    if (x) {
        spares = x->next;
        spare_count--;
        x->next = NULL;
    } else {
        x = slw_alloc(sizeof *x);
    }
    x->http = h;
    x->req.method = "";
    x->req.path = x->req.body = x->req.content_type = SLW_STR("");
    x->req.arena = &x->arena;
    x->req.app = h->opt.app;
    x->req.conn = x;
    x->req.begin_mono_ns = slw_mono_ns();
    id_write(h, x->req.id);
    return x;
}

/* All but the arena and the body's buffer is forgotten; those are kept when
 * they are small.  The header fields are overwritten as far as they count. */
static void
exchange_clean(struct net_exchange *x)
{
    net_body_drop(x);
    if (x->response)
        MHD_destroy_response(x->response);
    net_stream_drop(x->res.stream);
    net_source_drop(&x->res);
    slw_buf_done(&x->res.body);
    if (x->arena.used_size > SPARE_ARENA_SIZE_MAX)
        slw_arena_done(&x->arena);
    else
        slw_arena_reset(&x->arena);
    if (x->body.cap > SPARE_ARENA_SIZE_MAX)
        slw_buf_done(&x->body);
    slw_buf_clear(&x->body);
    x->next = NULL;
    x->mhd = NULL;
    x->conn = NULL;
    x->stage = NET_X_NEW;
    x->counted = x->is_head = false;
    memset(&x->req, 0, sizeof x->req);
    memset(&x->res, 0, sizeof x->res);
    x->framing = (struct net_framing){0};
    x->field_count = x->query_count = 0;
    x->query = NULL;
    x->response = NULL;
    x->status = 0;
}

void
net_exchange_give_back(struct net_exchange *x)
{
    exchange_clean(x);
    if (spare_count >= SPARE_MAX) {
        exchange_free(x);
        return;
    }
    pthread_once(&spares_once, key_make);
    x->next = spares;
    spares = x;
    if (spare_count++ == 0)
        pthread_setspecific(spares_key, x); /* any value but NULL */
}

bool
net_phase_move(struct net_conn *c, int from, int to)
{
    return atomic_compare_exchange_strong(&c->phase, &from, to);
}

/* ---- the head ---- */

static enum MHD_Result
field_add(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
          const char *value, size_t value_len)
{
    struct net_exchange *x = cls;
    (void)kind;
    if (x->field_count == NET_FIELD_MAX)
        return MHD_NO;
    x->fields[x->field_count++] = (struct net_field){
        {name, name_len}, {value ? value : "", value ? value_len : 0}};
    return MHD_YES;
}

/* Too much of a head: said before it is looked at more closely. */
static enum slw_rc
size_check(const struct net_exchange *x, size_t head_size, int field_count,
           int *status, struct slw_err *err)
{
    if (x->target.len > NET_TARGET_SIZE_MAX) {
        *status = 414;
        return slw_fail(err, SLW_LIMIT,
                        "the request target is longer than %d bytes",
                        NET_TARGET_SIZE_MAX);
    }
    if (head_size > SLW_HTTP_HEAD_SIZE_MAX || field_count > NET_FIELD_MAX) {
        *status = 431;
        return slw_fail(err, SLW_LIMIT,
                        "the request head is larger than %d bytes or %d "
                        "headers",
                        SLW_HTTP_HEAD_SIZE_MAX, NET_FIELD_MAX);
    }
    return SLW_OK;
}

/* Collect the head and refuse what is not plainly one request.  After a
 * failure here the connection cannot be trusted any more. */
static enum slw_rc
head_read(struct net_exchange *x, const char *method, const char *version,
          int *status, struct slw_err *err)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t head_size = info ? info->header_size : 0;
    int count =
        MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, NULL, NULL);
    struct slw_str query;
    x->req.method = method;
    slw_str_cut(x->target, '?', &x->req.path, &query);
    *status = 400;
    TRY(size_check(x, head_size, count, status, err));
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, field_add, x);

    struct net_head head = {
        .method = slw_str_of(method),
        .target = x->target, /* our copy: the parser has cut up its own */
        .target_at = x->target_at,
        .version = slw_str_of(version),
        .fields = x->fields,
        .field_count = x->field_count,
        .bytes = method,
        .size = head_size,
    };
    return net_strict_check(&head, &x->framing, err);
}

static enum slw_rc
route_find(struct net_exchange *x, struct slw_str path, int *status,
           struct slw_err *err)
{
    const struct slw_http *h = x->http;
    struct net_match match;
    *status = 400;
    TRY(net_router_find(h->router, slw_str_of(x->req.method), path, &x->arena,
                        &match, err));
    if (match.route) {
        x->req.route = match.route;
        memcpy(x->req.vars, match.vars, sizeof x->req.vars);
        *status = 0;
        return SLW_OK;
    }
    if (!match.allow && h->opt.fallback && strcmp(x->req.method, "GET") == 0 &&
        (x->req.route = h->opt.fallback(&x->req)) != NULL) {
        *status = 0;
        return SLW_OK;
    }
    if (!match.allow) {
        *status = 404;
        return slw_fail(err, SLW_NOT_FOUND, "there is nothing at %.*s",
                        (int)(path.len < 200 ? path.len : 200), path.ptr);
    }
    char text[NET_ALLOW_TEXT_SIZE];
    net_allow_text(match.allow, text);
    slw_http_header_add(&x->res, "Allow",
                        slw_arena_str(&x->arena, slw_str_of(text)));
    *status = 405;
    return slw_fail(err, SLW_INVALID,
                    "%s is not possible at %.*s; possible: %s", x->req.method,
                    (int)(path.len < 200 ? path.len : 200), path.ptr, text);
}

static enum slw_rc
coding_check(struct net_exchange *x, int *status, struct slw_err *err)
{
    struct slw_str coding = slw_http_head(&x->req, "Content-Encoding");
    if (!coding.len || net_str_same(coding, "identity"))
        return SLW_OK;
    slw_http_header_add(&x->res, "Accept-Encoding", SLW_STR("identity"));
    *status = 415;
    return slw_fail(err, SLW_UNSUPPORTED,
                    "compressed request bodies are not understood here; send "
                    "the body without Content-Encoding");
}

/* All that can be said before the body is read. */
static enum slw_rc
request_admit(struct net_exchange *x, int *status, struct slw_err *err)
{
    struct slw_http *h = x->http;
    struct slw_str path, query;
    slw_str_cut(x->target, '?', &path, &query);
    *status = 503;
    if (atomic_load(&h->refusing))
        return slw_fail(err, SLW_BUSY, "the server is stopping");
    if (atomic_load(&h->conn_count) > h->opt.connection_max) {
        x->res.close = true;
        return slw_fail(err, SLW_BUSY,
                        "the server has as many connections as it takes "
                        "(%d); try again in a moment",
                        h->opt.connection_max);
    }
    x->is_head = strcmp(x->req.method, "HEAD") == 0;
    if (x->is_head)
        x->req.method = "GET";
    TRY(route_find(x, path, status, err));
    if (h->opt.check_host && !(x->req.route->flags & SLW_ROUTE_LOCAL))
        TRY(net_host_check(x, status, err));
    *status = 400;
    TRY(net_query_parse(x, query, err));
    x->req.content_type =
        net_media_type(&x->arena, slw_http_head(&x->req, "Content-Type"));
    TRY(coding_check(x, status, err));
    *status = 0;
    enum slw_rc rc = h->opt.authorize ? h->opt.authorize(&x->req, err) : SLW_OK;
    if (rc == SLW_DENIED && x->req.is_unknown)
        *status = 401;
    TRY(rc);
    return net_body_begin(x, status, err);
}

/* ---- refusals ---- */

/* Answer now, past the library, and throw away what still comes. */
static enum MHD_Result
linger(struct net_exchange *x)
{
    atomic_store(&x->conn->since_ns, slw_mono_ns());
    if (!net_phase_move(x->conn, NET_BODY, NET_LINGER))
        return MHD_NO;
    net_body_drop(x);
    net_answer_send_raw(x);
    x->stage = NET_X_LINGER;
    return MHD_YES;
}

/* Before the body: close at once when the framing cannot be trusted; read and
 * drop a small body, which keeps the connection; else answer and linger. */
static enum MHD_Result
refuse(struct net_exchange *x, const struct slw_err *err, int status,
       bool trusted)
{
    const struct net_framing *f = &x->framing;
    net_answer_error(x, err, status);
    if (trusted && !x->res.close && !f->expect_continue && !f->chunked &&
        f->content_length <= NET_DISCARD_SIZE_MAX) {
        x->stage = NET_X_DISCARD;
        return MHD_YES;
    }
    if (trusted && !f->expect_continue && (f->chunked || f->content_length > 0))
        return linger(x);
    x->res.close = true;
    net_answer_build(x);
    return net_answer_send(x);
}

static enum MHD_Result
begin(struct net_exchange *x, const char *method, const char *version)
{
    struct slw_err err = {0};
    int status = 0;
    if (!net_phase_move(x->conn, NET_HEAD, NET_BODY))
        return MHD_NO;
    int64_t now = slw_mono_ns();
    atomic_store_explicit(&x->conn->since_ns, now, memory_order_relaxed);
    atomic_store_explicit(&x->conn->body_size, 0, memory_order_relaxed);
    atomic_fetch_add(&x->http->in_flight, 1);
    x->counted = true;
    x->req.begin_mono_ns = now;
    if (head_read(x, method, version, &status, &err) != SLW_OK)
        return refuse(x, &err, status, false);
    x->stage = NET_X_BODY;
    if (request_admit(x, &status, &err) != SLW_OK)
        return refuse(x, &err, status, true);
    atomic_store_explicit(&x->conn->dialect, (int)x->req.route->dialect,
                          memory_order_relaxed);
    return MHD_YES;
}

/* ---- body and answer ---- */

static enum MHD_Result
body_piece(struct net_exchange *x, const char *bytes, size_t size)
{
    struct slw_err err = {0};
    int status = 0;
    atomic_fetch_add_explicit(&x->conn->body_size, (int64_t)size,
                              memory_order_relaxed);
    if (x->stage != NET_X_BODY)
        return MHD_YES;
    if (net_body_add(x, bytes, size, &status, &err) == SLW_OK)
        return MHD_YES;
    net_answer_error(x, &err, status);
    return linger(x);
}

void
net_exchange_handle(struct net_exchange *x)
{
    struct slw_err err = {0};
    x->deferred = false;
    enum slw_rc rc = x->req.route->fn(&x->req, &x->res, &err);
    if (x->deferred) {
        SLW_ASSERT(rc == SLW_OK);
        return; /* x is another thread's, or done already */
    }
    if (rc != SLW_OK) {
        err.rc = rc;
        net_answer_error(x, &err, 0);
    }
    net_answer_build(x);
    x->stage = NET_X_DONE;
}

static enum MHD_Result
fail_now(struct net_exchange *x, const struct slw_err *err)
{
    net_answer_error(x, err, 0);
    net_answer_build(x);
    return net_answer_send(x);
}

static enum MHD_Result
whole(struct net_exchange *x)
{
    struct slw_err err = {0};
    if (x->stage == NET_X_LINGER)
        return MHD_NO; /* answered long ago: close */
    if (!net_phase_move(x->conn, NET_BODY, NET_BUSY))
        return MHD_NO;
    if (x->stage == NET_X_DISCARD) {
        net_answer_build(x);
        return net_answer_send(x);
    }
    if (net_body_end(x, &err) != SLW_OK)
        return fail_now(x, &err);
    if (x->req.route->flags & SLW_ROUTE_HOT) {
        net_exchange_handle(x);
        return x->deferred ? MHD_YES : net_answer_send(x);
    }
    if (net_pool_submit(&x->http->pool, x, &err) != SLW_OK)
        return fail_now(x, &err);
    return MHD_YES;
}

enum MHD_Result
net_exchange_step(struct net_exchange *x, const char *method,
                  const char *version, const char *bytes, size_t *size)
{
    size_t given = *size;
    switch (x->stage) {
    case NET_X_NEW:
        return begin(x, method, version);
    case NET_X_DONE:
        return net_answer_send(x);
    case NET_X_BODY:
    case NET_X_DISCARD:
    case NET_X_LINGER:
        *size = 0;
        return given ? body_piece(x, bytes, given) : whole(x);
    case NET_X_WORK:
    case NET_X_SENT:
        break;
    }
    return MHD_YES;
}
