/* fuzz.h -- what every fuzz target starts from.
 *
 * A target is one function that takes bytes; libFuzzer (tools/fuzz.sh) or
 * replay_main.c calls it.  Whatever comes in, three things must hold: no
 * sanitizer complains, a refusal is a sentence, and what was taken can be
 * used. */
#ifndef SLW_TESTS_FUZZ_FUZZ_H
#define SLW_TESTS_FUZZ_FUZZ_H

#include <stdint.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes as text. */
static inline struct slw_str
fuzz_str(const uint8_t *data, size_t size)
{
    return (struct slw_str){size ? (const char *)data : "", size};
}

/* A refusal is one of the listed codes (a bit each) and has a sentence. */
static inline void
fuzz_refused(enum slw_rc rc, const struct slw_err *err, unsigned allowed)
{
    SLW_ASSERT(rc != SLW_OK);
    SLW_ASSERT(rc == err->rc);
    if (!(allowed >> rc & 1)) {
        fprintf(stderr, "not a refusal that is documented: %s: %s\n",
                slw_rc_name(rc), err->msg);
        SLW_ASSERT(!"documented");
    }
    SLW_ASSERT(err->msg[0]);
    SLW_ASSERT(memchr(err->msg, '\0', sizeof err->msg));
}

#define FUZZ_RC(name) (1u << SLW_##name)

#endif
