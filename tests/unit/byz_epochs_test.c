// SPDX-License-Identifier: Apache-2.0
//
// Who may be replaced, rule by rule (core/byzantine/epochs.c): each rule is a scenario that says
// whether it was kept, and which the seeded bug that leaves the rule out must break. Three
// replicas, the module under test in each, over an ideal signer and links that only remember what
// was sent (this file defines tacit_links_send_all). What epochs do to a replica is in
// smr_epochs_test.c.
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "choice/choice.h"
#include "core/base/bug.h"
#include "core/byzantine/epochs.h"
#include "sim/sim_signer.h"
#include "support/rules.h"

enum { REPLICAS_MOST = 5, MEMNODES = 3, RETRY_NS = 1000, SIGN_NS = 10 };

struct node {
    struct tacit_epochs *epochs;
    void *memory;
    struct sim_signer signer;
    uint8_t said[TACIT_EPOCH_NODES][TACIT_SUSPECT_BYTES]; // newest SUSPECT of each subject
    uint32_t said_count[TACIT_EPOCH_NODES];
};

static struct world {
    uint32_t replicas;
    uint64_t now_ns, epoch;
    uint64_t members[TACIT_EPOCH_NODES];
    struct sim_signer_world keys;
    uint16_t authors[REPLICAS_MOST];
    uint64_t closed; // this incarnation may follow nobody
    struct node node[REPLICAS_MOST];
} world;

static bool is_open(void *context, tacit_node_t seat, uint64_t next)
{
    (void)context;
    (void)seat;
    return next != world.closed;
}

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    struct node *node = (void *)links;
    uint16_t subject;
    assert_int_equal(bytes, TACIT_SUSPECT_BYTES);
    memcpy(&subject, (const uint8_t *)message + 2, sizeof subject);
    assert_true(subject < TACIT_EPOCH_NODES);
    memcpy(node->said[subject], message, bytes);
    node->said_count[subject]++;
}

// ---- steps

static void world_close(void)
{
    for (unsigned r = 0; r < REPLICAS_MOST; r++) {
        free(world.node[r].memory);
        world.node[r].memory = NULL;
    }
}

static void world_enter(uint64_t epoch)
{
    world.epoch = epoch;
    for (unsigned r = 0; r < world.replicas; r++) {
        tacit_epochs_enter(world.node[r].epochs, epoch, world.members);
    }
}

static void world_open(uint32_t replicas)
{
    world_close();
    memset(&world, 0, sizeof world);
    world.replicas = replicas;
    world.now_ns = 1;
    sim_signer_world_init(&world.keys, 3, replicas, 0);
    world.keys.spares = 2;
    for (unsigned i = 0; i < TACIT_EPOCH_NODES; i++) {
        world.members[i] = 1;
    }
    for (unsigned r = 0; r < replicas; r++) {
        struct node *node = &world.node[r];
        struct tacit_epochs_config config = {.replicas = (uint8_t)replicas,
                                             .memnodes = MEMNODES,
                                             .self = (tacit_node_t)r,
                                             .retry_ns = RETRY_NS,
                                             .authors = world.authors,
                                             .is_open = is_open};
        world.authors[r] = (uint16_t)r;
        struct sim_signer_config signer = {.self = (uint16_t)r,
                                           .workers = 1,
                                           .depth = 4,
                                           .sign_ns = SIGN_NS,
                                           .verify_ns = SIGN_NS};
        sim_signer_open(&node->signer, &world.keys, &signer);
        struct tacit_bump bump = {.base = NULL};
        assert_null(tacit_epochs_init(&bump, &config, NULL, NULL, (struct tacit_marker){0}));
        node->memory = aligned_alloc(TACIT_CACHE_LINE, tacit_round_up(bump.used, TACIT_CACHE_LINE));
        struct tacit_bump take = {.base = node->memory};
        node->epochs = tacit_epochs_init(&take, &config, (struct tacit_links *)node,
                                         &node->signer.signer, (struct tacit_marker){0});
        assert_int_equal(take.used, bump.used);
    }
    world_enter(0);
}

// Time passes at one replica, and its signatures are made and checked.
static void pass(unsigned r, uint64_t time_ns)
{
    struct node *node = &world.node[r];
    world.now_ns += time_ns;
    sim_signer_advance(&node->signer, world.now_ns);
    struct tacit_signer_done done;
    while (node->signer.signer.ops->poll(&node->signer.signer, &done, 1) == 1) {
        if (TACIT_SIGNER_COOKIE_OWNER(done.cookie) == TACIT_SIGNER_EPOCHS) {
            (void)tacit_epochs_signer(node->epochs, &done);
        }
    }
}

static void poll_for(unsigned r, uint64_t time_ns)
{
    for (uint64_t end_ns = world.now_ns + time_ns; world.now_ns < end_ns;) {
        (void)tacit_epochs_poll(world.node[r].epochs, false, world.now_ns);
        pass(r, RETRY_NS / 4);
    }
}

// Replica r sees a larger incarnation of the node, and says so.
static void see(unsigned r, tacit_node_t node, tacit_incarnation_t now)
{
    tacit_epochs_seen(world.node[r].epochs, node, now);
    poll_for(r, 2 * RETRY_NS);
}

// What `from` said newest about the node reaches replica r, from `by`.
static void hear(unsigned r, unsigned from, tacit_node_t node)
{
    assert_true(world.node[from].said_count[node] > 0);
    tacit_epochs_message(world.node[r].epochs, (tacit_node_t)from, world.node[from].said[node],
                         TACIT_SUSPECT_BYTES);
    pass(r, 4 * SIGN_NS);
}

static bool is_due(unsigned r)
{
    return tacit_epochs_is_due(world.node[r].epochs);
}

struct change {
    struct tacit_wire_item item;
    uint8_t batch[TACIT_EPOCH_BATCH_BYTES];
    uint8_t body[TACIT_EPOCH_BATCH_BYTES];
};

// The change that replica r would propose.
static bool propose(unsigned r, struct change *change)
{
    size_t offset = 0;
    size_t bytes = tacit_epochs_proposal(world.node[r].epochs, change->batch);
    if (bytes == 0) {
        return false;
    }
    assert_int_equal(tacit_wire_item_decode(&change->item, change->batch, bytes, &offset),
                     TACIT_VERDICT_OK);
    assert_int_equal(offset, bytes); // alone in its batch
    assert_int_equal(change->item.kind, TACIT_ITEM_REPLACE);
    memcpy(change->body, change->item.body, change->item.body_bytes);
    change->item.body = change->body;
    return true;
}

static enum tacit_epochs_endorsement endorse(unsigned r, unsigned leader,
                                             const struct change *change)
{
    return tacit_epochs_endorse(world.node[r].epochs, (tacit_node_t)leader, &change->item);
}

// Replica 2 came back as incarnation 2; 0 and 1 say so, and 0 knows both.
static void lose_replica_two(struct change *change)
{
    world_open(3);
    see(0, 2, 2);
    see(1, 2, 2);
    hear(0, 1, 2);
    assert_true(propose(0, change));
}

// ---- rules: true if kept

static bool rule_quorum(void)
{
    world_open(3);
    see(0, 2, 2);
    bool kept = !is_due(0);
    see(1, 2, 2);
    hear(0, 1, 2);
    assert_true(is_due(0));
    return kept;
}

static bool rule_quorum_of_five(void)
{
    struct change change;
    world_open(5);
    see(0, TACIT_NODE_MEMNODE + 2, 2);
    see(1, TACIT_NODE_MEMNODE + 2, 2);
    hear(0, 1, TACIT_NODE_MEMNODE + 2);
    bool kept = !is_due(0);
    see(3, TACIT_NODE_MEMNODE + 2, 2);
    hear(0, 3, TACIT_NODE_MEMNODE + 2);
    assert_true(propose(0, &change));
    assert_int_equal(change.item.subject, TACIT_NODE_MEMNODE + 2);
    return kept;
}

static bool rule_signed(void)
{
    world_open(3);
    see(0, 2, 2);
    see(1, 2, 2);
    world.node[1].said[2][TACIT_SUSPECT_BYTES - 1] ^= 1;
    hear(0, 1, 2);
    return !is_due(0);
}

// What was signed in an epoch is no proof in a later one, whatever the message says.
static bool rule_names_the_epoch(void)
{
    world_open(3);
    see(1, 2, 2);
    world.members[TACIT_NODE_MEMNODE] = 2; // another node was replaced meanwhile
    world_enter(1);
    see(0, 2, 2);
    hear(0, 1, 2);
    assert_false(is_due(0));
    memcpy(world.node[1].said[2] + 8, &world.epoch, sizeof world.epoch);
    hear(0, 1, 2);
    return !is_due(0);
}

static bool rule_void_in_the_next_epoch(void)
{
    struct change change;
    lose_replica_two(&change);
    world.members[2] = 2;
    world_enter(1);
    bool kept = !is_due(0);
    uint32_t said = world.node[0].said_count[2];
    poll_for(0, 100 * RETRY_NS);
    assert_int_equal(world.node[0].said_count[2], said); // it is a member now
    return kept;
}

// A change is endorsed by who has checked f+1 shares itself.
static bool rule_endorsed_when_checked(void)
{
    struct change change;
    lose_replica_two(&change);
    bool kept = endorse(1, 0, &change) == TACIT_EPOCHS_WAIT;
    pass(1, 4 * SIGN_NS);
    assert_int_equal(endorse(1, 0, &change), TACIT_EPOCHS_OK);
    return kept;
}

static bool rule_forged_is_never_endorsed(void)
{
    struct change change;
    lose_replica_two(&change);
    change.body[change.item.body_bytes - 20] ^= 1; // in the signature of the second signer
    (void)endorse(2, 0, &change);
    pass(2, 4 * SIGN_NS);
    return endorse(2, 0, &change) != TACIT_EPOCHS_OK;
}

static bool rule_distinct_signers(void)
{
    struct change change;
    lose_replica_two(&change);
    struct tacit_certificate certificate;
    size_t used;
    assert_int_equal(
        tacit_certificate_decode(&certificate, change.body, change.item.body_bytes, 2, 3, &used),
        TACIT_VERDICT_OK);
    certificate.shares[1] = certificate.shares[0];
    change.item.body_bytes =
        (uint32_t)tacit_certificate_encode(change.body, sizeof change.body, &certificate);
    return endorse(1, 0, &change) == TACIT_EPOCHS_NEVER;
}

// A leader that shows forged shares does not keep those from being checked that their signers say
// meanwhile; and the same the other way round.
static bool rule_copies_stop_nobody(void)
{
    struct change change;
    lose_replica_two(&change);
    struct change forged = change;
    forged.item.body = forged.body;
    for (uint32_t i = 8; i < forged.item.body_bytes; i++) {
        forged.body[i] ^= i % 65 == 40; // in each signature
    }
    world_enter(0); // nobody knows anything any more,
    see(0, 2, 2);
    assert_false(is_due(0));
    assert_int_equal(endorse(0, 2, &forged), TACIT_EPOCHS_WAIT);
    hear(0, 1, 2);
    bool kept = is_due(0);
    world_enter(0);
    see(0, 2, 2);
    uint8_t message[TACIT_SUSPECT_BYTES];
    memcpy(message, world.node[1].said[2], sizeof message);
    message[TACIT_SUSPECT_BYTES - 1] ^= 1;
    tacit_epochs_message(world.node[0].epochs, 1, message, sizeof message);
    (void)endorse(0, 2, &change);
    pass(0, 4 * SIGN_NS);
    return kept && endorse(0, 2, &change) == TACIT_EPOCHS_OK;
}

// Who connects may have no right to the seat: its member lives, or the body is barred. Once it has,
// the replica signs without being told.
static bool rule_open_seats_only(void)
{
    const tacit_incarnation_t spare = tacit_incarnation_make(1, 1, 3);
    world_open(3);
    world.closed = spare;
    see(0, 2, spare);
    bool kept = world.node[0].said_count[2] == 0;
    assert_true(tacit_epochs_deadline(world.node[0].epochs, false) < UINT64_MAX);
    world.closed = 0;
    poll_for(0, 64 * RETRY_NS);
    assert_true(world.node[0].said_count[2] > 0);
    return kept;
}

// A spare sits in seat 1: it signs with its own key, and the founder's counts for nothing.
static bool rule_author_of_the_seat(void)
{
    world_open(3);
    struct sim_signer_config config = world.node[1].signer.config;
    world.authors[1] = TACIT_SIGNER_SPARE + 2;
    see(0, 2, 2);
    see(1, 2, 2); // still with the founder's key
    hear(0, 1, 2);
    bool kept = !is_due(0);
    config.self = TACIT_SIGNER_SPARE + 2;
    world_enter(0);
    sim_signer_open(&world.node[1].signer, &world.keys, &config);
    see(0, 2, 2);
    poll_for(1, 2 * RETRY_NS);
    hear(0, 1, 2);
    return kept && is_due(0);
}

static const struct rule rules[] = {
    {"f+1 SUSPECTs, n = 3", rule_quorum, TACIT_BUG_EPOCH_F_SUFFICES},
    {"f+1 SUSPECTs, n = 5", rule_quorum_of_five, TACIT_BUG_EPOCH_F_SUFFICES},
    {"SUSPECT is signed", rule_signed, TACIT_BUG_SUSPECT_UNCHECKED},
    {"SUSPECT names the epoch", rule_names_the_epoch, TACIT_BUG_STATEMENT_WITHOUT_EPOCH},
    {"SUSPECT is void in the next epoch", rule_void_in_the_next_epoch,
     TACIT_BUG_SUSPECT_OUTLIVES_EPOCH},
    {"REPLACE is checked", rule_endorsed_when_checked, TACIT_BUG_REPLACE_UNCHECKED},
    {"a forged REPLACE", rule_forged_is_never_endorsed, TACIT_BUG_REPLACE_UNCHECKED},
    {"a forged REPLACE, share by share", rule_forged_is_never_endorsed,
     TACIT_BUG_SUSPECT_UNCHECKED},
    {"copies stop nobody", rule_copies_stop_nobody, TACIT_BUG_COPY_STOPS_SUSPECT},
    {"SUSPECT is signed for an open seat only", rule_open_seats_only, TACIT_BUG_SUSPECT_UNASKED},
    {"SUSPECT counts by the key of who sits there", rule_author_of_the_seat,
     TACIT_BUG_AUTHOR_IS_SEAT},
    {"REPLACE: signers distinct", rule_distinct_signers, TACIT_BUG_SIGNER_REPEATED},
};

// ---- suspecting

static void suspect__is_said_of_larger_incarnations_only(void **state)
{
    (void)state;
    world_open(3);
    see(0, 2, 1); // the member itself
    assert_int_equal(world.node[0].said_count[2], 0);
    assert_int_equal(tacit_epochs_deadline(world.node[0].epochs, false), UINT64_MAX);
    see(0, 2, 5);
    assert_true(world.node[0].said_count[2] > 0);
    uint64_t words[3];
    memcpy(words, world.node[0].said[2] + 8, sizeof words);
    assert_int_equal(words[0], 0);
    assert_int_equal(words[1], 1);
    assert_int_equal(words[2], 5);
    see(0, 2, 3); // an older connection that is told late
    memcpy(words, world.node[0].said[2] + 8, sizeof words);
    assert_int_equal(words[2], 5);
    see(0, 3, 9); // there is no replica 3,
    see(0, TACIT_NODE_MEMNODE + MEMNODES, 9);
    see(0, TACIT_NODE_CLIENT, 9); // and clients are no members
    assert_int_equal(world.node[0].said_count[3], 0);
    assert_int_equal(world.node[0].said_count[TACIT_NODE_MEMNODE + MEMNODES], 0);
}

static void suspect__is_repeated_more_and_more_rarely(void **state)
{
    (void)state;
    world_open(3);
    see(0, 2, 2);
    poll_for(0, 62 * RETRY_NS);
    uint32_t first = world.node[0].said_count[2];
    assert_in_range(first, 3, 8);
    poll_for(0, 320 * RETRY_NS);
    assert_in_range(world.node[0].said_count[2] - first, 9, 11);
    assert_true(tacit_epochs_deadline(world.node[0].epochs, false) < world.now_ns + 33 * RETRY_NS);
    // Not while a change is on its way.
    first = world.node[0].said_count[2];
    assert_int_equal(tacit_epochs_deadline(world.node[0].epochs, true), UINT64_MAX);
    world.now_ns += 100 * RETRY_NS;
    assert_false(tacit_epochs_poll(world.node[0].epochs, true, world.now_ns));
    assert_int_equal(world.node[0].said_count[2], first);
}

// Of the same incarnation: who was restarted twice is replaced by the last.
static void suspects__count_for_one_incarnation(void **state)
{
    (void)state;
    struct change change;
    world_open(3);
    see(1, 2, 2);
    see(0, 2, 3);
    hear(0, 1, 2);
    assert_false(is_due(0));
    see(1, 2, 3);
    hear(0, 1, 2);
    assert_true(propose(0, &change));
    assert_int_equal(change.item.session, 1);
    assert_int_equal(change.item.number, 3);
}

static void suspect__repeated_by_one_counts_once(void **state)
{
    (void)state;
    world_open(3);
    see(1, 2, 2);
    for (unsigned i = 0; i < 20; i++) {
        hear(0, 1, 2);
    }
    assert_false(is_due(0));
    // Shown by another, it is not that one's.
    tacit_epochs_message(world.node[0].epochs, 2, world.node[1].said[2], TACIT_SUSPECT_BYTES);
    pass(0, 4 * SIGN_NS);
    assert_false(is_due(0));
    assert_int_equal(tacit_epochs_counters(world.node[0].epochs)->bad_signatures, 1);
}

static void suspect__of_the_wrong_shape_is_counted(void **state)
{
    (void)state;
    world_open(3);
    see(1, 2, 2);
    uint8_t message[TACIT_SUSPECT_BYTES];
    static const uint16_t nobody[] = {3, 15, TACIT_NODE_MEMNODE + MEMNODES, TACIT_NODE_CLIENT,
                                      0xffff};
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        memcpy(message, world.node[1].said[2], sizeof message);
        memcpy(message + 2, &nobody[i], sizeof nobody[i]);
        tacit_epochs_message(world.node[0].epochs, 1, message, sizeof message);
        assert_int_equal(tacit_epochs_counters(world.node[0].epochs)->malformed, i + 1);
    }
    for (uint32_t bytes = 0; bytes < TACIT_SUSPECT_BYTES; bytes++) {
        tacit_epochs_message(world.node[0].epochs, 1, message, bytes);
    }
    assert_int_equal(tacit_epochs_counters(world.node[0].epochs)->malformed,
                     sizeof nobody / sizeof nobody[0] + TACIT_SUSPECT_BYTES);
    assert_int_equal(world.node[0].signer.signer.signatures_checked, 0);
}

// A completion of a job that was given in an older epoch, or of none, changes nothing.
static void signer__of_an_older_epoch_says_nothing(void **state)
{
    (void)state;
    world_open(3);
    struct node *node = &world.node[0];
    see(1, 2, 2);
    see(0, 2, 2);
    tacit_epochs_message(node->epochs, 1, node[1].said[2], TACIT_SUSPECT_BYTES);
    world.members[TACIT_NODE_MEMNODE] = 2;
    world_enter(1);
    pass(0, 4 * SIGN_NS);
    see(0, 2, 2);
    assert_false(is_due(0));
    for (uint64_t value = 0; value < 4096; value++) {
        struct tacit_signer_done done = {
            .cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_EPOCHS, value << 28 | value % 4),
            .valid = true};
        assert_false(tacit_epochs_signer(node->epochs, &done));
    }
    assert_false(is_due(0));
}

// ---- endorsing

static void endorse__refuses_what_cannot_be(void **state)
{
    (void)state;
    struct change change;
    lose_replica_two(&change);
    const struct tacit_wire_item good = change.item;
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_OK);
    change.item.session = 2; // nobody is that
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER);
    change.item = good;
    change.item.number = 1; // the member itself
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER);
    change.item.number = (uint64_t)TACIT_INCARNATION_MAX + 1;
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER);
    change.item = good;
    change.item.number = 7; // another than the shares say
    (void)endorse(0, 1, &change);
    pass(0, 4 * SIGN_NS);
    assert_int_equal(endorse(0, 1, &change), TACIT_EPOCHS_WAIT);
    change.item = good;
    change.item.subject = 3; // there is no such replica
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER);
    change.item = good;
    for (uint32_t bytes = 0; bytes < good.body_bytes; bytes++) {
        change.item.body_bytes = bytes;
        assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER);
    }
    change.item.body_bytes = good.body_bytes + 8; // more than the certificate
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER);
    change.item = good;
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_OK);
    world.members[2] = 2;
    world_enter(1);
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_NEVER); // done already
}

// A leader who forges shares costs nobody's valid ones, and waits in its own queue.
static void endorse__of_forged_shares_displaces_none(void **state)
{
    (void)state;
    struct change change;
    struct change again;
    lose_replica_two(&change);
    memcpy(&again, &change, sizeof again);
    again.item.body = again.body;
    again.item.number = 9;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(endorse(0, 2, &again), TACIT_EPOCHS_WAIT);
    }
    assert_int_equal(world.node[0].signer.queue[0].count, 0);
    assert_int_equal(world.node[0].signer.queue[1].count, 0);
    assert_true(is_due(0));
    pass(0, 10 * SIGN_NS);
    assert_true(is_due(0));
    assert_int_equal(endorse(0, 0, &change), TACIT_EPOCHS_OK);
}

// A full queue of the signer only delays.
static void endorse__waits_for_a_full_queue(void **state)
{
    (void)state;
    struct change change;
    lose_replica_two(&change);
    struct tacit_signer *signer = &world.node[1].signer.signer;
    struct tacit_signer_job other = {
        .verify = true, .domain = TACIT_DOMAIN_CERTIFY, .payload_bytes = 8};
    other.cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_CTB, 0);
    while (signer->ops->submit(signer, &other)) {
    }
    assert_int_equal(endorse(1, 0, &change), TACIT_EPOCHS_WAIT);
    pass(1, 20 * SIGN_NS);
    assert_int_equal(endorse(1, 0, &change), TACIT_EPOCHS_WAIT);
    pass(1, 20 * SIGN_NS);
    assert_int_equal(endorse(1, 0, &change), TACIT_EPOCHS_OK);
}

// A liar sends what it likes, a faulty leader proposes what it likes: nothing comes due without a
// correct replica's word, and the module keeps its bounds (the sanitizers look).
static void anything__from_one_liar_makes_nothing_due(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 11);
    world_open(3);
    see(1, 2, 2);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t message[TACIT_SUSPECT_BYTES];
        memcpy(message, world.node[1].said[2], sizeof message);
        for (uint32_t k = choice_u32(&choice, 4); k-- > 0;) {
            message[choice_u32(&choice, 32)] = (uint8_t)choice_u32(&choice, 4);
        }
        if (choice_u32(&choice, 2) == 0) {
            tacit_epochs_message(world.node[0].epochs, 1, message, sizeof message);
        } else {
            struct change change = {.item = {.kind = TACIT_ITEM_REPLACE,
                                             .subject = message[2],
                                             .session = choice_u32(&choice, 3),
                                             .number = choice_u32(&choice, 4)}};
            struct tacit_certificate certificate = {.count = 2};
            certificate.shares[0].signer = (uint8_t)choice_u32(&choice, 2);
            certificate.shares[1].signer = 1 + (uint8_t)choice_u32(&choice, 2);
            memcpy(certificate.shares[1].signature.bytes, message + 32, TACIT_SIGNATURE_BYTES);
            change.item.body = change.body;
            change.item.body_bytes =
                (uint32_t)tacit_certificate_encode(change.body, sizeof change.body, &certificate);
            assert_int_not_equal(endorse(0, 1, &change), TACIT_EPOCHS_OK);
        }
        pass(0, choice_u32(&choice, 2 * SIGN_NS));
        assert_false(is_due(0));
    }
}

static int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(suspect__is_said_of_larger_incarnations_only),
        cmocka_unit_test(suspect__is_repeated_more_and_more_rarely),
        cmocka_unit_test(suspects__count_for_one_incarnation),
        cmocka_unit_test(suspect__repeated_by_one_counts_once),
        cmocka_unit_test(suspect__of_the_wrong_shape_is_counted),
        cmocka_unit_test(signer__of_an_older_epoch_says_nothing),
        cmocka_unit_test(endorse__refuses_what_cannot_be),
        cmocka_unit_test(endorse__of_forged_shares_displaces_none),
        cmocka_unit_test(endorse__waits_for_a_full_queue),
        cmocka_unit_test(anything__from_one_liar_makes_nothing_due),
    };
    return cmocka_run_group_tests_name("byz_epochs", tests, NULL, close_world);
}
