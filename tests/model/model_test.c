// SPDX-License-Identifier: Apache-2.0
//
// Runs the models over the table of rows.c: every row says what must come out, to the state. By
// hand:
//   model_test run epochs cut=0 trace=1      one run, with the shortest way to a violation
//   model_test options epochs                what can be set
//   model_test measure [PREFIX]              the table's rows with what they give and how long they
//   take
// As a test: model_test [--from N] [--below M] takes the rows of N to M-1 states.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fastpath_models.h"
#include "models.h"
#include "rows.h"

#define TESTS_MAX 256u

static const struct explorer_model *const models[] = {
    &fastpath_n3v2,     &fastpath_n3v3, &fastpath_n3v4,  &fastpath_n3v2k2, &fastpath_n3v3k2,
    &fastpath_n3v2s2k2, &fastpath_n5v2, &fastpath_n5v3,  &ctb_model,       &registers_model,
    &epochs_model,      &members_model, &sessions_model, &opens_model,
};

static void test_row(void **state)
{
    const struct model_row *row = *state;
    struct explorer_result result;
    assert_true(explorer_run(row->model, row->options, &result));
    if (row->violation == NULL && result.violation != NULL) {
        print_error("%s %s: %s: %s\n", row->model->name, row->options, result.violation,
                    result.text);
    }
    assert_true(result.complete);
    if (row->violation == NULL) {
        assert_null(result.violation);
    } else {
        assert_non_null(result.violation);
        assert_string_equal(result.violation, row->violation);
    }
    // Another count means that the model says something else than it did, for better or worse.
    assert_int_equal(result.walks > 0 ? result.steps : result.states, row->states);
}

static int run_table(uint64_t from, uint64_t below)
{
    static struct CMUnitTest tests[TESTS_MAX];
    static char names[TESTS_MAX][160];
    size_t count = 0;
    for (size_t i = 0; i < model_rows_count; i++) {
        const struct model_row *row = &model_rows[i];
        if (row->states < from || row->states >= below) {
            continue;
        }
        if (count == TESTS_MAX) {
            fprintf(stderr, "model_test: more than %u rows\n", TESTS_MAX);
            return 2;
        }
        snprintf(names[count], sizeof names[count], "%s, %s (%s)", row->model->name, row->what,
                 row->options);
        // cmocka hands the row back as the test's state; it is only read.
        tests[count] = (struct CMUnitTest){names[count], test_row, NULL, NULL, NULL};
        memcpy(&tests[count].initial_state, &(const void *){row}, sizeof(void *));
        count++;
    }
    if (count == 0) {
        fprintf(stderr, "model_test: no rows of %" PRIu64 " to %" PRIu64 " states\n", from, below);
        return 2;
    }
    return _cmocka_run_group_tests("model", tests, count, NULL, NULL);
}

// One line per run: what was found, and how much was looked at.
static int print_run(const struct explorer_model *model, const char *what, const char *options)
{
    struct explorer_result result;
    clock_t start = clock();
    if (!explorer_run(model, options, &result)) {
        return 2;
    }
    printf("%-18s %-30s %-36s %s %" PRIu64 "%s states, %" PRIu64 " transitions, depth %" PRIu64
           ", %.1f s%s%s\n",
           model->name, what, options, result.violation != NULL ? result.violation : "safe",
           result.walks > 0 ? result.steps : result.states, result.walks > 0 ? " (random)" : "",
           result.transitions, result.depth, (double)(clock() - start) / CLOCKS_PER_SEC,
           result.complete ? "" : ", INCOMPLETE", result.violation != NULL ? ":" : "");
    if (result.violation != NULL) {
        printf("    %s\n", result.text);
    }
    fflush(stdout);
    return result.violation != NULL;
}

static const struct explorer_model *find(const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i]->name, name) == 0) {
            return models[i];
        }
    }
    fprintf(stderr, "model_test: no model %s; there are:", name);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        fprintf(stderr, " %s", models[i]->name);
    }
    fprintf(stderr, "\n");
    return NULL;
}

static int run_by_hand(int count, char **words)
{
    char options[512] = "";
    size_t used = 0;
    const struct explorer_model *model = find(words[0]);
    for (int i = 1; i < count && model != NULL; i++) {
        int added =
            snprintf(options + used, sizeof options - used, "%s%s", i > 1 ? " " : "", words[i]);
        if (added < 0 || (size_t)added >= sizeof options - used) {
            fprintf(stderr, "model_test: too many options\n");
            return 2;
        }
        used += (size_t)added;
    }
    return model == NULL ? 2 : print_run(model, "", options);
}

static int print_options(const char *name)
{
    const struct explorer_model *model = find(name);
    for (size_t i = 0; model != NULL && i < model->options_count; i++) {
        const struct explorer_option *option = &model->options[i];
        if (option->parse != NULL) {
            printf("%-18s        %s\n", option->name, option->help);
        } else {
            printf("%-18s (%3d)  %s\n", option->name, option->initial, option->help);
        }
    }
    return model == NULL ? 2 : 0;
}

static int measure(const char *prefix)
{
    for (size_t i = 0; i < model_rows_count; i++) {
        const struct model_row *row = &model_rows[i];
        if (strncmp(row->model->name, prefix, strlen(prefix)) == 0 &&
            print_run(row->model, row->what, row->options) == 2) {
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t from = 0;
    uint64_t below = UINT64_MAX;
    if (argc > 2 && strcmp(argv[1], "run") == 0) {
        return run_by_hand(argc - 2, argv + 2);
    }
    if (argc > 2 && strcmp(argv[1], "options") == 0) {
        return print_options(argv[2]);
    }
    if (argc > 1 && strcmp(argv[1], "measure") == 0) {
        return measure(argc > 2 ? argv[2] : "");
    }
    for (int i = 1; i < argc; i += 2) {
        bool is_from = strcmp(argv[i], "--from") == 0;
        if (i + 1 == argc || (!is_from && strcmp(argv[i], "--below") != 0)) {
            fprintf(stderr, "model_test [--from N] [--below M] | run MODEL [OPTION=VALUE...] | "
                            "options MODEL | measure [PREFIX]\n");
            return 2;
        }
        *(is_from ? &from : &below) = strtoull(argv[i + 1], NULL, 10);
    }
    return run_table(from, below);
}
