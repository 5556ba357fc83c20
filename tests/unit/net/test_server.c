/* test_server.c -- the server over real sockets: answers, framing that must
 * be refused, connections, limits in time, draining. */
#include "net_test.h"

#define CLOSE "Connection: close\r\n"

/* ---- answers ---- */

static void
a_get_is_answered_with_id_and_nosniff(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    const char ask[] = "GET /hello HTTP/1.1\r\nHost: x\r\n" CLOSE "\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, "HTTP/1.1 200 OK\r\n");
    assert_has(&in, "X-Request-Id: ");
    assert_has(&in, "X-Content-Type-Options: nosniff\r\n");
    assert_has(&in, "Content-Type: text/plain\r\n");
    assert_has(&in, "\r\n\r\nhello");
    assert_int_equal(atomic_load(&observed), 1);
    slw_http_stop(h, 1000);
}

static void
head_is_get_without_the_body(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    const char ask[] = "HEAD /echo HTTP/1.1\r\nHost: x\r\n" CLOSE "\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, "HTTP/1.1 200 OK\r\n");
    assert_has(&in, "Content-Length: 11\r\n"); /* GET|/echo|| */
    assert_true(slw_str_ends(slw_buf_view(&in), "\r\n\r\n"));
    slw_http_stop(h, 1000);
}

struct expected {
    const char *line;   /* request line without the version */
    const char *status; /* of the answer */
    const char *part;   /* of the answer */
};

static void
ask_each(const struct expected *cases, size_t count)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    for (size_t i = 0; i < count; i++) {
        SLW_AUTO(slw_buf, ask);
        SLW_AUTO(slw_buf, in);
        slw_buf_printf(&ask, "%s HTTP/1.1\r\nHost: x\r\n" CLOSE "\r\n",
                       cases[i].line);
        raw_ask(h, ask.ptr, ask.len, &in);
        assert_has(&in, cases[i].status);
        assert_has(&in, cases[i].part);
        assert_int_equal(count_of(&in, "HTTP/1.1 "), 1);
    }
    slw_http_stop(h, 1000);
}

static void
paths_lead_to_their_routes_with_decoded_variables(void **state)
{
    const struct expected cases[] = {
        {"GET /things/a%20b", " 200 ", "id=a b"},
        {"GET /things/%C3%A4", " 200 ", "id=\xc3\xa4"},
        {"GET /things/search", " 200 ", "hello"},
        {"GET /thing%73/search/", " 200 ", "hello"},
        {"GET /things/a+b", " 200 ", "id=a+b"},
        {"GET /things/x/parts/", " 200 ", "id=x"},
        {"GET /runs/r1/files/a/b.txt", " 200 ", "run=r1 path=a/b.txt"},
        {"GET /runs/r1/files/a%2Fb%20c/", " 200 ", "run=r1 path=a/b c"},
        {"GET /things/a%2Fb", " 400 ", "encoded slash"},
        {"GET /things/a%00b", " 400 ", "%00"},
        {"GET /things/a%zz", " 400 ", "two hexadecimal digits"},
        {"GET /things/a%4", " 400 ", "two hexadecimal digits"},
        {"GET /things/%ff", " 400 ", "UTF-8"},
        {"GET /things/../hello", " 400 ", "'..' segment"},
        {"GET /things/%2e%2E/hello", " 400 ", "'..' segment"},
        {"GET /runs/r1/files/a%2f..%2fb", " 400 ", "'..' segment"},
        {"GET /runs/r1/files/%2Fetc/passwd", " 400 ", "empty segment"},
        {"GET /runs/r1/files//etc/passwd", " 400 ", "empty segment"},
        {"GET //hello", " 400 ", "empty segment"},
        {"GET /hello//", " 400 ", "empty segment"},
        {"GET /nothing", " 404 ", "there is nothing at /nothing"},
        {"GET /", " 404 ", "there is nothing at /"},
        {"GET /runs/r1/files", " 404 ", "nothing"},
        {"GET /hello/x", " 404 ", "nothing"},
        {"GET /v2/models/x", " 404 ", "\"dialect\":2"},
        {"GET /ajax-api/2.0/x", " 404 ", "\"dialect\":1"},
        {"GET /api/2.0/mlflow/y", " 404 ", "\"dialect\":1"},
        {"GET /v22", " 404 ", "\"dialect\":0"},
        {"PUT /hello", " 405 ", "Allow: GET, HEAD\r\n"},
        {"PATCH /echo", " 405 ", "Allow: GET, HEAD, POST, DELETE\r\n"},
        {"BREW /echo", " 405 ", "Allow: GET, HEAD, POST, DELETE\r\n"},
        {"GET /fail", " 409 ", "the state"},
        {"GET /secret", " 403 ", "\"dialect\":3"},
    };
    ask_each(cases, ARRAY_LEN(cases));
}

static void
queries_are_decoded_and_read(void **state)
{
    const struct expected cases[] = {
        {"GET /echo?a=1&b=x%26y+z&a=2&&c&d=", " 200 ",
         "|a=1|b=x&y z|a=2|c=|d="},
        {"GET /echo?", " 200 ", "GET|/echo||"},
        {"GET /echo?a=b=c?d", " 200 ", "|a=b=c?d"},
        {"GET /echo?a=%", " 400 ", "two hexadecimal digits"},
        {"GET /echo?a%00=1", " 400 ", "%00"},
        {"GET /number", " 200 ", "\r\n\r\n7"},
        {"GET /number?n=-12", " 200 ", "\r\n\r\n-12"},
        {"GET /number?n=1x", " 400 ", "must be a whole number, not '1x'"},
        {"GET /number?n=", " 400 ", "must be a whole number"},
    };
    ask_each(cases, ARRAY_LEN(cases));
}

static void
the_answer_of_a_failed_handler_is_only_the_error(void **state)
{
    struct slw_http_options opt = test_options();
    opt.render_error = NULL; /* the plain form */
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    const char ask[] = "GET /fail HTTP/1.1\r\nHost: x\r\n" CLOSE "\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, " 409 ");
    assert_has(&in, "{\"error\":{\"code\":\"conflict\",\"message\":\"the state "
                    "\\\"x\\\" does not allow it\"}}");
    assert_has_not(&in, "half");
    slw_http_stop(h, 1000);
}

/* ---- requests that two programs could read in two ways ---- */

#define SMUGGLED "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
#define BAD(text)                                                              \
    {                                                                          \
        text, sizeof(text) - 1                                                 \
    }

struct bytes {
    const char *ptr;
    size_t len;
};

/* Ours to refuse: JSON, one sentence, closed, nothing after it answered. */
static void
ambiguous_requests_get_400_and_nothing_after_them_is_parsed(void **state)
{
    static const struct bytes cases[] = {
        /* framing */
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "Content-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
            "Content-Length: 2\r\n\r\nab" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
            "content-length: 1\r\n\r\na" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\n"
            "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\n"
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.0\r\nHost: x\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 1234567890123456789\r\n\r\n" SMUGGLED),
        /* host */
        BAD("GET /hello HTTP/1.1\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost:\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x/../y\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x y\r\n\r\n" SMUGGLED),
        /* names and values */
        BAD("GET /hello HTTP/1.1\r\nHost : x\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : "
            "5\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA: \xff\xfe\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\0"
            "0\r\n\r\naaaaaaaaaa" SMUGGLED),
        /* lines */
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n"
            " Content-Length: 40\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\nA: b\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\n\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\n Host: x\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1\r\nHost: x\n\0j\n" SMUGGLED),
        /* request line */
        BAD("get /hello HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("G@T /hello HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET  /hello HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hello  HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hel lo HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hel\0lo HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hel\x7flo HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /h\xff HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET hello HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET http://x/hello HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET * HTTP/1.1\r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.2\r\nHost: x\r\n\r\n" SMUGGLED),
    };
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, in);
        raw_ask(h, cases[i].ptr, cases[i].len, &in);
        if (!in.len || strncmp(in.ptr, "HTTP/1.1 400 ", 13) != 0)
            fail_msg("case %zu:\n%s\ngot:\n%s", i, cases[i].ptr,
                     in.len ? in.ptr : "nothing");
        assert_has(&in, "Connection: close\r\n");
        assert_has(&in, "\"code\":\"invalid\",\"say\":\"");
        assert_int_equal(count_of(&in, "HTTP/1.1 4"), 1);
        assert_int_equal(count_of(&in, "HTTP/1.1 2"), 0);
    }
    assert_int_equal(atomic_load(&handled), 0);
    slw_http_stop(h, 1000);
}

/* What the library refuses before it asks us; its words, but still refused,
 * closed and nothing parsed after it. */
static void
lengths_and_lines_the_library_refuses_never_reach_a_handler(void **state)
{
    static const struct bytes cases[] = {
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
            "+5\r\n\r\nabcde" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
            "-5\r\n\r\nabcde" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
            "0x5\r\n\r\nabc" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5, "
            "5\r\n\r\nabc" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
            "\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 99999999999999999999999\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "\r\n-1\r\na\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "\r\n1\r\nabc\r\n0\r\n\r\n" SMUGGLED),
        BAD("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n" SMUGGLED),
        BAD("GET /hello HTTP/1.1 \r\nHost: x\r\n\r\n" SMUGGLED),
        BAD("GET /hello\r\nHost: x\r\n\r\n" SMUGGLED),
    };
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, in);
        raw_ask(h, cases[i].ptr, cases[i].len, &in);
        if (in.len && strncmp(in.ptr, "HTTP/1.1 4", 10) != 0 &&
            strncmp(in.ptr, "HTTP/1.1 5", 10) != 0)
            fail_msg("case %zu:\n%s\ngot:\n%s", i, cases[i].ptr, in.ptr);
        assert_int_equal(count_of(&in, "HTTP/1.1 2"), 0);
    }
    assert_int_equal(atomic_load(&handled), 0);
    slw_http_stop(h, 1000);
}

static void
odd_but_valid_requests_are_answered(void **state)
{
    static const struct bytes cases[] = {
        BAD("GET /hello HTTP/1.1\r\nHost:x\r\nA:\t b  \r\nB:\r\n" CLOSE "\r\n"),
        BAD("\r\nGET /hello HTTP/1.1\r\nhOST: x:80\r\nConnection: close\r\n"
            "\r\n"),
        BAD("GET /hello HTTP/1.1\r\nHost: [::1]:80\r\nCookie: a=b; c=d\r\n"
            "Cookie: e\r\n" CLOSE "\r\n"),
        BAD("GET /hello?a=b&c=%20&d=%2B HTTP/1.1\r\nHost: x\r\nX: "
            "\xc3\xa4\r\n" CLOSE "\r\n"),
        BAD("GET /hello HTTP/1.0\r\n\r\n"),
        BAD("GET /hell%6f HTTP/1.0\r\nHost: x\r\n\r\n"),
        BAD("GET /hello HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n"
            "!#$%&'*+-.^_`|~: odd\r\n" CLOSE "\r\n"),
    };
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, in);
        raw_ask(h, cases[i].ptr, cases[i].len, &in);
        if (!in.len || !strstr(in.ptr, " 200 OK") || !strstr(in.ptr, "hello"))
            fail_msg("case %zu:\n%s\ngot:\n%s", i, cases[i].ptr,
                     in.len ? in.ptr : "nothing");
    }
    slw_http_stop(h, 1000);
}

static void
a_request_sent_byte_by_byte_is_understood(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    static const char *const asks[] = {
        "POST /echo?q=1 HTTP/1.1\r\nHost: x\r\nContent-Type: Text/X; a=b\r\n"
        "Content-Length: 4\r\n" CLOSE "\r\nbody",
        "POST /echo?q=1 HTTP/1.1\r\nHost: x\r\nContent-Type: text/x\r\n"
        "Transfer-Encoding: Chunked\r\n" CLOSE
        "\r\n1\r\nb\r\n3;x=y\r\nody\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        SLW_AUTO(slw_buf, in);
        int fd = raw_connect(h);
        for (const char *p = asks[i]; *p; p++) {
            raw_send(fd, p, 1);
            pause_ms(1);
        }
        raw_read_all(fd, &in);
        close(fd);
        assert_has(&in, "POST|/echo|text/x|body|q=1");
    }
    slw_http_stop(h, 1000);
}

static void
pipelined_requests_are_answered_in_order_on_one_connection(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, one);
    int fd = raw_connect(h);
    raw_sendz(fd, "GET /things/1 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
                  "abcGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                  "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  "\r\nxyzGET /things/2 HTTP/1.1\r\nHost: x\r\n\r\n");
    static const char *const parts[] = {"id=1",  "hello", "|abc",
                                        " 404 ", " 404 ", "id=2"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        raw_read_one(fd, &in, &one);
        assert_has(&one, parts[i]);
        assert_has_not(&one, "Connection: close");
    }
    for (int i = 0; i < 50; i++) { /* and it is kept alive */
        raw_sendz(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        raw_read_one(fd, &in, &one);
        assert_has(&one, "hello");
    }
    close(fd);
    slw_http_stop(h, 1000);
}

/* ---- limits ---- */

static void
heads_and_targets_that_are_too_large_are_refused(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    static char filler[40000];
    memset(filler, 'a', sizeof filler);
    static const struct {
        size_t target, value;
        const char *status;
        bool ours;
    } cases[] = {
        {8000, 10, " 404 ", true},  {8300, 10, " 414 ", true},
        {10, 16000, " 404 ", true}, {10, 16400, " 431 ", true},
        {39000, 10, "", false},     {10, 39000, " 431 ", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, ask);
        SLW_AUTO(slw_buf, in);
        slw_buf_printf(
            &ask, "GET /%.*s HTTP/1.1\r\nHost: x\r\nA: %.*s\r\n" CLOSE "\r\n",
            (int)cases[i].target, filler, (int)cases[i].value, filler);
        raw_ask(h, ask.ptr, ask.len, &in);
        assert_has(&in, cases[i].status);
        assert_has(&in, "HTTP/1.1 4");
        if (cases[i].ours)
            assert_has(&in, "\"say\":");
    }
    SLW_AUTO(slw_buf, many);
    SLW_AUTO(slw_buf, in);
    slw_buf_z(&many, "GET /hello HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 130; i++)
        slw_buf_printf(&many, "A%d: b\r\n", i);
    slw_buf_z(&many, "\r\n");
    raw_ask(h, many.ptr, many.len, &in);
    assert_has(&in, " 431 ");
    slw_http_stop(h, 1000);
}

static void
bodies_over_the_limit_get_413_before_they_are_sent(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    int64_t begin = slw_mono_ns();
    SLW_AUTO(slw_buf, in);
    int fd = raw_connect(h);
    raw_sendz(fd, "POST /big HTTP/1.1\r\nHost: x\r\n"
                  "Content-Length: 104857600\r\n\r\n");
    raw_read_all(fd, &in); /* not a byte of the body was sent */
    close(fd);
    assert_has(&in, "HTTP/1.1 413 ");
    assert_has(&in, "larger than the 33554432 bytes");
    assert_has(&in, CLOSE);
    assert_true(slw_mono_ns() - begin < 2000000000);
    slw_buf_clear(&in);
    fd = raw_connect(h); /* one that waits for permission */
    raw_sendz(fd, "POST /api/2.0/mlflow/x HTTP/1.1\r\nHost: x\r\n"
                  "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    raw_read_all(fd, &in);
    close(fd);
    assert_has(&in, "HTTP/1.1 413 ");
    assert_has(&in, "\"dialect\":1");
    assert_has_not(&in, "100 Continue");
    slw_http_stop(h, 1000);
}

/* A client that sends it all before it reads: nothing of the answer may be
 * lost to a reset. */
static void
a_client_that_sends_100_mb_first_still_reads_its_413(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    static char piece[65536];
    int64_t left = 104857600;
    int fd = raw_connect(h);
    raw_sendz(fd, "POST /big HTTP/1.1\r\nHost: x\r\n"
                  "Content-Length: 104857600\r\n\r\n");
    while (left > 0) {
        ssize_t n = send(fd, piece, sizeof piece, MSG_NOSIGNAL);
        assert_true(n > 0);
        left -= n;
    }
    raw_read_all(fd, &in);
    close(fd);
    assert_has(&in, "HTTP/1.1 413 ");
    assert_int_equal(count_of(&in, "HTTP/1.1 "), 1);
    slw_http_stop(h, 1000);
}

static void
a_chunked_body_is_cut_at_the_limit(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    char piece[600];
    memset(piece, 'a', sizeof piece);
    int fd = raw_connect(h);
    raw_sendz(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        raw_sendz(fd, "258\r\n");
        raw_send(fd, piece, sizeof piece);
        raw_sendz(fd, "\r\n");
    }
    raw_sendz(fd, "0\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_read_all(fd, &in);
    close(fd);
    assert_has(&in, "HTTP/1.1 413 ");
    assert_has(&in, "larger than the 1000 bytes");
    assert_int_equal(count_of(&in, "HTTP/1.1 "), 1);
    assert_int_equal(atomic_load(&handled), 0);
    slw_http_stop(h, 1000);
}

static void
compressed_bodies_get_415(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    const char ask[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                       "Content-Encoding: gzip\r\n" CLOSE "\r\na";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, " 415 ");
    assert_has(&in, "Accept-Encoding: identity\r\n");
    slw_http_stop(h, 1000);
}

static void
slow_heads_and_bodies_end_by_the_deadline(void **state)
{
    struct slw_http_options opt = test_options();
    opt.head_timeout_ms = 300;
    struct slw_http *h = server_start(&opt);
    static const char *const begins[] = {
        "GET /hello HTT",
        "GET /hello HTTP/1.1\r\nHost: x\r\nA: ",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n",
        "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n",
        "PUT /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "\r\n20\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        SLW_AUTO(slw_buf, in);
        int fd = raw_connect(h);
        int64_t begin = slw_mono_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        raw_sendz(fd, begins[i]);
        while (poll(&p, 1, 50) == 0) /* a byte now and then */
            raw_send(fd, "a", 1);
        raw_read_all(fd, &in);
        close(fd);
        assert_has(&in, "HTTP/1.1 408 ");
        assert_has(&in, "\"code\":\"timeout\"");
        assert_true(slw_mono_ns() - begin < 3000000000);
    }
    wait_for(upload_files() == 0);
    /* silent: closed without a word */
    SLW_AUTO(slw_buf, in);
    int fd = raw_connect(h);
    raw_read_all(fd, &in);
    close(fd);
    assert_int_equal(in.len, 0);
    slw_http_stop(h, 1000);
}

static void
a_body_that_comes_steadily_may_take_longer_than_the_deadline(void **state)
{
    struct slw_http_options opt = test_options();
    opt.head_timeout_ms = 200;
    opt.body_min_rate = 100;
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    int fd = raw_connect(h);
    raw_sendz(fd,
              "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n" CLOSE
              "\r\n");
    for (int i = 0; i < 30; i++) { /* 10 bytes each 20 ms: 500 bytes/s */
        raw_sendz(fd, "0123456789");
        pause_ms(20);
    }
    raw_read_all(fd, &in);
    close(fd);
    assert_has(&in, " 200 OK");
    slw_http_stop(h, 1000);
}

static void
connections_over_the_limit_are_told_503(void **state)
{
    struct slw_http_options opt = test_options();
    opt.connection_max = 3;
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, one);
    int fds[3];
    for (size_t i = 0; i < 3; i++) {
        fds[i] = raw_connect(h);
        raw_sendz(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        raw_read_one(fds[i], &in, &one);
        assert_has(&one, " 200 OK");
    }
    const char ask[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, " 503 ");
    assert_has(&in, "Retry-After: 1\r\n");
    assert_has(&in, "as many connections as it takes (3)");
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    slw_http_stop(h, 1000);
}

static void
a_full_queue_is_told_503_and_the_rest_is_answered(void **state)
{
    struct slw_http_options opt = test_options();
    opt.worker_count = 1;
    opt.queue_max = 1;
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, one);
    const char ask[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    int first = raw_connect(h), second = raw_connect(h), third = raw_connect(h);
    raw_sendz(first, ask);
    wait_for(atomic_load(&slow_begun) == 1);
    raw_sendz(second, ask);
    raw_sendz(third, ask);
    /* one of the two waits, the other is refused at once */
    struct pollfd p[2] = {{.fd = second, .events = POLLIN},
                          {.fd = third, .events = POLLIN}};
    assert_int_equal(poll(p, 2, WAIT_MS), 1);
    int refused = p[0].revents ? second : third;
    raw_read_one(refused, &in, &one);
    assert_has(&one, " 503 ");
    assert_has(&one, "Retry-After: 1\r\n");
    atomic_store(&slow_may_end, 1);
    raw_read_one(first, &in, &one);
    assert_has(&one, "slow done");
    raw_read_one(refused == second ? third : second, &in, &one);
    assert_has(&one, "slow done");
    close(first);
    close(second);
    close(third);
    slw_http_stop(h, 1000);
}

/* ---- many at once ---- */

struct crowd {
    struct slw_http *h;
    int index;
    int good;
};

static void *
crowd_main(void *arg)
{
    struct crowd *c = arg;
    struct slw_call call = {.method = "POST"};
    char url[128], body[64], want[128];
    for (int i = 0; i < 40; i++) {
        struct slw_err err;
        SLW_AUTO(slw_reply, reply);
        bool hot = i % 4 == 3;
        snprintf(url, sizeof url, "http://%s%s?i=%d", slw_http_address(c->h),
                 hot ? "/hot/echo" : "/echo", i);
        snprintf(body, sizeof body, "%d-%d", c->index, i);
        snprintf(want, sizeof want, "POST|%s|application/json|%s|i=%d",
                 hot ? "/hot/echo" : "/echo", body, i);
        call.url = url;
        call.body = slw_str_of(body);
        if (slw_call(&call, &reply, &err) == SLW_OK && reply.status == 200 &&
            slw_str_eqz(slw_buf_view(&reply.body), want))
            c->good++;
    }
    return NULL;
}

static void
thirty_two_clients_get_each_their_own_answers(void **state)
{
    struct slw_http_options opt = test_options();
    opt.worker_count = 4;
    struct slw_http *h = server_start(&opt);
    struct crowd crowd[32];
    pthread_t threads[32];
    for (int i = 0; i < 32; i++) {
        crowd[i] = (struct crowd){.h = h, .index = i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
    }
    for (int i = 0; i < 32; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].good, 40);
    }
    assert_int_equal(atomic_load(&handled), 32 * 40);
    slw_http_stop(h, 1000);
}

/* ---- the end ---- */

static void *
stop_main(void *h)
{
    slw_http_stop(h, WAIT_MS);
    return NULL;
}

static void
a_slow_answer_is_sent_while_draining(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, in2);
    SLW_AUTO(slw_buf, one);
    pthread_t stopper;
    int port = port_of(h);
    int slow = raw_connect(h), kept = raw_connect(h);
    raw_sendz(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_read_one(kept, &in2, &one);
    raw_sendz(slow, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(atomic_load(&slow_begun) == 1);
    assert_int_equal(pthread_create(&stopper, NULL, stop_main, h), 0);
    /* new connections are refused soon */
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool refused = false;
    int64_t until = slw_mono_ns() + WAIT_MS * (int64_t)1000000;
    while (!refused && slw_mono_ns() < until) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        refused = connect(fd, (struct sockaddr *)&to, sizeof to) != 0;
        close(fd);
        pause_ms(2);
    }
    assert_true(refused);
    /* kept-alive ones are served once more, and closed */
    raw_sendz(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_read_all(kept, &in2);
    assert_has(&in2, "hello");
    assert_has(&in2, CLOSE);
    atomic_store(&slow_may_end, 1);
    raw_read_all(slow, &in);
    assert_has(&in, "slow done closing=1");
    pthread_join(stopper, NULL);
    close(slow);
    close(kept);
}

static void *
stop_at_once_main(void *h)
{
    slw_http_stop(h, 0);
    return NULL;
}

static void
when_the_drain_is_over_the_queue_gets_503_and_the_running_end(void **state)
{
    struct slw_http_options opt = test_options();
    opt.worker_count = 1;
    struct slw_http *h = server_start(&opt);
    SLW_AUTO(slw_buf, in);
    SLW_AUTO(slw_buf, in2);
    pthread_t stopper;
    int slow = raw_connect(h), waits = raw_connect(h);
    raw_sendz(slow, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(atomic_load(&slow_begun) == 1);
    raw_sendz(waits, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    pause_ms(100); /* into the queue; refused at the door would be 503 too */
    assert_int_equal(pthread_create(&stopper, NULL, stop_at_once_main, h), 0);
    raw_read_all(waits, &in2); /* told while the other still runs */
    assert_has(&in2, " 503 ");
    assert_has(&in2, "the server is stopping");
    atomic_store(&slow_may_end, 1);
    raw_read_all(slow, &in);
    assert_has(&in, "slow done closing=1");
    pthread_join(stopper, NULL);
    close(slow);
    close(waits);
}

static void
a_port_in_use_is_a_sentence(void **state)
{
    struct slw_http_options opt = test_options();
    struct slw_http *h = server_start(&opt), *second = NULL;
    struct slw_err err;
    char where[64];
    snprintf(where, sizeof where, "%s", slw_http_address(h));
    opt.listen = where;
    assert_fails(slw_http_start(&second, &opt, &err), SLW_BUSY, err,
                 "is already in use; choose another with --listen");
    opt.listen = "127.0.0.1";
    assert_fails(slw_http_start(&second, &opt, &err), SLW_INVALID, err,
                 "address:port");
    opt.listen = "127.0.0.1:70000";
    assert_fails(slw_http_start(&second, &opt, &err), SLW_INVALID, err,
                 "address:port");
    assert_null(second);
    slw_http_stop(h, 1000);
    opt.listen = where;
    h = server_start(&opt);
    assert_string_equal(slw_http_address(h), where); /* free again */
    slw_http_stop(h, 1000);
}

static void
routes_that_collide_do_not_start(void **state)
{
    static const struct slw_route twice[] = {
        {"GET", "/a/{x}", do_hello, 0, SLW_NATIVE, 0, "one"},
        {"GET", "/a/{y}", do_hello, 0, SLW_NATIVE, 0, "two"},
    };
    struct slw_http_options opt = test_options();
    struct slw_http *h = NULL;
    struct slw_err err;
    opt.routes = twice;
    opt.route_count = 2;
    assert_fails(slw_http_start(&h, &opt, &err), SLW_INVALID, err,
                 "routes one and two are the same");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_is_answered_with_id_and_nosniff),
        cmocka_unit_test(head_is_get_without_the_body),
        cmocka_unit_test(paths_lead_to_their_routes_with_decoded_variables),
        cmocka_unit_test(queries_are_decoded_and_read),
        cmocka_unit_test(the_answer_of_a_failed_handler_is_only_the_error),
        cmocka_unit_test(
            ambiguous_requests_get_400_and_nothing_after_them_is_parsed),
        cmocka_unit_test(
            lengths_and_lines_the_library_refuses_never_reach_a_handler),
        cmocka_unit_test(odd_but_valid_requests_are_answered),
        cmocka_unit_test(a_request_sent_byte_by_byte_is_understood),
        cmocka_unit_test(
            pipelined_requests_are_answered_in_order_on_one_connection),
        cmocka_unit_test(heads_and_targets_that_are_too_large_are_refused),
        cmocka_unit_test(bodies_over_the_limit_get_413_before_they_are_sent),
        cmocka_unit_test(a_client_that_sends_100_mb_first_still_reads_its_413),
        cmocka_unit_test(a_chunked_body_is_cut_at_the_limit),
        cmocka_unit_test(compressed_bodies_get_415),
        cmocka_unit_test(slow_heads_and_bodies_end_by_the_deadline),
        cmocka_unit_test(
            a_body_that_comes_steadily_may_take_longer_than_the_deadline),
        cmocka_unit_test(connections_over_the_limit_are_told_503),
        cmocka_unit_test(a_full_queue_is_told_503_and_the_rest_is_answered),
        cmocka_unit_test(thirty_two_clients_get_each_their_own_answers),
        cmocka_unit_test(a_slow_answer_is_sent_while_draining),
        cmocka_unit_test(
            when_the_drain_is_over_the_queue_gets_503_and_the_running_end),
        cmocka_unit_test(a_port_in_use_is_a_sentence),
        cmocka_unit_test(routes_that_collide_do_not_start),
    };
    return cmocka_run_group_tests_name("net/server", tests, NULL, NULL);
}
