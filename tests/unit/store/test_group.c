/* test_group.c -- group commit: what shares a transaction, who fails alone,
 * and that nobody is told "done" before it is. */
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/slw_test.h"

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

struct op {
    const char *key;
    bool fails;
};

static enum slw_rc
put(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    const struct op *op = ctx;
    TRY(slw_meta_set(tx, op->key, SLW_STR("v"), err));
    if (op->fails)
        return slw_fail(err, SLW_INVALID, "no '%s' wanted", op->key);
    return SLW_OK;
}

static bool
has(struct slw_store *s, const char *key)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_tx, tx);
    struct slw_str got;
    SLW_ASSERT(slw_tx_read(&tx, s, &err) == SLW_OK);
    return slw_meta_get(&tx, key, &arena, &got, &err) == SLW_OK;
}

static void
an_operation_is_on_disk_when_the_call_returns(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    struct op op = {.key = "a"};
    assert_ok(slw_store_group(s, put, &op, &err), err);
    assert_true(has(s, "a"));
    slw_store_close(s);
}

static void
a_failed_operation_undoes_itself_only(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    struct op bad = {.key = "bad", .fails = true};
    struct op good = {.key = "good"};
    assert_fails(slw_store_group(s, put, &bad, &err), SLW_INVALID, err,
                 "no 'bad' wanted");
    assert_ok(slw_store_group(s, put, &good, &err), err);
    assert_false(has(s, "bad"));
    assert_true(has(s, "good"));
    slw_store_close(s);
}

/* ---- a crowd ---- */

#define THREADS 16
#define ROUNDS 60

struct member {
    struct slw_store *store;
    int number;
    atomic_int *missing;
};

static void *
write_and_look(void *arg)
{
    const struct member *m = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char key[32];
        struct slw_err err;
        (void)snprintf(key, sizeof(key), "k-%d-%d", m->number, i);
        struct op op = {.key = key, .fails = i % 10 == 9};
        const enum slw_rc rc = slw_store_group(m->store, put, &op, &err);
        if (rc != (op.fails ? SLW_INVALID : SLW_OK) ||
            has(m->store, key) == op.fails)
            atomic_fetch_add(m->missing, 1);
    }
    return NULL;
}

/* Ordinary transactions take their turn between the groups. */
static void *
write_alone(void *arg)
{
    const struct member *m = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct slw_err err;
        char key[32];
        (void)snprintf(key, sizeof(key), "alone-%d", i);
        SLW_AUTO(slw_tx, tx);
        if (slw_tx_begin(&tx, m->store, &err) != SLW_OK ||
            slw_meta_set(&tx, key, SLW_STR("v"), &err) != SLW_OK ||
            slw_tx_commit(&tx, &err) != SLW_OK)
            atomic_fetch_add(m->missing, 1);
    }
    return NULL;
}

static int64_t
row_count(struct slw_store *s)
{
    static const char SQL[] = "SELECT count(*) FROM store_meta"
                              " WHERE key LIKE 'k-%' OR key LIKE 'alone-%'";
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    assert_ok(slw_tx_read(&tx, s, &err), err);
    assert_ok(slw_stmt_prepare(&st, &tx, SQL, &err), err);
    assert_ok(slw_stmt_step(&st, &row, &err), err);
    return slw_col_i64(&st, 0);
}

static void
sixteen_threads_read_their_own_writes(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    atomic_int missing = 0;
    struct member members[THREADS + 1];
    pthread_t threads[THREADS + 1];
    for (int i = 0; i <= THREADS; i++) {
        members[i] = (struct member){s, i, &missing};
        assert_int_equal(
            pthread_create(&threads[i], NULL,
                           i < THREADS ? write_and_look : write_alone,
                           &members[i]),
            0);
    }
    for (int i = 0; i <= THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(missing, 0);
    assert_int_equal(row_count(s), THREADS * (ROUNDS - ROUNDS / 10) + ROUNDS);
    slw_store_close(s);
}

/* While the first operation holds the writer up, eight others queue.  They
 * must then share one transaction: when the last of them runs, nothing of
 * the seven before it may be visible, and nobody was answered. */
#define CROWD 9

struct gate {
    struct slw_store *store;
    pthread_mutex_t *first; /* the test holds both */
    pthread_mutex_t *last;
    atomic_int *entered;
    atomic_int *answered;
};

static enum slw_rc
wait_at_gate(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    const struct gate *g = ctx;
    char key[32];
    const int place = atomic_fetch_add(g->entered, 1) + 1;
    (void)snprintf(key, sizeof(key), "gate-%d", place);
    TRY(slw_meta_set(tx, key, SLW_STR("v"), err));
    pthread_mutex_t *mutex = place == 1 ? g->first : g->last;
    if (place == 1 || place == CROWD) {
        (void)pthread_mutex_lock(mutex);
        (void)pthread_mutex_unlock(mutex);
    }
    return SLW_OK;
}

static void *
pass_gate(void *arg)
{
    const struct gate *g = arg;
    struct slw_err err;
    SLW_ASSERT(slw_store_group(g->store, wait_at_gate, arg, &err) == SLW_OK);
    atomic_fetch_add(g->answered, 1);
    return NULL;
}

static void
wait_for(atomic_int *count, int least)
{
    for (int i = 0; i < 5000 && atomic_load(count) < least; i++)
        (void)usleep(1000);
    assert_int_equal(atomic_load(count), least);
}

static void
operations_that_wait_together_are_committed_together(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_t last = PTHREAD_MUTEX_INITIALIZER;
    atomic_int entered = 0;
    atomic_int answered = 0;
    struct gate gate = {s, &first, &last, &entered, &answered};
    pthread_t threads[CROWD];
    (void)pthread_mutex_lock(&first);
    (void)pthread_mutex_lock(&last);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, pass_gate, &gate),
                         0);
        wait_for(&entered, 1); /* the first is inside, alone */
    }
    (void)usleep(200000); /* all nine are queued by then */
    assert_int_equal(atomic_load(&entered), 1);
    assert_false(has(s, "gate-1"));
    (void)pthread_mutex_unlock(&first);
    wait_for(&entered, CROWD);
    wait_for(&answered, 1);
    assert_true(has(s, "gate-1"));
    for (int i = 2; i < CROWD; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "gate-%d", i);
        assert_false(has(s, key));
    }
    (void)pthread_mutex_unlock(&last);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&answered), CROWD);
    assert_true(has(s, "gate-2"));
    assert_true(has(s, "gate-9"));
    slw_store_close(s);
}

/* ---- names remembered ---- */

struct memo {
    const char *name;
    int64_t value;
    bool fails;
};

static enum slw_rc
remember(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    const struct memo *m = ctx;
    slw_tx_remember(tx, slw_str_of(m->name), m->value);
    return m->fails ? slw_fail(err, SLW_INVALID, "not this one") : SLW_OK;
}

static int64_t
recalled(struct slw_store *s, const char *name)
{
    struct slw_err err;
    int64_t value = -1;
    SLW_AUTO(slw_tx, tx);
    SLW_ASSERT(slw_tx_begin(&tx, s, &err) == SLW_OK);
    return slw_tx_recall(&tx, slw_str_of(name), &value) ? value : -1;
}

static void
a_name_is_remembered_only_while_it_is_stored(void **state)
{
    char dir[256];
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    struct memo good = {"a", 7, false}, bad = {"b", 8, true};
    assert_ok(slw_store_group(s, remember, &good, &err), err);
    assert_int_equal(recalled(s, "a"), 7);
    assert_fails(slw_store_group(s, remember, &bad, &err), SLW_INVALID, err,
                 "not this one");
    assert_int_equal(recalled(s, "b"), -1);
    {
        SLW_AUTO(slw_tx, tx); /* ends without a commit */
        int64_t value = 0;
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        slw_tx_remember(&tx, SLW_STR("c"), 9);
        assert_true(slw_tx_recall(&tx, SLW_STR("c"), &value));
        assert_int_equal(value, 9);
    }
    assert_int_equal(recalled(s, "c"), -1);
    for (int i = 0; i < 40000; i++) { /* more than it keeps */
        char name[24];
        struct memo m = {name, i, false};
        snprintf(name, sizeof name, "n%d", i);
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        for (int k = 0; k < 1000; k++, i++) {
            snprintf(name, sizeof name, "n%d", i);
            m.value = i;
            assert_ok(remember(&tx, &m, &err), err);
        }
        assert_ok(slw_tx_commit(&tx, &err), err);
        assert_int_equal(recalled(s, name), m.value);
    }
    slw_store_close(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_is_on_disk_when_the_call_returns),
        cmocka_unit_test(a_name_is_remembered_only_while_it_is_stored),
        cmocka_unit_test(a_failed_operation_undoes_itself_only),
        cmocka_unit_test(sixteen_threads_read_their_own_writes),
        cmocka_unit_test(operations_that_wait_together_are_committed_together),
    };
    return cmocka_run_group_tests_name("store/group", tests, NULL, NULL);
}
