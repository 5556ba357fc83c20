/* page.c -- the web page: one HTML file, one script, one style sheet, embedded
 * in the binary at build time (tools/build_ui.sh, tools/embed.py).
 *
 * The page has addresses of its own (/runs/ID, /deployments/NAME), for all of
 * which the browser gets the same index.html.  It names script and style with
 * a hash of their content, so those may be kept for ever; itself it is asked
 * for anew each time and mostly answered with 304.
 *
 * Nothing is loaded from elsewhere and nothing inline is run: see POLICY.  The
 * page needs no token to be shown (it asks for one); what it shows does. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "api/ui_assets.h"

#define HASH_SHOWN 16 /* digits of the hash in a file's name */

static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

static const struct slw_asset *
asset_of(const char *path)
{
    for (size_t i = 0; i < slw_ui_assets_count; i++)
        if (strcmp(slw_ui_assets[i].path, path) == 0)
            return &slw_ui_assets[i];
    return NULL;
}

/* Does a comma-separated header name `word` with a quality above 0? */
static bool
accepts(struct slw_str value, const char *word)
{
    struct slw_str part, rest = value;
    while (rest.len) {
        struct slw_str name, quality;
        slw_str_cut(rest, ',', &part, &rest);
        slw_str_cut(part, ';', &name, &quality);
        name = slw_str_trim(name);
        quality = slw_str_trim(quality);
        if (name.len != strlen(word) ||
            strncasecmp(name.ptr, word, name.len) != 0)
            continue;
        double q = 1;
        struct slw_err err;
        if (slw_str_starts(quality, "q="))
            (void)!slw_str_f64(
                (struct slw_str){quality.ptr + 2, quality.len - 2}, &q, &err);
        return q > 0;
    }
    return false;
}

/* Is `tag` (with its quotes) in the list of If-None-Match? */
static bool
has_tag(struct slw_str list, struct slw_str tag)
{
    struct slw_str part, rest = list;
    while (rest.len) {
        slw_str_cut(rest, ',', &part, &rest);
        part = slw_str_trim(part);
        if (slw_str_starts(part, "W/"))
            part = (struct slw_str){part.ptr + 2, part.len - 2};
        if (slw_str_eq(part, tag) || slw_str_eqz(part, "*"))
            return true;
    }
    return false;
}

static void
send_asset(struct slw_http_req *req, struct slw_http_res *res,
           const struct slw_asset *a, const char *cache)
{
    char zipped_path[64];
    snprintf(zipped_path, sizeof zipped_path, "%s.gz", a->path);
    const struct slw_asset *zipped = asset_of(zipped_path);
    if (zipped && !accepts(slw_http_head(req, "Accept-Encoding"), "gzip"))
        zipped = NULL;
    /* Each coding is a representation with a tag of its own. */
    struct slw_str tag = slw_arena_printf(req->arena, "\"%.16s%s\"", a->sha256,
                                          zipped ? "z" : "");
    slw_http_header_add(res, "ETag", tag);
    slw_http_header_add(res, "Vary", SLW_STR("Accept-Encoding"));
    slw_http_header_add(res, "Cache-Control", slw_str_of(cache));
    slw_http_header_add(res, "Content-Security-Policy", slw_str_of(POLICY));
    slw_http_header_add(res, "Referrer-Policy", SLW_STR("no-referrer"));
    slw_http_header_add(res, "Cross-Origin-Opener-Policy",
                        SLW_STR("same-origin"));
    slw_http_header_add(res, "Cross-Origin-Resource-Policy",
                        SLW_STR("same-origin"));
    res->content_type = slw_str_ends(slw_str_of(a->path), ".js")
                            ? "text/javascript; charset=utf-8"
                        : slw_str_ends(slw_str_of(a->path), ".css")
                            ? "text/css; charset=utf-8"
                            : "text/html; charset=utf-8";
    if (has_tag(slw_http_head(req, "If-None-Match"), tag)) {
        res->status = 304;
        return;
    }
    if (zipped)
        slw_http_header_add(res, "Content-Encoding", SLW_STR("gzip"));
    a = zipped ? zipped : a;
    res->fixed = (struct slw_str){(const char *)a->bytes, a->size};
}

enum slw_rc
api_page(struct slw_http_req *req, struct slw_http_res *res,
         struct slw_err *err)
{
    const struct slw_asset *a = asset_of("index.html");
    if (!a)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "this server was built without its page");
    send_asset(req, res, a, "no-cache");
    return SLW_OK;
}

/* "app-0123456789abcdef.js": the embedded app.js with that hash. */
enum slw_rc
api_page_asset(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_str file = slw_http_var(req, "file");
    for (size_t i = 0; i < slw_ui_assets_count; i++) {
        const struct slw_asset *a = &slw_ui_assets[i];
        struct slw_str stem, ending, path = slw_str_of(a->path);
        slw_str_cut(path, '.', &stem, &ending);
        if (slw_str_eqz(stem, "index") || slw_str_ends(path, ".gz"))
            continue;
        struct slw_str name =
            slw_arena_printf(req->arena, "%.*s-%.*s.%.*s", SLW_FMT(stem),
                             HASH_SHOWN, a->sha256, SLW_FMT(ending));
        if (slw_str_eq(name, file)) {
            send_asset(req, res, a, "public, max-age=31536000, immutable");
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_NOT_FOUND,
                    "the page has no file '%.*s'; it may be of another "
                    "version: load the page again",
                    SLW_FMT(file));
}

/* ---- addresses of the page ---- */

/* What lies below these is answered by the API or not at all. */
static const char *const RESERVED[] = {"/api",
                                       "/ajax-api",
                                       "/v1",
                                       "/v2",
                                       "/metrics",
                                       "/health",
                                       "/version",
                                       "/ping",
                                       "/assets",
                                       "/get-artifact",
                                       "/model-versions",
                                       "/invocations",
                                       "/openapi.json",
                                       "/get-online-features"};

const struct slw_route *
api_page_fallback(struct slw_http_req *req)
{
    struct slw_str path = req->path;
    if (!accepts(slw_http_head(req, "Accept"), "text/html"))
        return NULL;
    for (size_t i = 0; i < SLW_ARRAY_LEN(RESERVED); i++) {
        size_t n = strlen(RESERVED[i]);
        if (slw_str_starts(path, RESERVED[i]) &&
            (path.len == n || path.ptr[n] == '/'))
            return NULL;
    }
    for (size_t i = 0; i < slw_api_route_count; i++)
        if (slw_api_routes[i].fn == api_page)
            return &slw_api_routes[i];
    return NULL;
}
