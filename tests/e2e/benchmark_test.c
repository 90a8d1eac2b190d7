// SPDX-License-Identifier: Apache-2.0
//
// redis-benchmark against the cluster of `tacit local up` while `tacit local` kills the leader
// twice and brings it back: the benchmark meets no error, and a second client finds each of its
// acknowledged writes, once. And `tacit local kill` refuses what would leave the fault model.
// TACIT_BENCHMARK_REQUESTS is the benchmark's -n. Skipped without Debian's redis-tools.
#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define REQUESTS 200000u
#define KILLS 2u
#define ATTEMPTS_MAX 8u
#define LIST_TOKENS 64u
#define WRITES_MAX 400000u
#define PAUSE_NS 500000u

static char directory[64];
static uint16_t port;

// ---- the `tacit` program -----------------------------------------------------------------------

// Runs `tacit local WORDS`; its status, and what it said.
static int tacit_local(const char *words, char *said, size_t bytes)
{
    char command[4608];
    (void)snprintf(command, sizeof command, "TACIT_DIR=%s %s/tacit local %s 2>&1", directory,
                   getenv("TACIT_PROGRAMS"), words);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    size_t used = fread(said, 1, bytes - 1, output);
    said[used] = '\0';
    int status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void must(const char *words)
{
    char said[2048];
    if (tacit_local(words, said, sizeof said) != 0) {
        fail_msg("tacit local %s: %s", words, said);
    }
    print_message("tacit local %s: %s", words, said);
}

// Kills the leader as soon as that is within f; returns its number. The first refusals are those of
// a group that has no leader yet, or whose last victim is still on its way back.
static unsigned kill_leader(void)
{
    char said[2048];
    unsigned id = 0;
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (tacit_local("kill leader", said, sizeof said) != 0) {
        if (cli_now_ns() > end_ns) {
            fail_msg("%s", said);
        }
        cli_sleep_ns(5000000);
    }
    assert_int_equal(sscanf(said, "killed replica-%u", &id), 1);
    return id;
}

// One of three is dead, so nobody else may die, whichever way.
static void expect_refusals(unsigned dead)
{
    char said[2048] = "", words[64];
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    (void)tacit_local("kill leader", said, sizeof said);
    while (strstr(said, "nobody leads") != NULL && cli_now_ns() < end_ns) {
        assert_int_not_equal(tacit_local("kill leader", said, sizeof said), 0);
    }
    static const char *const ways[] = {"kill", "stop", "restart"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(words, sizeof words, "%s replica %u", ways[i], (dead + 1) % 3);
        assert_int_equal(tacit_local(words, said, sizeof said), 1);
        assert_non_null(strstr(said, "more than f = 1 replicas"));
        assert_non_null(strstr(said, "--force"));
        (void)snprintf(words, sizeof words, "replica-%u", dead);
        assert_non_null(strstr(said, words));
    }
}

// ---- the second client -------------------------------------------------------------------------

enum outcome { UNASKED = 0, LOST_SIGHT, ACKNOWLEDGED };

struct writer {
    atomic_bool stop;
    uint32_t count;   // tokens tried
    uint8_t *set;     // outcome of SET w:TOKEN
    uint8_t *append;  // of APPEND l:TOKEN/LIST_TOKENS
    uint64_t counted; // INCRs that were acknowledged
    uint64_t unsure;  // and those whose fate is not known
    uint64_t reconnects;
    char trouble[256];
};

static redisContext *reconnect(redisContext *old, struct writer *writer)
{
    const struct timeval limit = {.tv_sec = 30};
    if (old != NULL) {
        redisFree(old);
        writer->reconnects++;
    }
    redisContext *fresh = redisConnectWithTimeout("127.0.0.1", port, limit);
    if (fresh == NULL || fresh->err != 0 || redisSetTimeout(fresh, limit) != REDIS_OK) {
        (void)snprintf(writer->trouble, sizeof writer->trouble, "cannot connect: %.200s",
                       fresh != NULL ? fresh->errstr : "no memory");
    }
    return fresh;
}

static bool expected(struct writer *writer, const redisReply *reply, int type)
{
    if (reply->type != type) {
        (void)snprintf(writer->trouble, sizeof writer->trouble, "answered with %.200s",
                       reply->type == REDIS_REPLY_ERROR ? reply->str : "another type");
    }
    return reply->type == type;
}

// One write; what is known of it afterwards.
static enum outcome write_one(struct writer *writer, redisContext **context, int type,
                              long long *number, const char *command)
{
    redisReply *reply = redisCommand(*context, command);
    if (reply == NULL) {
        *context = reconnect(*context, writer);
        return LOST_SIGHT;
    }
    bool ok = expected(writer, reply, type);
    *number = reply->integer;
    freeReplyObject(reply);
    return ok ? ACKNOWLEDGED : LOST_SIGHT;
}

static void *write_tokens(void *argument)
{
    struct writer *writer = argument;
    redisContext *context = reconnect(NULL, writer);
    while (!atomic_load(&writer->stop) && writer->trouble[0] == '\0' &&
           writer->count < WRITES_MAX) {
        uint32_t token = writer->count++;
        char command[128];
        long long number = 0;
        (void)snprintf(command, sizeof command, "SET w:%u %u", token, token);
        writer->set[token] =
            (uint8_t)write_one(writer, &context, REDIS_REPLY_STATUS, &number, command);
        (void)snprintf(command, sizeof command, "APPEND l:%u %08u", token / LIST_TOKENS, token);
        writer->append[token] =
            (uint8_t)write_one(writer, &context, REDIS_REPLY_INTEGER, &number, command);
        if (write_one(writer, &context, REDIS_REPLY_INTEGER, &number, "INCR c") == ACKNOWLEDGED) {
            writer->counted++;
            // Not less than was acknowledged, not more than was asked.
            if ((uint64_t)number < writer->counted ||
                (uint64_t)number > writer->counted + writer->unsure) {
                (void)snprintf(writer->trouble, sizeof writer->trouble,
                               "INCR number %llu was answered with %lld",
                               (unsigned long long)writer->counted, number);
            }
        } else {
            writer->unsure++;
        }
        cli_sleep_ns(PAUSE_NS);
    }
    redisFree(context);
    return NULL;
}

static void check_list(const struct writer *writer, redisContext *context, uint32_t list)
{
    redisReply *reply = redisCommand(context, "GET l:%u", list);
    assert_non_null(reply);
    assert_int_equal(reply->len % 8, 0);
    uint32_t token = list * LIST_TOKENS;
    for (size_t at = 0; at < reply->len; at += 8, token++) {
        char digits[9] = "";
        memcpy(digits, reply->str + at, 8);
        uint32_t found = (uint32_t)strtoul(digits, NULL, 10);
        while (token < found && writer->append[token] != ACKNOWLEDGED) {
            token++;
        }
        assert_int_equal(found, token); // none is missing, none is there twice
    }
    uint32_t end = (list + 1) * LIST_TOKENS;
    for (end = end < writer->count ? end : writer->count; token < end; token++) {
        assert_int_not_equal(writer->append[token], ACKNOWLEDGED);
    }
    freeReplyObject(reply);
}

static void check_everything(const struct writer *writer)
{
    redisContext *context = redisConnect("127.0.0.1", port);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    for (uint32_t token = 0; token < writer->count; token++) {
        redisReply *reply = redisCommand(context, "GET w:%u", token);
        assert_non_null(reply);
        bool there = reply->type == REDIS_REPLY_STRING && strtoul(reply->str, NULL, 10) == token;
        if (writer->set[token] == ACKNOWLEDGED && !there) {
            fail_msg("SET w:%u was acknowledged, and is lost", token);
        }
        freeReplyObject(reply);
    }
    for (uint32_t list = 0; list * LIST_TOKENS < writer->count; list++) {
        check_list(writer, context, list);
    }
    redisReply *reply = redisCommand(context, "GET c");
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    uint64_t total = strtoull(reply->str, NULL, 10);
    assert_true(total >= writer->counted && total <= writer->counted + writer->unsure);
    freeReplyObject(reply);
    redisFree(context);
    print_message("%u tokens thrice, %llu reconnects, INCR unsure of %llu\n", writer->count,
                  (unsigned long long)writer->reconnects, (unsigned long long)writer->unsure);
}

// ---- the benchmark -----------------------------------------------------------------------------

static pid_t start_benchmark(unsigned requests)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char command[512];
        (void)snprintf(command, sizeof command,
                       "exec redis-benchmark -p %u -t set,get,incr,mset -n %u -c 16 -P 8 --csv "
                       ">%s/benchmark 2>&1",
                       port, requests, directory);
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child;
}

static bool runs(pid_t benchmark)
{
    siginfo_t info = {.si_pid = 0};
    // Without taking its status, which is for end_benchmark().
    (void)waitid(P_PID, (id_t)benchmark, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid == 0;
}

static void end_benchmark(pid_t benchmark)
{
    char path[128], all[8192];
    int status = 0;
    uint64_t end_ns = cli_now_ns() + 4 * E2E_READY_NS;
    pid_t ended = 0;
    while (ended == 0 && cli_now_ns() < end_ns) {
        ended = waitpid(benchmark, &status, WNOHANG);
        cli_sleep_ns(5000000);
    }
    if (ended == 0) {
        (void)kill(benchmark, SIGKILL);
        (void)waitpid(benchmark, NULL, 0);
    }
    (void)snprintf(path, sizeof path, "%s/benchmark", directory);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    all[fread(all, 1, sizeof all - 1, file)] = '\0';
    (void)fclose(file);
    print_message("%s", all);
    assert_int_equal(ended, benchmark);
    assert_int_equal(status, 0);
    assert_null(strstr(all, "rror"));
    static const char *const lines[] = {"\"SET\"", "\"GET\"", "\"INCR\"", "\"MSET (10 keys)\""};
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(strstr(all, lines[i]));
    }
}

static void test_benchmark_and_two_kills(void **state)
{
    (void)state;
    const char *given = getenv("TACIT_BENCHMARK_REQUESTS");
    unsigned requests = given != NULL ? (unsigned)strtoul(given, NULL, 10) : REQUESTS;
    char words[64];
    static struct writer writer;
    writer.set = calloc(WRITES_MAX, 1);
    writer.append = calloc(WRITES_MAX, 1);
    assert_non_null(writer.set);
    assert_non_null(writer.append);
    (void)snprintf(words, sizeof words, "up --port %u", port);
    must(words);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_tokens, &writer), 0);
    pid_t benchmark = start_benchmark(requests);
    unsigned met = 0;
    for (unsigned i = 0; i < ATTEMPTS_MAX && met < KILLS; i++) {
        cli_sleep_ns(200000000);
        if (!runs(benchmark)) { // a fast machine
            end_benchmark(benchmark);
            benchmark = start_benchmark(requests);
            cli_sleep_ns(200000000);
        }
        unsigned id = kill_leader();
        met += runs(benchmark);
        print_message("killed replica %u\n", id);
        expect_refusals(id);
        (void)snprintf(words, sizeof words, "start replica %u", id);
        must(words);
    }
    assert_int_equal(met, KILLS); // else the benchmark has not met them
    end_benchmark(benchmark);
    atomic_store(&writer.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(writer.trouble, "");
    assert_true(writer.count > 100);
    check_everything(&writer);
    // Who insists may.
    unsigned id = kill_leader();
    expect_refusals(id);
    (void)snprintf(words, sizeof words, "kill replica %u --force", (id + 1) % 3);
    must(words);
    free(writer.set);
    free(writer.append);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/tacit-XXXXXX");
    port = scratch_port();
    return mkdtemp(directory) == NULL || port == 0;
}

static int end(void **state)
{
    (void)state;
    char said[512], command[128];
    (void)tacit_local("down", said, sizeof said);
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    return getenv("TACIT_KEEP") == NULL ? system(command) : 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_benchmark_and_two_kills, begin, end)};
    if (system("command -v redis-benchmark >/dev/null") != 0) {
        (void)printf("skipped: redis-benchmark (package redis-tools) is not installed\n");
        return 77;
    }
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
