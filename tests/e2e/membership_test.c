// SPDX-License-Identifier: Apache-2.0
//
// examples/membership as three real processes: whatever is killed, stopped or continued, never two
// of them act for the group at a time, one of them soon does again, and what was stopped knows that
// it does not lead any more before it acts.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define REPLICAS 3u
#define BEATS 50u // to believe that one leads
#define ACTS_MAX 65536u

static const struct local_plan plan = {.replicas = REPLICAS, .waiting = TACIT_CONFIG_ADAPTIVE};

struct beacon {
    pid_t pid; // 0: does not run
    int output;
    char text[4096];
    size_t used;
    uint64_t beats, views;
};

struct act {
    unsigned long long term, at_us;
    int number;
};

struct stage {
    struct local *local;
    struct beacon beacon[REPLICAS];
    int last; // whose beat was read last, -1: nobody's
    struct act act[ACTS_MAX];
    size_t acts;
};

static int by_time(const void *left, const void *right)
{
    const struct act *a = left;
    const struct act *b = right;
    return a->at_us < b->at_us ? -1 : a->at_us > b->at_us;
}

// In the order of their times, acts are in the order of terms, and a term is one replica's: so
// nobody acted while somebody else did. Returns the number of terms.
static unsigned judge(struct stage *stage)
{
    unsigned terms = 1;
    qsort(stage->act, stage->acts, sizeof *stage->act, by_time);
    for (size_t i = 1; i < stage->acts; i++) {
        const struct act *before = &stage->act[i - 1];
        const struct act *act = &stage->act[i];
        if (act->term < before->term ||
            (act->term == before->term && act->number != before->number)) {
            fail_msg("replica %d acts at %llu us in term %llx, after replica %d in term %llx",
                     act->number, act->at_us, act->term, before->number, before->term);
        }
        terms += act->term != before->term;
    }
    return terms;
}

static void start(struct stage *stage, uint32_t number)
{
    int ends[2];
    char path[TACIT_CONFIG_PATH_BYTES];
    struct beacon *beacon = &stage->beacon[number];
    local_path(stage->local, path, "replica-%u.yaml", number);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    *beacon = (struct beacon){.output = ends[0], .pid = fork()};
    assert_true(beacon->pid >= 0);
    if (beacon->pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execl(TACIT_E2E_BEACON, "beacon", path, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
}

static void take_beat(struct stage *stage, int number, unsigned long long term,
                      unsigned long long at_us)
{
    assert_true(stage->acts < ACTS_MAX);
    stage->act[stage->acts++] = (struct act){.term = term, .at_us = at_us, .number = number};
    stage->beacon[number].beats++;
    stage->last = number;
}

static void take_line(struct stage *stage, int number, const char *line)
{
    unsigned self = 0;
    unsigned long long term = 0;
    unsigned long long at_us = 0;
    if (sscanf(line, "beat %u term %llu at %llu", &self, &term, &at_us) == 3) {
        assert_int_equal(self, number);
        take_beat(stage, number, term, at_us);
    } else {
        stage->beacon[number].views++;
    }
}

static void read_one(struct stage *stage, int number)
{
    struct beacon *beacon = &stage->beacon[number];
    ssize_t got =
        read(beacon->output, beacon->text + beacon->used, sizeof beacon->text - 1 - beacon->used);
    beacon->used += got > 0 ? (size_t)got : 0;
    beacon->text[beacon->used] = '\0';
    char *line = beacon->text;
    for (char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        *end = '\0';
        take_line(stage, number, line);
        line = end + 1;
    }
    beacon->used = strlen(line);
    memmove(beacon->text, line, beacon->used + 1);
}

// Reads what everybody says until `beats` more beats came; who made the last one.
static int watch(struct stage *stage, uint64_t beats)
{
    uint64_t wanted = beats;
    uint64_t had = 0;
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    for (int i = 0; i < (int)REPLICAS; i++) {
        wanted += stage->beacon[i].beats;
    }
    while (had < wanted && cli_now_ns() < end_ns) {
        struct pollfd polled[REPLICAS];
        had = 0;
        for (int i = 0; i < (int)REPLICAS; i++) {
            polled[i] = (struct pollfd){.fd = stage->beacon[i].output, .events = POLLIN};
        }
        (void)poll(polled, REPLICAS, 10);
        for (int i = 0; i < (int)REPLICAS; i++) {
            read_one(stage, i);
            had += stage->beacon[i].beats;
        }
    }
    assert_true(had >= wanted);
    return stage->last;
}

static void test_one_acts(void **state)
{
    (void)state;
    static struct stage stage;
    stage = (struct stage){.local = e2e_make(&plan, false), .last = -1};
    for (uint32_t i = 0; i < REPLICAS; i++) {
        start(&stage, i);
    }
    for (unsigned round = 0; round < 4; round++) {
        int leader = watch(&stage, BEATS);
        assert_int_equal(kill(stage.beacon[leader].pid, SIGSTOP), 0);
        int next = leader;
        for (unsigned i = 0; i < 20 && next == leader; i++) {
            next = watch(&stage, BEATS);
        }
        assert_int_not_equal(next, leader);
        uint64_t beats = stage.beacon[leader].beats;
        uint64_t views = stage.beacon[leader].views;
        assert_int_equal(kill(stage.beacon[leader].pid, SIGCONT), 0);
        assert_int_equal(watch(&stage, 4 * BEATS), next);     // nobody takes it back
        assert_true(stage.beacon[leader].beats <= beats + 1); // one that it had begun
        assert_true(stage.beacon[leader].views > views);
    }
    int leader = watch(&stage, BEATS);
    assert_int_equal(kill(stage.beacon[leader].pid, SIGKILL), 0);
    int next = leader;
    for (unsigned i = 0; i < 20 && next == leader; i++) {
        next = watch(&stage, BEATS);
    }
    assert_int_not_equal(next, leader);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        int status = 0;
        (void)kill(stage.beacon[i].pid, SIGTERM);
        assert_int_equal(waitpid(stage.beacon[i].pid, &status, 0), stage.beacon[i].pid);
        assert_true((int)i == leader || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        (void)close(stage.beacon[i].output);
    }
    unsigned terms = judge(&stage);
    print_message("%zu acts in %u terms\n", stage.acts, terms);
    assert_true(terms >= 6);
    e2e_cluster_end(stage.local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_acts)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
