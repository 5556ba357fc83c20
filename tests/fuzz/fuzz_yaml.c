/* fuzz_yaml.c -- any text as YAML: a tree whose counts, places and texts hold
 * together, or a sentence that begins with file, line and column. */
#include "fuzz.h"

#include "base/yaml.h"

#define NODE_MAX 100000
#define DEPTH_MAX 64

static size_t
checked(const struct slw_yaml *node, bool in_map, int depth)
{
    size_t count = 1, children = 0;
    SLW_ASSERT(depth <= DEPTH_MAX + 1);
    SLW_ASSERT(node->line >= 1 && node->column >= 1);
    if (in_map) {
        SLW_ASSERT(node->key_line >= 1 && node->key_column >= 1);
        SLW_ASSERT(!node->key.len || node->key.ptr);
    }
    if (node->kind == SLW_YAML_SCALAR)
        SLW_ASSERT(!node->child && slw_str_utf8_ok(node->text));
    for (const struct slw_yaml *c = node->child; c; c = c->next) {
        children++;
        count += checked(c, node->kind == SLW_YAML_MAP, depth + 1);
    }
    SLW_ASSERT(children == node->child_count);
    return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"a", "key", "sources", NULL};
    SLW_AUTO(slw_arena, a);
    struct slw_yaml *root = NULL;
    struct slw_err err = {0};
    const enum slw_rc rc =
        slw_yaml_parse(&a, "f.yaml", fuzz_str(data, size), &root, &err);
    if (rc != SLW_OK) {
        SLW_ASSERT(!root);
        fuzz_refused(rc, &err, FUZZ_RC(INVALID));
        SLW_ASSERT(strncmp(err.msg, "f.yaml", 6) == 0);
        return 0;
    }
    SLW_ASSERT(checked(root, false, 1) <= NODE_MAX);
    if (root->kind == SLW_YAML_MAP &&
        slw_yaml_known(root, "f.yaml", known, &err) != SLW_OK)
        SLW_ASSERT(err.rc == SLW_INVALID && err.msg[0]);
    return 0;
}
