/* load.c -- requests a second over a few kept connections: a client that costs
 * less than the server it measures.
 *
 *   load PORT METHOD PATH CONNECTIONS SECONDS [BODY_FILE…]
 *
 * One thread, epoll, one request in flight a connection.  Connection i sends
 * the i-th body (modulo their number), always the same bytes, but that every
 * "#########" in it becomes the request's number, nine digits from 100000000
 * on.  Of an answer it reads the status, Content-Length and no more.
 * Anything but 200 ends it with exit code 1, and so does a closed connection:
 * a figure is printed only when all went well.  Prints one JSON object:
 * requests, requests a second, and the median and 99th percentile of the time
 * one took, in microseconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define REQUEST_MAX ((size_t)1 << 16)
#define ANSWER_MAX ((size_t)16 << 20) /* address space, not memory */
#define TIMES_MAX 4000000
#define MARK "#########"
#define MARK_LEN (sizeof MARK - 1)
#define MARKS_MAX 1024
#define NUMBER_FIRST 100000000

struct connection {
    int fd;
    size_t have; /* bytes of the answer so far */
    int64_t since_ns;
    size_t request_size, mark_count;
    size_t marks[MARKS_MAX]; /* where numbers stand in the request */
    char request[REQUEST_MAX];
    char answer[ANSWER_MAX];
};

static struct connection connections[CONNECTIONS_MAX];
static long number_next = NUMBER_FIRST;
static uint32_t times_us[TIMES_MAX];
static size_t time_count;

static void
die(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "",
            errno ? strerror(errno) : "");
    exit(1);
}

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void
request_make(struct connection *c, const char *method, const char *path,
             const char *body_file)
{
    static char body[REQUEST_MAX / 2];
    size_t body_size = 0;
    if (body_file) {
        FILE *f = fopen(body_file, "rb");
        if (!f)
            die(body_file);
        body_size = fread(body, 1, sizeof body, f);
        fclose(f);
        if (body_size == sizeof body)
            die("a body is too large");
    }
    const int head = snprintf(
        c->request, sizeof c->request,
        "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
        method, path, body_size);
    c->request_size = (size_t)head + body_size;
    if (head < 0 || c->request_size > sizeof c->request)
        die("the request is too large");
    memcpy(c->request + head, body, body_size);
    for (size_t i = 0; i + MARK_LEN <= c->request_size; i++) {
        if (memcmp(c->request + i, MARK, MARK_LEN) != 0)
            continue;
        if (c->mark_count == MARKS_MAX)
            die("too many numbers in one body");
        c->marks[c->mark_count++] = i;
        i += MARK_LEN - 1;
    }
}

static void
send_one(struct connection *c)
{
    size_t sent = 0;
    char digits[24];
    c->have = 0;
    snprintf(digits, sizeof digits, "%ld", number_next++);
    for (size_t i = 0; i < c->mark_count; i++)
        memcpy(c->request + c->marks[i], digits, MARK_LEN);
    c->since_ns = now_ns();
    while (sent < c->request_size) {
        const ssize_t n = send(c->fd, c->request + sent, c->request_size - sent,
                               MSG_NOSIGNAL);
        if (n < 0)
            die("cannot send");
        sent += (size_t)n;
    }
}

static void
connect_one(struct connection *c, uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 ||
        connect(c->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* The whole answer is there. */
static bool
is_complete(struct connection *c)
{
    static const char LENGTH[] = "\nContent-Length:";
    c->answer[c->have] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (!end)
        return false;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        errno = 0;
        die(c->answer);
    }
    const char *length = strcasestr(c->answer, LENGTH);
    if (!length || length > end)
        die("an answer without Content-Length");
    const size_t body = strtoul(length + sizeof LENGTH - 1, NULL, 10);
    return c->have >= (size_t)(end + 4 - c->answer) + body;
}

static void
receive(struct connection *c)
{
    const ssize_t n =
        recv(c->fd, c->answer + c->have, sizeof c->answer - 1 - c->have, 0);
    if (n <= 0)
        die("the connection was closed before the answer was complete");
    c->have += (size_t)n;
    if (!is_complete(c))
        return;
    if (time_count < TIMES_MAX)
        times_us[time_count++] = (uint32_t)((now_ns() - c->since_ns) / 1000);
    send_one(c);
}

static int
compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: load PORT METHOD PATH CONNECTIONS SECONDS "
                        "[BODY_FILE...]\n");
        return 2;
    }
    const int count = (int)strtol(argv[4], NULL, 10);
    const double seconds = strtod(argv[5], NULL);
    if (count < 1 || count > CONNECTIONS_MAX || !(seconds > 0))
        die("connections are 1 to 64, seconds more than 0");
    const int poll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        request_make(&connections[i], argv[2], argv[3],
                     argc > 6 ? argv[6 + i % (argc - 6)] : NULL);
        connect_one(&connections[i], (uint16_t)strtoul(argv[1], NULL, 10));
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &e);
        send_one(&connections[i]);
    }
    const int64_t begin = now_ns(), end = begin + (int64_t)(seconds * 1e9);
    while (now_ns() < end) {
        struct epoll_event ready[CONNECTIONS_MAX];
        const int n = epoll_wait(poll, ready, CONNECTIONS_MAX, 60000);
        if (n <= 0)
            die("no answer within a minute");
        for (int i = 0; i < n; i++)
            receive(&connections[ready[i].data.u32]);
    }
    const double took = (double)(now_ns() - begin) / 1e9;
    if (!time_count)
        die("not one answer came");
    qsort(times_us, time_count, sizeof *times_us, compare);
    printf("{\"requests\":%zu,\"requests_s\":%.0f,\"p50_us\":%u,"
           "\"p99_us\":%u}\n",
           time_count, (double)time_count / took, times_us[time_count / 2],
           times_us[time_count * 99 / 100]);
    return 0;
}
