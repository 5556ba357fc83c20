/* xgb_lex.c -- JSON and UBJSON as one stream of tokens, so that the reader of
 * boosters is written once.
 *
 * The input is hostile: nothing is allocated by a count in the file, levels
 * are limited, and a token's text is a view into the bytes unless it had
 * escapes.  JSON numbers keep their text: a float32 must be read as such, not
 * as a double that is rounded a second time. */
#include <locale.h>
#include <math.h>

#include "model/model_internal.h"

#define NUMBER_SIZE_MAX 127

void
model_lex_init(struct model_lex *lex, struct slw_str bytes, bool is_ubj)
{
    *lex = (struct model_lex){.start = bytes.ptr,
                              .at = bytes.ptr,
                              .end = bytes.ptr + bytes.len,
                              .is_ubj = is_ubj};
    lex->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    SLW_ASSERT(lex->c_locale);
}

void
model_lex_done(struct model_lex *lex)
{
    if (lex->c_locale)
        freelocale((locale_t)lex->c_locale);
    slw_buf_done(&lex->scratch);
    *lex = (struct model_lex){0};
}

size_t
model_lex_offset(const struct model_lex *lex)
{
    return (size_t)(lex->at - lex->start);
}

static size_t
left_of(const struct model_lex *lex)
{
    return (size_t)(lex->end - lex->at);
}

static enum slw_rc
damaged(const struct model_lex *lex, const char *what, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "the model file is damaged: %s at byte"
                    " %zu",
                    what, model_lex_offset(lex));
}

static enum slw_rc
push(struct model_lex *lex, struct lex_level level, struct slw_err *err)
{
    if (lex->depth == LEX_DEPTH_MAX)
        return damaged(lex, "more than 32 levels", err);
    lex->levels[lex->depth++] = level;
    return SLW_OK;
}

static void
pop(struct model_lex *lex)
{
    SLW_ASSERT(lex->depth > 0);
    lex->depth--;
    lex->root_done = lex->depth == 0;
}

/* ---- JSON ---- */

static void
skip_blank(struct model_lex *lex)
{
    while (lex->at < lex->end && (*lex->at == ' ' || *lex->at == '\n' ||
                                  *lex->at == '\t' || *lex->at == '\r'))
        lex->at++;
}

static bool
hex4(const char *at, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = slw_hex_digit(at[i]);
        if (digit < 0)
            return false;
        v = v * 16 + (uint32_t)digit;
    }
    *out = v;
    return true;
}

static void
add_utf8(struct slw_buf *b, uint32_t c)
{
    if (c < 0x80) {
        slw_buf_char(b, (char)c);
    } else if (c < 0x800) {
        slw_buf_char(b, (char)(0xc0 | (c >> 6)));
        slw_buf_char(b, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        slw_buf_char(b, (char)(0xe0 | (c >> 12)));
        slw_buf_char(b, (char)(0x80 | ((c >> 6) & 63)));
        slw_buf_char(b, (char)(0x80 | (c & 63)));
    } else {
        slw_buf_char(b, (char)(0xf0 | (c >> 18)));
        slw_buf_char(b, (char)(0x80 | ((c >> 12) & 63)));
        slw_buf_char(b, (char)(0x80 | ((c >> 6) & 63)));
        slw_buf_char(b, (char)(0x80 | (c & 63)));
    }
}

/* At the four digits behind \u; a surrogate pair is joined. */
static enum slw_rc
unescape_u(struct model_lex *lex, struct slw_err *err)
{
    uint32_t c, low;
    if (left_of(lex) < 4 || !hex4(lex->at, &c))
        return damaged(lex, "a bad \\u escape", err);
    lex->at += 4;
    if (c >= 0xd800 && c < 0xdc00 && left_of(lex) >= 6 && lex->at[0] == '\\' &&
        lex->at[1] == 'u' && hex4(lex->at + 2, &low) && low >= 0xdc00 &&
        low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        lex->at += 6;
    }
    add_utf8(&lex->scratch, c);
    return SLW_OK;
}

static enum slw_rc
unescape_one(struct model_lex *lex, struct slw_err *err)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    lex->at++; /* the backslash */
    if (lex->at == lex->end)
        return damaged(lex, "a text without an end", err);
    char c = *lex->at++;
    if (c == 'u')
        return unescape_u(lex, err);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return damaged(lex, "an unknown escape", err);
    slw_buf_char(&lex->scratch, to[found - from]);
    return SLW_OK;
}

/* At the opening quote. */
static enum slw_rc
json_text(struct model_lex *lex, struct slw_err *err)
{
    const char *begin = ++lex->at;
    while (lex->at < lex->end && *lex->at != '"' && *lex->at != '\\')
        lex->at++;
    if (lex->at < lex->end && *lex->at == '"') {
        lex->text = (struct slw_str){begin, (size_t)(lex->at - begin)};
        lex->at++;
        return SLW_OK;
    }
    slw_buf_clear(&lex->scratch);
    slw_buf_add(&lex->scratch, begin, (size_t)(lex->at - begin));
    while (lex->at < lex->end && *lex->at != '"') {
        if (*lex->at == '\\') {
            TRY(unescape_one(lex, err));
            continue;
        }
        slw_buf_char(&lex->scratch, *lex->at++);
    }
    if (lex->at == lex->end)
        return damaged(lex, "a text without an end", err);
    lex->at++;
    lex->text = slw_buf_view(&lex->scratch);
    return slw_buf_check(&lex->scratch, err);
}

static bool
word_here(struct model_lex *lex, const char *word)
{
    size_t size = strlen(word);
    if (left_of(lex) < size || memcmp(lex->at, word, size) != 0)
        return false;
    lex->at += size;
    return true;
}

static bool
is_number_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' ||
           c == 'e' || c == 'E';
}

static enum slw_rc
json_number(struct model_lex *lex, struct slw_err *err)
{
    const char *begin = lex->at;
    if (lex->at < lex->end && *lex->at == '-')
        lex->at++;
    if (!word_here(lex, "NaN") && !word_here(lex, "Infinity"))
        while (lex->at < lex->end && is_number_byte(*lex->at))
            lex->at++;
    lex->text = (struct slw_str){begin, (size_t)(lex->at - begin)};
    lex->number_type = 't';
    if (lex->text.len == 0 || lex->text.len > NUMBER_SIZE_MAX)
        return damaged(lex, "something that is no JSON value", err);
    return SLW_OK;
}

static void
integer_token(struct model_lex *lex, enum lex_token *out, int64_t v)
{
    lex->number_type = 'i';
    lex->integer = v;
    *out = LEX_NUM;
}

static enum slw_rc
json_value(struct model_lex *lex, enum lex_token *out, struct slw_err *err)
{
    lex->after_key = false;
    if (lex->at == lex->end)
        return damaged(lex, "the end comes too early", err);
    if (*lex->at == '{' || *lex->at == '[') {
        bool is_array = *lex->at++ == '[';
        *out = is_array ? LEX_ARRAY : LEX_OBJECT;
        return push(lex, (struct lex_level){.is_array = is_array}, err);
    }
    if (lex->depth == 0)
        return damaged(lex, "the file is not an object", err);
    if (*lex->at == '"') {
        *out = LEX_STR;
        return json_text(lex, err);
    }
    *out = LEX_NUM;
    if (word_here(lex, "true"))
        integer_token(lex, out, 1);
    else if (word_here(lex, "false"))
        integer_token(lex, out, 0);
    else if (word_here(lex, "null"))
        *out = LEX_NULL;
    else
        return json_number(lex, err);
    return SLW_OK;
}

static enum slw_rc
json_next(struct model_lex *lex, enum lex_token *out, struct slw_err *err)
{
    skip_blank(lex);
    if (lex->depth == 0 || lex->after_key)
        return json_value(lex, out, err);
    struct lex_level *top = &lex->levels[lex->depth - 1];
    if (lex->at == lex->end)
        return damaged(lex, "the end comes too early", err);
    if (*lex->at == (top->is_array ? ']' : '}')) {
        lex->at++;
        *out = top->is_array ? LEX_ARRAY_END : LEX_OBJECT_END;
        pop(lex);
        return SLW_OK;
    }
    if (top->started) {
        if (*lex->at != ',')
            return damaged(lex, "a comma is missing", err);
        lex->at++;
        skip_blank(lex);
    }
    top->started = true;
    if (top->is_array)
        return json_value(lex, out, err);
    if (lex->at == lex->end || *lex->at != '"')
        return damaged(lex, "a key is missing", err);
    TRY(json_text(lex, err));
    skip_blank(lex);
    if (lex->at == lex->end || *lex->at != ':')
        return damaged(lex, "a colon is missing", err);
    lex->at++;
    lex->after_key = true;
    *out = LEX_KEY;
    return SLW_OK;
}

/* ---- UBJSON ---- */

static size_t
size_of_type(char type)
{
    switch (type) {
    case 'i':
    case 'U':
    case 'C':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static uint64_t
big_endian(const char *at, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = v << 8 | (unsigned char)at[i];
    return v;
}

/* A number whose type mark was read; the bytes are known to be there. */
static void
ubj_number(struct model_lex *lex, char type)
{
    size_t size = size_of_type(type);
    uint64_t bits = big_endian(lex->at, size);
    lex->at += size;
    lex->number_type = type == 'd' || type == 'D' ? 'f' : 'i';
    switch (type) {
    case 'i':
        lex->integer = (int8_t)bits;
        return;
    case 'I':
        lex->integer = (int16_t)bits;
        return;
    case 'l':
        lex->integer = (int32_t)bits;
        return;
    case 'd': {
        uint32_t low = (uint32_t)bits;
        float real;
        memcpy(&real, &low, sizeof(real));
        lex->real = (double)real;
        return;
    }
    case 'D':
        memcpy(&lex->real, &bits, sizeof(bits));
        return;
    default: /* U C L */
        lex->integer = (int64_t)bits;
        return;
    }
}

static enum slw_rc
ubj_mark(struct model_lex *lex, char *out, struct slw_err *err)
{
    if (lex->at == lex->end)
        return damaged(lex, "the end comes too early", err);
    *out = *lex->at++;
    return SLW_OK;
}

/* A count or a length: a type mark, then an integer that is not negative. */
static enum slw_rc
ubj_count(struct model_lex *lex, uint64_t *out, struct slw_err *err)
{
    char type;
    TRY(ubj_mark(lex, &type, err));
    if (!memchr("iUIlL", type, 5))
        return damaged(lex, "a count that is no integer", err);
    if (left_of(lex) < size_of_type(type))
        return damaged(lex, "the end comes too early", err);
    ubj_number(lex, type);
    if (lex->integer < 0)
        return damaged(lex, "a negative count", err);
    *out = (uint64_t)lex->integer;
    return SLW_OK;
}

static enum slw_rc
ubj_text(struct model_lex *lex, struct slw_err *err)
{
    uint64_t size;
    TRY(ubj_count(lex, &size, err));
    if (size > left_of(lex))
        return damaged(lex, "a text longer than the file", err);
    lex->text = (struct slw_str){lex->at, (size_t)size};
    lex->at += size;
    return SLW_OK;
}

static enum slw_rc
ubj_array(struct model_lex *lex, struct slw_err *err)
{
    struct lex_level level = {.is_array = true};
    if (lex->at < lex->end && *lex->at == '$') {
        lex->at++;
        TRY(ubj_mark(lex, &level.type, err));
        if (!size_of_type(level.type))
            return damaged(lex, "an array of an unknown type", err);
        if (lex->at == lex->end || *lex->at != '#')
            return damaged(lex, "a typed array without a count", err);
    }
    if (lex->at < lex->end && *lex->at == '#') {
        lex->at++;
        TRY(ubj_count(lex, &level.left, err));
        level.counted = true;
        size_t each = level.type ? size_of_type(level.type) : 1;
        if (level.left > left_of(lex) / each)
            return damaged(lex, "an array longer than the file", err);
    }
    return push(lex, level, err);
}

static enum slw_rc
ubj_value(struct model_lex *lex, enum lex_token *out, struct slw_err *err)
{
    char mark;
    lex->after_key = false;
    TRY(ubj_mark(lex, &mark, err));
    if (lex->depth == 0 && mark != '{')
        return damaged(lex, "the file is not an object", err);
    switch (mark) {
    case '{':
        *out = LEX_OBJECT;
        return push(lex, (struct lex_level){0}, err);
    case '[':
        *out = LEX_ARRAY;
        return ubj_array(lex, err);
    case 'S':
        *out = LEX_STR;
        return ubj_text(lex, err);
    case 'T':
    case 'F':
        integer_token(lex, out, mark == 'T');
        return SLW_OK;
    case 'Z':
        *out = LEX_NULL;
        return SLW_OK;
    default:
        break;
    }
    size_t size = size_of_type(mark);
    if (!size)
        return damaged(lex, "an unknown type mark", err);
    if (left_of(lex) < size)
        return damaged(lex, "the end comes too early", err);
    ubj_number(lex, mark);
    *out = LEX_NUM;
    return SLW_OK;
}

static enum slw_rc
ubj_next(struct model_lex *lex, enum lex_token *out, struct slw_err *err)
{
    if (lex->depth == 0 || lex->after_key)
        return ubj_value(lex, out, err);
    struct lex_level *top = &lex->levels[lex->depth - 1];
    if (top->counted && top->left == 0) {
        *out = LEX_ARRAY_END;
        pop(lex);
        return SLW_OK;
    }
    if (top->counted)
        top->left--;
    if (top->type) { /* ubj_array() saw that the bytes are there */
        ubj_number(lex, top->type);
        *out = LEX_NUM;
        return SLW_OK;
    }
    if (!top->counted && lex->at < lex->end &&
        *lex->at == (top->is_array ? ']' : '}')) {
        lex->at++;
        *out = top->is_array ? LEX_ARRAY_END : LEX_OBJECT_END;
        pop(lex);
        return SLW_OK;
    }
    if (top->is_array)
        return ubj_value(lex, out, err);
    lex->after_key = true;
    *out = LEX_KEY;
    return ubj_text(lex, err);
}

/* ---- both ---- */

enum slw_rc
model_lex_next(struct model_lex *lex, enum lex_token *out, struct slw_err *err)
{
    if (lex->root_done) {
        if (!lex->is_ubj)
            skip_blank(lex);
        if (lex->at != lex->end)
            return damaged(lex, "more follows after the end", err);
        *out = LEX_END;
        return SLW_OK;
    }
    return lex->is_ubj ? ubj_next(lex, out, err) : json_next(lex, out, err);
}

enum slw_rc
model_lex_skip(struct model_lex *lex, struct slw_err *err)
{
    unsigned depth = lex->depth;
    do {
        enum lex_token token;
        TRY(model_lex_next(lex, &token, err));
        struct lex_level *top =
            lex->depth ? &lex->levels[lex->depth - 1] : NULL;
        if (token == LEX_ARRAY && top && top->type) {
            lex->at += top->left * size_of_type(top->type);
            top->left = 0;
        }
    } while (lex->depth > depth);
    return SLW_OK;
}

bool
model_text_f32(const struct model_lex *lex, struct slw_str text, float *out)
{
    char z[NUMBER_SIZE_MAX + 1];
    if (text.len == 0 || text.len > NUMBER_SIZE_MAX)
        return false;
    /* What strtof would take and XGBoost never writes: blanks, hex. */
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == 'x' || text.ptr[i] == 'X' || text.ptr[i] <= ' ')
            return false;
    memcpy(z, text.ptr, text.len);
    z[text.len] = '\0';
    char *rest = z;
    float v = strtof_l(z, &rest, (locale_t)lex->c_locale);
    if (rest != z + text.len)
        return false;
    *out = v;
    return true;
}

enum slw_rc
model_lex_f32(struct model_lex *lex, float *out, struct slw_err *err)
{
    if (lex->number_type == 'i')
        *out = (float)lex->integer;
    else if (lex->number_type == 'f')
        *out = (float)lex->real;
    else if (!model_text_f32(lex, lex->text, out))
        return damaged(lex, "something that is no JSON value", err);
    return SLW_OK;
}

enum slw_rc
model_lex_i64(struct model_lex *lex, int64_t *out, struct slw_err *err)
{
    if (lex->number_type == 'i') {
        *out = lex->integer;
        return SLW_OK;
    }
    struct slw_err why;
    if (lex->number_type == 't' && slw_str_i64(lex->text, out, &why) == SLW_OK)
        return SLW_OK;
    return damaged(lex, "a number that should be whole", err);
}
