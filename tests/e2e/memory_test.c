// SPDX-License-Identifier: Apache-2.0
//
// The memory of a replica: what `tacit check` tells before anything starts is what a running
// process has, and in Byzantine mode not more than was promised.
#include <stdio.h>
#include <string.h>

#include "apps/client/cluster.h"
#include "e2e.h"
#include "tacit/smr.h"

#define MIB (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)
// Code, stacks, keys and the tables of the C library and others.
#define BESIDE (UINT64_C(8) * MIB)
#define PROMISED (UINT64_C(64) * MIB)

static struct tacit_smr_config smr_of(const struct tacit_config *config)
{
    struct tacit_smr_config smr;
    tacit_cluster_smr_config(&smr, config);
    smr.incarnation = 1;
    return smr;
}

static uint64_t in_pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

// Mappings of shared memory of this size, and how many of them can be written.
static unsigned mappings(pid_t pid, uint64_t bytes, unsigned *writable)
{
    char path[64];
    char line[512];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    *writable = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        char *end = NULL;
        uint64_t from = strtoull(line, &end, 16);
        uint64_t to = strtoull(end + 1, &end, 16);
        if (strstr(line, "memfd:tacit") != NULL && to - from == in_pages(bytes)) {
            count++;
            *writable += strncmp(end, " rw", 3) == 0;
        }
    }
    (void)fclose(maps);
    return count;
}

static uint64_t resident_private(pid_t pid)
{
    char path[64];
    char line[256];
    uint64_t bytes = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            bytes = strtoull(line + 8, NULL, 10) * 1024;
        }
    }
    (void)fclose(status);
    return bytes;
}

static void check_mode(enum tacit_config_mode mode)
{
    const struct local_plan plan = {.replicas = 3,
                                    .memnodes = 3,
                                    .mode = mode,
                                    .waiting = TACIT_CONFIG_ADAPTIVE,
                                    .arena_bytes = 8 * MIB};
    struct local *local = e2e_cluster(&plan, false);
    struct tacit_smr_config smr = smr_of(&local->config);
    struct tacit_host_layout layout = tacit_smr_replica_layout(&smr);
    struct load *load = e2e_load(local);
    e2e_progress(load, 2000);
    for (uint16_t r = 0; r < 3; r++) {
        pid_t pid = local_pid(local, e2e_replica(r));
        unsigned writable = 0;
        // The own one, and those of the others for reading.
        assert_int_equal(mappings(pid, layout.state_bytes, &writable), 3);
        assert_int_equal(writable, 1);
        if (mode == TACIT_CONFIG_BYZANTINE) {
            // One that each replica writes here, and those that this one writes at the others.
            assert_int_equal(mappings(pid, layout.control_bytes, &writable), 5);
            assert_int_equal(writable, 3);
        }
        uint64_t private = resident_private(pid);
        assert_true(private >= tacit_smr_size(&smr));
        assert_true(private <= tacit_smr_size(&smr) + BESIDE);
    }
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_a_crash_replica_has_what_was_told(void **state)
{
    (void)state;
    check_mode(TACIT_CONFIG_CRASH);
}

static void test_a_byzantine_replica_has_what_was_told(void **state)
{
    (void)state;
    check_mode(TACIT_CONFIG_BYZANTINE);
}

// The parts are all that there is.
static void test_the_parts_add_up(void **state)
{
    (void)state;
    static struct tacit_config config;
    struct tacit_error error;
    for (unsigned i = 0; i < 4; i++) {
        struct tacit_config_plan plan = {.name = "memory",
                                         .mode =
                                             i == 0 ? TACIT_CONFIG_CRASH : TACIT_CONFIG_BYZANTINE,
                                         .replicas = i == 3 ? 5 : 3,
                                         .memnodes = 3,
                                         .clients = 4};
        assert_int_equal(tacit_config_plan_fill(&config, &plan, &error), TACIT_OK);
        config.limits.request_bytes = config.limits.reply_bytes = 2048;
        config.broadcast_on =
            i == 2 ? TACIT_CONFIG_BROADCAST_ON_MEMNODES : TACIT_CONFIG_BROADCAST_ON_REPLICAS;
        struct tacit_smr_config smr = smr_of(&config);
        struct tacit_host_layout layout = tacit_smr_replica_layout(&smr);
        struct tacit_smr_memory memory;
        tacit_smr_memory(&smr, &memory);
        uint64_t sum = 0;
        for (uint32_t part = 0; part < memory.count; part++) {
            assert_non_null(memory.parts[part].what);
            sum += memory.parts[part].count * memory.parts[part].each_bytes;
        }
        assert_true(sum == memory.total_bytes);
        assert_true(sum == tacit_smr_size(&smr) + layout.page_bytes + layout.state_bytes +
                               smr.replicas * layout.control_bytes +
                               smr.clients * layout.requests_bytes +
                               2ull * smr.replicas * layout.log_bytes);
        assert_true(memory.arena_bytes >= smr.arena_bytes && memory.arena_bytes < sum);
        if (i == 1) { // what Byzantine mode promises: n = 3, t = 128, W = 256, 2 KiB
            assert_int_equal(smr.byzantine.tail, 128);
            assert_int_equal(smr.byzantine.window, 256);
            assert_true(memory.total_bytes - memory.arena_bytes <= PROMISED);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_parts_add_up),
        cmocka_unit_test(test_a_crash_replica_has_what_was_told),
        cmocka_unit_test(test_a_byzantine_replica_has_what_was_told),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
