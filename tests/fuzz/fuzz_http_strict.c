/* fuzz_http_strict.c -- whatever the lenient parser below us makes of some
 * bytes, a head that net_strict_check() accepts is exactly one plain head.
 *
 * The parser is played here the way libmicrohttpd 0.9 works in place: lines
 * may end in LF alone, a NUL cuts what is before it, a folded line is glued
 * to the name before it.  Then the untouched copy of the bytes is read once
 * more by rules as strict as RFC 9112, and must agree. */
#include <assert.h>
#include <stdint.h>

#include "net/strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_MAX 4096

struct lenient {
    char bytes[HEAD_MAX + 1];
    size_t size; /* of the head, once found */
    struct net_field fields[NET_FIELD_MAX];
    size_t count;
    char *method, *target, *version;
    size_t target_len;
};

/* Next line of the head, its end overwritten; NULL when there is none. */
static char *
next_line(struct lenient *p, size_t *at, size_t end)
{
    char *line = p->bytes + *at, *s = p->bytes;
    for (size_t i = *at; i < end; i++) {
        if (s[i] != '\n' && (s[i] != '\r' || i + 1 >= end || s[i + 1] != '\n'))
            continue;
        if (s[i] == '\r')
            s[i++] = '\0';
        s[i++] = '\0';
        *at = i;
        return line;
    }
    return NULL;
}

static bool
request_line(struct lenient *p, char *line)
{
    char *space = strchr(line, ' ');
    if (!space)
        return false;
    *space++ = '\0';
    while (*space == ' ')
        space++;
    char *last = strrchr(space, ' ');
    if (!last)
        return false;
    *last = '\0';
    p->method = line;
    p->target = space;
    p->target_len = strlen(space);
    p->version = last + 1;
    return true;
}

static bool
header_lines(struct lenient *p, size_t *at, size_t end)
{
    for (;;) {
        char *line = next_line(p, at, end);
        if (!line)
            return false;
        if (!*line)
            return true;
        char *colon = strchr(line, ':');
        if (!colon || p->count == NET_FIELD_MAX)
            return false;
        *colon++ = '\0';
        while (*colon == ' ' || *colon == '\t')
            colon++;
        p->fields[p->count++] =
            (struct net_field){slw_str_of(line), slw_str_of(colon)};
    }
}

/* What cannot be seen, because the parser overwrites it with the same bytes
 * (README of net): a NUL in a line end that leaves its length as it was, that
 * is NUL LF for CR LF, and any 4 bytes of NUL, CR and LF for the end of the
 * head.  Put right in our copy. */
static void
hidden_mend(char *s, size_t size)
{
    bool hidden = size >= 4;
    for (size_t i = 1; hidden && i <= 4; i++)
        hidden = !s[size - i] || s[size - i] == '\r' || s[size - i] == '\n';
    if (hidden && memchr(s + size - 4, '\0', 4))
        memcpy(s + size - 4, "\r\n\r\n", 4);
    for (size_t i = 0; i + 1 < size; i++)
        if (!s[i] && s[i + 1] == '\n')
            s[i] = '\r';
}

/* The same bytes by the letter; counts what framing depends on. */
static bool
plain_head(const char *s, size_t size, int *hosts, int *lengths, int *codings)
{
    size_t at = 0;
    bool first = true;
    while (at < size) {
        const char *end = memchr(s + at, '\r', size - at);
        if (!end || end + 1 >= s + size || end[1] != '\n')
            return false;
        size_t len = (size_t)(end - (s + at));
        struct slw_str line = {s + at, len}, name, value;
        at += len + 2;
        if (memchr(line.ptr, '\0', len) || memchr(line.ptr, '\n', len))
            return false;
        if (!len)
            return !first && at == size;
        if (!first) {
            if (line.ptr[0] == ' ' || line.ptr[0] == '\t' ||
                !slw_str_cut(line, ':', &name, &value) || !name.len ||
                memchr(name.ptr, ' ', name.len) ||
                memchr(name.ptr, '\t', name.len))
                return false;
            *hosts += net_str_same(name, "host");
            *lengths += net_str_same(name, "content-length");
            *codings += net_str_same(name, "transfer-encoding");
        }
        first = false;
    }
    return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lenient p = {0};
    struct net_framing framing = {0};
    struct slw_err err;
    size_t at = 0;
    int hosts = 0, lengths = 0, codings = 0;
    if (size > HEAD_MAX)
        size = HEAD_MAX;
    memcpy(p.bytes, data, size);
    char *line = next_line(&p, &at, size);
    if (!line || !request_line(&p, line) || !header_lines(&p, &at, size))
        return 0;
    struct net_head head = {
        .method = slw_str_of(p.method),
        .target = {p.target, p.target_len},
        .target_at = p.target,
        .version = slw_str_of(p.version),
        .fields = p.fields,
        .field_count = p.count,
        .bytes = p.method,
        .size = at - (size_t)(p.method - p.bytes),
    };
    if (net_strict_check(&head, &framing, &err) != SLW_OK) {
        assert(err.rc == SLW_INVALID && err.msg[0]);
        return 0;
    }
    memcpy(p.bytes, data, at); /* as they came */
    hidden_mend(p.bytes, at);
    assert(plain_head(p.bytes, at, &hosts, &lengths, &codings));
    assert(hosts <= 1 && lengths <= 1 && codings <= 1);
    assert(!(lengths && codings));
    assert(framing.chunked == (codings == 1));
    assert((framing.content_length >= 0) == (lengths == 1));
    return 0;
}
