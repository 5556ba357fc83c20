/* rng.h -- the random source as a parameter: xoshiro256** seeded by
 * splitmix64, so that a seed gives the same sequence everywhere.
 * Source: Blackman & Vigna 2018, "Scrambled linear pseudorandom number
 * generators".  Owner: one thread. */
#ifndef SLW_BASE_RNG_H
#define SLW_BASE_RNG_H

#include "base/base.h"

struct slw_rng {
    uint64_t s[4];
};

/* Any seed will do, also 0. */
void slw_rng_init(struct slw_rng *r, uint64_t seed);
/* A sequence of its own for a named purpose: seed and name are hashed. */
void slw_rng_init_named(struct slw_rng *r, uint64_t seed, struct slw_str name);
uint64_t slw_rng_u64(struct slw_rng *r);
/* Uniform in 0 .. n-1 without bias; n > 0. */
uint64_t slw_rng_below(struct slw_rng *r, uint64_t n);
/* Uniform in [0, 1). */
double slw_rng_f64(struct slw_rng *r);
/* Standard normal (Marsaglia polar). */
double slw_rng_normal(struct slw_rng *r);
/* 16 random bytes of the kernel as 32 hex digits (ids; not reproducible). */
void slw_random_hex32(char out[static 33]);

#endif
