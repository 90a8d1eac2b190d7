// SPDX-License-Identifier: Apache-2.0
//
// Cluster files as a user writes them: good ones and what is read from them; the digest. Wrong ones
// are in config_wrong_test.c.
#include "config_texts.h"

// --- good files ---------------------------------------------------------------------------

static void assert_good(enum tacit_status status, uint32_t notes)
{
    if (status != TACIT_OK || problems.errors != 0 || problems.count != notes) {
        show_problems();
        fail_msg("status %s, %u errors, %u in all", tacit_status_name(status), problems.errors,
                 problems.count);
    }
}

static void a_crash_file_is_read(void **state)
{
    (void)state;
    assert_good(parse_edited(crash_text, "f: 1\n", "f: 1\n"), 0);
    assert_string_equal(config.name, "demo");
    assert_int_equal(config.mode, TACIT_CONFIG_CRASH);
    assert_int_equal(config.f, 1);
    assert_int_equal(config.fm, 0);
    assert_int_equal(config.fabric, TACIT_CONFIG_SHM);
    assert_int_equal(config.log_on, TACIT_CONFIG_LOG_ON_REPLICAS);
    assert_int_equal(config.waiting, TACIT_CONFIG_ADAPTIVE);
    assert_int_equal(config.replica_count, 3);
    assert_int_equal(config.memnode_count, 0);
    assert_int_equal(config.client_count, 1);
    assert_int_equal(config.core_count, 2);
    assert_int_equal(config.cores[1], 2);
    assert_int_equal(tacit_config_log_quorum(&config), 2);
    assert_string_equal(config.replicas[2].address, "socket:r2");
    assert_string_equal(config.replicas[2].socket_path, "/run/tacit/r2");
    assert_string_equal(config.clients[0].name, "gateway");
    const struct tacit_public_key key = key_of_seed(2);
    assert_true(tacit_public_key_is_equal(&config.replicas[2].public_key, &key));
    assert_ptr_equal(tacit_config_public_key(&config, TACIT_CONFIG_REPLICA, 2),
                     &config.replicas[2].public_key);
    assert_null(tacit_config_public_key(&config, TACIT_CONFIG_REPLICA, 3));
    assert_null(tacit_config_public_key(&config, TACIT_CONFIG_MEMNODE, 0));
    assert_null(tacit_config_public_key(&config, TACIT_CONFIG_CLIENT, 1));
    assert_null(tacit_config_public_key(&config, TACIT_CONFIG_OPERATOR, 0));
    assert_int_equal(config.memory.arena_bytes, 1048576);
    // Defaults of what is not in the file.
    assert_int_equal(config.limits.reply_bytes, 4096);
    assert_int_equal(config.limits.batch_bytes, 8192);
    assert_int_equal(config.limits.batch_requests, 64);
    assert_int_equal(config.limits.clients_max, 8);
    assert_int_equal(config.limits.sessions_per_client, 64);
    assert_int_equal(config.limits.session_pipeline, 8);
    assert_int_equal(config.limits.window, 256);
    assert_int_equal(config.limits.tail, 128);
    assert_int_equal(config.timing.beat_period_ns, 800000);
    assert_int_equal(config.timing.suspicion_ns, 20000000);
    assert_int_equal(config.timing.permission_timeout_ns, 200000);
    char path[TACIT_CONFIG_PATH_BYTES];
    assert_int_equal(tacit_config_runtime_dir(&config, path, NULL), TACIT_OK);
    assert_string_equal(path, "/run/tacit");
    assert_int_equal(tacit_config_state_dir(&config, TACIT_CONFIG_MEMNODE, 1, path, NULL),
                     TACIT_OK);
    assert_string_equal(path, "/etc/tacit/state/memnode-1");
}

static void a_byzantine_file_is_read(void **state)
{
    (void)state;
    assert_good(parse_edited(byzantine_text, "fm: 1\n", ""), 0);
    assert_int_equal(config.mode, TACIT_CONFIG_BYZANTINE);
    assert_int_equal(config.f, 1);
    assert_int_equal(config.fm, 1);
    assert_string_equal(config.replicas[0].host, "host-a");
    assert_int_equal(config.replicas[0].port, 7000);
    assert_string_equal(config.replicas[2].host, "fe80::1");
    assert_string_equal(config.memnodes[1].host, "127.0.0.1");
    assert_int_equal(config.memnodes[1].port, 7004);
    assert_string_equal(config.memnodes[1].socket_path, "");
    assert_true(config.has_operator_key);
    assert_ptr_equal(tacit_config_public_key(&config, TACIT_CONFIG_OPERATOR, 9),
                     &config.operator_key);
    // Defaults of what is not in the file.
    assert_int_equal(config.broadcast_on, TACIT_CONFIG_BROADCAST_ON_REPLICAS);
    assert_int_equal(tacit_config_slow_after_ns(&config), 1000000);
    assert_int_equal(config.timing.cooldown_ns, 100000);
    assert_int_equal(config.timing.retry_ns, 1000000);
    assert_int_equal(config.timing.join_after_ns, 2000000);
    assert_int_equal(config.timing.view_timeout_ns, 5000000);
    assert_int_equal(config.timing.view_timeout_max_ns, 10000000000);
    // Who spins sees an answer at once or not at all.
    assert_good(parse_edited(byzantine_text, "fm: 1\n", "fm: 1\nwaiting: spin\n"), 0);
    assert_int_equal(tacit_config_slow_after_ns(&config), 100000);
    assert_good(parse_edited(byzantine_text, "limits:\n",
                             "broadcast_on: memnodes\ntiming:\n  slow_after: 30us\nlimits:\n"),
                0);
    assert_int_equal(tacit_config_slow_after_ns(&config), 30000);
    assert_int_equal(config.broadcast_on, TACIT_CONFIG_BROADCAST_ON_MEMNODES);
}

// The order of entries means nothing: arrays are by id.
static void entries_are_sorted_by_id(void **state)
{
    (void)state;
    assert_good(parse_edited(crash_text,
                             "  - {id: 0, address: socket:r0, public_key: @0@}\n"
                             "  - {id: 1, address: socket:r1, public_key: @1@}\n"
                             "  - {id: 2, address: socket:r2, public_key: @2@}\n",
                             "  - {id: 2, address: socket:r2, public_key: @2@}\n"
                             "  - {id: 0, address: socket:r0, public_key: @0@}\n"
                             "  - {id: 1, address: socket:r1, public_key: @1@}\n"),
                0);
    for (unsigned i = 0; i < 3; i++) {
        const struct tacit_public_key key = key_of_seed((int)i);
        assert_int_equal(config.replicas[i].id, i);
        assert_true(tacit_public_key_is_equal(&config.replicas[i].public_key, &key));
    }
}

// The longest path that a socket can have is taken; one byte more is among the wrong files.
static void the_longest_socket_path_is_taken(void **state)
{
    (void)state;
    assert_good(parse_edited(crash_text, "/run/tacit",
                             "/run/123456789/123456789/123456789/123456789/123456789/123456789/"
                             "123456789/123456789/123456789/123456789"),
                0);
    assert_int_equal(strlen(config.replicas[0].socket_path), TACIT_CONFIG_SOCKET_BYTES - 1);
}

// A batch that just holds the largest request is taken; one byte less is among the wrong files.
static void the_smallest_batch_is_taken(void **state)
{
    (void)state;
    assert_good(parse_edited(crash_text, "log_entries: 512", "batch_bytes: 4120B"), 0);
    assert_int_equal(config.limits.batch_bytes, 4120);
}

static void assert_note(enum tacit_status status, const char *text)
{
    assert_good(status, 1);
    assert_int_equal(problems.items[0].severity, TACIT_CONFIG_NOTE);
    if (strstr(problems.items[0].text, text) == NULL) {
        show_problems();
        fail_msg("no note with '%s'", text);
    }
}

static void f_is_computed_and_explained(void **state)
{
    (void)state;
    static const char third[] = "  - {id: 2, address: socket:r2, public_key: @2@}\n";
    static const char fourth[] = "  - {id: 2, address: socket:r2, public_key: @2@}\n"
                                 "  - {id: 3, address: socket:r3, public_key: @3@}\n";
    static char base[TEXT_BYTES];
    assert_note(parse_edited(crash_text, third, fourth),
                "4 replicas tolerate no more crashes than 3");
    assert_int_equal(config.f, 1);
    assert_int_equal(tacit_config_log_quorum(&config), 3);
    assert_true(edit(base, crash_text, "f: 1\n", ""));
    assert_note(parse_edited(base, third, ""), "f = 0: with 2 replicas no crash is tolerated");
    assert_int_equal(config.f, 0);
    assert_int_equal(tacit_config_log_quorum(&config), 2);
    // With the logs on memory nodes f+1 replicas suffice, unless the file asks for less.
    assert_true(edit(base, crash_text, "memnodes: []",
                     "memnodes: [{id: 0, address: socket:m0, public_key: @3@}]\nlog_on: memnodes"));
    assert_good(parse_edited(base, "f: 1\n", ""), 0);
    assert_int_equal(config.f, 2);
    assert_int_equal(config.fm, 0);
    assert_int_equal(tacit_config_log_quorum(&config), 1);
    assert_good(parse_edited(base, "f: 1\n", "f: 1\n"), 0);
    assert_int_equal(config.f, 1);
    assert_int_equal(parse_edited(base, "f: 1\n", "f: 3\n"), TACIT_EINVAL);
    assert_non_null(strstr(problems.items[0].text, "at least 4 replicas (f+1), but 3"));
    assert_true(edit(base, crash_text, "memnodes: []",
                     "memnodes: [{id: 0, address: socket:m0, public_key: @3@}]"));
    assert_note(parse_edited(base, "f: 1\n", ""), "memory nodes have nothing to do");
}

// --- digest -------------------------------------------------------------------------------

static void digest_hex(char out[2 * TACIT_DIGEST_BYTES + 1])
{
    struct tacit_digest digest;
    tacit_config_digest(&digest, &config);
    tacit_hex_encode(out, 2 * TACIT_DIGEST_BYTES + 1, digest.bytes, sizeof digest.bytes);
}

struct digest_case {
    const char *from, *to;
    bool changes;
};

static const struct digest_case digest_cases[] = {
    {"f: 1\n", "", false}, // computed
    {"name: demo", "name: other", false},
    {"waiting: adaptive", "waiting: spin", false},
    {"[0, 2]", "[]", false},
    {"/run/tacit", "/run/x", false},
    {"paths:\n", "paths:\n  state_dir: x{node}\n", false},
    {"socket:r2", "socket:x2", false},
    {"@2@", "@8@", false},
    {"    name: gateway\n", "", false},
    {"memnodes: []\n", "operator_key: @8@\n", false},
    {"request_bytes: 4KiB", "request_bytes: 4096B", false}, // the same in other words
    {"timing:\n", "timing:\n  beat_period: 800000ns\n", false},
    {"request_bytes: 4KiB", "request_bytes: 4095B", true},
    {"limits:\n", "limits:\n  reply_bytes: 4095B\n", true},
    {"limits:\n", "limits:\n  batch_bytes: 8191B\n", true},
    {"limits:\n", "limits:\n  batch_requests: 65\n", true},
    {"log_entries: 512", "log_entries: 1024", true},
    {"inflight: 16", "inflight: 17", true},
    {"limits:\n", "limits:\n  clients_max: 17\n", true},
    {"limits:\n", "limits:\n  sessions_per_client: 65\n", true},
    {"limits:\n", "limits:\n  session_pipeline: 17\n", true},
    {"arena_bytes: 1MiB", "arena_bytes: 1028KiB", true},
    {"timing:\n", "timing:\n  beat_period: 801us\n", true},
    {"suspicion: 20ms", "suspicion: 21ms", true},
    {"timing:\n", "timing:\n  permission_timeout: 201us\n", true},
    {"timing:\n", "timing:\n  laggard_after: 2s\n", true},
    {"timing:\n", "timing:\n  lease: 9ms\n", true},
    {"timing:\n", "timing:\n  client_retry: 21ms\n", true},
    {"timing:\n", "timing:\n  drift_ppm: 501\n", true},
    {"memnodes: []",
     "memnodes: [{id: 0, address: socket:m0, public_key: @3@}]\nlog_on: memnodes\nfm: 0", true},
    {"memnodes: []",
     "memnodes: [{id: 0, address: socket:m0, public_key: @3@},\n"
     "  {id: 1, address: socket:m1, public_key: @4@}, {id: 2, address: socket:m2, "
     "public_key: @5@}]",
     true}, // fm
};

static void the_digest_covers_what_never_changes(void **state)
{
    (void)state;
    char digests[sizeof digest_cases / sizeof digest_cases[0] + 2][2 * TACIT_DIGEST_BYTES + 1];
    size_t count = 0;
    assert_good(parse_edited(crash_text, "f: 1\n", "f: 1\n"), 0);
    digest_hex(digests[count++]);
    for (size_t i = 0; i < sizeof digest_cases / sizeof digest_cases[0]; i++) {
        const struct digest_case *one = &digest_cases[i];
        assert_int_equal(parse_edited(crash_text, one->from, one->to), TACIT_OK);
        digest_hex(digests[count]);
        if ((strcmp(digests[count], digests[0]) != 0) != one->changes) {
            fail_msg("'%s' -> '%s' %s the digest", one->from, one->to,
                     one->changes ? "does not change" : "changes");
        }
        count += one->changes;
    }
    // All that differ from the first differ from each other: no two values share a place.
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(digests[i], digests[j]);
        }
    }
}

// Spares and when they are needed are no part of what all must agree on: such a file may be changed
// on one node after the other.
static void spares__are_no_part_of_the_digest(void **state)
{
    (void)state;
    struct tacit_digest before;
    struct tacit_digest after;
    assert_good(parse_edited(crash_text, "f: 1\n", "f: 1\n"), 0);
    tacit_config_digest(&before, &config);
    assert_null(tacit_config_body(&config, TACIT_CONFIG_REPLICA, 0, 1));
    assert_int_equal(tacit_config_client_ids(&config), 1);
    assert_good(parse_edited(crash_text, "  suspicion: 20ms\n",
                             "  suspicion: 20ms\n  replace_after: 1s\n"
                             "spare_replicas:\n"
                             "  - {id: 2, address: socket:s2, public_key: @4@, client: 5}\n"
                             "  - {id: 1, address: socket:s1, public_key: @3@, client: 7}\n"),
                0);
    tacit_config_digest(&after, &config);
    assert_true(tacit_digest_is_equal(&before, &after));
    assert_int_equal(config.spare_replica_count, 2);
    assert_int_equal(config.timing.replace_after_ns, 1000000000);
    assert_int_equal(tacit_config_client_ids(&config), 3);
    const struct tacit_config_member *first =
        tacit_config_body(&config, TACIT_CONFIG_REPLICA, 2, 1);
    assert_ptr_equal(first, &config.spare_replicas[0]);
    assert_int_equal(first->client, 7);
    assert_ptr_equal(tacit_config_body(&config, TACIT_CONFIG_REPLICA, 2, 0), &config.replicas[2]);
    assert_null(tacit_config_body(&config, TACIT_CONFIG_REPLICA, 3, 1)); // no such seat
    assert_null(tacit_config_body(&config, TACIT_CONFIG_REPLICA, 0, 3));
    assert_null(tacit_config_body(&config, TACIT_CONFIG_REPLICA, 0, TACIT_BODY_VACANT));
    assert_null(tacit_config_body(&config, TACIT_CONFIG_MEMNODE, 0, 1));
    // As a client it has the key that it has as a replica.
    assert_ptr_equal(tacit_config_public_key(&config, TACIT_CONFIG_CLIENT, 7), &first->public_key);
    assert_null(tacit_config_public_key(&config, TACIT_CONFIG_CLIENT, TACIT_CONFIG_NO_CLIENT));
}

// Every uint64 of the immutable sections, and mode, f, fm, log_on, one by one in the struct: a
// field that is added to the struct but not to the key table fails here.
static void the_digest_covers_every_field(void **state)
{
    (void)state;
    struct tacit_digest before;
    struct tacit_digest after;
    assert_good(parse_edited(crash_text, "f: 1\n", "f: 1\n"), 0);
    tacit_config_digest(&before, &config);
    uint64_t *sections[] = {(uint64_t *)&config.limits, (uint64_t *)&config.memory,
                            (uint64_t *)&config.timing};
    const size_t counts[] = {sizeof config.limits / 8, sizeof config.memory / 8,
                             sizeof config.timing / 8 - 1}; // the last is replace_after: not in it
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; i < counts[s]; i++) {
            sections[s][i] ^= UINT64_C(1) << 63;
            tacit_config_digest(&after, &config);
            assert_false(tacit_digest_is_equal(&before, &after));
            sections[s][i] ^= UINT64_C(1) << 63;
        }
    }
    uint32_t *numbers[] = {&config.f, &config.fm, (uint32_t *)&config.mode,
                           (uint32_t *)&config.log_on, (uint32_t *)&config.broadcast_on};
    for (size_t i = 0; i < 5; i++) {
        *numbers[i] ^= 1;
        tacit_config_digest(&after, &config);
        assert_false(tacit_digest_is_equal(&before, &after));
        *numbers[i] ^= 1;
    }
    tacit_config_digest(&after, &config);
    assert_true(tacit_digest_is_equal(&before, &after));
}

// Nodes of different builds compare digests: a change here cuts them off from each other. The
// values come from another implementation (Python: hashlib.blake2b over struct.pack("<Q") of each
// number).
static void the_digest_is_stable(void **state)
{
    (void)state;
    char digest[2 * TACIT_DIGEST_BYTES + 1];
    assert_good(parse_edited(crash_text, "f: 1\n", "f: 1\n"), 0);
    digest_hex(digest);
    assert_string_equal(digest, "7ec299683f98c3ab9a03a2465759c84f2a9fde6bbe9151d0d1cdbdb97484a592");
    assert_good(parse_edited(byzantine_text, "fm: 1\n", "fm: 1\n"), 0);
    digest_hex(digest);
    assert_string_equal(digest, "654d00931fa85a244dfe2ced54d38df48272bb5fd713ec6449a16a70295fbfb1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_file_is_read),
        cmocka_unit_test(a_byzantine_file_is_read),
        cmocka_unit_test(entries_are_sorted_by_id),
        cmocka_unit_test(the_longest_socket_path_is_taken),
        cmocka_unit_test(the_smallest_batch_is_taken),
        cmocka_unit_test(f_is_computed_and_explained),
        cmocka_unit_test(the_digest_covers_what_never_changes),
        cmocka_unit_test(the_digest_covers_every_field),
        cmocka_unit_test(spares__are_no_part_of_the_digest),
        cmocka_unit_test(the_digest_is_stable),
    };
    return tacit_crypto_init(NULL) == TACIT_OK
               ? cmocka_run_group_tests_name("config_file", tests, NULL, NULL)
               : 1;
}
