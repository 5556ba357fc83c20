/* test_transfer.c -- bytes in bulk: uploads, ranges of files, and our own
 * client against our own server. */
#include "net_test.h"

#define CLOSE "Connection: close\r\n"

static void
fill(char *bytes, size_t size)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
}

static char big[3000001];

static void
hex_of(const char *bytes, size_t size, char hex[static 65])
{
    struct slw_sha256 sum = slw_sha256_of(bytes, size);
    slw_sha256_hex(&sum, hex);
}

/* ---- uploads ---- */

static void
an_upload_arrives_whole_with_its_sha256_and_leaves_no_file(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    char hex[65], want[128];
    hex_of(big, sizeof big, hex);
    snprintf(want, sizeof want, "%zu %zu %s", sizeof big, sizeof big, hex);
    for (int chunked = 0; chunked < 2; chunked++) {
        SLW_AUTO(slw_buf, in);
        SLW_AUTO(slw_buf, head);
        int fd = raw_connect(h);
        slw_buf_printf(&head, "PUT /upload HTTP/1.1\r\nHost: x\r\n" CLOSE);
        if (chunked)
            slw_buf_printf(&head, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                           sizeof big);
        else
            slw_buf_printf(&head, "Content-Length: %zu\r\n\r\n", sizeof big);
        raw_send(fd, head.ptr, head.len);
        raw_send(fd, big, sizeof big);
        if (chunked)
            raw_sendz(fd, "\r\n0\r\n\r\n");
        raw_read_all(fd, &in);
        close(fd);
        assert_has(&in, " 200 OK");
        assert_has(&in, want);
    }
    wait_for(upload_files() == 0);
    slw_http_stop(h, 1000);
}

static void
an_empty_upload_is_an_empty_file(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    const char ask[] = "PUT /upload HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 0\r\n" CLOSE "\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, "0 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495"
                    "991b7852b855");
    slw_http_stop(h, 1000);
}

static void
a_handler_may_keep_the_file_by_renaming_it(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, kept);
    struct slw_err err;
    const char ask[] = "PUT /upload?keep=1 HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 4\r\n" CLOSE "\r\nkeep";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, " 200 OK");
    char path[300];
    snprintf(path, sizeof path, "%s/kept", test_dir);
    assert_ok(slw_file_get(path, 100, &kept, &err), err);
    assert_string_equal(kept.ptr, "keep");
    wait_for(upload_files() == 0);
    slw_http_stop(h, 1000);
}

static void
an_upload_cut_half_way_leaves_no_file(void **state)
{
    struct slw_http_options opt = test_options();
    opt.head_timeout_ms = 300;
    struct slw_http *h = server_start(&opt);
    const char *const begins[] = {
        "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n",
        "PUT /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "FFFFFFF\r\n",
    };
    for (int how = 0; how < 6; how++) {
        int fd = raw_connect(h);
        raw_sendz(fd, begins[how & 1]);
        raw_send(fd, big, 1000000);
        wait_for(upload_files() == 1);
        if (how / 2 == 0) { /* orderly */
            close(fd);
        } else if (how / 2 == 1) { /* reset */
            struct linger hard = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            close(fd);
        }
        wait_for(upload_files() == 0); /* else silent: by the deadline */
        if (how / 2 == 2)
            close(fd);
    }
    assert_int_equal(atomic_load(&handled), 0);
    slw_http_stop(h, 1000);
}

static void
an_upload_over_its_limit_is_refused_and_leaves_no_file(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    const char *const begins[] = {
        "PUT /upload/small HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n"
        "\r\n",
        "PUT /upload/small HTTP/1.1\r\nHost: x\r\n"
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        SLW_AUTO(slw_buf, in);
        int fd = raw_connect(h);
        raw_sendz(fd, begins[i]);
        raw_send(fd, big, 500000);
        raw_read_all(fd, &in);
        close(fd);
        assert_has(&in, "HTTP/1.1 413 ");
        assert_int_equal(count_of(&in, "HTTP/1.1 "), 1);
    }
    wait_for(upload_files() == 0);
    slw_http_stop(h, 1000);
}

static void
an_upload_without_a_folder_to_go_to_is_an_error(void **state)
{
    struct slw_http_options opt = test_options();
    opt.tmp_dir = "/nonexistent/folder";
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    const char ask[] = "PUT /upload HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 4\r\n" CLOSE "\r\nkeep";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, " 500 ");
    assert_has(&in, "cannot make a file for the upload");
    slw_http_stop(h, 1000);
}

/* ---- ranges ---- */

static void
files_are_served_whole_and_in_parts(void **state)
{
    static const struct {
        const char *headers;
        const char *status;
        const char *part; /* of the head */
        const char *body; /* NULL: not looked at */
    } cases[] = {
        {"", " 200 OK", "Accept-Ranges: bytes\r\n", "0123456789"},
        {"Range: bytes=0-3\r\n", " 206 ", "Content-Range: bytes 0-3/10\r\n",
         "0123"},
        {"Range: bytes=4-\r\n", " 206 ", "Content-Range: bytes 4-9/10\r\n",
         "456789"},
        {"Range: bytes=-2\r\n", " 206 ", "Content-Range: bytes 8-9/10\r\n",
         "89"},
        {"Range: bytes=-99\r\n", " 206 ", "Content-Range: bytes 0-9/10\r\n",
         "0123456789"},
        {"Range: bytes=9-100\r\n", " 206 ", "Content-Range: bytes 9-9/10\r\n",
         "9"},
        {"Range: bytes=10-\r\n", " 416 ", "Content-Range: bytes */10\r\n",
         NULL},
        {"Range: bytes=-0\r\n", " 416 ", "Content-Range: bytes */10\r\n", NULL},
        {"Range: bytes=5-2\r\n", " 200 OK", "", "0123456789"},
        {"Range: bytes=0-1,4-5\r\n", " 200 OK", "", "0123456789"},
        {"Range: lines=0-1\r\n", " 200 OK", "", "0123456789"},
        {"Range: bytes=a-b\r\n", " 200 OK", "", "0123456789"},
        {"Range: bytes=0-3\r\nIf-Range: \"v1\"\r\n", " 206 ", "", "0123"},
        {"Range: bytes=0-3\r\nIf-Range: \"v0\"\r\n", " 200 OK", "",
         "0123456789"},
    };
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    struct slw_err err;
    char path[300];
    snprintf(path, sizeof path, "%s/served", test_dir);
    assert_ok(slw_file_put(path, SLW_STR("0123456789"), &err), err);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, ask);
        SLW_AUTO(slw_buf, in);
        slw_buf_printf(&ask, "GET /file HTTP/1.1\r\nHost: x\r\n%s" CLOSE "\r\n",
                       cases[i].headers);
        raw_ask(h, ask.ptr, ask.len, &in);
        assert_has(&in, cases[i].status);
        assert_has(&in, cases[i].part);
        if (cases[i].body)
            assert_string_equal(strstr(in.ptr, "\r\n\r\n") + 4, cases[i].body);
    }
    SLW_AUTO(slw_buf, in);
    const char ask[] =
        "HEAD /file HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n" CLOSE "\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, " 200 OK");
    assert_has(&in, "Content-Length: 10\r\n");
    assert_true(slw_str_ends(slw_buf_view(&in), "\r\n\r\n"));
    /* an empty file, and none */
    assert_ok(slw_file_put(path, SLW_STR(""), &err), err);
    slw_buf_clear(&in);
    const char get[] = "GET /file HTTP/1.1\r\nHost: x\r\n" CLOSE "\r\n";
    raw_ask(h, get, sizeof get - 1, &in);
    assert_has(&in, " 200 OK");
    assert_has(&in, "Content-Length: 0\r\n");
    assert_ok(slw_file_remove(path, &err), err);
    slw_buf_clear(&in);
    raw_ask(h, get, sizeof get - 1, &in);
    assert_has(&in, "is not there any more");
    slw_http_stop(h, 1000);
}

/* ---- the client ---- */

static void
url_of(const struct slw_http *h, const char *path, char out[static 200])
{
    snprintf(out, 200, "http://%s%s", slw_http_address(h), path);
}

static void
the_client_sends_and_receives(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_reply, reply);
    struct slw_err err;
    char url[200];
    url_of(h, "/echo?a=b", url);
    static const char *const headers[] = {"Content-Type: text/odd", NULL};
    struct slw_call call = {.method = "POST",
                            .url = url,
                            .body = SLW_STR("some \"body\""),
                            .content_type = "text/plain"};
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/json");
    assert_string_equal(reply.body.ptr,
                        "POST|/echo|text/plain|some \"body\"|a=b");
    slw_reply_done(&reply);
    call =
        (struct slw_call){.method = "DELETE", .url = url, .headers = headers};
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_string_equal(reply.body.ptr, "DELETE|/echo|text/odd||a=b");
    slw_reply_done(&reply);
    url_of(h, "/nothing", url); /* a status is not a failure of the call */
    call = (struct slw_call){.method = "GET", .url = url};
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_int_equal(reply.status, 404);
    slw_reply_done(&reply);
    url_of(h, "/hello", url);
    call.method = "HEAD";
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, 0);
    slw_http_stop(h, 1000);
}

static void
count_progress(void *ctx, int64_t done, int64_t total)
{
    int64_t *most = ctx;
    assert_true(done >= 0 && total >= 0);
    *most = done > *most ? done : *most;
}

static void
the_client_streams_files_both_ways(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_reply, reply);
    SLW_AUTO(slw_buf, got);
    struct slw_err err;
    char url[200], served[300], out[300], hex[65];
    int64_t most = 0;
    snprintf(served, sizeof served, "%s/served", test_dir);
    snprintf(out, sizeof out, "%s/out", test_dir);
    assert_ok(slw_file_put(served, (struct slw_str){big, sizeof big}, &err),
              err);
    url_of(h, "/upload", url);
    struct slw_call call = {.method = "PUT",
                            .url = url,
                            .body_path = served,
                            .progress = count_progress,
                            .progress_ctx = &most};
    assert_ok(slw_call(&call, &reply, &err), err);
    hex_of(big, sizeof big, hex);
    assert_has(&reply.body, hex);
    assert_true(most > 0);
    slw_reply_done(&reply);

    url_of(h, "/file", url);
    call = (struct slw_call){.method = "GET", .url = url, .out_path = out};
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_int_equal(reply.body.len, 0);
    assert_ok(slw_file_get(out, sizeof big + 1, &got, &err), err);
    assert_int_equal(got.len, sizeof big);
    assert_memory_equal(got.ptr, big, sizeof big);
    slw_reply_done(&reply);

    /* a refusal goes to memory and leaves the old file alone */
    url_of(h, "/nothing", url);
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_int_equal(reply.status, 404);
    assert_has(&reply.body, "there is nothing at /nothing");
    int64_t size;
    assert_ok(slw_file_size(out, &size, &err), err);
    assert_int_equal(size, sizeof big);
    slw_reply_done(&reply);

    url_of(h, "/upload/small", url); /* too large: the 413 is read */
    call = (struct slw_call){.method = "PUT", .url = url, .body_path = served};
    assert_ok(slw_call(&call, &reply, &err), err);
    assert_int_equal(reply.status, 413);
    slw_http_stop(h, 1000);
}

static enum slw_rc
count_part(void *ctx, const char *path, const char *name, bool is_dir,
           struct slw_err *err)
{
    *(int *)ctx += strstr(name, ".part") != NULL;
    return SLW_OK;
}

/* A server that promises more than it sends. */
static void *
liar_main(void *arg)
{
    int listener = *(int *)arg;
    int fd = accept(listener, NULL, NULL);
    char bytes[1000];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    (void)n;
    raw_sendz(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    close(fd);
    return NULL;
}

static void
the_clients_failures_are_sentences(void **state)
{
    SLW_AUTO(slw_reply, reply);
    struct slw_err err;
    char url[200], out[300];
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/a/b", ntohs(at.sin_port));
    struct slw_call call = {.method = "GET", .url = url};
    char want[300]; /* bound but not listening: refused for certain */
    snprintf(want, sizeof want,
             "cannot reach http://127.0.0.1:%d (connection refused); start a "
             "server with `slipway up` or set SLIPWAY_URL",
             ntohs(at.sin_port));
    assert_fails(slw_call(&call, &reply, &err), SLW_IO, err, want);

    assert_int_equal(listen(fd, 1), 0); /* accepts, never answers */
    call.timeout_ms = 200;
    assert_fails(slw_call(&call, &reply, &err), SLW_TIMEOUT, err, "in time");
    int ignored = accept(fd, NULL, NULL);
    close(ignored);

    pthread_t liar;
    int files = 0;
    assert_int_equal(pthread_create(&liar, NULL, liar_main, &fd), 0);
    snprintf(out, sizeof out, "%s/lie", test_dir);
    call.timeout_ms = 0;
    call.out_path = out;
    assert_fails(slw_call(&call, &reply, &err), SLW_IO, err, "the call to");
    pthread_join(liar, NULL);
    assert_false(slw_file_exists(out));
    assert_ok(slw_dir_each(test_dir, count_part, &files, &err), err);
    assert_int_equal(files, 0);
    close(fd);

    call = (struct slw_call){.method = "GET", .url = "ftp://x/y"};
    assert_fails(slw_call(&call, &reply, &err), SLW_INVALID, err, "not a URL");
    call.url = "nonsense url";
    assert_fails(slw_call(&call, &reply, &err), SLW_INVALID, err, "not a URL");
    call.url = "http://localhost:1/";
    call.body_path = "/nonexistent";
    assert_fails(slw_call(&call, &reply, &err), SLW_NOT_FOUND, err,
                 "cannot read /nonexistent");
}

/* Also where this thread has a connection to the same host open already, and
 * where an environment variable names a proxy. */
static void
a_call_held_to_public_addresses_connects_to_no_other(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_reply, reply);
    struct slw_err err;
    char url[200];
    url_of(h, "/echo", url);
    struct slw_call call = {
        .method = "POST", .url = url, .body = SLW_STR("0123456789")};
    assert_ok(slw_call(&call, &reply, &err), err);
    slw_reply_done(&reply);
    const int seen = atomic_load(&handled);
    call.direct = call.public_only = true;
    assert_fails(slw_call(&call, &reply, &err), SLW_DENIED, err,
                 "is not called: 127.0.0.1 is not a public address");
    setenv("http_proxy", slw_http_address(h), 1);
    call.url = "http://10.0.0.1:9/";
    assert_fails(slw_call(&call, &reply, &err), SLW_DENIED, err,
                 "10.0.0.1 is not a public address");
    unsetenv("http_proxy");
    assert_int_equal(atomic_load(&handled), seen);
    call = (struct slw_call){.method = "POST",
                             .url = url,
                             .body = SLW_STR("0123456789"),
                             .direct = true,
                             .keep_max = 8};
    assert_ok(slw_call(&call, &reply, &err), err); /* and drops the rest */
    assert_string_equal(reply.body.ptr, "POST|/ec");
    slw_http_stop(h, 1000);
}

static void *
stop_soon(void *arg)
{
    pause_ms(100);
    atomic_store((_Atomic bool *)arg, true);
    return NULL;
}

static void
a_call_can_be_broken_off(void **state)
{
    SLW_AUTO(slw_reply, reply);
    struct slw_err err;
    char url[200];
    _Atomic bool stop = false;
    pthread_t stopper;
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0); /* never answers */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    struct slw_call call = {.method = "GET", .url = url, .stop = &stop};
    const int64_t begin_ns = slw_mono_ns();
    assert_int_equal(pthread_create(&stopper, NULL, stop_soon, &stop), 0);
    assert_fails(slw_call(&call, &reply, &err), SLW_BUSY, err,
                 "was broken off");
    assert_true(slw_mono_ns() - begin_ns < INT64_C(10000000000));
    pthread_join(stopper, NULL);
    close(fd);
}

static void
values_are_encoded_for_urls(void **state)
{
    SLW_AUTO(slw_buf, b);
    slw_url_encode(&b, SLW_STR("a-b_c.d~E/ ?&=+%\xc3\xa4"));
    assert_string_equal(b.ptr, "a-b_c.d~E%2F%20%3F%26%3D%2B%25%C3%A4");
}

int
main(void)
{
    fill(big, sizeof big);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_upload_arrives_whole_with_its_sha256_and_leaves_no_file),
        cmocka_unit_test(an_empty_upload_is_an_empty_file),
        cmocka_unit_test(a_handler_may_keep_the_file_by_renaming_it),
        cmocka_unit_test(an_upload_cut_half_way_leaves_no_file),
        cmocka_unit_test(
            an_upload_over_its_limit_is_refused_and_leaves_no_file),
        cmocka_unit_test(an_upload_without_a_folder_to_go_to_is_an_error),
        cmocka_unit_test(files_are_served_whole_and_in_parts),
        cmocka_unit_test(the_client_sends_and_receives),
        cmocka_unit_test(the_client_streams_files_both_ways),
        cmocka_unit_test(the_clients_failures_are_sentences),
        cmocka_unit_test(a_call_held_to_public_addresses_connects_to_no_other),
        cmocka_unit_test(a_call_can_be_broken_off),
        cmocka_unit_test(values_are_encoded_for_urls),
    };
    return cmocka_run_group_tests_name("net/transfer", tests, NULL, NULL);
}
