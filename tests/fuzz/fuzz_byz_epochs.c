// SPDX-License-Identifier: Apache-2.0
//
// SUSPECTs and REPLACEs (core/byzantine/epochs.h) against bytes: what peers and leaders say, what
// the signer answers, in any order. No input crashes; what is due was signed by f+1, and is
// endorsed where it is proposed. Steps: {u8 what | u8 from | u8 length | bytes}.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/byzantine/epochs.h"
#include "core/byzantine/links.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES = 3, JOBS = 64, STEPS_MAX = 200 };

static struct {
    struct tacit_signer signer; // first
    struct tacit_signer_job jobs[JOBS];
    uint32_t count;
    uint64_t said;
} world;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    (void)links;
    must(bytes == TACIT_SUSPECT_BYTES && ((const uint8_t *)message)[0] == TACIT_MESSAGE_SUSPECT);
    world.said++;
}

static bool submit(struct tacit_signer *signer, const struct tacit_signer_job *job)
{
    must(signer == &world.signer && job->charge < TACIT_SIGNER_CHARGES);
    must(job->payload_bytes <= TACIT_SIGN_PAYLOAD_MAX && job->author < NODES);
    if (world.count == JOBS) {
        return false;
    }
    world.jobs[world.count++] = *job;
    return true;
}

static bool knows(struct tacit_signer *signer, uint16_t author)
{
    (void)signer;
    return author < NODES;
}

// One job comes back, not always the oldest. A signature holds if it names its author and the
// incarnation that it is about (in the last bytes of what is signed).
static bool answer(struct tacit_epochs *epochs, uint8_t draw)
{
    if (world.count == 0) {
        return false;
    }
    uint32_t which = draw % world.count;
    struct tacit_signer_job job = world.jobs[which];
    world.jobs[which] = world.jobs[world.count - 1];
    world.count--;
    struct tacit_signer_done done = {.cookie = job.cookie, .valid = true};
    if (job.verify) {
        done.signature = job.signature;
        done.valid = job.signature.bytes[0] == job.author + 1;
    } else {
        done.signature.bytes[0] = (uint8_t)(job.author + 1);
    }
    return tacit_epochs_signer(epochs, &done);
}

static void check_due(struct tacit_epochs *epochs)
{
    uint8_t batch[TACIT_EPOCH_BATCH_BYTES];
    size_t bytes = tacit_epochs_proposal(epochs, batch);
    must((bytes > 0) == tacit_epochs_is_due(epochs) && bytes <= sizeof batch);
    struct tacit_wire_item item;
    size_t offset = 0;
    if (bytes > 0) {
        must(tacit_wire_item_decode(&item, batch, bytes, &offset) == TACIT_VERDICT_OK);
        must(item.kind == TACIT_ITEM_REPLACE && offset == bytes);
        must(tacit_epochs_endorse(epochs, 0, &item) == TACIT_EPOCHS_OK);
    }
}

static void step(struct tacit_epochs *epochs, const uint8_t *data, size_t bytes, uint8_t what,
                 uint8_t from, tacit_time_ns_t now_ns)
{
    struct tacit_wire_item item;
    size_t offset = 0;
    uint8_t message[TACIT_SUSPECT_BYTES] = {TACIT_MESSAGE_SUSPECT};
    switch (what % 6) {
    case 0:
        tacit_epochs_message(epochs, (tacit_node_t)(1 + from % 2), data, (uint32_t)bytes);
        break;
    case 1: // with a head that may be right: node, epoch 1, incarnations, the signature's first
            // byte
        message[2] = bytes > 0 ? data[0] : 0;
        message[8] = 1;
        message[16] = 1;
        message[24] = bytes > 1 ? data[1] : 2;
        message[32] = bytes > 2 ? data[2] : 0;
        tacit_epochs_message(epochs, (tacit_node_t)(1 + from % 2), message, sizeof message);
        break;
    case 2:
        (void)answer(epochs, from);
        break;
    case 3:
        if (tacit_wire_item_decode(&item, data, bytes, &offset) == TACIT_VERDICT_OK &&
            item.kind == TACIT_ITEM_REPLACE) {
            (void)tacit_epochs_endorse(epochs, (tacit_node_t)(from % NODES), &item);
        }
        break;
    case 4:
        tacit_epochs_seen(epochs, (tacit_node_t)(from % 40), bytes > 0 ? data[0] : 1);
        break;
    default:
        (void)tacit_epochs_poll(epochs, from % 8 == 0, now_ns);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tacit_signer_ops ops = {.submit = submit, .knows = knows};
    static _Alignas(64) char memory[1u << 16];
    static const struct tacit_epochs_config config = {
        .replicas = NODES, .memnodes = 3, .self = 0, .retry_ns = 100};
    memset(&world, 0, sizeof world);
    world.signer.ops = &ops;
    struct tacit_bump bump = {.base = memory};
    struct tacit_marker marker = {0};
    struct tacit_epochs *epochs = tacit_epochs_init(&bump, &config, NULL, &world.signer, marker);
    must(bump.used <= sizeof memory);
    uint64_t members[TACIT_EPOCH_NODES];
    for (uint32_t i = 0; i < TACIT_EPOCH_NODES; i++) {
        members[i] = 1;
    }
    tacit_epochs_enter(epochs, 1, members);
    for (uint32_t i = 0; i < STEPS_MAX && size >= 3; i++) {
        size_t bytes = data[2] < size - 3 ? data[2] : size - 3;
        step(epochs, data + 3, bytes, data[0], data[1], 1000u + 40u * i);
        check_due(epochs);
        (void)tacit_epochs_deadline(epochs, false);
        data += 3 + bytes;
        size -= 3 + bytes;
    }
    return 0;
}
