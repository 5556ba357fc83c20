/* address.c -- which addresses are public: whom a server may call when somebody
 * else names the host.  A name may mean one address now and another one
 * later, so the client asks again with the address it connects to. */
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "net/client.h"

struct block {
    uint8_t bytes[8];
    unsigned bits;
};

/* IANA's special-purpose registry, and multicast. */
static const struct block NOT_PUBLIC_4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 3},
};
/* Within 2000::/3, outside of which nothing is public. */
static const struct block NOT_PUBLIC_6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocol assignments, Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};
static const struct block GLOBAL_6 = {{0x20}, 3};
static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t NAT64[12] = {0x00, 0x64, 0xff, 0x9b};

static bool
within(const uint8_t *address, const struct block *b)
{
    for (unsigned i = 0; 8 * i < b->bits; i++) {
        unsigned left = b->bits - 8 * i;
        unsigned mask = left >= 8 ? 0xff : 0xff & 0xffu << (8 - left);
        if ((address[i] & mask) != b->bytes[i])
            return false;
    }
    return true;
}

static bool
is_public_4(const uint8_t *address)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(NOT_PUBLIC_4); i++)
        if (within(address, &NOT_PUBLIC_4[i]))
            return false;
    return true;
}

static bool
is_public_6(const uint8_t *address)
{
    if (memcmp(address, MAPPED, sizeof MAPPED) == 0 ||
        memcmp(address, NAT64, sizeof NAT64) == 0)
        return is_public_4(address + 12);
    if (address[0] == 0x20 && address[1] == 0x02) /* 6to4 */
        return is_public_4(address + 2);
    for (size_t i = 0; i < SLW_ARRAY_LEN(NOT_PUBLIC_6); i++)
        if (within(address, &NOT_PUBLIC_6[i]))
            return false;
    return within(address, &GLOBAL_6);
}

bool
slw_address_is_public(const struct sockaddr *at)
{
    if (at->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, at, sizeof v4);
        return is_public_4((const uint8_t *)&v4.sin_addr);
    }
    if (at->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, at, sizeof v6);
        return is_public_6(v6.sin6_addr.s6_addr);
    }
    return false;
}

const char *
slw_address_text(const struct sockaddr *at,
                 char out[static SLW_ADDRESS_TEXT_SIZE])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const void *from = NULL;
    if (at->sa_family == AF_INET) {
        memcpy(&v4, at, sizeof v4);
        from = &v4.sin_addr;
    } else if (at->sa_family == AF_INET6) {
        memcpy(&v6, at, sizeof v6);
        from = &v6.sin6_addr;
    }
    if (!from || !inet_ntop(at->sa_family, from, out, SLW_ADDRESS_TEXT_SIZE))
        snprintf(out, SLW_ADDRESS_TEXT_SIZE, "an address of another kind");
    return out;
}

enum slw_rc
slw_url_host(const char *url, struct slw_arena *a, struct slw_str *out,
             struct slw_err *err)
{
    CURLU *u = curl_url();
    SLW_ASSERT(u);
    char *text = NULL;
    CURLUcode code =
        curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    struct slw_str host = SLW_STR("");
    if (code == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &text, 0) == CURLUE_OK)
        host = slw_arena_str(a, slw_str_of(text));
    curl_free(text);
    curl_url_cleanup(u);
    if (code != CURLUE_OK && code != CURLUE_NO_HOST)
        return slw_fail(err, SLW_INVALID, "%s", curl_url_strerror(code));
    if (host.len > 1 && host.ptr[0] == '[')
        host = slw_arena_str(a, (struct slw_str){host.ptr + 1, host.len - 2});
    *out = host;
    return SLW_OK;
}

enum slw_rc
slw_host_private(const char *host, char out[static SLW_ADDRESS_TEXT_SIZE],
                 struct slw_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0)
        return slw_fail(err, SLW_IO, "[Errno %d] %s", rc, gai_strerror(rc));
    out[0] = '\0';
    for (const struct addrinfo *i = found; i && !out[0]; i = i->ai_next)
        if (!slw_address_is_public(i->ai_addr))
            (void)slw_address_text(i->ai_addr, out);
    freeaddrinfo(found);
    return SLW_OK;
}
