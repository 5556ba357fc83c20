/* test_stream.c -- answers that go on, over real sockets: order, slow and lost
 * clients, the cap, stopping; and that no thread is held by an open one. */
#include "net_test.h"

#define STREAM_MAX 8
#define OPEN "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"

/* Streams the handler has opened, for the test to feed.  By lock. */
static pthread_mutex_t opened_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slw_stream *opened[64];
static size_t opened_count;

static enum slw_rc
do_stream(struct slw_http_req *req, struct slw_http_res *res,
          struct slw_err *err)
{
    struct slw_stream *s = NULL;
    res->content_type = "text/event-stream";
    TRY(slw_stream_open(req, res, &s, err));
    (void)slw_stream_push(s, SLW_STR("hello\n")); /* may have ended */
    pthread_mutex_lock(&opened_lock);
    opened[opened_count++] = s;
    pthread_mutex_unlock(&opened_lock);
    return SLW_OK;
}

/* A handler that fails after its stream was opened. */
static enum slw_rc
do_broken(struct slw_http_req *req, struct slw_http_res *res,
          struct slw_err *err)
{
    TRY(do_stream(req, res, err));
    return slw_fail(err, SLW_CONFLICT, "changed my mind");
}

static const struct slw_route STREAM_ROUTES[] = {
    {"GET", "/stream", do_stream, 0, SLW_NATIVE, 0, "stream"},
    {"GET", "/broken", do_broken, 0, SLW_NATIVE, 0, "broken"},
    {"GET", "/hot", do_stream, SLW_ROUTE_HOT, SLW_NATIVE, 0, "hot"},
    {"GET", "/number", do_number, 0, SLW_NATIVE, 0, "number"},
};

static struct slw_http *
streams_start(void)
{
    struct slw_http_options opt = test_options();
    opt.routes = STREAM_ROUTES;
    opt.route_count = ARRAY_LEN(STREAM_ROUTES);
    opt.stream_max = STREAM_MAX;
    opt.worker_count = 1;
    opened_count = 0;
    return server_start(&opt);
}

static size_t
opened_now(void)
{
    pthread_mutex_lock(&opened_lock);
    size_t n = opened_count;
    pthread_mutex_unlock(&opened_lock);
    return n;
}

/* A connection with an open stream that has said hello. */
static int
stream_client(struct slw_http *h, struct slw_buf *in)
{
    int fd = raw_connect(h);
    size_t before = opened_now();
    raw_sendz(fd, OPEN);
    wait_for(opened_now() == before + 1);
    while (!in->len || !strstr(in->ptr, "hello\n"))
        assert_true(raw_read(fd, in));
    assert_has(in, "Transfer-Encoding: chunked\r\n");
    return fd;
}

static void
read_until(int fd, struct slw_buf *in, const char *text)
{
    while (!strstr(in->ptr, text))
        assert_true(raw_read(fd, in));
}

static void
what_is_pushed_arrives_at_once_and_in_order_until_the_end(void **state)
{
    struct slw_http *h = streams_start();
    SLW_AUTO(slw_buf, in);
    int fd = stream_client(h, &in);
    for (int i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "<%d>\n", i);
        int64_t begin = slw_mono_ns();
        assert_true(slw_stream_push(opened[0], slw_str_of(text)));
        read_until(fd, &in, text);
        /* not held back until more comes (Nagle, corking: 40..200 ms) */
        if (i == 0)
            assert_true(slw_mono_ns() - begin < (int64_t)WAIT_MS * 1000000);
    }
    slw_stream_close(opened[0]);
    read_until(fd, &in, "\r\n0\r\n\r\n");
    const char *p = in.ptr;
    for (int i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "<%d>\n", i);
        p = strstr(p, text);
        assert_non_null(p);
    }
    close(fd);
    slw_http_stop(h, 1000);
}

static void
open_streams_hold_no_thread_and_are_capped(void **state)
{
    struct slw_http *h = streams_start(); /* one worker */
    struct slw_buf in[STREAM_MAX] = {{0}};
    int fds[STREAM_MAX];
    for (int i = 0; i < STREAM_MAX; i++)
        fds[i] = stream_client(h, &in[i]);
    SLW_AUTO(slw_buf, other);
    const char ask[] = "GET /number HTTP/1.1\r\nHost: x\r\n"
                       "Connection: close\r\n\r\n";
    raw_ask(h, ask, sizeof ask - 1, &other);
    assert_has(&other, "\r\n\r\n7");
    SLW_AUTO(slw_buf, refused);
    const char more[] = "GET /stream HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\n\r\n";
    raw_ask(h, more, sizeof more - 1, &refused);
    assert_has(&refused, "HTTP/1.1 503 ");
    assert_has(&refused, "8 streams are open already");
    assert_has(&refused, "Retry-After: ");
    /* each gets its own */
    for (int i = 0; i < STREAM_MAX; i++) {
        char text[32];
        snprintf(text, sizeof text, "for %d only\n", i);
        assert_true(slw_stream_push(opened[i], slw_str_of(text)));
        read_until(fds[i], &in[i], text);
        assert_int_equal(count_of(&in[i], " only\n"), 1);
    }
    for (int i = 0; i < STREAM_MAX; i++) {
        close(fds[i]);
        slw_stream_close(opened[i]);
        slw_buf_done(&in[i]);
    }
    /* ... and their places are free again */
    wait_for(({
        SLW_AUTO(slw_buf, again);
        int fd = raw_connect(h);
        raw_sendz(fd, more);
        raw_read(fd, &again);
        bool ok = strstr(again.ptr, " 200 ") != NULL;
        close(fd);
        ok;
    }));
    slw_http_stop(h, 1000);
    for (size_t i = STREAM_MAX; i < opened_now(); i++)
        slw_stream_close(opened[i]);
}

static void
a_slow_reader_bounds_what_waits_for_it_and_hinders_nobody(void **state)
{
    struct slw_http *h = streams_start();
    SLW_AUTO(slw_buf, slow_in);
    SLW_AUTO(slw_buf, quick_in);
    int slow = stream_client(h, &slow_in);
    int quick = stream_client(h, &quick_in);
    char piece[1000];
    size_t sent = 0;
    /* until the sockets' buffers and ours are full */
    for (int quiet = 0; quiet < 50;) {
        memset(piece, 'a' + (int)(sent % 26), sizeof piece - 1);
        piece[sizeof piece - 1] = '\n';
        if (slw_stream_push(opened[0], (struct slw_str){piece, sizeof piece})) {
            sent++;
            quiet = 0;
        } else {
            quiet++;
            pause_ms(2);
        }
        assert_true(slw_stream_waiting(opened[0]) <= SLW_STREAM_SIZE_MAX);
        assert_true(sent < 100000); /* 100 MB would mean no bound at all */
    }
    assert_false(slw_stream_gone(opened[0]));
    assert_true(slw_stream_push(opened[1], SLW_STR("still here\n")));
    read_until(quick, &quick_in, "still here\n");
    /* it reads on: nothing is missing, the order is kept */
    slw_stream_close(opened[0]);
    while (slow_in.len < 7 ||
           memcmp(slow_in.ptr + slow_in.len - 7, "\r\n0\r\n\r\n", 7) != 0)
        assert_true(raw_read(slow, &slow_in));
    size_t lines = 0;
    const char *end = slow_in.ptr + slow_in.len - 7;
    for (const char *p = strstr(slow_in.ptr, "hello\n") + 6; p < end; p++) {
        if (p[0] == '\r') /* between chunks: CRLF size CRLF */
            p = strstr(p + 2, "\r\n") + 1;
        else if (*p == '\n')
            lines++;
        else
            assert_int_equal(*p, 'a' + (int)(lines % 26));
    }
    assert_int_equal(lines, sent);
    slw_stream_close(opened[1]);
    close(slow);
    close(quick);
    slw_http_stop(h, 1000);
}

static void
a_client_that_has_gone_is_noticed_by_what_is_pushed(void **state)
{
    struct slw_http *h = streams_start();
    SLW_AUTO(slw_buf, in);
    int fd = stream_client(h, &in);
    close(fd);
    wait_for((slw_stream_push(opened[0], SLW_STR(": beat\n\n")),
              slw_stream_gone(opened[0])));
    assert_false(slw_stream_push(opened[0], SLW_STR("x")));
    slw_stream_close(opened[0]);
    slw_http_stop(h, 1000);
}

static void
head_and_failures_leave_no_stream_behind(void **state)
{
    struct slw_http *h = streams_start();
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, broken);
    const char head[] = "HEAD /stream HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\n\r\n";
    raw_ask(h, head, sizeof head - 1, &in);
    assert_has(&in, "HTTP/1.1 200 ");
    assert_has_not(&in, "hello");
    wait_for(slw_stream_gone(opened[0]));
    const char ask[] = "GET /broken HTTP/1.1\r\nHost: x\r\n"
                       "Connection: close\r\n\r\n";
    raw_ask(h, ask, sizeof ask - 1, &broken);
    assert_has(&broken, "HTTP/1.1 409 ");
    assert_has_not(&broken, "hello");
    wait_for(slw_stream_gone(opened[1]));
    slw_stream_close(opened[0]);
    slw_stream_close(opened[1]);
    slw_http_stop(h, 1000);
}

static void
stopping_ends_streams_at_once_even_those_that_nobody_reads(void **state)
{
    struct slw_http *h = streams_start();
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, stuck_in);
    int fd = stream_client(h, &in);
    int stuck = stream_client(h, &stuck_in);
    static char piece[65536];
    memset(piece, 'z', sizeof piece);
    for (int quiet = 0; quiet < 20;)
        if (slw_stream_push(opened[1], (struct slw_str){piece, sizeof piece})) {
            quiet = 0;
        } else {
            quiet++;
            pause_ms(2);
        }
    int64_t begin = slw_mono_ns();
    slw_http_stop(h, 30000);
    assert_true(slw_mono_ns() - begin < (int64_t)10 * 1000000000);
    raw_read_all(fd, &in);
    assert_has(&in, "\r\n0\r\n\r\n");
    assert_true(slw_stream_gone(opened[0]));
    assert_true(slw_stream_gone(opened[1]));
    assert_false(slw_stream_push(opened[0], SLW_STR("x")));
    slw_stream_close(opened[0]);
    slw_stream_close(opened[1]);
    close(fd);
    close(stuck);
}

/* Clients come and go while one thread feeds. */
static void *
feeds(void *end)
{
    while (!atomic_load((atomic_int *)end)) {
        pthread_mutex_lock(&opened_lock);
        for (size_t i = 0; i < opened_count; i++) {
            if (slw_stream_push(opened[i], SLW_STR("data: x\n\n")))
                continue;
            slw_stream_close(opened[i]);
            opened[i--] = opened[--opened_count];
        }
        pthread_mutex_unlock(&opened_lock);
    }
    return NULL;
}

static void
clients_that_come_and_go_under_load_do_no_harm(void **state)
{
    struct slw_http *h = streams_start();
    atomic_int end = 0;
    pthread_t feeder;
    assert_int_equal(pthread_create(&feeder, NULL, feeds, &end), 0);
    for (int round = 0; round < 60; round++) {
        int fds[STREAM_MAX];
        for (int i = 0; i < STREAM_MAX; i++) {
            fds[i] = raw_connect(h);
            raw_sendz(fds[i], OPEN);
        }
        SLW_AUTO(slw_buf, in);
        raw_read(fds[round % STREAM_MAX], &in);
        for (int i = 0; i < STREAM_MAX; i++)
            close(fds[i]);
    }
    int last = raw_connect(h);
    raw_sendz(last, OPEN);
    slw_http_stop(h, 5000);
    atomic_store(&end, 1);
    pthread_join(feeder, NULL);
    for (size_t i = 0; i < opened_count; i++)
        slw_stream_close(opened[i]);
    close(last);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_is_pushed_arrives_at_once_and_in_order_until_the_end),
        cmocka_unit_test(open_streams_hold_no_thread_and_are_capped),
        cmocka_unit_test(
            a_slow_reader_bounds_what_waits_for_it_and_hinders_nobody),
        cmocka_unit_test(a_client_that_has_gone_is_noticed_by_what_is_pushed),
        cmocka_unit_test(head_and_failures_leave_no_stream_behind),
        cmocka_unit_test(
            stopping_ends_streams_at_once_even_those_that_nobody_reads),
        cmocka_unit_test(clients_that_come_and_go_under_load_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
