// SPDX-License-Identifier: Apache-2.0
//
// --patience of `tacit local up` and `tacit demo`: whatever number it is, the cluster file that
// comes out is accepted, and no time in it is shorter than without; up to the first bound that the
// file has, times keep their proportions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/local.h"
#include "cli/options.h"
#include "tacit/crypto.h"

static struct local locals[2];
static struct tacit_error error;

static void create(struct local *local, enum tacit_config_mode mode, uint32_t patience)
{
    char directory[] = "/tmp/tacit-patience-XXXXXX";
    const struct local_plan plan = {
        .mode = mode, .replicas = 3, .memnodes = 3, .patience = patience};
    assert_non_null(mkdtemp(directory));
    memset(local, 0, sizeof *local);
    if (local_create(local, directory, &plan, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a name that was made here
}

static void assert_as_long(uint64_t usual_ns, uint64_t patient_ns, uint32_t times)
{
    assert_true(patient_ns >= usual_ns && patient_ns <= usual_ns * times);
}

static void times_are_longer_and_fit(void **state)
{
    (void)state;
    static const enum tacit_config_mode modes[] = {TACIT_CONFIG_CRASH, TACIT_CONFIG_BYZANTINE};
    static const uint32_t numbers[] = {1, 2, 10, 100, CLI_PATIENCE_MAX};
    assert_int_equal(tacit_crypto_init(&error), TACIT_OK);
    for (size_t m = 0; m < 2; m++) {
        create(&locals[0], modes[m], 0);
        const struct tacit_config_timing *usual = &locals[0].config.timing;
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            uint32_t times = numbers[i];
            create(&locals[1], modes[m], times);
            const struct tacit_config_timing *patient = &locals[1].config.timing;
            assert_as_long(usual->beat_period_ns, patient->beat_period_ns, times);
            assert_as_long(usual->suspicion_ns, patient->suspicion_ns, times);
            assert_as_long(usual->client_retry_ns, patient->client_retry_ns, times);
            assert_as_long(usual->permission_timeout_ns, patient->permission_timeout_ns, times);
            assert_as_long(usual->laggard_after_ns, patient->laggard_after_ns, times);
            assert_as_long(usual->cooldown_ns, patient->cooldown_ns, times);
            assert_as_long(usual->retry_ns, patient->retry_ns, times);
            assert_as_long(usual->join_after_ns, patient->join_after_ns, times);
            assert_as_long(usual->view_timeout_ns, patient->view_timeout_ns, times);
            assert_as_long(usual->view_timeout_max_ns, patient->view_timeout_max_ns, times);
            assert_as_long(tacit_config_slow_after_ns(&locals[0].config),
                           tacit_config_slow_after_ns(&locals[1].config), times);
            // Who waits for such a cluster waits longer, too.
            assert_true(local_patience_ns(&locals[1]) >= local_patience_ns(&locals[0]));
            assert_true(local_patience_ns(&locals[1]) > 5 * patient->suspicion_ns);
        }
        assert_int_equal(locals[0].config.timing.suspicion_ns, 20000000);
        create(&locals[1], modes[m], 100);
        assert_int_equal(locals[1].config.timing.suspicion_ns, 2000000000);
        assert_int_equal(locals[1].config.timing.beat_period_ns, 80000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(times_are_longer_and_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
