// SPDX-License-Identifier: Apache-2.0
//
// Tests the simulator: each seeded bug (core/base/bug.h) in the table must be found within the
// number of seeds that stands there, from seed 1 on, by a check of the kind that stands there; and
// so must a claim that is broken on purpose (more than f replicas faulty, clocks beyond their
// bound). A violation counts only if the same seed is clean without the bug.
//
//   sim_bugs              all of crash mode
//   sim_bugs byzantine    all of Byzantine mode
//   sim_bugs quick        some of both
//   sim_bugs --...        `tacit sim` with the bugs compiled in
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bug.h"
#include "sim_main.h"

#define WORDS 20u
#define BYZANTINE "--mode byzantine"

enum kind { SAFETY, LIVENESS, ANY_CHECK };

// The options say which runs find it best, as `tacit sim` takes them.
struct row {
    const char *bug; // NULL: none; the options alone break a claim
    const char *options;
    enum kind kind;
    uint32_t seeds;
    bool is_quick;
};

static const struct row crash_rows[] = {
    {"QUORUM_MINUS_ONE", "", ANY_CHECK, 2000, true},
    {"ACK_BEFORE_REVOKE", "", ANY_CHECK, 2000, false},
    {"DENIED_IGNORED", "", ANY_CHECK, 2000, false},
    {"PREPARE_OWN_REGION_ONLY", "", ANY_CHECK, 2000, false},
    {"LOWEST_BALLOT", "", ANY_CHECK, 2000, true},
    {"RECYCLE_EARLY", "", ANY_CHECK, 2000, false},
    {"CHECKSUM_IGNORED", "", ANY_CHECK, 2000, false},
    {"RESTART_IS_OLD_SELF", "", ANY_CHECK, 2000, false},
    {"DUPLICATE_EXECUTED", "", ANY_CHECK, 2000, false},
    {"REPLY_BEFORE_DECIDED", "", ANY_CHECK, 2000, false},
    {"STATE_WITHOUT_SESSIONS", "", ANY_CHECK, 2000, false},
    {"TORN_PAGE_TAKEN", "", ANY_CHECK, 2000, false},
    {"BALLOT_REUSED", "--storm --log-on memnodes", SAFETY, 2000, false},
    {"LEASE_NOT_AWAITED", "", SAFETY, 2000, true},
    {"LEASE_FROM_COMPLETION", "--stop-leaders", SAFETY, 6000, false},
    {"LEASE_MINORITY", "", SAFETY, 2000, false},
    {"LEASE_CHECKED_FIRST", "--stop-leaders", SAFETY, 8000, false},
    {"LEASE_UNNUMBERED", "--stop-leaders", SAFETY, 1000, true},
    {"LEASE_AS_WATCHED", "--stop-leaders", SAFETY, 1000, false},
    {"READ_BEFORE_OWN_WRITE", "", SAFETY, 100, true},
    {"BARRED_SITS", "--spares", SAFETY, 4000, false},
    {NULL, "--bad-clocks", SAFETY, 2000, false},
    {NULL, "--extra-faults 1", ANY_CHECK, 2000, false},
};

static const struct row byzantine_rows[] = {
    {"CERTIFIED_PAGE_UNCHECKED", BYZANTINE " --faulty 1", SAFETY, 400, false},
    {"ROOT_WITHOUT_SESSIONS", BYZANTINE " --faulty 1", SAFETY, 200, true},
    {"DECIDE_ON_LOCKED", BYZANTINE " --faulty 1 --attack equivocate", SAFETY, 2500, false},
    {"VOUCH_UNENDORSED", BYZANTINE " --faulty 1 --attack equivocate", SAFETY, 500, true},
    {"ENDORSE_BY_NUMBER", BYZANTINE " --faulty 1 --attack equivocate", SAFETY, 1000, false},
    {"FORWARD_UNCHECKED", BYZANTINE " --faulty 1", SAFETY, 2000, false},
    {"CLIENT_F_REPLIES", BYZANTINE " --faulty 1 --attack reply", SAFETY, 50, true},
    {"CLIENT_REPLY_TWICE", BYZANTINE " --faulty 1", SAFETY, 150, false},
    {"CLIENT_INDEX_IGNORED", BYZANTINE " --faulty 1 --attack reply", SAFETY, 800, false},
    {"CTB_READ_NOBODY", BYZANTINE " --faulty 1 --attack equivocate", SAFETY, 150, false},
    {"CTB_FAST_ONE_SHORT", BYZANTINE " --faulty 1 --attack equivocate", SAFETY, 150, false},
    {"CTB_REGISTER_UNSIGNED", BYZANTINE " --faulty 1 --attack register", SAFETY, 800, false},
    {"CTB_OLD_SIGNATURE_FRAMES", BYZANTINE " --faulty 1", SAFETY, 150, false},
    {"STATEMENT_WITHOUT_ID", BYZANTINE " --faulty 1 --attack register", SAFETY, 800, false},
    {"EPOCH_NOT_CUT", BYZANTINE " --faulty 0", SAFETY, 80, false},
    {"EPOCH_EARLY", BYZANTINE " --faulty 0", SAFETY, 400, false},
    {"EPOCH_RESTARTED_COUNTS", BYZANTINE " --faulty 0", SAFETY, 80, true},
    {"EPOCH_OLD_TAKEN", BYZANTINE " --faulty 0", SAFETY, 300, false},
    {"EPOCH_STREAMS_KEPT", BYZANTINE " --faulty 0", SAFETY, 150, false},
    {"AUTHOR_IS_SEAT", BYZANTINE " --faulty 0 --spares", SAFETY, 60, true},
    {"REPLACED_GOES_ON", BYZANTINE " --faulty 0 --spares", SAFETY, 150, false},
    {"BARRED_SITS", BYZANTINE " --faulty 0 --spares", SAFETY, 2000, false},
    {"DEATH_OF_AN_EARLIER_LIFE", BYZANTINE " --faulty 1", SAFETY, 8000, false},
    {"DECIDE_ON_QUORUM_ACKS", BYZANTINE " --faulty 1 --plot half-heard", SAFETY, 300, false},
    {"DECIDE_ON_F_COMMITS", BYZANTINE " --faulty 1 --plot lost-slow", SAFETY, 400, false},
    {"CLAIMS_NOT_CARRIED", BYZANTINE " --faulty 1 --plot lost-fast", SAFETY, 100, true},
    {"COSIGN_BLINDLY", BYZANTINE " --faulty 1 --plot lost-fast", SAFETY, 800, false},
    {"CLAIM_BY_CLAIM", BYZANTINE " --faulty 1 --plot false-new-view", SAFETY, 1500, false},
    {"CLAIM_EQUALS_COMMIT", BYZANTINE " --faulty 1 --plot claim-or-commit", SAFETY, 400, false},
    {"VOUCH_TWICE", BYZANTINE " --faulty 1 --plot second-lock", SAFETY, 400, false},
    {"VOUCH_IGNORES_NEW_VIEW", BYZANTINE " --faulty 1 --plot against-new-view", SAFETY, 400, true},
    {"NEW_VIEW_NOT_BINDING", BYZANTINE " --faulty 1 --plot disobey", SAFETY, 150, false},
    {"SELECT_LOWEST_VIEW", BYZANTINE " --faulty 1 --plot old-claim", SAFETY, 400, false},
    {"CERTIFICATE_UNCHECKED", BYZANTINE " --faulty 1 --plot false-commit", SAFETY, 300, false},
    {"SIGNER_REPEATED", BYZANTINE " --faulty 1 --plot false-commit", SAFETY, 200, true},
    {"CERTIFICATE_LENGTH_TRUSTED", BYZANTINE " --faulty 1 --plot false-commit", SAFETY, 400, false},
    {"NEW_VIEW_UNCHECKED", BYZANTINE " --faulty 1 --plot false-new-view", SAFETY, 400, false},
    {"OLD_NEW_VIEW_ACCEPTED", BYZANTINE " --faulty 1 --plot old-new-view", SAFETY, 200, true},
    {"ACK_AFTER_SEAL", BYZANTINE " --faulty 1 --plot after-seal", SAFETY, 8000, false},
    {"COMMIT_AFTER_SEAL", BYZANTINE " --faulty 1 --plot late-commit", SAFETY, 400, false},
    {"DUPLICATE_EXECUTED", BYZANTINE " --faulty 1 --attack twice", SAFETY, 300, true},
    {"CTB_SUMMARY_UNCHECKED", BYZANTINE " --faulty 1 --attack summary", SAFETY, 60, true},
    {"CTB_READ_BEFORE_WRITTEN", "--scenario scenarios/registers_unwritten.scn", SAFETY, 150, true},
    {"REGISTER_MINORITY", "--scenario scenarios/registers_unwritten.scn", SAFETY, 150, false},
    {"CTB_LOCK_TWICE", "--scenario scenarios/equivocate_swapped.scn", SAFETY, 200, false},
    {"ACK_WITHOUT_UNANIMITY", BYZANTINE " --faulty 1", LIVENESS, 300, false},
    {"UNVOUCHED_LOCK_COUNTS", BYZANTINE " --faulty 1", LIVENESS, 500, false},
    {"FORCED_NEEDS_ENDORSEMENT", BYZANTINE " --faulty 1", LIVENESS, 2000, false},
    {"EPOCH_NO_HAND_OUT", BYZANTINE " --faulty 0", LIVENESS, 80, false},
    {"EPOCH_JOINS_BLINDLY", BYZANTINE " --faulty 0", SAFETY, 300, false},
    {"EPOCH_WITHOUT_CERTIFICATE", BYZANTINE " --faulty 0", LIVENESS, 80, false},
    {"SUSPECT_OUTLIVES_EPOCH", BYZANTINE " --faulty 0", LIVENESS, 200, false},
    {NULL, BYZANTINE " --faulty 2 --replicas 3", SAFETY, 60, true},
};

static bool is_no_progress(const char *line)
{
    return strstr(line, "no progress") != NULL || strstr(line, "does not end") != NULL;
}

// What a scenario expects besides what the checkers assert is no safety.
static bool is_of_kind(const char *line, enum kind kind)
{
    bool expected = strstr(line, ": expected ") != NULL;
    return kind == ANY_CHECK || (kind == LIVENESS && is_no_progress(line)) ||
           (kind == SAFETY && !is_no_progress(line) && !expected);
}

struct search {
    const struct row *row;
    bool has_bug;
    unsigned long long seed, seeds;
    char line[2048]; // first violation
};

static void be_simulator(const struct search *search)
{
    char text[256];
    int used = snprintf(text, sizeof text, "sim --jobs 1 --seed %llu --seeds %llu %s", search->seed,
                        search->seeds, search->row->options);
    if (search->has_bug && used > 0) {
        snprintf(text + used, sizeof text - (size_t)used, " --bug %s", search->row->bug);
    }
    char *words[WORDS + 1] = {NULL};
    int count = 0;
    for (char *word = strtok(text, " "); word != NULL && count < (int)WORDS;
         word = strtok(NULL, " ")) {
        words[count++] = word;
    }
    int status = tacit_sim_main(count, words);
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

// Whether the violation in search->line is what the row asks for; *found gets its seed.
static bool counts(const struct search *search, unsigned long long *found)
{
    const struct row *row = search->row;
    const char *seed = strstr(search->line, " seed ");
    *found = seed == NULL ? 0 : strtoull(seed + 6, NULL, 10);
    if (seed == NULL || !is_of_kind(search->line, row->kind)) {
        return false;
    }
    struct search clean = {.row = row, .seed = *found, .seeds = 1};
    return row->bug == NULL || simulate(&clean) == 0;
}

static bool must_find(const struct row *row)
{
    const char *name = row->bug == NULL ? row->options : row->bug;
    struct search search = {.row = row, .has_bug = row->bug != NULL, .seed = 1};
    while (search.seed <= row->seeds) {
        search.seeds = row->seeds + 1 - search.seed;
        int status = simulate(&search);
        if (status == 0) {
            break;
        }
        unsigned long long found;
        if (status != 1 || strstr(search.line, " seed ") == NULL) {
            printf("%-26s the simulator failed (status %d)\n", name, status);
            return false;
        }
        if (counts(&search, &found)) {
            char *end = strstr(search.line, " | ");
            const char *what = strstr(search.line, "VIOLATION: ");
            *(end == NULL ? search.line : end) = 0;
            printf("%-26s seed %4llu of %4u  %.90s\n", name, found, row->seeds,
                   what == NULL ? search.line : what + strlen("VIOLATION: "));
            return true;
        }
        search.seed = found + 1;
    }
    printf("%-26s NOT FOUND within %u seeds (%s)\n", name, row->seeds, row->options);
    return false;
}

static unsigned all_of(const struct row *rows, size_t count, bool quick_only, unsigned *looked_for)
{
    unsigned missed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!quick_only || rows[i].is_quick) {
            missed += !must_find(&rows[i]);
            ++*looked_for;
        }
    }
    return missed;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "crash";
    bool quick = strcmp(what, "quick") == 0;
    bool crash = strcmp(what, "crash") == 0;
    bool byzantine = strcmp(what, "byzantine") == 0;
    unsigned missed = 0;
    unsigned looked_for = 0;
    if (!quick && !crash && !byzantine) {
        return tacit_sim_main(argc, argv);
    }
    if (chdir(TACIT_SIM_DIRECTORY) != 0) { // where the scenarios are
        perror(TACIT_SIM_DIRECTORY);
        return 1;
    }
    if (quick || crash) {
        missed += all_of(crash_rows, sizeof crash_rows / sizeof *crash_rows, quick, &looked_for);
    }
    if (quick || byzantine) {
        missed += all_of(byzantine_rows, sizeof byzantine_rows / sizeof *byzantine_rows, quick,
                         &looked_for);
    }
    printf("sim_bugs: %u of %u not found\n", missed, looked_for);
    return missed == 0 ? 0 : 1;
}
