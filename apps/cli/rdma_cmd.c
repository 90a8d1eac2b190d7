// SPDX-License-Identifier: Apache-2.0
//
// tacit rdma check: whether this host can run `fabric: verbs`, in one screen. Works without a
// device, and in builds without the provider, which say so.
#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#ifdef TACIT_HAVE_VERBS
#include "tacit/verbs.h"
#endif

enum { KEY_JSON = 256 };

struct arguments {
    const char *address;
    bool json;
    unsigned words;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'a':
        arguments->address = value;
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->words++ != 0 || strcmp(value, "check") != 0) {
            argp_error(state, "%s: the only thing that is done here is `check`", value);
        }
        return 0;
    case ARGP_KEY_END:
        if (arguments->words == 0) {
            argp_usage(state);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

#ifdef TACIT_HAVE_VERBS

static const char *const kinds[] = {[TACIT_VERBS_FINDING_FINE] = "fine",
                                    [TACIT_VERBS_FINDING_NOTE] = "note",
                                    [TACIT_VERBS_FINDING_MISSING] = "missing"};

static void print_text(const struct tacit_verbs_check *check)
{
    for (uint32_t i = 0; i < check->count; i++) {
        const struct tacit_verbs_finding *finding = &check->finding[i];
        (void)printf("%-8s %s\n", kinds[finding->kind], finding->text);
        if (finding->remedy[0] != '\0') {
            (void)printf("         -> %s\n", finding->remedy);
        }
    }
    const struct tacit_verbs_facts *facts = &check->facts;
    if (check->usable) {
        (void)printf("\nThis host can run fabric: verbs. A node with the address %s would use:\n"
                     "  device %s, port %u, GID %u (%s), packets of %u bytes\n"
                     "  permissions by: %s\n",
                     facts->address[0] == '\0' ? "of that device" : facts->address, facts->device,
                     facts->port, facts->gid_index, facts->gid_type, facts->mtu_bytes,
                     tacit_verbs_permission_name(facts->permission));
    } else {
        (void)printf("\nThis host cannot run fabric: verbs as it is; what is missing is above. "
                     "fabric: shm needs none of it.\n");
    }
}

static void print_json(const struct tacit_verbs_check *check)
{
    const struct tacit_verbs_facts *facts = &check->facts;
    json_t *findings = json_array();
    for (uint32_t i = 0; i < check->count; i++) {
        const struct tacit_verbs_finding *finding = &check->finding[i];
        (void)json_array_append_new(findings,
                                    json_pack("{s:s, s:s, s:s}", "kind", kinds[finding->kind],
                                              "text", finding->text, "remedy", finding->remedy));
    }
    json_t *uses =
        !check->usable
            ? json_null()
            : json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s}", "device", facts->device,
                        "interface", facts->interface, "address", facts->address, "gid", facts->gid,
                        "gid_type", facts->gid_type, "port", (int)facts->port, "gid_index",
                        (int)facts->gid_index, "mtu_bytes", (int)facts->mtu_bytes, "permission",
                        tacit_verbs_permission_name(facts->permission));
    json_t *root = json_pack("{s:b, s:b, s:o, s:o}", "built_with_verbs", 1, "usable",
                             (int)check->usable, "uses", uses, "findings", findings);
    (void)json_dumpf(root, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(root);
}

static int check_here(const struct arguments *arguments)
{
    struct tacit_verbs_check check;
    tacit_verbs_check(arguments->address, &check);
    if (arguments->json) {
        print_json(&check);
    } else {
        print_text(&check);
    }
    return check.usable ? 0 : 1;
}

#else

static int check_here(const struct arguments *arguments)
{
    if (arguments->json) {
        (void)puts("{\n  \"built_with_verbs\": false,\n  \"usable\": false\n}");
    } else {
        (void)puts("missing  This program was built without RDMA.\n"
                   "         -> Install libibverbs-dev and librdmacm-dev, and build with the cmake "
                   "option -DTACIT_VERBS=ON.");
    }
    return 1;
}

#endif

int cli_rdma(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"address", 'a', "ADDRESS", 0, "Numeric address that a node here would have", 0},
        {"json", KEY_JSON, NULL, 0, "As a JSON object", 0},
        {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "check",
                                     "Tells whether this host can run fabric: verbs, with which "
                                     "device, and what is missing. Status 0: it can.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    return check_here(&arguments);
}
