/* rng.c -- xoshiro256** and splitmix64, written from the paper. */
#include "base/rng.h"

#include <errno.h>
#include <math.h>
#include <sys/random.h>

#include "base/hash.h"

static uint64_t
splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t
rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void
slw_rng_init(struct slw_rng *r, uint64_t seed)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(r->s); i++)
        r->s[i] = splitmix64(&seed);
}

void
slw_rng_init_named(struct slw_rng *r, uint64_t seed, struct slw_str name)
{
    slw_rng_init(r, slw_hash64(name.ptr, name.len, seed));
}

uint64_t
slw_rng_u64(struct slw_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t
slw_rng_below(struct slw_rng *r, uint64_t n)
{
    SLW_ASSERT(n > 0);
    /* The high half of a 128-bit product, rejecting the few low halves that
     * would favour some results (Lemire 2019). */
    unsigned __int128 product = (unsigned __int128)slw_rng_u64(r) * n;
    if ((uint64_t)product < n) {
        uint64_t reject_below = -n % n;
        while ((uint64_t)product < reject_below)
            product = (unsigned __int128)slw_rng_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

double
slw_rng_f64(struct slw_rng *r)
{
    return (double)(slw_rng_u64(r) >> 11) * 0x1p-53;
}

double
slw_rng_normal(struct slw_rng *r)
{
    /* The second value of the pair is dropped: state stays four words. */
    for (;;) {
        double u = 2 * slw_rng_f64(r) - 1, v = 2 * slw_rng_f64(r) - 1;
        double s = u * u + v * v;
        if (s > 0 && s < 1)
            return u * sqrt(-2 * log(s) / s);
    }
}

void
slw_random_hex32(char out[static 33])
{
    unsigned char bytes[16];
    size_t got = 0;
    while (got < sizeof bytes) {
        ssize_t n = getrandom(bytes + got, sizeof bytes - got, 0);
        SLW_ASSERT(n > 0 || errno == EINTR);
        if (n > 0)
            got += (size_t)n;
    }
    slw_hex_text(bytes, sizeof bytes, out);
}
