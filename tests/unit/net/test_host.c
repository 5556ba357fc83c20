/* test_host.c -- which Host and Origin are taken, with raw requests. */
#include "net/net_internal.h"
#include "net_test.h"

static const struct slw_route HOST_ROUTES[] = {
    {"GET", "/hello", do_hello, SLW_ROUTE_HOT, SLW_NATIVE, 0, "hello"},
    {"GET", "/health", do_hello, SLW_ROUTE_HOT | SLW_ROUTE_LOCAL, SLW_NATIVE, 0,
     "health"},
    {"POST", "/change", do_hello, 0, SLW_NATIVE, 1000, "change"},
    {"DELETE", "/change", do_hello, 0, SLW_NATIVE, 1000, "remove"},
};
static const char *const HOSTS[] = {"slipway.example.org", "named:9000"};

static struct slw_http *
host_server(void)
{
    struct slw_http_options opt = test_options();
    opt.routes = HOST_ROUTES;
    opt.route_count = ARRAY_LEN(HOST_ROUTES);
    opt.check_host = true;
    opt.hosts = HOSTS;
    opt.host_count = ARRAY_LEN(HOSTS);
    return server_start(&opt);
}

static void
a_host_is_an_address_localhost_this_machine_or_named(void **state)
{
    struct slw_http *h = host_server();
    static const char *const known[] = {
        "127.0.0.1",          "127.0.0.1:8080",
        "10.1.2.3:80",        "[::1]",
        "[::1]:8080",         "[fe80::1234]:1",
        "localhost",          "LOCALHOST:99",
        "a.localhost:80",     "localhost.",
        "named:9000",         "Slipway.Example.org:443",
        "slipway.example.org"};
    static const char *const unknown[] = {"evil.example",
                                          "evil.example:8080",
                                          "localhost.evil.example",
                                          "127.0.0.1.nip.io",
                                          "xlocalhost",
                                          "slipway.example.org.x",
                                          "www.slipway.example.org",
                                          "[evil]",
                                          "1.2.3",
                                          "0x7f000001",
                                          "127.1",
                                          "named:9001",
                                          "[::1",
                                          "::1"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!net_host_known(h, slw_str_of(known[i])))
            fail_msg("%s is refused", known[i]);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        if (net_host_known(h, slw_str_of(unknown[i])))
            fail_msg("%s is taken", unknown[i]);
    char machine[256] = "";
    if (gethostname(machine, sizeof machine - 1) == 0 && *machine)
        assert_true(net_host_known(h, slw_str_of(machine)));
    slw_http_stop(h, 1000);
}

static void
an_origin_is_ours_when_host_and_port_are_the_same(void **state)
{
    static const struct {
        const char *origin, *host;
        bool same;
    } cases[] = {
        {"http://127.0.0.1:8080", "127.0.0.1:8080", true},
        {"http://LocalHost:8080", "localhost:8080", true},
        {"http://[::1]:8080", "[::1]:8080", true},
        {"http://ours.example", "ours.example", true},
        {"http://ours.example", "ours.example:80", true},
        {"https://ours.example", "ours.example", true},
        {"https://ours.example", "ours.example:443", true},
        {"https://ours.example", "ours.example:80", false},
        {"http://127.0.0.1:8081", "127.0.0.1:8080", false},
        {"http://localhost:8080", "127.0.0.1:8080", false},
        {"http://127.0.0.1", "127.0.0.1:8080", false},
        {"http://evil.example", "ours.example", false},
        {"http://ours.example.evil.example", "ours.example", false},
        {"null", "ours.example", false},
        {"", "ours.example", false},
        {"file://", "ours.example", false},
        {"http://", "", false},
        {"ftp://ours.example", "ours.example", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (net_origin_same(slw_str_of(cases[i].origin),
                            slw_str_of(cases[i].host)) != cases[i].same)
            fail_msg("case %zu: %s at %s", i, cases[i].origin, cases[i].host);
}

static void
requests_of_other_sites_are_refused_before_any_handler_runs(void **state)
{
    static const struct {
        const char *head, *status, *part;
    } cases[] = {
        {"GET /hello HTTP/1.1\r\nHost: evil.example\r\n", " 421 ",
         "not known as 'evil.example'"},
        {"POST /change HTTP/1.1\r\nHost: evil.example\r\n"
         "Content-Length: 0\r\n",
         " 421 ", "--host evil.example"},
        /* rebinding: the page's origin is the host it asks */
        {"POST /change HTTP/1.1\r\nHost: evil.example:80\r\n"
         "Origin: http://evil.example:80\r\nContent-Length: 0\r\n",
         " 421 ", "evil.example"},
        {"GET /health HTTP/1.1\r\nHost: evil.example\r\n", " 200 ", "hello"},
        {"GET /hello HTTP/1.1\r\nHost: localhost\r\n"
         "Origin: http://evil.example\r\n",
         " 200 ", "hello"},
        {"GET /hello HTTP/1.0\r\n", " 200 ", "hello"},
        {"POST /change HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n",
         " 200 ", "hello"},
        {"POST /change HTTP/1.1\r\nHost: localhost:81\r\n"
         "Origin: http://localhost:81\r\nContent-Length: 0\r\n",
         " 200 ", "hello"},
        {"POST /change HTTP/1.1\r\nHost: localhost:81\r\n"
         "Origin: http://localhost:82\r\nContent-Length: 0\r\n",
         " 403 ", "may not change anything here"},
        {"POST /change HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n"
         "Content-Length: 0\r\n",
         " 403 ", "'null'"},
        {"DELETE /change HTTP/1.1\r\nHost: localhost\r\n"
         "Origin: https://evil.example\r\n",
         " 403 ", "evil.example"},
        {"POST /change HTTP/1.1\r\nHost: localhost\r\n"
         "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n",
         " 403 ", "another site"},
        {"POST /change HTTP/1.1\r\nHost: localhost\r\n"
         "Sec-Fetch-Site: same-origin\r\nContent-Length: 0\r\n",
         " 200 ", "hello"},
    };
    struct slw_http *h = host_server();
    int passed = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, ask);
        SLW_AUTO(slw_buf, in);
        slw_buf_printf(&ask, "%sConnection: close\r\n\r\n", cases[i].head);
        raw_ask(h, ask.ptr, ask.len, &in);
        assert_has(&in, cases[i].status);
        assert_has(&in, cases[i].part);
        passed += strcmp(cases[i].status, " 200 ") == 0;
    }
    assert_int_equal(atomic_load(&handled), passed);
    slw_http_stop(h, 1000);
}

static void
a_refused_body_does_not_become_the_next_request(void **state)
{
    struct slw_http *h = host_server();
    SLW_AUTO(slw_buf, in);
    const char ask[] = "POST /change HTTP/1.1\r\nHost: evil.example\r\n"
                       "Content-Length: 40\r\n\r\n"
                       "POST /change HTTP/1.1\r\nHost: localhost\r\n"
                       "GET /hello HTTP/1.1\r\nHost: localhost\r\n"
                       "Connection: close\r\n\r\n";
    raw_ask(h, ask, sizeof ask - 1, &in);
    assert_has(&in, "HTTP/1.1 421 ");
    assert_int_equal(count_of(&in, "HTTP/1.1 "), 2);
    assert_has(&in, "\r\n\r\nhello"); /* the GET behind it */
    assert_int_equal(atomic_load(&handled), 1);
    slw_http_stop(h, 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_an_address_localhost_this_machine_or_named),
        cmocka_unit_test(an_origin_is_ours_when_host_and_port_are_the_same),
        cmocka_unit_test(
            requests_of_other_sites_are_refused_before_any_handler_runs),
        cmocka_unit_test(a_refused_body_does_not_become_the_next_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
