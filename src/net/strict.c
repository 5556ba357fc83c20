/* strict.c -- refusal of requests that two programs could read in two ways.
 *
 * A proxy in front of us and the parser below us may disagree about where a
 * request ends or which host it is for; whoever finds such a request can put
 * a second one inside the first ("request smuggling").  So anything that is
 * not plainly one request is refused, before a byte of its body is read.
 *
 * Two kinds of checks.  By value: what a header says (two lengths, no host,
 * a blank in a name).  By layout: libmicrohttpd 0.9 parses in place and
 * overwrites the separators with NUL, so a NUL sent by the client cuts a
 * value, a line end without CR passes, and a folded line is glued to the
 * *name* of its header, none of which is visible in the values.  But then
 * the pieces do not lie where they must:
 *
 *   method NUL target NUL version NUL ? name NUL blanks value NUL ? name ...
 *
 * where '?' is the second byte of CR LF, a NUL now too, and the head ends 4
 * bytes after the last value.  Anything else means that something was hidden
 * there.  What still cannot be seen is a NUL in a line end that leaves its
 * length as it was; see the README.
 *
 * Source RFC 9112 sections 2.2, 3, 5, 6; RFC 9110 section 5. */
#include "net/strict.h"

enum { C_TOKEN = 1, C_UPPER = 2, C_CONTROL = 4, C_HIGH = 8, C_HOST = 16 };

static uint8_t
class_of(unsigned char c)
{
    bool upper = c >= 'A' && c <= 'Z';
    bool alnum = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    unsigned bits = 0;
    if (alnum || (c && strchr("!#$%&'*+-.^_`|~", c)))
        bits |= C_TOKEN;
    if (upper || c == '-' || c == '_')
        bits |= C_UPPER;
    if ((c < 0x20 && c != '\t') || c == 0x7f)
        bits |= C_CONTROL;
    if (c >= 0x80)
        bits |= C_HIGH;
    if (alnum || (c && strchr("-._~:[]%", c)))
        bits |= C_HOST;
    return (uint8_t)bits;
}

static uint8_t classes[256]; /* filled once, before main() */

__attribute__((constructor)) static void
classes_fill(void)
{
    for (int c = 0; c < 256; c++)
        classes[c] = class_of((unsigned char)c);
}

/* Do all bytes have one of the classes? */
static bool
all_of(struct slw_str s, unsigned bits)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(classes[(unsigned char)s.ptr[i]] & bits))
            return false;
    return true;
}

/* All classes that occur. */
static unsigned
any_of(struct slw_str s)
{
    unsigned bits = 0;
    for (size_t i = 0; i < s.len; i++)
        bits |= classes[(unsigned char)s.ptr[i]];
    return bits;
}

bool
net_str_same(struct slw_str a, const char *z)
{
    return slw_str_same(a, slw_str_of(z));
}

static enum slw_rc
check_request_line(const struct net_head *h, struct slw_err *err)
{
    if (!h->method.len || h->method.len > 32 || !all_of(h->method, C_UPPER))
        return slw_fail(err, SLW_INVALID,
                        "the method must be a word of upper-case letters, "
                        "such as GET");
    if (!slw_str_eqz(h->version, "HTTP/1.1") &&
        !slw_str_eqz(h->version, "HTTP/1.0"))
        return slw_fail(err, SLW_INVALID,
                        "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (!h->target.len || h->target.ptr[0] != '/')
        return slw_fail(err, SLW_INVALID,
                        "the request target must be a path that begins "
                        "with '/'");
    unsigned found = any_of(h->target);
    if ((found & C_CONTROL) || memchr(h->target.ptr, ' ', h->target.len) ||
        memchr(h->target.ptr, '\t', h->target.len))
        return slw_fail(err, SLW_INVALID,
                        "the request target holds a blank or a control "
                        "character; percent-encode it");
    if ((found & C_HIGH) && !slw_str_utf8_ok(h->target))
        return slw_fail(err, SLW_INVALID,
                        "the request target is not valid UTF-8");
    return SLW_OK;
}

/* Are `count` bytes at `at` within the head, and all NUL? */
static bool
nuls_at(const struct net_head *h, size_t at, size_t count)
{
    if (at > h->size || h->size - at < count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (h->bytes[at + i])
            return false;
    return true;
}

/* Does a piece of `len` bytes lie at `at`?  Its end is then in *at. */
static bool
piece_at(const struct net_head *h, const char *ptr, size_t len, size_t *at)
{
    if (*at > h->size || h->size - *at < len || ptr != h->bytes + *at)
        return false;
    *at += len;
    return true;
}

static bool
field_at(const struct net_head *h, const struct net_field *f, size_t *at)
{
    if (!nuls_at(h, *at, 2))
        return false;
    *at += 2;
    if (!piece_at(h, f->name.ptr, f->name.len, at) || !nuls_at(h, *at, 1))
        return false;
    (*at)++; /* the NUL that was the colon */
    while (*at < h->size && h->bytes + *at != f->value.ptr &&
           (h->bytes[*at] == ' ' || h->bytes[*at] == '\t'))
        (*at)++;
    return piece_at(h, f->value.ptr, f->value.len, at);
}

/* Do the pieces lie exactly where plain CR LF lines put them, with nothing
 * but NUL between them? */
static bool
layout_is_plain(const struct net_head *h)
{
    size_t at = 0;
    if (!piece_at(h, h->method.ptr, h->method.len, &at) ||
        !nuls_at(h, at++, 1) ||
        !piece_at(h, h->target_at, h->target.len, &at) ||
        !nuls_at(h, at++, 1) ||
        !piece_at(h, h->version.ptr, h->version.len, &at))
        return false;
    for (size_t i = 0; i < h->field_count; i++)
        if (!field_at(h, &h->fields[i], &at))
            return false;
    return nuls_at(h, at, 4) && at + 4 == h->size;
}

static enum slw_rc
check_field(const struct net_field *f, struct slw_err *err)
{
    if (!f->name.len)
        return slw_fail(err, SLW_INVALID, "a header has an empty name");
    if (!all_of(f->name, C_TOKEN))
        return slw_fail(err, SLW_INVALID,
                        "a header name holds a blank or a character that is "
                        "not allowed there");
    int name_len = f->name.len < 64 ? (int)f->name.len : 64;
    unsigned found = any_of(f->value);
    if (found & C_CONTROL)
        return slw_fail(err, SLW_INVALID,
                        "the value of header '%.*s' holds a control "
                        "character",
                        name_len, f->name.ptr);
    if ((found & C_HIGH) && !slw_str_utf8_ok(f->value))
        return slw_fail(err, SLW_INVALID,
                        "the value of header '%.*s' is not valid UTF-8",
                        name_len, f->name.ptr);
    return SLW_OK;
}

/* What may occur once only. */
struct counts {
    int host, length, coding;
    struct slw_str length_value, coding_value;
};

static enum slw_rc
note_field(const struct net_field *f, struct counts *n,
           struct net_framing *framing, struct slw_err *err)
{
    struct slw_str value = slw_str_trim(f->value);
    switch (f->name.len) {
    case 4:
        if (!net_str_same(f->name, "host"))
            break;
        n->host++;
        if (!value.len || !all_of(value, C_HOST))
            return slw_fail(err, SLW_INVALID,
                            "the Host header is empty or malformed");
        break;
    case 6:
        if (net_str_same(f->name, "expect") &&
            net_str_same(value, "100-continue"))
            framing->expect_continue = true;
        break;
    case 14:
        if (!net_str_same(f->name, "content-length"))
            break;
        n->length++;
        n->length_value = value;
        break;
    case 17:
        if (!net_str_same(f->name, "transfer-encoding"))
            break;
        n->coding++;
        n->coding_value = value;
        break;
    default:
        break;
    }
    return SLW_OK;
}

static enum slw_rc
parse_length(struct slw_str value, int64_t *out, struct slw_err *err)
{
    int64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return slw_fail(err, SLW_INVALID,
                            "Content-Length must be a plain decimal number");
        if (i >= 18)
            return slw_fail(err, SLW_INVALID,
                            "Content-Length is too large a number");
        length = length * 10 + (value.ptr[i] - '0');
    }
    if (!value.len)
        return slw_fail(err, SLW_INVALID, "Content-Length is empty");
    *out = length;
    return SLW_OK;
}

static enum slw_rc
check_counts(const struct net_head *h, const struct counts *n,
             struct net_framing *framing, struct slw_err *err)
{
    bool v11 = slw_str_eqz(h->version, "HTTP/1.1");
    if (n->host > 1)
        return slw_fail(err, SLW_INVALID,
                        "the request has more than one Host header");
    if (!n->host && v11)
        return slw_fail(err, SLW_INVALID, "the request has no Host header");
    if (n->length > 1)
        return slw_fail(err, SLW_INVALID,
                        "the request has more than one Content-Length");
    if (n->coding > 1)
        return slw_fail(err, SLW_INVALID,
                        "the request has more than one Transfer-Encoding");
    if (n->coding && n->length)
        return slw_fail(err, SLW_INVALID,
                        "the request has both Content-Length and "
                        "Transfer-Encoding");
    if (n->coding && !v11)
        return slw_fail(err, SLW_INVALID,
                        "HTTP/1.0 knows no Transfer-Encoding");
    if (n->coding && !net_str_same(n->coding_value, "chunked"))
        return slw_fail(err, SLW_INVALID,
                        "the only Transfer-Encoding understood is chunked");
    framing->chunked = n->coding == 1;
    framing->content_length = -1;
    if (n->length)
        TRY(parse_length(n->length_value, &framing->content_length, err));
    return SLW_OK;
}

enum slw_rc
net_strict_check(const struct net_head *head, struct net_framing *out_framing,
                 struct slw_err *err)
{
    struct net_framing framing = {0};
    struct counts n = {0};
    TRY(check_request_line(head, err));
    for (size_t i = 0; i < head->field_count; i++) {
        TRY(check_field(&head->fields[i], err));
        TRY(note_field(&head->fields[i], &n, &framing, err));
    }
    if (head->bytes && !layout_is_plain(head))
        return slw_fail(err, SLW_INVALID,
                        "the request head holds a NUL, a folded line, a "
                        "stray blank or a line end that is not CR LF");
    TRY(check_counts(head, &n, &framing, err));
    *out_framing = framing;
    return SLW_OK;
}
