/* expr.c -- the rule language: a scalar SQL expression, compiled to steps of
 * a stack machine.
 *
 * Its answers are DuckDB's, which settles what SQL leaves open:
 *
 *  1. NULL and NaN are two things.  A NaN in the row is a NULL; 0.0/0 is a
 *     NaN, which equals itself and is greater than every number.  The last
 *     answer is NaN where it is NULL or not finite.
 *  2. Literals without an exponent are exact decimals, and + - * of decimals
 *     stay exact: 0.1 * 3 is 0.3.  Division, a column or a function such as
 *     exp makes a double.
 *  3. Where DuckDB stops with an error (ln(-1)), the value is NaN.
 *
 * Nothing has an effect, so AND, OR and CASE evaluate all their parts and
 * then choose: there are no jumps, and the stack's height is known at parse. */
#include <math.h>

#include "model/model_internal.h"

#define EXPR_TEXT_SIZE_MAX ((size_t)64 << 10)
#define EXPR_STEP_MAX 8192
#define EXPR_STACK_MAX 128
#define EXPR_DEPTH_MAX 64
#define EXPR_SCALE_MAX 38
#define SCALE_REAL (-1) /* a double */
#define SCALE_NULL (-2) /* the literal NULL, of any type */

typedef __int128 expr_int;

enum expr_op {
    OP_CONST,
    OP_COLUMN,
    OP_NEG,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_IS_NULL,
    OP_CASE,
    OP_ABS,
    OP_LN,
    OP_LOG10,
    OP_EXP,
    OP_SQRT,
    OP_POW,
    OP_LEAST,
    OP_GREATEST,
    OP_COALESCE,
    OP_NULLIF,
    OP_ROUND,
    OP_FLOOR,
    OP_CEIL
};

/* A number, or a truth value as decimal 0 or 1. */
struct expr_value {
    expr_int whole; /* decimal: whole / 10^scale */
    double real;    /* scale SCALE_REAL */
    int scale;
    bool null;
};

struct expr_step {
    struct expr_value constant; /* OP_CONST */
    uint32_t arg_count;
    int32_t number; /* column; digits of round; scale of the result */
    uint8_t op;
};

struct slw_expr {
    struct expr_step *steps;
    size_t step_count, step_cap;
};

void
slw_expr_free(struct slw_expr *e)
{
    if (!e)
        return;
    slw_free(e->steps);
    slw_free(e);
}

/* ---- decimals ---- */

/* 10^scale; scale 0..38 fits. */
static expr_int
power_of_ten(int scale)
{
    expr_int v = 1;
    for (int i = 0; i < scale; i++)
        v *= 10;
    return v;
}

/* As DuckDB casts: one division where the integer is exact, else parts. */
static double
decimal_real(expr_int whole, int scale)
{
    static const double powers[] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
        1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29,
        1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38};
    const expr_int exact = (expr_int)1 << 53;
    if (scale == 0 || (whole <= exact && whole >= -exact))
        return (double)whole / powers[scale];
    expr_int power = power_of_ten(scale);
    return (double)(whole / power) + (double)(whole % power) / powers[scale];
}

static double
to_real(struct expr_value v)
{
    return v.scale == SCALE_REAL ? v.real : decimal_real(v.whole, v.scale);
}

static struct expr_value
make_real(double v)
{
    return (struct expr_value){.real = v, .scale = SCALE_REAL};
}

static struct expr_value
make_whole(expr_int whole, int scale)
{
    return (struct expr_value){.whole = whole, .scale = scale};
}

static struct expr_value
make_null(void)
{
    return (struct expr_value){.null = true};
}

/* The same value at a larger scale, or as a double where it does not fit. */
static struct expr_value
rescale(struct expr_value v, int scale)
{
    if (v.null || v.scale == scale || scale == SCALE_NULL)
        return v;
    if (v.scale == SCALE_REAL || scale == SCALE_REAL || scale < v.scale)
        return make_real(to_real(v));
    expr_int whole;
    if (__builtin_mul_overflow(v.whole, power_of_ten(scale - v.scale), &whole))
        return make_real(to_real(v));
    return make_whole(whole, scale);
}

/* Both at one scale, or both doubles. */
static void
align(struct expr_value *a, struct expr_value *b)
{
    int scale = a->scale > b->scale ? a->scale : b->scale;
    if (a->scale == SCALE_REAL || b->scale == SCALE_REAL)
        scale = SCALE_REAL;
    *a = rescale(*a, scale);
    *b = rescale(*b, scale);
    if (a->scale == b->scale)
        return;
    *a = make_real(to_real(*a));
    *b = make_real(to_real(*b));
}

static struct expr_value
arithmetic(enum expr_op op, struct expr_value a, struct expr_value b)
{
    expr_int whole;
    bool over = true;
    if (a.null || b.null)
        return make_null();
    if (op == OP_MUL) {
        if (a.scale >= 0 && b.scale >= 0 &&
            a.scale + b.scale <= EXPR_SCALE_MAX &&
            !__builtin_mul_overflow(a.whole, b.whole, &whole))
            return make_whole(whole, a.scale + b.scale);
        return make_real(to_real(a) * to_real(b));
    }
    if (op == OP_DIV)
        return make_real(to_real(a) / to_real(b));
    align(&a, &b);
    if (a.scale >= 0)
        over = op == OP_ADD ? __builtin_add_overflow(a.whole, b.whole, &whole)
                            : __builtin_sub_overflow(a.whole, b.whole, &whole);
    if (!over)
        return make_whole(whole, a.scale);
    double x = to_real(a), y = to_real(b);
    return make_real(op == OP_ADD ? x + y : x - y);
}

/* <0, 0, >0; NaN equals NaN and is above all. Neither is NULL. */
static int
compare(struct expr_value a, struct expr_value b)
{
    align(&a, &b);
    if (a.scale >= 0)
        return (a.whole > b.whole) - (a.whole < b.whole);
    if (isnan(a.real) || isnan(b.real))
        return (int)isnan(a.real) - (int)isnan(b.real);
    return (a.real > b.real) - (a.real < b.real);
}

/* ---- functions ---- */

static struct expr_value
round_real(double x, int digits)
{
    if (digits == 0) {
        double r = round(x);
        return make_real(isfinite(r) ? r : x);
    }
    double power = pow(10, digits < 0 ? -digits : digits);
    if (digits < 0) {
        double r = round(x / power) * power;
        return make_real(isfinite(r) ? r : 0);
    }
    double r = round(x * power) / power;
    return make_real(isfinite(r) ? r : x);
}

/* Decimal cut to `digits` behind the point; up: toward +, down: toward -. */
static struct expr_value
round_whole(struct expr_value v, int digits, enum expr_op op)
{
    if (digits >= v.scale)
        return v;
    if (v.scale - digits > EXPR_SCALE_MAX)
        return make_whole(0, digits > 0 ? digits : 0);
    expr_int power = power_of_ten(v.scale - digits);
    expr_int part = v.whole / power, rest = v.whole % power;
    if (op == OP_FLOOR && rest < 0)
        part--;
    else if (op == OP_CEIL && rest > 0)
        part++;
    else if (op == OP_ROUND && (rest < 0 ? -rest : rest) >= power - power / 2)
        part += rest < 0 ? -1 : 1;
    if (digits >= 0)
        return make_whole(part, digits);
    expr_int whole;
    if (__builtin_mul_overflow(part, power_of_ten(-digits), &whole))
        return make_real((double)part * pow(10, -digits));
    return make_whole(whole, 0);
}

static struct expr_value
round_any(enum expr_op op, struct expr_value v, int digits)
{
    if (v.scale >= 0)
        return round_whole(v, digits, op);
    if (op == OP_ROUND)
        return round_real(v.real, digits);
    return make_real(op == OP_FLOOR ? floor(v.real) : ceil(v.real));
}

static struct expr_value
negate(struct expr_value v)
{
    if (v.scale == SCALE_REAL)
        v.real = -v.real;
    else
        v.whole = -v.whole;
    return v;
}

static struct expr_value
unary(enum expr_op op, struct expr_value v, int number)
{
    if (v.null)
        return make_null();
    double x = to_real(v);
    switch (op) {
    case OP_NEG:
        return negate(v);
    case OP_ABS:
        if (v.scale == SCALE_REAL)
            return make_real(fabs(x));
        return v.whole < 0 ? negate(v) : v;
    case OP_LN:
        return make_real(x > 0 ? log(x) : NAN);
    case OP_LOG10:
        return make_real(x > 0 ? log10(x) : NAN);
    case OP_EXP:
        return make_real(exp(x));
    case OP_SQRT:
        return make_real(x >= 0 ? sqrt(x) : NAN);
    default:
        return round_any(op, v, number);
    }
}

/* Of several: the first that is not NULL, the least or the greatest. */
static struct expr_value
choose(enum expr_op op, const struct expr_value *args, size_t count)
{
    struct expr_value best = make_null();
    for (size_t i = 0; i < count; i++) {
        if (args[i].null)
            continue;
        if (best.null || (op == OP_LEAST && compare(args[i], best) < 0) ||
            (op == OP_GREATEST && compare(args[i], best) > 0))
            best = args[i];
    }
    return best;
}

/* WHEN, THEN, WHEN, THEN, …, ELSE. */
static struct expr_value
choose_case(const struct expr_value *args, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2)
        if (!args[i].null && args[i].whole)
            return args[i + 1];
    return args[count - 1];
}

static struct expr_value
truth(enum expr_op op, struct expr_value a, struct expr_value b)
{
    if (op == OP_AND || op == OP_OR) {
        bool decides = op == OP_OR; /* the value that decides alone */
        if ((!a.null && (bool)a.whole == decides) ||
            (!b.null && (bool)b.whole == decides))
            return make_whole(decides, 0);
        return a.null || b.null ? make_null() : make_whole(!decides, 0);
    }
    if (a.null || b.null)
        return make_null();
    int order = compare(a, b);
    bool yes = op == OP_EQ   ? order == 0
               : op == OP_NE ? order != 0
               : op == OP_LT ? order < 0
               : op == OP_LE ? order <= 0
               : op == OP_GT ? order > 0
                             : order >= 0;
    return make_whole(yes, 0);
}

/* ---- the machine ---- */

static struct expr_value
run_step(const struct expr_step *s, const struct expr_value *a)
{
    enum expr_op op = (enum expr_op)s->op;
    switch (op) {
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
        return arithmetic(op, a[0], a[1]);
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_AND:
    case OP_OR:
        return truth(op, a[0], a[1]);
    case OP_NOT:
        return a[0].null ? make_null() : make_whole(!a[0].whole, 0);
    case OP_IS_NULL:
        return make_whole(a[0].null, 0);
    case OP_POW:
        if (a[0].null || a[1].null)
            return make_null();
        return make_real(pow(to_real(a[0]), to_real(a[1])));
    case OP_NULLIF:
        if (!a[0].null && !a[1].null && compare(a[0], a[1]) == 0)
            return make_null();
        return a[0];
    case OP_CASE:
        return rescale(choose_case(a, s->arg_count), s->number);
    case OP_LEAST:
    case OP_GREATEST:
    case OP_COALESCE:
        return rescale(choose(op, a, s->arg_count), s->number);
    default:
        return unary(op, a[0], s->number);
    }
}

double
slw_expr_eval(const struct slw_expr *e, const double *row)
{
    MODEL_SCRATCH struct expr_value stack[EXPR_STACK_MAX];
    size_t height = 0;
    for (size_t i = 0; i < e->step_count; i++) {
        const struct expr_step *s = &e->steps[i];
        if (s->op == OP_CONST) {
            stack[height++] = s->constant;
        } else if (s->op == OP_COLUMN) {
            double v = row[s->number];
            stack[height++] = isnan(v) ? make_null() : make_real(v);
        } else {
            height -= s->arg_count;
            stack[height] = run_step(s, &stack[height]);
            height++;
        }
    }
    SLW_ASSERT(height == 1);
    if (stack[0].null)
        return NAN;
    double answer = to_real(stack[0]);
    return isfinite(answer) ? answer : NAN;
}

/* ---- tokens ---- */

enum tok { TOK_END, TOK_NUMBER, TOK_NAME, TOK_QUOTED, TOK_SIGN };

/* What an expression gives. */
struct expr_type {
    bool truth;
    int scale; /* of a number */
};

struct parser {
    struct slw_expr *e;
    const struct slw_str *columns;
    size_t column_count;
    struct slw_str text;
    size_t at;       /* behind the current token */
    size_t token_at; /* where it starts */
    enum tok tok;
    struct slw_str token; /* of TOK_QUOTED: with the quotes */
    size_t height, depth;
};

static enum slw_rc
wrong(const struct parser *p, struct slw_err *err, const char *what)
{
    return slw_fail(err, SLW_INVALID, "the rule is wrong at character %zu: %s",
                    p->token_at + 1, what);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           is_digit(c) || (unsigned char)c >= 0x80;
}

static char
byte_at(const struct parser *p, size_t at)
{
    return at < p->text.len ? p->text.ptr[at] : '\0';
}

static void
scan_number(struct parser *p)
{
    while (is_digit(byte_at(p, p->at)))
        p->at++;
    if (byte_at(p, p->at) == '.')
        p->at++;
    while (is_digit(byte_at(p, p->at)))
        p->at++;
    char c = byte_at(p, p->at);
    if (c != 'e' && c != 'E')
        return;
    char sign = byte_at(p, p->at + 1);
    size_t digits = p->at + 1 + (sign == '+' || sign == '-');
    if (!is_digit(byte_at(p, digits)))
        return;
    for (p->at = digits; is_digit(byte_at(p, p->at));)
        p->at++;
}

static enum slw_rc
scan_quoted(struct parser *p, struct slw_err *err)
{
    for (p->at++; p->at < p->text.len; p->at++) {
        if (p->text.ptr[p->at] != '"')
            continue;
        if (byte_at(p, p->at + 1) != '"') {
            p->at++;
            return SLW_OK;
        }
        p->at++;
    }
    return wrong(p, err, "a quoted name has no end");
}

static void
scan_sign(struct parser *p)
{
    static const char *const two[] = {"<=", ">=", "<>", "!=", "=="};
    for (size_t i = 0; i < SLW_ARRAY_LEN(two); i++) {
        if (byte_at(p, p->at) == two[i][0] &&
            byte_at(p, p->at + 1) == two[i][1]) {
            p->at += 2;
            return;
        }
    }
    p->at++;
}

static enum slw_rc
advance(struct parser *p, struct slw_err *err)
{
    while (p->at < p->text.len &&
           (p->text.ptr[p->at] == ' ' || p->text.ptr[p->at] == '\t' ||
            p->text.ptr[p->at] == '\n' || p->text.ptr[p->at] == '\r'))
        p->at++;
    p->token_at = p->at;
    char c = byte_at(p, p->at);
    if (p->at == p->text.len) {
        p->tok = TOK_END;
    } else if (is_digit(c) || (c == '.' && is_digit(byte_at(p, p->at + 1)))) {
        p->tok = TOK_NUMBER;
        scan_number(p);
        if (is_name_byte(byte_at(p, p->at)))
            return wrong(p, err, "a letter stands right behind a number");
    } else if (is_name_byte(c)) {
        p->tok = TOK_NAME;
        while (is_name_byte(byte_at(p, p->at)))
            p->at++;
    } else if (c == '"') {
        p->tok = TOK_QUOTED;
        TRY(scan_quoted(p, err));
    } else if (c == '-' && byte_at(p, p->at + 1) == '-') {
        return wrong(p, err, "'--' would start a comment: write '- -'");
    } else if (c && strchr("+-*/()=<>!,", c)) {
        p->tok = TOK_SIGN;
        scan_sign(p);
    } else {
        return wrong(p, err, "this character has no meaning in a rule");
    }
    p->token = (struct slw_str){p->text.ptr + p->token_at, p->at - p->token_at};
    return SLW_OK;
}

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool
same_name(struct slw_str a, struct slw_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

static bool
is_word(const struct parser *p, const char *word)
{
    return p->tok == TOK_NAME && same_name(p->token, slw_str_of(word));
}

static bool
is_sign(const struct parser *p, const char *sign)
{
    return p->tok == TOK_SIGN && slw_str_eqz(p->token, sign);
}

static enum slw_rc
expect_word(struct parser *p, const char *word, struct slw_err *err)
{
    char what[48];
    snprintf(what, sizeof(what), "%s is expected", word);
    if (!is_word(p, word))
        return wrong(p, err, what);
    return advance(p, err);
}

static enum slw_rc
expect_sign(struct parser *p, const char *sign, struct slw_err *err)
{
    char what[48];
    snprintf(what, sizeof(what), "'%s' is expected", sign);
    if (!is_sign(p, sign))
        return wrong(p, err, what);
    return advance(p, err);
}

/* ---- steps ---- */

static enum slw_rc
emit(struct parser *p, struct expr_step step, struct slw_err *err)
{
    struct slw_expr *e = p->e;
    SLW_ASSERT(p->height >= step.arg_count);
    p->height = p->height - step.arg_count + 1;
    if (e->step_count == EXPR_STEP_MAX || p->height > EXPR_STACK_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "the rule is too long: at most %d steps, and %d values"
                        " at once",
                        EXPR_STEP_MAX, EXPR_STACK_MAX);
    if (e->step_count == e->step_cap) {
        e->step_cap = e->step_cap ? e->step_cap * 2 : 32;
        e->steps = slw_realloc(e->steps, e->step_cap * sizeof(*e->steps));
    }
    e->steps[e->step_count++] = step;
    return SLW_OK;
}

static enum slw_rc
emit_op(struct parser *p, enum expr_op op, size_t arg_count, int number,
        struct slw_err *err)
{
    return emit(p,
                (struct expr_step){.op = (uint8_t)op,
                                   .arg_count = (uint32_t)arg_count,
                                   .number = number},
                err);
}

static enum slw_rc
need_number(const struct parser *p, struct expr_type t, struct slw_err *err)
{
    if (t.truth)
        return wrong(p, err,
                     "a number is wanted before here, not a truth"
                     " value");
    return SLW_OK;
}

static enum slw_rc
need_truth(const struct parser *p, struct expr_type t, struct slw_err *err)
{
    if (!t.truth && t.scale != SCALE_NULL)
        return wrong(p, err,
                     "a truth value is wanted before here, not a"
                     " number");
    return SLW_OK;
}

/* The type that holds both: a double, or the larger scale. */
static int
wider(int a, int b)
{
    if (a == SCALE_REAL || b == SCALE_REAL)
        return SCALE_REAL;
    return a > b ? a : b;
}

static enum slw_rc parse_or(struct parser *p, struct expr_type *out,
                            struct slw_err *err);

/* "12.50" as decimal 1250 / 100; false: has an exponent or too many digits,
 * and is a double then. */
static bool
decimal_literal(struct slw_str s, struct expr_value *out)
{
    expr_int whole = 0;
    int scale = 0, digits = 0;
    bool point = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.') {
            point = true;
            continue;
        }
        if (!is_digit(s.ptr[i]))
            return false;
        digits += digits > 0 || s.ptr[i] != '0';
        scale += point;
        if (digits > EXPR_SCALE_MAX || scale > EXPR_SCALE_MAX)
            return false;
        whole = whole * 10 + (s.ptr[i] - '0');
    }
    *out = make_whole(whole, scale);
    return true;
}

static enum slw_rc
parse_number(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    struct expr_value v;
    if (!decimal_literal(p->token, &v)) {
        /* slw_str_f64 wants digits around the point */
        char z[512];
        struct slw_err why;
        double real;
        if (p->token.len + 2 > sizeof(z))
            return wrong(p, err, "a number of more than 500 characters");
        size_t size = 0;
        for (size_t i = 0; i < p->token.len; i++) {
            if (p->token.ptr[i] == '.' && i == 0)
                z[size++] = '0';
            z[size++] = p->token.ptr[i];
            if (p->token.ptr[i] == '.' &&
                !is_digit(byte_at(p, p->token_at + i + 1)))
                z[size++] = '0';
        }
        if (slw_str_f64((struct slw_str){z, size}, &real, &why) != SLW_OK ||
            !isfinite(real))
            return wrong(p, err, "a number out of range");
        v = make_real(real);
    }
    *out = (struct expr_type){.scale = v.scale};
    TRY(emit(p, (struct expr_step){.op = OP_CONST, .constant = v}, err));
    return advance(p, err);
}

static enum slw_rc
parse_constant(struct parser *p, struct expr_value v, struct expr_type type,
               struct expr_type *out, struct slw_err *err)
{
    *out = type;
    TRY(emit(p, (struct expr_step){.op = OP_CONST, .constant = v}, err));
    return advance(p, err);
}

static enum slw_rc
no_column(const struct parser *p, struct slw_str name, struct slw_err *err)
{
    size_t near_index = 0, near_distance = SIZE_MAX;
    for (size_t i = 0; i < p->column_count; i++) {
        if (name.len > 64 || p->columns[i].len > 64)
            continue;
        size_t distance = slw_str_distance(p->columns[i], name);
        if (distance < near_distance) {
            near_distance = distance;
            near_index = i;
        }
    }
    if (near_distance <= 2)
        return slw_fail(err, SLW_INVALID,
                        "the rule names the column '%.*s', which there is not;"
                        " is '%.*s' meant?",
                        SLW_FMT(name), SLW_FMT(p->columns[near_index]));
    return slw_fail(err, SLW_INVALID,
                    "the rule names the column '%.*s', which there is not",
                    SLW_FMT(name));
}

/* Exactly written, or in other letters' case as SQL allows when only one
 * column is meant. */
static enum slw_rc
find_column(const struct parser *p, struct slw_str name, int *out,
            struct slw_err *err)
{
    int found = -1, count = 0;
    for (size_t i = 0; i < p->column_count; i++) {
        if (slw_str_eq(p->columns[i], name)) {
            *out = (int)i;
            return SLW_OK;
        }
        if (same_name(p->columns[i], name)) {
            found = (int)i;
            count++;
        }
    }
    if (count != 1)
        return no_column(p, name, err);
    *out = found;
    return SLW_OK;
}

/* The text between the quotes, with "" as ". */
static enum slw_rc
find_quoted(const struct parser *p, int *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, name);
    for (size_t i = 1; i + 1 < p->token.len; i++) {
        slw_buf_char(&name, p->token.ptr[i]);
        if (p->token.ptr[i] == '"')
            i++;
    }
    return find_column(p, slw_buf_view(&name), out, err);
}

static enum slw_rc
parse_column(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    static const char *const reserved[] = {"when", "then", "else", "end",
                                           "and",  "or",   "is"};
    int column = 0;
    for (size_t i = 0; i < SLW_ARRAY_LEN(reserved); i++)
        if (is_word(p, reserved[i]))
            return wrong(p, err,
                         "a value is expected (a column of such a name"
                         " is written in double quotes)");
    if (p->tok == TOK_QUOTED)
        TRY(find_quoted(p, &column, err));
    else
        TRY(find_column(p, p->token, &column, err));
    *out = (struct expr_type){.scale = SCALE_REAL};
    TRY(emit_op(p, OP_COLUMN, 0, column, err));
    return advance(p, err);
}

static enum slw_rc
parse_case(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    size_t count = 0;
    struct expr_type t;
    int scale = SCALE_NULL;
    TRY(advance(p, err));
    if (!is_word(p, "when"))
        return wrong(p, err, "CASE is followed by WHEN");
    while (is_word(p, "when")) {
        TRY(advance(p, err));
        TRY(parse_or(p, &t, err));
        TRY(need_truth(p, t, err));
        TRY(expect_word(p, "THEN", err));
        TRY(parse_or(p, &t, err));
        TRY(need_number(p, t, err));
        scale = wider(scale, t.scale);
        count += 2;
    }
    if (is_word(p, "else")) {
        TRY(advance(p, err));
        TRY(parse_or(p, &t, err));
        TRY(need_number(p, t, err));
        scale = wider(scale, t.scale);
    } else {
        TRY(emit(p, (struct expr_step){.op = OP_CONST, .constant = make_null()},
                 err));
    }
    *out = (struct expr_type){.scale = scale};
    TRY(emit_op(p, OP_CASE, count + 1, scale, err));
    return expect_word(p, "END", err);
}

enum result { RESULT_REAL, RESULT_FIRST, RESULT_WIDEST, RESULT_ROUNDED };

static const struct function {
    const char *name;
    enum expr_op op;
    unsigned least, most; /* arguments */
    enum result result;
} FUNCTIONS[] = {
    {"abs", OP_ABS, 1, 1, RESULT_FIRST},
    {"ln", OP_LN, 1, 1, RESULT_REAL},
    {"log10", OP_LOG10, 1, 1, RESULT_REAL},
    {"exp", OP_EXP, 1, 1, RESULT_REAL},
    {"sqrt", OP_SQRT, 1, 1, RESULT_REAL},
    {"pow", OP_POW, 2, 2, RESULT_REAL},
    {"power", OP_POW, 2, 2, RESULT_REAL},
    {"least", OP_LEAST, 1, 64, RESULT_WIDEST},
    {"greatest", OP_GREATEST, 1, 64, RESULT_WIDEST},
    {"coalesce", OP_COALESCE, 1, 64, RESULT_WIDEST},
    {"nullif", OP_NULLIF, 2, 2, RESULT_FIRST},
    {"round", OP_ROUND, 1, 1, RESULT_ROUNDED},
    {"floor", OP_FLOOR, 1, 1, RESULT_ROUNDED},
    {"ceil", OP_CEIL, 1, 1, RESULT_ROUNDED},
    {"ceiling", OP_CEIL, 1, 1, RESULT_ROUNDED},
};

/* round's second argument: a whole number, as DuckDB wants it for decimals. */
static enum slw_rc
parse_digits(struct parser *p, int *out, struct slw_err *err)
{
    bool minus;
    struct expr_value v;
    TRY(advance(p, err));
    minus = is_sign(p, "-");
    if (minus)
        TRY(advance(p, err));
    if (p->tok != TOK_NUMBER || !decimal_literal(p->token, &v) ||
        v.scale != 0 || v.whole > 300)
        return wrong(p, err, "round's digits are a whole number in -300..300");
    *out = minus ? -(int)v.whole : (int)v.whole;
    return advance(p, err);
}

static enum slw_rc
parse_arguments(struct parser *p, const struct function *f, size_t *out_count,
                int *out_first, int *out_widest, int *out_digits,
                struct slw_err *err)
{
    size_t count = 0;
    *out_first = *out_widest = SCALE_NULL;
    *out_digits = 0;
    TRY(expect_sign(p, "(", err));
    while (!is_sign(p, ")")) {
        struct expr_type t;
        TRY(parse_or(p, &t, err));
        TRY(need_number(p, t, err));
        *out_first = count == 0 ? t.scale : *out_first;
        *out_widest = wider(*out_widest, t.scale);
        count++;
        if (is_sign(p, ",") && f->op == OP_ROUND) {
            TRY(parse_digits(p, out_digits, err));
            break;
        }
        if (!is_sign(p, ","))
            break;
        TRY(advance(p, err));
        if (is_sign(p, ")"))
            return wrong(p, err, "a value is expected");
    }
    *out_count = count;
    return expect_sign(p, ")", err);
}

static enum slw_rc
parse_call(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    const struct function *f = NULL;
    size_t count = 0;
    int first, widest, digits;
    for (size_t i = 0; i < SLW_ARRAY_LEN(FUNCTIONS); i++)
        if (is_word(p, FUNCTIONS[i].name))
            f = &FUNCTIONS[i];
    if (!f)
        return wrong(p, err,
                     "there is no such function: abs, ln, log10, exp,"
                     " sqrt, pow, least, greatest, coalesce, nullif,"
                     " round, floor, ceil");
    TRY(advance(p, err));
    TRY(parse_arguments(p, f, &count, &first, &widest, &digits, err));
    if (count < f->least || count > f->most)
        return wrong(p, err,
                     "the function before here has too few or too many"
                     " arguments");
    int scale = SCALE_REAL, number = digits;
    if (f->result == RESULT_FIRST)
        scale = first;
    if (f->result == RESULT_WIDEST)
        scale = number = widest;
    if (f->result == RESULT_ROUNDED && first >= 0)
        scale = digits >= first ? first : digits > 0 ? digits : 0;
    *out = (struct expr_type){.scale = scale};
    return emit_op(p, f->op, count, number, err);
}

static enum slw_rc
parse_primary(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    if (p->tok == TOK_NUMBER)
        return parse_number(p, out, err);
    if (p->tok == TOK_QUOTED)
        return parse_column(p, out, err);
    if (is_sign(p, "(")) {
        TRY(advance(p, err));
        TRY(parse_or(p, out, err));
        return expect_sign(p, ")", err);
    }
    if (p->tok != TOK_NAME)
        return wrong(p, err, "a value is expected");
    if (is_word(p, "case"))
        return parse_case(p, out, err);
    if (is_word(p, "null"))
        return parse_constant(
            p, make_null(), (struct expr_type){.scale = SCALE_NULL}, out, err);
    if (is_word(p, "true") || is_word(p, "false"))
        return parse_constant(p, make_whole(is_word(p, "true"), 0),
                              (struct expr_type){.truth = true}, out, err);
    size_t behind = p->at;
    while (byte_at(p, behind) == ' ' || byte_at(p, behind) == '\t')
        behind++;
    if (byte_at(p, behind) == '(')
        return parse_call(p, out, err);
    return parse_column(p, out, err);
}

static enum slw_rc
parse_unary(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    size_t minus_count = 0;
    bool has_sign = false;
    while (is_sign(p, "-") || is_sign(p, "+")) {
        minus_count += is_sign(p, "-");
        has_sign = true;
        TRY(advance(p, err));
    }
    TRY(parse_primary(p, out, err));
    if (has_sign)
        TRY(need_number(p, *out, err));
    if (minus_count % 2)
        return emit_op(p, OP_NEG, 1, 0, err);
    return SLW_OK;
}

static int
scale_of_product(int a, int b)
{
    if (a == SCALE_NULL || b == SCALE_NULL)
        return SCALE_NULL;
    if (a == SCALE_REAL || b == SCALE_REAL || a + b > EXPR_SCALE_MAX)
        return SCALE_REAL;
    return a + b;
}

static enum slw_rc
parse_product(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    TRY(parse_unary(p, out, err));
    while (is_sign(p, "*") || is_sign(p, "/")) {
        bool divide = is_sign(p, "/");
        struct expr_type right;
        TRY(need_number(p, *out, err));
        TRY(advance(p, err));
        TRY(parse_unary(p, &right, err));
        TRY(need_number(p, right, err));
        out->scale =
            divide ? SCALE_REAL : scale_of_product(out->scale, right.scale);
        TRY(emit_op(p, divide ? OP_DIV : OP_MUL, 2, 0, err));
    }
    return SLW_OK;
}

static enum slw_rc
parse_sum(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    TRY(parse_product(p, out, err));
    while (is_sign(p, "+") || is_sign(p, "-")) {
        bool minus = is_sign(p, "-");
        struct expr_type right;
        TRY(need_number(p, *out, err));
        TRY(advance(p, err));
        TRY(parse_product(p, &right, err));
        TRY(need_number(p, right, err));
        out->scale = wider(out->scale, right.scale);
        TRY(emit_op(p, minus ? OP_SUB : OP_ADD, 2, 0, err));
    }
    return SLW_OK;
}

static bool
comparison_here(const struct parser *p, enum expr_op *out)
{
    static const struct {
        const char *sign;
        enum expr_op op;
    } table[] = {{"=", OP_EQ}, {"==", OP_EQ}, {"<>", OP_NE}, {"!=", OP_NE},
                 {"<", OP_LT}, {"<=", OP_LE}, {">", OP_GT},  {">=", OP_GE}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(table); i++) {
        if (is_sign(p, table[i].sign)) {
            *out = table[i].op;
            return true;
        }
    }
    return false;
}

static enum slw_rc
parse_comparison(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    enum expr_op op;
    TRY(parse_sum(p, out, err));
    if (comparison_here(p, &op)) {
        struct expr_type right;
        TRY(advance(p, err));
        TRY(parse_sum(p, &right, err));
        if (out->truth != right.truth)
            return wrong(p, err, "a number is compared with a truth value");
        if (comparison_here(p, &(enum expr_op){0}))
            return wrong(p, err, "comparisons do not chain: join two with AND");
        *out = (struct expr_type){.truth = true};
        TRY(emit_op(p, op, 2, 0, err));
    }
    while (is_word(p, "is")) {
        TRY(advance(p, err));
        bool no = is_word(p, "not");
        if (no)
            TRY(advance(p, err));
        TRY(expect_word(p, "NULL", err));
        *out = (struct expr_type){.truth = true};
        TRY(emit_op(p, OP_IS_NULL, 1, 0, err));
        if (no)
            TRY(emit_op(p, OP_NOT, 1, 0, err));
    }
    return SLW_OK;
}

static enum slw_rc
parse_not(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    size_t count = 0;
    for (; is_word(p, "not"); count++)
        TRY(advance(p, err));
    TRY(parse_comparison(p, out, err));
    if (count == 0)
        return SLW_OK;
    TRY(need_truth(p, *out, err));
    *out = (struct expr_type){.truth = true};
    return count % 2 ? emit_op(p, OP_NOT, 1, 0, err) : SLW_OK;
}

static enum slw_rc
parse_and(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    TRY(parse_not(p, out, err));
    while (is_word(p, "and")) {
        struct expr_type right;
        TRY(need_truth(p, *out, err));
        TRY(advance(p, err));
        TRY(parse_not(p, &right, err));
        TRY(need_truth(p, right, err));
        *out = (struct expr_type){.truth = true};
        TRY(emit_op(p, OP_AND, 2, 0, err));
    }
    return SLW_OK;
}

static enum slw_rc
parse_or(struct parser *p, struct expr_type *out, struct slw_err *err)
{
    if (++p->depth > EXPR_DEPTH_MAX)
        return slw_fail(err, SLW_LIMIT, "the rule nests deeper than %d levels",
                        EXPR_DEPTH_MAX);
    TRY(parse_and(p, out, err));
    while (is_word(p, "or")) {
        struct expr_type right;
        TRY(need_truth(p, *out, err));
        TRY(advance(p, err));
        TRY(parse_and(p, &right, err));
        TRY(need_truth(p, right, err));
        *out = (struct expr_type){.truth = true};
        TRY(emit_op(p, OP_OR, 2, 0, err));
    }
    p->depth--;
    return SLW_OK;
}

static enum slw_rc
parse_all(struct parser *p, struct slw_err *err)
{
    struct expr_type t;
    if (p->text.len > EXPR_TEXT_SIZE_MAX)
        return slw_fail(err, SLW_LIMIT, "the rule is longer than %zu bytes",
                        EXPR_TEXT_SIZE_MAX);
    TRY(advance(p, err));
    TRY(parse_or(p, &t, err));
    if (p->tok != TOK_END)
        return wrong(p, err, "an operator or the end is expected");
    if (t.truth)
        return slw_fail(err, SLW_INVALID,
                        "the rule gives a truth value; a number is wanted:"
                        " CASE WHEN … THEN 1 ELSE 0 END");
    return SLW_OK;
}

enum slw_rc
slw_expr_parse(struct slw_expr **out, struct slw_str text,
               const struct slw_str *columns, size_t column_count,
               struct slw_err *err)
{
    struct slw_expr *e = slw_alloc(sizeof(*e));
    struct parser p = {
        .e = e, .columns = columns, .column_count = column_count, .text = text};
    enum slw_rc rc = parse_all(&p, err);
    if (rc != SLW_OK) {
        slw_expr_free(e);
        return rc;
    }
    *out = e;
    return SLW_OK;
}
