/* s3_list.c -- the XML that S3 answers with, as far as it is needed: text of
 * elements, without attributes, comments or CDATA, which S3 does not send.
 * Keys come URL-encoded (encoding-type=url), so that any byte may be in one.
 * Fuzzed by tests/fuzz/fuzz_s3_list.c. */
#include "track/place.h"

/* The next tag from *at on: its name without attributes, and where it ends.
 * Out  closing: "</name>" */
static bool
tag_next(struct slw_str xml, size_t *at, struct slw_str *out_name,
         bool *out_closing)
{
    for (;;) {
        const char *open =
            *at < xml.len ? memchr(xml.ptr + *at, '<', xml.len - *at) : NULL;
        if (!open)
            return false;
        size_t i = (size_t)(open - xml.ptr) + 1;
        const char *close = memchr(xml.ptr + i, '>', xml.len - i);
        if (!close)
            return false;
        *at = (size_t)(close - xml.ptr) + 1;
        if (i < xml.len && (xml.ptr[i] == '?' || xml.ptr[i] == '!'))
            continue;
        *out_closing = xml.ptr[i] == '/';
        i += *out_closing;
        size_t end = i;
        while (xml.ptr + end < close && xml.ptr[end] != ' ' &&
               xml.ptr[end] != '/' && xml.ptr[end] != '\t' &&
               xml.ptr[end] != '\n' && xml.ptr[end] != '\r')
            end++;
        *out_name = (struct slw_str){xml.ptr + i, end - i};
        return true;
    }
}

static bool
entity(struct slw_str name, struct slw_buf *out)
{
    static const struct {
        const char *name;
        char is;
    } known[] = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(known); i++) {
        if (slw_str_eqz(name, known[i].name)) {
            slw_buf_char(out, known[i].is);
            return true;
        }
    }
    struct slw_err ignored;
    int64_t code = 0;
    if (name.len < 2 || name.ptr[0] != '#' ||
        slw_str_i64((struct slw_str){name.ptr + 1, name.len - 1}, &code,
                    &ignored) != SLW_OK ||
        code < 1 || code > 127)
        return false;
    slw_buf_char(out, (char)code);
    return true;
}

/* Text with its entities resolved; one that is not known stays as it is. */
static struct slw_str
unescape(struct slw_str text, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, out);
    for (size_t i = 0; i < text.len; i++) {
        const char *end =
            text.ptr[i] == '&' ? memchr(text.ptr + i, ';', text.len - i) : NULL;
        const size_t len = end ? (size_t)(end - text.ptr) - i : 0;
        if (end && len < 8 &&
            entity((struct slw_str){text.ptr + i + 1, len - 1}, &out))
            i += len;
        else
            slw_buf_char(&out, text.ptr[i]);
    }
    return slw_arena_str(a, slw_buf_view(&out));
}

static int
hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "a%20b+c" → "a b c" */
static struct slw_str
url_decode(struct slw_str text, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, out);
    for (size_t i = 0; i < text.len; i++) {
        const int high = i + 2 < text.len ? hex_of(text.ptr[i + 1]) : -1;
        const int low = high >= 0 ? hex_of(text.ptr[i + 2]) : -1;
        if (text.ptr[i] == '%' && low >= 0) {
            slw_buf_char(&out, (char)(high * 16 + low));
            i += 2;
        } else {
            slw_buf_char(&out, text.ptr[i] == '+' ? ' ' : text.ptr[i]);
        }
    }
    return slw_arena_str(a, slw_buf_view(&out));
}

/* What stands between a tag that ended at `from` and the next tag. */
static struct slw_str
text_at(struct slw_str xml, size_t from)
{
    const char *end =
        from < xml.len ? memchr(xml.ptr + from, '<', xml.len - from) : NULL;
    return (struct slw_str){xml.ptr + from,
                            end ? (size_t)(end - xml.ptr) - from : 0};
}

struct slw_str
s3_xml_text(struct slw_str xml, const char *name, struct slw_arena *a)
{
    struct slw_str tag;
    bool closing = false;
    for (size_t at = 0; tag_next(xml, &at, &tag, &closing);)
        if (!closing && slw_str_eqz(tag, name))
            return unescape(text_at(xml, at), a);
    return (struct slw_str){0};
}

static void
item_add(struct s3_list *l, const struct s3_item *item, struct slw_arena *a)
{
    l->items = slw_arena_grow(a, l->items, sizeof *l->items, l->count, &l->cap);
    l->items[l->count++] = *item;
}

enum slw_rc
s3_list_parse(struct slw_str xml, struct slw_arena *a, struct s3_list *out,
              struct slw_err *err)
{
    struct slw_str tag, key = {0};
    struct slw_err ignored;
    int64_t size = 0;
    bool closing = false, whole = false, in_file = false, in_prefix = false;
    out->truncated = false;
    out->next = (struct slw_str){0};
    for (size_t at = 0; tag_next(xml, &at, &tag, &closing);) {
        const bool is_file = slw_str_eqz(tag, "Contents");
        const bool is_prefix = slw_str_eqz(tag, "CommonPrefixes");
        if (closing) {
            const struct s3_item item = {url_decode(key, a), size, in_prefix};
            if ((is_file && in_file) || (is_prefix && in_prefix)) {
                if (key.len)
                    item_add(out, &item, a);
                in_file = in_prefix = false;
            }
            whole |= slw_str_eqz(tag, "ListBucketResult");
            continue;
        }
        const struct slw_str text = text_at(xml, at);
        if (is_file || is_prefix) {
            in_file = is_file;
            in_prefix = is_prefix;
            key = (struct slw_str){0};
            size = 0;
        } else if ((in_file && slw_str_eqz(tag, "Key")) ||
                   (in_prefix && slw_str_eqz(tag, "Prefix"))) {
            key = unescape(text, a);
        } else if (in_file && slw_str_eqz(tag, "Size")) {
            if (slw_str_i64(text, &size, &ignored) != SLW_OK || size < 0)
                size = 0;
        } else if (slw_str_eqz(tag, "IsTruncated")) {
            out->truncated = slw_str_eqz(text, "true");
        } else if (slw_str_eqz(tag, "NextContinuationToken")) {
            out->next = unescape(text, a);
        }
    }
    if (!whole)
        return slw_fail(err, SLW_CORRUPT,
                        "the bucket's answer is no list of objects");
    return SLW_OK;
}
