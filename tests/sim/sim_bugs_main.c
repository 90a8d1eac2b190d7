// SPDX-License-Identifier: Apache-2.0
//
// Tests the simulator: each seeded bug (core/base/bug.h) must be found within a stated number of
// seeds, and so must a claim that is broken on purpose (more than f replicas faulty). Without
// arguments: all of crash mode, one line each; `byzantine-bugs`: all of Byzantine mode. With other
// arguments: `tacit sim` with the bugs compiled in.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bug.h"
#include "sim_main.h"

#define FIRST_SEED 2001u // BALLOT_REUSED shows in one seed of some 3,000: from here on within SEEDS
#define SEEDS 2000u
#define BYZANTINE_SEEDS 4000u

struct search {
    bool byzantine;
    const char *option, *value; // what is wrong; NULL: nothing
    unsigned long long seed, seeds;
    char line[2048]; // first violation
};

static void be_simulator(const struct search *search)
{
    char seed[32];
    char seeds[32];
    snprintf(seed, sizeof seed, "%llu", search->seed);
    snprintf(seeds, sizeof seeds, "%llu", search->seeds);
    const char *words[16] = {"sim", "--jobs", "1", "--seed", seed, "--seeds", seeds};
    size_t used = 7;
    if (search->byzantine) {
        words[used++] = "--mode";
        words[used++] = "byzantine";
        words[used++] = "--faulty";
        words[used++] = "1";
    }
    words[used++] = search->option;
    words[used] = search->value;
    char *arguments[16] = {NULL};
    int count = 0;
    while (words[count] != NULL) {
        arguments[count] = strdup(words[count]);
        count++;
    }
    int status = tacit_sim_main(count, arguments);
    fflush(stdout);
    _exit(status);
}

// Runs the simulator in a child with one job, so that the first violation is that of the lowest
// seed. Returns its exit status, or -1.
static int simulate(struct search *search)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return -1;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        be_simulator(search);
    }
    close(ends[1]);
    FILE *output = pid < 0 ? NULL : fdopen(ends[0], "r");
    if (output == NULL) {
        close(ends[0]);
        return -1;
    }
    char text[2048];
    search->line[0] = 0;
    while (fgets(text, sizeof text, output) != NULL) {
        if (search->line[0] == 0 && strstr(text, "VIOLATION") != NULL) {
            snprintf(search->line, sizeof search->line, "%s", text);
        }
    }
    fclose(output);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

// A violation counts only if the same seed is clean without the bug.
static bool must_find(bool byzantine, const char *name, const char *option, const char *value)
{
    const unsigned seeds = byzantine ? BYZANTINE_SEEDS : SEEDS;
    const unsigned first = byzantine ? 1 : FIRST_SEED;
    struct search search = {
        .byzantine = byzantine, .option = option, .value = value, .seed = first};
    while (search.seed < first + seeds) {
        search.seeds = first + seeds - search.seed;
        int status = simulate(&search);
        const char *seed = strstr(search.line, " seed ");
        char *end = strstr(search.line, " | ");
        if (status != 1 || seed == NULL || end == NULL) {
            printf("%-26s NOT FOUND within %u seeds (status %d)\n", name, seeds, status);
            return false;
        }
        unsigned long long found = strtoull(seed + 6, NULL, 10);
        struct search clean = {.byzantine = byzantine, .seed = found, .seeds = 1};
        if (simulate(&clean) == 0) {
            *end = 0;
            const char *what = strstr(search.line, "VIOLATION: ");
            printf("%-26s seed %-5llu %.110s\n", name, found,
                   what == NULL ? search.line : what + strlen("VIOLATION: "));
            return true;
        }
        search.seed = found + 1;
    }
    printf("%-26s NOT FOUND within %u seeds\n", name, seeds);
    return false;
}

// Those of Byzantine mode take long: they have a test of their own.
static unsigned byzantine_bugs(const char *const *names)
{
    unsigned missed = 0;
    for (unsigned bug = TACIT_BUG_FIRST_BYZANTINE; bug < TACIT_BUGS; bug++) {
        missed += !must_find(true, names[bug], "--bug", names[bug]);
    }
    // f + 1 liars: --faulty 2 comes after --faulty 1 and counts.
    struct search search = {.byzantine = true, .option = "--faulty=2", .value = "--replicas=3"};
    search.seed = 1;
    search.seeds = BYZANTINE_SEEDS;
    bool found = simulate(&search) == 1;
    printf("%-26s %s\n", "(f + 1 Byzantine)", found ? search.line : "NOT FOUND");
    missed += !found;
    printf("sim_bugs: %u of %u not found in Byzantine mode\n", missed,
           (unsigned)(TACIT_BUGS - TACIT_BUG_FIRST_BYZANTINE + 1));
    return missed;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
#define NAME(name, text) #name,
        TACIT_BUG_LIST(NAME)
#undef NAME
    };
    if (argc == 2 && strcmp(argv[1], "byzantine-bugs") == 0) {
        return byzantine_bugs(names) == 0 ? 0 : 1;
    }
    if (argc > 1) {
        return tacit_sim_main(argc, argv);
    }
    unsigned missed = 0;
    for (unsigned bug = 1; bug < TACIT_BUG_FIRST_BYZANTINE; bug++) {
        missed += !must_find(false, names[bug], "--bug", names[bug]);
    }
    missed += !must_find(false, "(f + 1 faulty)", "--extra-faults", "1");
    printf("sim_bugs: %u of %u not found\n", missed, (unsigned)TACIT_BUG_FIRST_BYZANTINE);
    return missed == 0 ? 0 : 1;
}
