/* test_blob.c -- bytes by hash: round trips, what is shared, and that damage
 * is reported and never returned as content. */
#include "store/blob.h"

#include "base/file.h"
#include "base/rng.h"
#include "tests/fsync_seen.h"
#include "tests/slw_test.h"

#define MIB ((size_t)1 << 20)

static struct slw_store *
open_server(char dir[256])
{
    struct slw_err err;
    struct slw_store *s = NULL;
    slw_test_dir(dir);
    const struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&s, &opt, &err), err);
    return s;
}

/* Bytes that do not compress. */
static char *
noise(size_t len, uint64_t seed)
{
    struct slw_rng rng;
    slw_rng_init(&rng, seed);
    char *bytes = slw_alloc(len + 8);
    for (size_t i = 0; i < len; i += 8) {
        const uint64_t v = slw_rng_u64(&rng);
        memcpy(bytes + i, &v, 8);
    }
    return bytes;
}

static struct slw_blob_info
put(struct slw_store *s, const char *bytes, size_t len)
{
    struct slw_err err;
    struct slw_blob_info info;
    assert_ok(slw_blob_put(s, (struct slw_str){bytes, len}, &info, &err), err);
    assert_int_equal(info.size, len);
    return info;
}

static void
assert_content(struct slw_store *s, const char *hash, const char *bytes,
               size_t len)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, got);
    slw_buf_z(&got, "before:");
    assert_ok(slw_blob_get(s, hash, &got, &err), err);
    assert_int_equal(got.len, len + 7);
    assert_memory_equal(got.ptr, "before:", 7);
    if (len > 0)
        assert_memory_equal(got.ptr + 7, bytes, len);
}

static void
content_of_every_size_comes_back(void **state)
{
    static const size_t sizes[] = {0,
                                   1,
                                   16383,
                                   16384,
                                   16385,
                                   65536,
                                   256 * 1024 - 1,
                                   256 * 1024,
                                   256 * 1024 + 1,
                                   3 * MIB + 7};
    char dir[256];
    struct slw_store *s = open_server(dir);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct slw_err err;
        char *bytes = noise(sizes[i], i);
        const struct slw_blob_info info = put(s, bytes, sizes[i]);
        char hex[65];
        const struct slw_sha256 hash = slw_sha256_of(bytes, sizes[i]);
        assert_string_equal(info.hash, slw_sha256_hex(&hash, hex));
        if (sizes[i] <= 16384)
            assert_int_equal(info.chunk_count, 1);
        assert_content(s, info.hash, bytes, sizes[i]);
        int64_t size = -1;
        assert_ok(slw_blob_size(s, info.hash, &size, &err), err);
        assert_int_equal(size, sizes[i]);
        assert_ok(slw_blob_verify(s, info.hash, &err), err);
        assert_true(slw_blob_exists(s, info.hash));
        assert_int_equal(put(s, bytes, sizes[i]).new_size, 0);
        slw_free(bytes);
    }
    slw_store_close(s);
}

static void
a_file_gives_the_same_blob_as_its_bytes(void **state)
{
    char dir[256];
    char path[300];
    char back[300];
    struct slw_err err;
    struct slw_store *s = open_server(dir);
    (void)snprintf(path, sizeof(path), "%s/in", dir);
    (void)snprintf(back, sizeof(back), "%s/out", dir);
    const size_t len = 5 * MIB + 123;
    char *bytes = noise(len, 1);
    assert_ok(slw_file_put(path, (struct slw_str){bytes, len}, &err), err);
    struct slw_blob_info from_file;
    assert_ok(slw_blob_put_file(s, path, &from_file, &err), err);
    assert_int_equal(from_file.size, len);
    assert_true(from_file.new_size > (int64_t)len);
    const struct slw_blob_info from_bytes = put(s, bytes, len);
    assert_string_equal(from_file.hash, from_bytes.hash);
    assert_int_equal(from_file.chunk_count, from_bytes.chunk_count);
    assert_int_equal(from_bytes.new_size, 0);
    assert_ok(slw_blob_get_file(s, from_file.hash, back, &err), err);
    SLW_AUTO(slw_buf, copy);
    assert_ok(slw_file_get(back, len, &copy, &err), err);
    assert_int_equal(copy.len, len);
    assert_memory_equal(copy.ptr, bytes, len);
    assert_ok(slw_file_put(path, SLW_STR(""), &err), err);
    assert_ok(slw_blob_put_file(s, path, &from_file, &err), err);
    assert_int_equal(from_file.size, 0);
    assert_fails(slw_blob_put_file(s, "/nowhere/x", &from_file, &err),
                 SLW_NOT_FOUND, err, "cannot open /nowhere/x");
    slw_free(bytes);
    slw_store_close(s);
}

/* Who wrote it may not have synced its name yet, and we answer now. */
static void
the_name_of_a_recipe_is_synced_also_when_it_was_there(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    char *bytes = noise(MIB, 3);
    const struct slw_blob_info first = put(s, bytes, MIB);
    assert_true(first.chunk_count > 1);
    char folder[16];
    (void)snprintf(folder, sizeof folder, "/blobs/%.2s", first.hash);
    assert_true(fsync_saw(folder));
    fsync_forget();
    const struct slw_blob_info again = put(s, bytes, MIB);
    assert_int_equal(again.new_size, 0);
    assert_true(fsync_saw(folder));
    assert_true(fsync_saw("/blobs"));
    slw_free(bytes);
    slw_store_close(s);
}

static void
chunks_have_the_promised_sizes_and_text_is_compressed(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    const size_t len = 16 * MIB;
    char *bytes = noise(len, 2);
    const struct slw_blob_info info = put(s, bytes, len);
    /* 64 KiB on average: between 40 and 100 for noise. */
    assert_in_range(info.chunk_count, len / 102400, len / 40960);
    for (size_t i = 0; i < len; i++)
        bytes[i] = "0123456789,\n"[(i * 7 + i / 977) % 12];
    const struct slw_blob_info text = put(s, bytes, len);
    assert_true(text.new_size < (int64_t)len / 10);
    assert_content(s, text.hash, bytes, len);
    slw_free(bytes);
    slw_store_close(s);
}

/* 64 MiB, of which 1 % changes in 16 places, once in place and once by an
 * insertion that moves all bytes behind it. */
static void
a_changed_percent_adds_little(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = open_server(dir);
    const size_t len = 64 * MIB;
    const size_t piece = len / 100 / 16;
    char *bytes = noise(len + 1, 3);
    const struct slw_blob_info old = put(s, bytes, len);
    assert_true(old.new_size > (int64_t)len);
    for (size_t i = 0; i < 16; i++)
        memset(bytes + i * (len / 16) + 1000, 'x' + (int)(i % 3), piece);
    const struct slw_blob_info changed = put(s, bytes, len);
    print_message("1 %% of 64 MiB changed adds %lld bytes\n",
                  (long long)changed.new_size);
    assert_true(changed.new_size < (int64_t)len / 20);
    int64_t shared = 0;
    int64_t total = 0;
    assert_ok(slw_blob_shared(s, old.hash, changed.hash, &shared, &total, &err),
              err);
    assert_int_equal(total, changed.chunk_count);
    assert_true(shared > total * 9 / 10);
    assert_true(shared < total);
    memmove(bytes + 1, bytes, len);
    bytes[0] = '!';
    const struct slw_blob_info moved = put(s, bytes, len + 1);
    assert_true(moved.new_size < (int64_t)MIB);
    assert_content(s, moved.hash, bytes, len + 1);
    slw_free(bytes);
    slw_store_close(s);
}

/* ---- damage ---- */

static void
file_of(const char *dir, const char *hash, char path[600])
{
    (void)snprintf(path, 600, "%s/blobs/%.2s/%s", dir, hash, hash + 2);
}

static void
flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    const int c = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    assert_int_not_equal(fputc(c ^ 0x10, f), EOF);
    assert_int_equal(fclose(f), 0);
}

static void
assert_damaged(struct slw_store *s, const char *hash)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, out);
    slw_buf_z(&out, "kept");
    assert_fails(slw_blob_verify(s, hash, &err), SLW_CORRUPT, err, "blob ");
    assert_fails(slw_blob_get(s, hash, &out, &err), SLW_CORRUPT, err, "blob ");
    assert_true(slw_str_eqz(slw_buf_view(&out), "kept"));
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/out", slw_store_dir(s));
    assert_fails(slw_blob_get_file(s, hash, path, &err), SLW_CORRUPT, err,
                 "blob ");
    assert_false(slw_file_exists(path));
}

static void
one_flipped_bit_anywhere_is_found(void **state)
{
    static const long places[] = {0, 5, 8, 20, 25, 30, 40, -1};
    char dir[256];
    char path[600];
    struct slw_store *s = open_server(dir);
    char *bytes = noise(10000, 4);
    const struct slw_blob_info info = put(s, bytes, 10000);
    file_of(dir, info.hash, path);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        flip(path, places[i]);
        assert_damaged(s, info.hash);
        flip(path, places[i]);
    }
    assert_content(s, info.hash, bytes, 10000);
    slw_free(bytes);
    slw_store_close(s);
}

/* A chunk of another content under this name, whole by itself. */
static void
an_exchanged_chunk_is_found(void **state)
{
    char dir[256];
    char path[600];
    char other[600];
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    const struct slw_blob_info a = put(s, "aaa", 3);
    const struct slw_blob_info b = put(s, "bbb", 3);
    file_of(dir, a.hash, path);
    file_of(dir, b.hash, other);
    SLW_AUTO(slw_buf, bytes);
    assert_ok(slw_file_get(other, 1000, &bytes, &err), err);
    assert_ok(slw_file_put(path, slw_buf_view(&bytes), &err), err);
    assert_damaged(s, a.hash);
    slw_store_close(s);
}

static void
a_torn_file_is_found_and_healed_by_the_next_put(void **state)
{
    char dir[256];
    char path[600];
    struct slw_store *s = open_server(dir);
    char *bytes = noise(10000, 5);
    const struct slw_blob_info info = put(s, bytes, 10000);
    file_of(dir, info.hash, path);
    static const int sizes[] = {5000, 32, 31, 0};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(truncate(path, sizes[i]), 0);
        assert_false(slw_blob_exists(s, info.hash));
        assert_damaged(s, info.hash);
        assert_true(put(s, bytes, 10000).new_size > 0);
        assert_content(s, info.hash, bytes, 10000);
    }
    slw_free(bytes);
    slw_store_close(s);
}

static void
a_missing_or_damaged_part_of_a_large_blob_is_found(void **state)
{
    char dir[256];
    char path[600];
    struct slw_store *s = open_server(dir);
    char *bytes = noise(2 * MIB, 6);
    const struct slw_blob_info info = put(s, bytes, 2 * MIB);
    file_of(dir, info.hash, path); /* the recipe */
    flip(path, 100);
    assert_damaged(s, info.hash);
    flip(path, 100);
    /* Its first chunk: the recipe's first 32 bytes. */
    struct slw_err err;
    SLW_AUTO(slw_buf, recipe);
    assert_ok(slw_file_get(path, MIB, &recipe, &err), err);
    struct slw_sha256 hash;
    char hex[65];
    memcpy(hash.bytes, recipe.ptr + 32, 32);
    file_of(dir, slw_sha256_hex(&hash, hex), path);
    flip(path, 200);
    assert_damaged(s, info.hash);
    assert_int_equal(remove(path), 0);
    assert_damaged(s, info.hash);
    assert_true(put(s, bytes, 2 * MIB).new_size > 0);
    assert_content(s, info.hash, bytes, 2 * MIB);
    slw_free(bytes);
    slw_store_close(s);
}

static void
bad_names_limits_and_absent_blobs_are_refused(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = open_server(dir);
    SLW_AUTO(slw_buf, out);
    int64_t size = 7;
    const char *absent = "00112233445566778899aabbccddeeff"
                         "00112233445566778899aabbccddeeff";
    assert_false(slw_blob_exists(s, absent));
    assert_fails(slw_blob_get(s, absent, &out, &err), SLW_NOT_FOUND, err,
                 "there is no blob");
    assert_fails(slw_blob_size(s, "../../etc/passwd", &size, &err), SLW_INVALID,
                 err, "does not name a blob");
    assert_int_equal(size, 7);
    char *bytes = noise(MIB, 7);
    const struct slw_blob_info info = put(s, bytes, MIB);
    slw_buf_init(&out, MIB / 2);
    assert_int_equal(slw_blob_get(s, info.hash, &out, &err), SLW_LIMIT);
    assert_int_equal(out.len, 0);
    slw_free(bytes);
    slw_store_close(s);
}

static void
the_cache_holds_a_plain_copy_that_may_go_away(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = open_server(dir);
    SLW_AUTO(slw_arena, arena);
    const struct slw_blob_info info = put(s, "hello", 5);
    for (int i = 0; i < 3; i++) {
        const char *path = NULL;
        assert_ok(slw_blob_cached(s, info.hash, ".csv", &arena, &path, &err),
                  err);
        assert_true(slw_str_ends(slw_str_of(path), ".csv"));
        SLW_AUTO(slw_buf, got);
        assert_ok(slw_file_get(path, 100, &got, &err), err);
        assert_true(slw_str_eqz(slw_buf_view(&got), "hello"));
        if (i == 0) /* cut short by hand: made anew */
            assert_int_equal(truncate(path, 2), 0);
        else
            assert_int_equal(remove(path), 0);
    }
    slw_store_close(s);
}

static void
the_tail_is_the_last_bytes_of_one_chunk_and_of_many(void **state)
{
    (void)state;
    char dir[256];
    struct slw_err err;
    struct slw_store *s = open_server(dir);
    const size_t sizes[] = {0, 5, 3 * MIB};
    for (size_t i = 0; i < SLW_ARRAY_LEN(sizes); i++) {
        char *bytes = noise(sizes[i], 9 + i);
        const struct slw_blob_info info = put(s, bytes, sizes[i]);
        const size_t wanted[] = {1, 5, 100000, MIB, 4 * MIB};
        for (size_t k = 0; k < SLW_ARRAY_LEN(wanted); k++) {
            SLW_AUTO(slw_buf, got);
            const size_t len = wanted[k] < sizes[i] ? wanted[k] : sizes[i];
            assert_ok(slw_blob_tail(s, info.hash, wanted[k], &got, &err), err);
            assert_int_equal(got.len, len);
            if (len > 0)
                assert_memory_equal(got.ptr, bytes + sizes[i] - len, len);
        }
        slw_free(bytes);
    }
    slw_store_close(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_of_every_size_comes_back),
        cmocka_unit_test(a_file_gives_the_same_blob_as_its_bytes),
        cmocka_unit_test(the_name_of_a_recipe_is_synced_also_when_it_was_there),
        cmocka_unit_test(chunks_have_the_promised_sizes_and_text_is_compressed),
        cmocka_unit_test(a_changed_percent_adds_little),
        cmocka_unit_test(one_flipped_bit_anywhere_is_found),
        cmocka_unit_test(an_exchanged_chunk_is_found),
        cmocka_unit_test(a_torn_file_is_found_and_healed_by_the_next_put),
        cmocka_unit_test(a_missing_or_damaged_part_of_a_large_blob_is_found),
        cmocka_unit_test(bad_names_limits_and_absent_blobs_are_refused),
        cmocka_unit_test(the_tail_is_the_last_bytes_of_one_chunk_and_of_many),
        cmocka_unit_test(the_cache_holds_a_plain_copy_that_may_go_away),
    };
    return cmocka_run_group_tests_name("store/blob", tests, NULL, NULL);
}
