/* test_defer.c -- answers that hot handlers leave to another thread: many at
 * once, in any order, errors too, and none lost when the server stops. */
#include "net_test.h"

#define CLIENTS 8
#define REQUESTS 60

/* What waits for the answering thread, newest first. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct slw_http_req *waiting[CLIENTS];
    int count;
    bool closed, paused;
} desk = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
static atomic_int refused;

static void *
answer_all(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&desk.lock);
    for (;;) {
        while ((desk.count == 0 || desk.paused) && !desk.closed)
            pthread_cond_wait(&desk.more, &desk.lock);
        if (desk.count == 0)
            break;
        struct slw_http_req *req = desk.waiting[--desk.count];
        pthread_mutex_unlock(&desk.lock);
        struct slw_err err;
        enum slw_rc rc = SLW_OK;
        if (slw_http_query(req, "fail").ptr)
            rc = slw_fail(&err, SLW_CONFLICT, "not today");
        else
            slw_buf_str(&slw_http_res_of(req)->body,
                        slw_http_query(req, "say"));
        slw_http_answer(req, rc, &err);
        pthread_mutex_lock(&desk.lock);
    }
    pthread_mutex_unlock(&desk.lock);
    return NULL;
}

static enum slw_rc
do_later(struct slw_http_req *req, struct slw_http_res *res,
         struct slw_err *err)
{
    (void)res;
    if (slw_http_defer(req, err) != SLW_OK) {
        atomic_fetch_add(&refused, 1);
        return SLW_BUSY;
    }
    pthread_mutex_lock(&desk.lock);
    desk.waiting[desk.count++] = req;
    pthread_cond_signal(&desk.more);
    pthread_mutex_unlock(&desk.lock);
    return SLW_OK;
}

static const struct slw_route LATER_ROUTES[] = {
    {"GET", "/later", do_later, SLW_ROUTE_HOT, SLW_NATIVE, 0, "later"},
};

static struct slw_http *
later_server(pthread_t *thread)
{
    struct slw_http_options opt = test_options();
    opt.routes = LATER_ROUTES;
    opt.route_count = ARRAY_LEN(LATER_ROUTES);
    desk.closed = desk.paused = false;
    assert_int_equal(pthread_create(thread, NULL, answer_all, NULL), 0);
    return server_start(&opt);
}

static void
desk_set(bool paused, bool closed)
{
    pthread_mutex_lock(&desk.lock);
    desk.paused = paused;
    desk.closed = closed;
    pthread_cond_broadcast(&desk.more);
    pthread_mutex_unlock(&desk.lock);
}

static int
waiting_count(void)
{
    pthread_mutex_lock(&desk.lock);
    const int count = desk.count;
    pthread_mutex_unlock(&desk.lock);
    return count;
}

static void *
ask_often(void *arg)
{
    const int fd = raw_connect(arg);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, one);
    for (int i = 0; i < REQUESTS; i++) {
        char text[160], want[32];
        const bool fails = i % 7 == 0;
        snprintf(want, sizeof want, fails ? "not today" : "\r\n\r\nw%dx", i);
        snprintf(text, sizeof text,
                 "GET /later?say=w%dx%s HTTP/1.1\r\nHost: x\r\n\r\n", i,
                 fails ? "&fail=1" : "");
        raw_sendz(fd, text);
        raw_read_one(fd, &in, &one);
        assert_non_null(strstr(one.ptr, want));
        assert_non_null(
            strstr(one.ptr, fails ? "HTTP/1.1 409" : "HTTP/1.1 200"));
    }
    close(fd);
    return NULL;
}

static void
each_request_gets_its_own_answer(void **state)
{
    pthread_t answers, clients[CLIENTS];
    struct slw_http *h = later_server(&answers);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, ask_often, h), 0);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    slw_http_stop(h, 1000);
    desk_set(false, true);
    pthread_join(answers, NULL);
    assert_int_equal(atomic_load(&observed), CLIENTS * REQUESTS);
}

static void *
stop_server(void *h)
{
    slw_http_stop(h, 50);
    return NULL;
}

static void
a_stopping_server_waits_for_what_was_left_to_others(void **state)
{
    pthread_t answers, stopper;
    struct slw_http *h = later_server(&answers);
    desk_set(true, false);
    const int fd = raw_connect(h);
    raw_sendz(fd, "GET /later?say=late HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(waiting_count() == 1);
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, h), 0);
    pause_ms(200); /* longer than it waits for others */
    desk_set(false, false);
    SLW_AUTO(slw_buf, in);
    raw_read_all(fd, &in);
    assert_non_null(strstr(in.ptr, "\r\n\r\nlate"));
    pthread_join(stopper, NULL);
    desk_set(false, true);
    pthread_join(answers, NULL);
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_gets_its_own_answer),
        cmocka_unit_test(a_stopping_server_waits_for_what_was_left_to_others),
    };
    return cmocka_run_group_tests_name("net/defer", tests, NULL, NULL);
}
