// SPDX-License-Identifier: Apache-2.0
//
// From a cluster file and a node file to the RDMA provider's configuration, and through it to the
// fake device (fake_rdma.h): names are looked up, everybody gets an address and a port, and what a
// node file insists on gets to the device or is refused with a sentence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/provider.h"
#include "fake_rdma.h"

static struct tacit_config cluster;
static struct tacit_config_problems problems;
static struct tacit_provider_config provider;
static struct tacit_keypair keypair;
static struct tacit_error error;

static struct tacit_public_key fresh_key(void)
{
    tacit_keypair_generate(&keypair);
    return keypair.public_key;
}

// The cluster file of `plan`, written and read.
static void read_cluster(const struct tacit_config_plan *plan)
{
    char *text = NULL;
    size_t bytes = 0;
    assert_int_equal(tacit_config_plan_fill(&cluster, plan, &error), TACIT_OK);
    for (uint32_t i = 0; i < plan->replicas; i++) {
        cluster.replicas[i].public_key = fresh_key();
    }
    for (uint32_t i = 0; i < plan->memnodes; i++) {
        cluster.memnodes[i].public_key = fresh_key();
    }
    cluster.clients[0].public_key = fresh_key();
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    assert_true(tacit_config_print(out, &cluster));
    assert_int_equal(fclose(out), 0);
    if (tacit_config_parse(text, bytes, "cluster.yaml", "/", &cluster, &problems) != TACIT_OK) {
        fail_msg("%s", problems.items[0].text);
    }
    free(text);
}

static int prepare(void **state)
{
    (void)state;
    const struct tacit_config_plan plan = {.name = "test",
                                           .mode = TACIT_CONFIG_CRASH,
                                           .fabric = TACIT_CONFIG_VERBS,
                                           .log_on = TACIT_CONFIG_LOG_ON_MEMNODES,
                                           .replicas = 3,
                                           .memnodes = 3,
                                           .clients = 1,
                                           .host = "127.0.0.1",
                                           .port = 7000};
    const struct fake_manner good = {0};
    fake_reset(&good, 0, 0);
    assert_int_equal(tacit_crypto_init(&error), TACIT_OK);
    read_cluster(&plan);
    const struct tacit_host_layout layout = {.page_bytes = 640, .log_bytes = 4096};
    provider = (struct tacit_provider_config){.cluster = &cluster,
                                              .kind = TACIT_SHM_MEMNODE,
                                              .id = 1,
                                              .incarnation = 5,
                                              .layouts = {layout, layout, layout},
                                              .keypair = &keypair};
    return 0;
}

static void everybody_has_an_address(void **state)
{
    (void)state;
    struct tacit_verbs_config verbs;
    struct tacit_provider_addresses memory;
    cluster.timing.suspicion_ns = 30000000;
    cluster.timing.beat_period_ns = 4000000;
    assert_int_equal(tacit_provider_verbs(&provider, &verbs, &memory, &error), TACIT_OK);
    assert_int_equal(verbs.kind, TACIT_VERBS_MEMNODE);
    assert_int_equal(verbs.id, 1);
    assert_int_equal(verbs.incarnation, 5);
    assert_string_equal(verbs.address, "127.0.0.1");
    assert_int_equal(verbs.port, 7004); // replicas first
    assert_int_equal(verbs.peers_count, 6);
    assert_int_equal(verbs.peers[2].node, 2);
    assert_int_equal(verbs.peers[3].node, TACIT_NODE_MEMNODE);
    assert_int_equal(verbs.peers[5].port, 7005);
    assert_int_equal(verbs.layouts[TACIT_VERBS_MEMNODE].log_bytes, 4096);
    // Looks often enough for a beat; gives a silent host up when the protocol would suspect it.
    assert_int_equal(verbs.sleep_slice_ns, 1000000);
    assert_int_equal(verbs.silence_ns, 30000000);
    cluster.timing.suspicion_ns = 8000000000;
    struct tacit_verbs_config slow;
    assert_int_equal(tacit_provider_verbs(&provider, &slow, &memory, &error), TACIT_OK);
    assert_int_equal(slow.silence_ns, 500000000);
    assert_null(verbs.wishes.device);
    assert_true(verbs.wishes.port == 0 && !verbs.wishes.has_gid_index &&
                verbs.wishes.mtu_bytes == 0);
}

static void names_are_looked_up(void **state)
{
    (void)state;
    struct tacit_verbs_config verbs;
    struct tacit_provider_addresses memory;
    (void)snprintf(cluster.replicas[2].host, sizeof cluster.replicas[2].host, "localhost");
    assert_int_equal(tacit_provider_verbs(&provider, &verbs, &memory, &error), TACIT_OK);
    assert_true(strcmp(verbs.peers[2].address, "127.0.0.1") == 0 ||
                strcmp(verbs.peers[2].address, "::1") == 0);
    (void)snprintf(cluster.replicas[2].host, sizeof cluster.replicas[2].host, "no.such.invalid");
    (void)snprintf(cluster.replicas[2].address, sizeof cluster.replicas[2].address,
                   "no.such.invalid:7002");
    assert_int_equal(tacit_provider_verbs(&provider, &verbs, &memory, &error), TACIT_ENOENT);
    assert_non_null(strstr(error.text, "no.such.invalid:7002 of the cluster file"));
}

// A client stands in no cluster file with an address: it takes the one that leads to replica 0.
static void clients_find_their_address(void **state)
{
    (void)state;
    struct tacit_verbs_config verbs;
    struct tacit_provider_addresses memory;
    provider.kind = TACIT_SHM_CLIENT;
    provider.id = 0;
    assert_int_equal(tacit_provider_verbs(&provider, &verbs, &memory, &error), TACIT_OK);
    assert_string_equal(verbs.address, "127.0.0.1");
    assert_int_equal(verbs.port, 0);
    (void)snprintf(cluster.replicas[0].host, sizeof cluster.replicas[0].host, "::1");
    cluster.replicas[0].port = 0;
    enum tacit_status status = tacit_provider_verbs(&provider, &verbs, &memory, &error);
    assert_true(status == TACIT_OK ? strcmp(verbs.address, "::1") == 0
                                   : strstr(error.text, "no route to the first replica") != NULL);
}

// What the node file insists on, in the device's hands.
static void wishes_reach_the_device(void **state)
{
    (void)state;
    struct tacit_fabric *fabric;
    struct tacit_provider_status status;
    provider.rdma = (struct tacit_config_rdma){
        .device = "fake0", .port = 1, .has_gid_index = true, .gid_index = 2, .mtu_bytes = 256};
    assert_int_equal(tacit_provider_open(&provider, &fabric, &error), TACIT_OK);
    tacit_provider_status(&provider, fabric, &status);
    tacit_provider_close(&provider, fabric);
    assert_true(status.is_rdma);
    assert_string_equal(status.facts.device, "fake0");
    assert_int_equal(status.facts.gid_index, 2);
    assert_int_equal(status.facts.mtu_bytes, 256);
    assert_string_equal(status.permission, "flags");

    const struct {
        struct tacit_config_rdma rdma;
        const char *says;
    } refused[] = {
        {{.device = "mlx5_0", .port = 2},
         "port 1 of the RDMA device fake0, not to port 2 of mlx5_0"},
        {{.port = 2}, "not to port 2 of it"},
        {{.has_gid_index = true, .gid_index = 1}, "asks for GID 1"},
        {{.mtu_bytes = 2048}, "Packets of 2048 bytes are more"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        provider.rdma = refused[i].rdma;
        assert_int_not_equal(tacit_provider_open(&provider, &fabric, &error), TACIT_OK);
        if (strstr(error.text, refused[i].says) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", error.text, refused[i].says);
        }
    }
    assert_int_equal(fake_live(), 0);
}

// The same wishes say nothing about shared memory.
static void shared_memory_ignores_them(void **state)
{
    (void)state;
    struct tacit_shm_config shm;
    struct tacit_shm_peer peers[TACIT_PROVIDER_PEERS];
    provider.rdma = (struct tacit_config_rdma){.device = "mlx5_0"};
    (void)snprintf(cluster.memnodes[1].socket_path, sizeof cluster.memnodes[1].socket_path,
                   "/run/memnode-1.sock");
    tacit_provider_shm(&provider, &shm, peers);
    assert_string_equal(shm.path, "/run/memnode-1.sock");
    assert_int_equal(shm.peers_count, 6);
    assert_int_equal(shm.incarnation, 5);
    assert_int_equal(tacit_provider_check(&cluster, "cluster.yaml", &error), TACIT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(everybody_has_an_address, prepare),
        cmocka_unit_test_setup(names_are_looked_up, prepare),
        cmocka_unit_test_setup(clients_find_their_address, prepare),
        cmocka_unit_test_setup(wishes_reach_the_device, prepare),
        cmocka_unit_test_setup(shared_memory_ignores_them, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
