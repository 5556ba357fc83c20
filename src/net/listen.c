/* listen.c -- from "127.0.0.1:8080" to a listening socket.
 *
 * Our own socket and not the library's, so that "address in use" becomes a
 * sentence and port 0 can be asked what it became. */
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_internal.h"

#define LISTEN_BACKLOG 1024

/* "host:port", "[v6]:port", ":port". */
static enum slw_rc
address_cut(const char *listen, char host[static 64], char port[static 8],
            struct slw_err *err)
{
    const char *colon = listen ? strrchr(listen, ':') : NULL;
    struct slw_str h = {listen, colon ? (size_t)(colon - listen) : 0};
    int64_t number = -1;
    struct slw_err ignored;
    if (colon && h.len >= 2 && h.ptr[0] == '[' && h.ptr[h.len - 1] == ']')
        h = (struct slw_str){h.ptr + 1, h.len - 2};
    else if (colon && memchr(h.ptr, ':', h.len))
        colon = NULL;
    if (!colon || h.len >= 64 ||
        slw_str_i64(slw_str_of(colon + 1), &number, &ignored) != SLW_OK ||
        number < 0 || number > 65535)
        return slw_fail(err, SLW_INVALID,
                        "cannot listen on '%s'; write address:port, for "
                        "example 127.0.0.1:8080 or [::1]:8080",
                        listen ? listen : "");
    if (h.len)
        memcpy(host, h.ptr, h.len);
    host[h.len] = '\0';
    snprintf(port, 8, "%d", (int)number);
    return SLW_OK;
}

static enum slw_rc
bind_one(const struct addrinfo *ai, const char *host, const char *port,
         int *out_fd, struct slw_err *err)
{
    int one = 1;
    int fd =
        socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
               ai->ai_protocol);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot make a socket: %s",
                        strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
        listen(fd, LISTEN_BACKLOG) == 0) {
        *out_fd = fd;
        return SLW_OK;
    }
    int why = errno;
    close(fd);
    if (why == EADDRINUSE)
        return slw_fail(err, SLW_BUSY,
                        "port %s on %s is already in use; choose another "
                        "with --listen or stop the other program",
                        port, host[0] ? host : "all addresses");
    if (why == EACCES)
        return slw_fail(err, SLW_DENIED,
                        "not permitted to listen on port %s; ports below "
                        "1024 need privileges, choose another with --listen",
                        port);
    if (why == EADDRNOTAVAIL)
        return slw_fail(err, SLW_INVALID,
                        "%s is not an address of this machine", host);
    return slw_fail(err, SLW_IO, "cannot listen on %s:%s: %s", host, port,
                    strerror(why));
}

static void
address_text(int fd, char address[static 80])
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    char host[64] = "?", port[8] = "0";
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
        getnameinfo((struct sockaddr *)&ss, len, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(address, 80, ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
}

enum slw_rc
net_listen(const char *listen, int *out_fd, char address[static 80],
           struct slw_err *err)
{
    char host[64], port[8];
    struct addrinfo *found = NULL;
    struct addrinfo want = {.ai_family = AF_UNSPEC,
                            .ai_socktype = SOCK_STREAM,
                            .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    TRY(address_cut(listen, host, port, err));
    if (!host[0])
        want.ai_family = AF_INET;
    int rc = getaddrinfo(host[0] ? host : NULL, port, &want, &found);
    if (rc != 0 || !found)
        return slw_fail(err, SLW_INVALID, "cannot listen on '%s': %s", listen,
                        gai_strerror(rc));
    enum slw_rc result = bind_one(found, host, port, out_fd, err);
    freeaddrinfo(found);
    if (result == SLW_OK)
        address_text(*out_fd, address);
    return result;
}
