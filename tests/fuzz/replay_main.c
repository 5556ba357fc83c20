/* replay_main.c -- a fuzz target without a fuzzer: every file of its corpus,
 * then as many mutations of them as fit a time.
 *
 *   replay_json [--seconds 2] [--mutations 4000] PATH…
 *
 * A path is a file or a folder of files.  Mutations are seeded by the file's
 * place in the list, so that a run does the same each time, only further or
 * less far.  When an input brings the process down, its bytes are kept in
 * ./crash-<target> and the command that repeats it is printed. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/rng.h"

#define FILE_COUNT_MAX 4096
#define INPUT_SIZE_MAX ((size_t)1 << 20)

struct input {
    uint8_t *bytes;
    size_t size;
};

static struct input inputs[FILE_COUNT_MAX];
static size_t input_count;
static struct input now; /* what the target has just been given */
static const char *program;

void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void
say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

/* In a signal handler: nothing but system calls. */
static void
keep(void)
{
    static volatile sig_atomic_t once;
    const char *name = strrchr(program, '_');
    char path[64] = "crash-";
    if (once++)
        return;
    strncat(path, name ? name + 1 : "input", 40);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0 && now.size)
        (void)!write(fd, now.bytes, now.size);
    say("\nThe input is kept; to repeat it:\n  ");
    say(program);
    say(" --mutations 0 ");
    say(path);
    say("\n");
}

static void
on_signal(int signal_number)
{
    keep();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static int
give(const uint8_t *bytes, size_t size)
{
    /* A copy of its own, so that a sanitizer sees one byte too far. */
    now = (struct input){slw_alloc(size ? size : 1), size};
    if (size)
        memcpy(now.bytes, bytes, size);
    uint8_t *end_exact = size ? slw_realloc(now.bytes, size) : now.bytes;
    now.bytes = end_exact;
    const int rc = LLVMFuzzerTestOneInput(now.bytes, size);
    slw_free(now.bytes);
    now = (struct input){0};
    return rc;
}

static void
file_add(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0) {
        fprintf(stderr, "cannot read %s: errno %d\n", path, errno);
        exit(2);
    }
    if (input_count < FILE_COUNT_MAX && (size_t)st.st_size <= INPUT_SIZE_MAX) {
        struct input in = {slw_alloc((size_t)st.st_size + 1),
                           (size_t)st.st_size};
        in.size = fread(in.bytes, 1, in.size, f);
        inputs[input_count++] = in;
    }
    fclose(f);
}

static void
path_add(const char *path)
{
    struct dirent **names;
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        file_add(path);
        return;
    }
    const int count = scandir(path, &names, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "cannot read %s: errno %d\n", path, errno);
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name);
        if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
            file_add(name);
        free(names[i]);
    }
    free(names);
}

/* ---- mutations ---- */

static size_t
below(struct slw_rng *rng, size_t n)
{
    return n ? (size_t)(slw_rng_u64(rng) % n) : 0;
}

/* Room for `count` bytes at `at`; false: too large. */
static bool
open_gap(struct slw_buf *b, size_t at, size_t count)
{
    static const char zeros[64];
    if (b->len + count > INPUT_SIZE_MAX || count > sizeof zeros)
        return false;
    slw_buf_add(b, zeros, count);
    memmove(b->ptr + at + count, b->ptr + at, b->len - count - at);
    return true;
}

static void
cut(struct slw_buf *b, size_t at, size_t count)
{
    memmove(b->ptr + at, b->ptr + at + count, b->len - at - count);
    b->len -= count;
}

static void
piece_of_another(struct slw_buf *b, struct slw_rng *rng)
{
    const struct input *other = &inputs[below(rng, input_count)];
    if (!other->size)
        return;
    const size_t from = below(rng, other->size);
    size_t count = 1 + below(rng, other->size - from);
    count = count < 64 ? count : 64;
    const size_t at = below(rng, b->len + 1);
    if (open_gap(b, at, count))
        memcpy(b->ptr + at, other->bytes + from, count);
}

static void
mutate(struct slw_buf *b, struct slw_rng *rng)
{
    static const char odd[] = "\0\x01\x7f\x80\xff\"\\'`{}[]():,;.%/=<>-+eE0 \n";
    static const uint32_t edges[] = {
        0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};
    const size_t at = below(rng, b->len), left = b->len - at;
    size_t count = 1 + below(rng, 16);
    count = count < left ? count : left;
    switch (below(rng, 8)) {
    case 0:
        if (left)
            b->ptr[at] = (char)(b->ptr[at] ^ (1 << below(rng, 8)));
        break;
    case 1:
        if (left)
            b->ptr[at] = (char)slw_rng_u64(rng);
        break;
    case 2:
        if (left)
            b->ptr[at] = odd[below(rng, sizeof odd - 1)];
        break;
    case 3:
        if (open_gap(b, at, 1))
            b->ptr[at] = odd[below(rng, sizeof odd - 1)];
        break;
    case 4:
        cut(b, at, count);
        break;
    case 5: /* a piece twice */
        if (count && open_gap(b, at, count))
            memmove(b->ptr + at, b->ptr + at + count, count);
        break;
    case 6: {
        const uint32_t v = edges[below(rng, SLW_ARRAY_LEN(edges))];
        if (left >= 4)
            memcpy(b->ptr + at, &v, 4);
        break;
    }
    default:
        piece_of_another(b, rng);
    }
}

static size_t
mutations_give(size_t most, double seconds)
{
    const int64_t end_ns = slw_mono_ns() + (int64_t)(seconds * 1e9);
    SLW_AUTO(slw_buf, b);
    size_t given = 0;
    for (size_t round = 0; round < most; round++) {
        for (size_t i = 0; i < input_count; i++, given++) {
            struct slw_rng rng;
            if (slw_mono_ns() > end_ns)
                return given;
            slw_rng_init(&rng, round * FILE_COUNT_MAX + i);
            slw_buf_clear(&b);
            slw_buf_add(&b, inputs[i].bytes, inputs[i].size);
            for (size_t n = 1 + below(&rng, 6); n; n--)
                mutate(&b, &rng);
            give((const uint8_t *)b.ptr, b.len);
        }
    }
    return given;
}

int
main(int argc, char **argv)
{
    double seconds = 2;
    size_t most = 4000;
    struct slw_err err;
    int64_t n;
    program = argv[0];
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0 &&
            slw_str_f64(slw_str_of(argv[i + 1]), &seconds, &err) == SLW_OK)
            continue;
        if (strcmp(argv[i], "--mutations") == 0 &&
            slw_str_i64(slw_str_of(argv[i + 1]), &n, &err) == SLW_OK) {
            most = (size_t)n;
            continue;
        }
        fprintf(stderr, "%s: %s %s?\n", program, argv[i], argv[i + 1]);
        return 2;
    }
    for (; i < argc; i++)
        path_add(argv[i]);
    if (!input_count) {
        fprintf(stderr, "%s: no input to replay\n", program);
        return 2;
    }
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep);
    else
        signal(SIGSEGV, on_signal);
    signal(SIGABRT, on_signal);
    for (size_t f = 0; f < input_count; f++)
        give(inputs[f].bytes, inputs[f].size);
    const size_t given = mutations_give(most, seconds);
    printf("%zu inputs, %zu mutations\n", input_count, given);
    for (size_t f = 0; f < input_count; f++)
        slw_free(inputs[f].bytes);
    return 0;
}
