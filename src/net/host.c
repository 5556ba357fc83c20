/* host.c -- who a request is for, and whose page sent it.
 *
 * A browser on the same machine or network can be made to send requests here
 * by any page it shows.  Two checks stop that:
 *
 * - Host.  A page of evil.example whose name is made to point at our address
 *   ("DNS rebinding") is of one origin with us for the browser, and could read
 *   and write everything.  But its Host says evil.example.  So only names that
 *   nobody else can own are taken: addresses, localhost, this machine's own
 *   name, and what --host names.
 * - Origin.  Browsers say in every request that changes something which page
 *   sent it; it must be one of ours.  Programs send no Origin and pass.
 *
 * Health and measurements (route flag LOCAL) are exempt: probes come by names
 * we do not know, and there is nothing to be had there. */
#include <arpa/inet.h>
#include <unistd.h>

#include "net/net_internal.h"

/* "example.org:8080", "[::1]:8080" into name (without brackets) and port. */
static void
host_cut(struct slw_str text, struct slw_str *name, struct slw_str *port,
         bool *is_v6)
{
    *port = SLW_STR("");
    *is_v6 = text.len && text.ptr[0] == '[';
    if (*is_v6) {
        struct slw_str rest;
        if (!slw_str_cut((struct slw_str){text.ptr + 1, text.len - 1}, ']',
                         name, &rest))
            *name = SLW_STR("");
        if (rest.len && rest.ptr[0] == ':')
            *port = (struct slw_str){rest.ptr + 1, rest.len - 1};
        return;
    }
    slw_str_cut(text, ':', name, port);
}

static bool
is_address(struct slw_str name, bool is_v6)
{
    char text[64];
    struct in6_addr any;
    if (!name.len || name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, &any) == 1;
}

/* "localhost" and what lies below it never leave the machine (RFC 6761). */
static bool
is_localhost(struct slw_str name)
{
    static const char tail[] = ".localhost";
    size_t n = sizeof tail - 1;
    if (net_str_same(name, "localhost"))
        return true;
    return name.len > n &&
           net_str_same((struct slw_str){name.ptr + name.len - n, n}, tail);
}

bool
net_host_known(const struct slw_http *h, struct slw_str host)
{
    struct slw_str name, port, own_name, own_port;
    bool is_v6, own_v6;
    char machine[256] = "";
    host_cut(host, &name, &port, &is_v6);
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--; /* "example.org." is the same name */
    if (is_address(name, is_v6) || is_localhost(name))
        return true;
    /* What --listen says may be a name. */
    host_cut(slw_str_of(h->opt.listen), &own_name, &own_port, &own_v6);
    for (size_t i = 0; i < h->opt.host_count; i++) {
        struct slw_str allowed = slw_str_of(h->opt.hosts[i]);
        if (net_str_same(name, h->opt.hosts[i]) ||
            (allowed.len && net_str_same(host, h->opt.hosts[i])))
            return true;
    }
    if (own_name.len == name.len &&
        strncasecmp(own_name.ptr, name.ptr, name.len) == 0)
        return true;
    if (gethostname(machine, sizeof machine - 1) != 0)
        return false;
    return *machine && net_str_same(name, machine);
}

bool
net_origin_same(struct slw_str origin, struct slw_str host)
{
    struct slw_str o_name, o_port, h_name, h_port;
    bool o_v6, h_v6;
    const char *standard = "80";
    if (slw_str_starts(origin, "https://")) {
        standard = "443";
        origin = (struct slw_str){origin.ptr + 8, origin.len - 8};
    } else if (slw_str_starts(origin, "http://")) {
        origin = (struct slw_str){origin.ptr + 7, origin.len - 7};
    } else {
        return false; /* "null", "file://", an extension's */
    }
    host_cut(origin, &o_name, &o_port, &o_v6);
    host_cut(host, &h_name, &h_port, &h_v6);
    if (!o_port.len)
        o_port = slw_str_of(standard);
    if (!h_port.len)
        h_port = slw_str_of(standard);
    return o_v6 == h_v6 && slw_str_eq(o_port, h_port) && o_name.len &&
           o_name.len == h_name.len &&
           strncasecmp(o_name.ptr, h_name.ptr, h_name.len) == 0;
}

enum slw_rc
net_host_check(struct net_exchange *x, int *status, struct slw_err *err)
{
    struct slw_str host = slw_http_head(&x->req, "Host");
    struct slw_str origin = slw_http_head(&x->req, "Origin");
    struct slw_str site = slw_http_head(&x->req, "Sec-Fetch-Site");
    /* Only HTTP/1.0 may leave Host out, and no browser does. */
    if (host.ptr && !net_host_known(x->http, host)) {
        *status = 421;
        return slw_fail(err, SLW_DENIED,
                        "this server is not known as '%.*s'; use its address, "
                        "or start it with --host %.*s",
                        (int)(host.len < 100 ? host.len : 100), host.ptr,
                        (int)(host.len < 100 ? host.len : 100), host.ptr);
    }
    if (strcmp(x->req.method, "GET") == 0)
        return SLW_OK;
    *status = 403;
    if (origin.ptr && !net_origin_same(origin, host))
        return slw_fail(err, SLW_DENIED,
                        "a page of '%.*s' may not change anything here; only "
                        "this server's own page may",
                        (int)(origin.len < 100 ? origin.len : 100), origin.ptr);
    if (site.ptr && !net_str_same(site, "same-origin") &&
        !net_str_same(site, "none"))
        return slw_fail(err, SLW_DENIED,
                        "a page of another site may not change anything here");
    *status = 0;
    return SLW_OK;
}
