/* client.c -- HTTP out, by libcurl: one handle a thread, so that connections
 * are reused without a lock.
 *
 * Nothing is followed or guessed: no redirects, http and https only, no proxy
 * for the machine itself.  A call that others have asked for can be held to
 * public addresses (address.c).  An answer that goes to a file is written under
 * a temporary name and renamed when it is whole; an answer that is not a
 * success goes to memory instead, since it holds the reason. */
#include "net/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"

#define REPLY_SIZE_MAX ((size_t)256 << 20)
#define HEAD_SIZE_MAX ((size_t)256 << 10)
#define CONNECT_TIMEOUT_MS 10000L

static pthread_key_t handle_key;
static pthread_once_t handle_once = PTHREAD_ONCE_INIT;

static void
handle_end(void *handle)
{
    curl_easy_cleanup(handle);
}

static void
library_begin(void)
{
    SLW_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    SLW_ASSERT(pthread_key_create(&handle_key, handle_end) == 0);
}

/* This thread's handle, with its connections but without old options. */
static CURL *
handle_get(void)
{
    pthread_once(&handle_once, library_begin);
    CURL *handle = pthread_getspecific(handle_key);
    if (!handle) {
        handle = curl_easy_init();
        SLW_ASSERT(handle);
        pthread_setspecific(handle_key, handle);
    }
    curl_easy_reset(handle);
    return handle;
}

/* One call under way. */
struct transfer {
    const struct slw_call *call;
    struct slw_reply *reply;
    CURL *handle;
    FILE *in;
    int64_t in_size; /* to be sent */
    int64_t in_done;
    FILE *out;
    char *out_tmp;
    char barred[SLW_ADDRESS_TEXT_SIZE]; /* not public, so not connected to */
    int out_errno; /* why the file did not take the answer; 0: it did */
    struct curl_slist *headers;
    char reason[CURL_ERROR_SIZE];
};

static void
transfer_done(struct transfer *t)
{
    if (t->in)
        fclose(t->in);
    if (t->out)
        fclose(t->out);
    if (t->out_tmp)
        unlink(t->out_tmp); /* gone already when all went well */
    slw_free(t->out_tmp);
    if (t->handle)
        curl_easy_reset(t->handle); /* it points to what ends here */
    curl_slist_free_all(t->headers);
}

void
slw_reply_done(struct slw_reply *r)
{
    slw_buf_done(&r->body);
    slw_buf_done(&r->head);
}

struct slw_str
slw_reply_head(const struct slw_reply *r, const char *name)
{
    struct slw_str rest = slw_buf_view(&r->head), line, key, value;
    const size_t len = strlen(name);
    while (rest.len) {
        if (!slw_str_cut(rest, '\n', &line, &rest)) {
            line = rest;
            rest.len = 0;
        }
        if (slw_str_cut(line, ':', &key, &value) && key.len == len &&
            strncasecmp(key.ptr, name, len) == 0)
            return slw_str_trim(value);
    }
    return (struct slw_str){0};
}

/* ---- what libcurl calls ---- */

static size_t
on_bytes(char *bytes, size_t one, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    long status = 0;
    size_t size = one * count;
    curl_easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
    if (t->out && status >= 200 && status < 300) {
        if (fwrite(bytes, 1, size, t->out) == size)
            return size;
        t->out_errno = errno;
        return 0;
    }
    size_t kept = size;
    if (t->call->keep_max && kept > t->call->keep_max - t->reply->body.len)
        kept = t->call->keep_max - t->reply->body.len;
    slw_buf_add(&t->reply->body, bytes, kept);
    return t->reply->body.overflow ? 0 : size;
}

/* Of several heads (100 Continue comes first) the last one counts. */
static size_t
on_head(char *bytes, size_t one, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    const size_t size = one * count;
    if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        slw_buf_clear(&t->reply->head);
    slw_buf_add(&t->reply->head, bytes, size);
    return t->reply->head.overflow ? 0 : size;
}

static size_t
on_wanted(char *bytes, size_t one, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    const int64_t left = t->in_size - t->in_done;
    size_t want = one * count;
    if ((int64_t)want > left)
        want = (size_t)left;
    size_t got = want ? fread(bytes, 1, want, t->in) : 0;
    t->in_done += (int64_t)got;
    return ferror(t->in) ? CURL_READFUNC_ABORT : got;
}

static int
on_rewind(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (origin != SEEK_SET ||
        fseeko(t->in, t->call->body_from + offset, SEEK_SET) != 0)
        return CURL_SEEKFUNC_FAIL;
    t->in_done = offset;
    return CURL_SEEKFUNC_OK;
}

static int
on_progress(void *ctx, curl_off_t down_total, curl_off_t down,
            curl_off_t up_total, curl_off_t up)
{
    const struct transfer *t = ctx;
    bool sending = t->in != NULL && up < up_total;
    if (t->call->stop && atomic_load(t->call->stop))
        return 1;
    if (!t->call->progress)
        return 0;
    t->call->progress(t->call->progress_ctx, sending ? up : down,
                      sending ? up_total : down_total);
    return 0;
}

/* The address that is really connected to is looked at: whatever a name meant
 * when somebody looked before. */
static curl_socket_t
on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *at)
{
    struct transfer *t = ctx;
    if (purpose != CURLSOCKTYPE_IPCXN || !slw_address_is_public(&at->addr)) {
        (void)slw_address_text(&at->addr, t->barred);
        return CURL_SOCKET_BAD;
    }
    return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

/* ---- preparing ---- */

static bool
is_loopback(const char *url)
{
    static const char *const hosts[] = {"://127.", "://localhost", "://[::1]"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(hosts); i++)
        if (strstr(url, hosts[i]))
            return true;
    return false;
}

static enum slw_rc
files_open(struct transfer *t, struct slw_err *err)
{
    const struct slw_call *call = t->call;
    struct stat st;
    if (call->body_path) {
        t->in = fopen(call->body_path, "rbe");
        if (!t->in || fstat(fileno(t->in), &st) != 0)
            return slw_fail(err, errno == ENOENT ? SLW_NOT_FOUND : SLW_IO,
                            "cannot read %s: %s", call->body_path,
                            strerror(errno));
        t->in_size =
            call->body_size ? call->body_size : st.st_size - call->body_from;
        if (call->body_from && fseeko(t->in, call->body_from, SEEK_SET) != 0)
            return slw_fail(err, SLW_IO, "cannot read %s: %s", call->body_path,
                            strerror(errno));
    }
    if (call->out_path) {
        char id[33];
        SLW_AUTO(slw_buf, path);
        slw_random_hex32(id);
        slw_buf_printf(&path, "%s.%.8s.part", call->out_path, id);
        t->out_tmp = slw_strdup(slw_buf_view(&path));
        t->out = fopen(t->out_tmp, "wbxe");
        if (!t->out)
            return slw_fail(err, SLW_IO, "cannot write %s: %s", call->out_path,
                            strerror(errno));
    }
    return SLW_OK;
}

static void
header_append(struct transfer *t, const char *line)
{
    t->headers = curl_slist_append(t->headers, line);
    SLW_ASSERT(t->headers);
}

static void
headers_set(struct transfer *t, bool has_body)
{
    const struct slw_call *call = t->call;
    if (has_body) {
        SLW_AUTO(slw_buf, line);
        slw_buf_printf(&line, "Content-Type: %s",
                       call->content_type ? call->content_type
                                          : "application/json");
        header_append(t, line.ptr);
    }
    /* Ask before sending what may be refused; small bodies go at once. */
    if (!t->in)
        header_append(t, "Expect:");
    for (size_t i = 0; call->headers && call->headers[i]; i++)
        header_append(t, call->headers[i]);
    curl_easy_setopt(t->handle, CURLOPT_HTTPHEADER, t->headers);
}

static void
body_set(struct transfer *t)
{
    const struct slw_call *call = t->call;
    CURL *c = t->handle;
    bool posts =
        strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0;
    bool has_body = t->in || call->body.len || posts;
    if (t->in) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_wanted);
        curl_easy_setopt(c, CURLOPT_READDATA, t);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->in_size);
    } else if (has_body) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)call->body.len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS,
                         call->body.ptr ? call->body.ptr : "");
    } else if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, call->method);
    headers_set(t, has_body);
}

static void
options_set(struct transfer *t)
{
    const struct slw_call *call = t->call;
    CURL *c = t->handle;
    long timeout_ms = call->timeout_ms < 0 ? 0L
                      : call->timeout_ms   ? (long)call->timeout_ms
                                           : 30000L;
    curl_easy_setopt(c, CURLOPT_URL, call->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->reason);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "slipway");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    if (call->direct || is_loopback(call->url))
        curl_easy_setopt(c, CURLOPT_PROXY, "");
    if (call->direct) {
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    }
    SLW_ASSERT(call->direct || !call->public_only);
    if (call->public_only) {
        curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
        curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    }
    if (call->stall_ms) {
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME,
                         (long)(call->stall_ms / 1000));
    }
    if (call->want_head) {
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    }
    if (call->progress || call->stop) {
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    }
}

/* ---- ending ---- */

/* "http://127.0.0.1:8080" of a longer URL: who was not reached. */
static struct slw_str
origin_of(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    return (struct slw_str){url, path ? (size_t)(path - url) : strlen(url)};
}

static enum slw_rc
fail_connect(const struct transfer *t, struct slw_err *err)
{
    struct slw_str origin = origin_of(t->call->url);
    long number = 0;
    if (t->barred[0])
        return slw_fail(err, SLW_DENIED,
                        "%.*s is not called: %s is not a "
                        "public address",
                        SLW_FMT(origin), t->barred);
    curl_easy_getinfo(t->handle, CURLINFO_OS_ERRNO, &number);
    const char *why = number == ECONNREFUSED ? "connection refused"
                      : number               ? strerror((int)number)
                                             : t->reason;
    return slw_fail(err, SLW_IO, "cannot reach %.*s (%s)%s", SLW_FMT(origin),
                    why,
                    !t->call->direct && is_loopback(t->call->url)
                        ? "; start a server with `slipway up` or set "
                          "SLIPWAY_URL"
                        : "");
}

static enum slw_rc
fail_transfer(const struct transfer *t, CURLcode code, struct slw_err *err)
{
    struct slw_str origin = origin_of(t->call->url);
    const char *why = t->reason[0] ? t->reason : curl_easy_strerror(code);
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return slw_fail(err, SLW_INVALID,
                        "'%.200s' is not a URL that can be called; write "
                        "http://host:port/path",
                        t->call->url);
    case CURLE_COULDNT_RESOLVE_HOST:
        return slw_fail(err, SLW_IO, "cannot reach %.*s (no such host)",
                        SLW_FMT(origin));
    case CURLE_COULDNT_CONNECT:
        return fail_connect(t, err);
    case CURLE_OPERATION_TIMEDOUT:
        return slw_fail(err, SLW_TIMEOUT, "no whole answer from %.*s in time",
                        SLW_FMT(origin));
    case CURLE_WRITE_ERROR:
        if (t->out_errno)
            return slw_fail(err, SLW_IO, "cannot write %s: %s",
                            t->call->out_path, strerror(t->out_errno));
        return slw_fail(err, SLW_LIMIT,
                        "the answer of %.*s is larger than %zu bytes",
                        SLW_FMT(origin), REPLY_SIZE_MAX);
    case CURLE_ABORTED_BY_CALLBACK:
        if (t->call->stop && atomic_load(t->call->stop))
            return slw_fail(err, SLW_BUSY, "the call to %.*s was broken off",
                            SLW_FMT(origin));
        return slw_fail(err, SLW_IO, "cannot read %s", t->call->body_path);
    default:
        return slw_fail(err, SLW_IO, "the call to %.*s failed: %s",
                        SLW_FMT(origin), why);
    }
}

static enum slw_rc
file_finish(struct transfer *t, struct slw_err *err)
{
    if (!t->out)
        return SLW_OK;
    int rc = fclose(t->out);
    t->out = NULL;
    if (rc != 0)
        return slw_fail(err, SLW_IO, "cannot write %s: %s", t->call->out_path,
                        strerror(errno));
    if (t->reply->status < 200 || t->reply->status >= 300)
        return SLW_OK; /* the answer is in memory */
    return slw_file_commit(t->out_tmp, t->call->out_path, err);
}

static enum slw_rc
transfer_run(struct transfer *t, struct slw_err *err)
{
    long status = 0;
    const char *type = NULL;
    TRY(files_open(t, err));
    t->handle = handle_get();
    options_set(t);
    body_set(t);
    CURLcode code = curl_easy_perform(t->handle);
    if (code != CURLE_OK)
        return fail_transfer(t, code, err);
    curl_easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->handle, CURLINFO_CONTENT_TYPE, &type);
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(t->handle, CURLINFO_RETRY_AFTER, &retry_after_s);
    t->reply->retry_after_s = retry_after_s;
    t->reply->status = (int)status;
    snprintf(t->reply->content_type, sizeof t->reply->content_type, "%s",
             type ? type : "");
    return file_finish(t, err);
}

enum slw_rc
slw_call(const struct slw_call *call, struct slw_reply *reply,
         struct slw_err *err)
{
    struct slw_reply made = {0};
    slw_buf_init(&made.body, REPLY_SIZE_MAX);
    slw_buf_init(&made.head, HEAD_SIZE_MAX);
    SLW_ASSERT(call->method && call->url);
    SLW_AUTO(transfer, t);
    t.call = call;
    t.reply = &made;
    enum slw_rc rc = transfer_run(&t, err);
    if (rc != SLW_OK) {
        slw_reply_done(&made);
        return rc;
    }
    *reply = made;
    return SLW_OK;
}

void
slw_url_encode(struct slw_buf *b, struct slw_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (plain) {
            slw_buf_char(b, (char)c);
            continue;
        }
        slw_buf_char(b, '%');
        slw_buf_char(b, digits[c >> 4]);
        slw_buf_char(b, digits[c & 15]);
    }
}
