// SPDX-License-Identifier: Apache-2.0
//
// Tests the simulator: each seeded bug (core/base/bug.h) must be found within a stated number of
// seeds, and so must a claim that is broken on purpose (more than f replicas faulty). Without
// arguments: all of them, one line each. With arguments: `tacit sim` with the bugs compiled in.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bug.h"
#include "sim_main.h"

#define SEEDS_TEXT "2000"

// Runs the simulator in a child; *line gets its first violation. Returns its exit status, or -1.
static int simulate(const char *option, const char *value, char *line, size_t max)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return -1;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char *arguments[6];
        const char *words[] = {"sim", option, value, "--seeds", SEEDS_TEXT};
        for (int i = 0; i < 5; i++) {
            arguments[i] = strdup(words[i]);
        }
        arguments[5] = NULL;
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        int status = tacit_sim_main(5, arguments);
        fflush(stdout);
        _exit(status);
    }
    close(ends[1]);
    FILE *output = pid < 0 ? NULL : fdopen(ends[0], "r");
    if (output == NULL) {
        close(ends[0]);
        return -1;
    }
    char text[2048];
    line[0] = 0;
    while (fgets(text, sizeof text, output) != NULL) {
        if (line[0] == 0 && strstr(text, "VIOLATION") != NULL) {
            snprintf(line, max, "%s", text);
        }
    }
    fclose(output);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

static bool must_find(const char *name, const char *option, const char *value)
{
    char line[2048];
    int status = simulate(option, value, line, sizeof line);
    const char *seed = strstr(line, " seed ");
    char *end = strstr(line, " | ");
    if (status != 1 || seed == NULL || end == NULL) {
        printf("%-26s NOT FOUND within " SEEDS_TEXT " seeds (status %d)\n", name, status);
        return false;
    }
    unsigned long long found = strtoull(seed + 6, NULL, 10);
    *end = 0;
    const char *what = strstr(line, "VIOLATION: ");
    printf("%-26s seed %-5llu %.110s\n", name, found, what == NULL ? line : what + 11);
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return tacit_sim_main(argc, argv);
    }
    static const char *const names[] = {
#define NAME(name, text) #name,
        TACIT_BUG_LIST(NAME)
#undef NAME
    };
    unsigned missed = 0;
    for (unsigned bug = 1; bug < TACIT_BUGS; bug++) {
        missed += !must_find(names[bug], "--bug", names[bug]);
    }
    missed += !must_find("(f + 1 faulty)", "--extra-faults", "1");
    printf("sim_bugs: %u of %u not found\n", missed, TACIT_BUGS);
    return missed == 0 ? 0 : 1;
}
