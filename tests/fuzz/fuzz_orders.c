// SPDX-License-Identifier: Apache-2.0
//
// An operator's orders in Byzantine mode against bytes: what clients ask and peers tell, what the
// signer answers, what is endorsed and executed, and members that come and go meanwhile, in any
// order. What is well-formed encodes to the same bytes; nothing counts without the operator's
// signature; asking changes no member, executing twice no more than once; no body sits twice or
// although it is barred, and no order leaves fewer members than a majority. Steps: {u8 what |
// u8 who | 6 bytes | for raw ones: u8 length, bytes}.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/smr/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLICAS = 3, MEMNODES = 3, CLIENTS = 4, JOBS = 16, STEP_BYTES = 8, STEPS_MAX = 300 };
enum { GOOD = 1 }; // first byte of a signature that holds

static struct {
    struct tacit_signer signer; // first
    struct tacit_signer_job jobs[JOBS];
    uint32_t count;
    struct tacit_smr smr;
    struct tacit_members members;
    _Alignas(64) char memory[1u << 16];
} world;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool submit(struct tacit_signer *signer, const struct tacit_signer_job *job)
{
    must(signer == &world.signer && job->verify && job->author == TACIT_SIGNER_OPERATOR);
    must(job->charge < TACIT_SIGNER_CHARGES && job->payload_bytes == TACIT_WIRE_ORDER_SIGNED);
    must(world.count <= REPLICAS); // one of each peer and one of all clients
    world.jobs[world.count++] = *job;
    return true;
}

static bool knows(struct tacit_signer *signer, uint16_t author)
{
    return signer == &world.signer && author == TACIT_SIGNER_OPERATOR;
}

static void answer(uint8_t draw)
{
    if (world.count == 0) {
        return;
    }
    uint32_t which = draw % world.count;
    struct tacit_signer_job job = world.jobs[which];
    world.jobs[which] = world.jobs[--world.count];
    struct tacit_signer_done done = {
        .cookie = job.cookie, .valid = job.signature.bytes[0] == GOOD, .signature = job.signature};
    (void)tacit_orders_signer(world.smr.byzantine.orders, &done);
}

// ---- orders

static void make_order(const uint8_t *draw, uint8_t out[TACIT_WIRE_ORDER_BYTES])
{
    struct tacit_wire_order order = {
        .kind = (uint8_t)(TACIT_ORDER_ADD + draw[0] % 3),
        .body = draw[1] % (TACIT_SPARES_MAX + 3),
        .seat = (tacit_node_t)(draw[2] % 4 + (draw[2] >= 128 ? TACIT_NODE_MEMNODE : 0)),
        .epoch = world.members.epoch + draw[3] / 128,
        .nonce = 1u + draw[4],
        .signature = {draw[5] % 4 == 0 ? 0 : GOOD}};
    tacit_wire_order_encode(out, &order);
}

static void check_bytes(const uint8_t *bytes, size_t size)
{
    struct tacit_wire_order order;
    uint8_t again[TACIT_WIRE_ORDER_BYTES];
    if (tacit_wire_order_decode(&order, bytes, size) == TACIT_VERDICT_OK) {
        tacit_wire_order_encode(again, &order);
        must(size == sizeof again && memcmp(again, bytes, size) == 0);
    }
}

static void ask(uint8_t who, const uint8_t *body, uint32_t bytes)
{
    struct tacit_wire_request request = {
        .kind = TACIT_REQUEST_ORDER, .body = body, .body_bytes = bytes};
    const struct tacit_members before = world.members;
    check_bytes(body, bytes);
    tacit_smr_epoch_order(&world.smr, (tacit_node_t)(TACIT_NODE_CLIENT + who % CLIENTS), &request);
    must(memcmp(&before, &world.members, sizeof before) == 0);
}

static void tell(uint8_t who, const uint8_t *order, uint32_t bytes)
{
    uint8_t message[TACIT_ORDER_MESSAGE_BYTES + 64] = {TACIT_MESSAGE_ORDER};
    memcpy(message + 8, order, bytes);
    tacit_orders_message(world.smr.byzantine.orders, (tacit_node_t)(who % (REPLICAS + 1)), message,
                         8 + bytes);
}

static void endorse(uint8_t who, const uint8_t *order, uint32_t bytes)
{
    struct tacit_wire_item item = {
        .kind = TACIT_ITEM_ORDER, .number = 1, .body = order, .body_bytes = bytes};
    enum tacit_epochs_endorsement said = tacit_orders_endorse(
        world.smr.byzantine.orders, (tacit_node_t)(who % (REPLICAS + 1)), &item);
    must(said != TACIT_EPOCHS_OK ||
         (bytes == TACIT_WIRE_ORDER_BYTES && order[TACIT_WIRE_ORDER_SIGNED] == GOOD));
}

// What agreement does with an order that was decided.
static void execute(const struct tacit_wire_order *order)
{
    struct tacit_members *members = &world.members;
    struct tacit_seats seats = tacit_smr_seats(&world.smr);
    bool changing = tacit_smr_epoch_is_ending(&world.smr);
    bool is_new = order->nonce > members->order_nonce;
    enum tacit_order_outcome expected = tacit_members_judge(members, &seats, order, changing);
    enum tacit_order_outcome outcome = tacit_members_order(members, &seats, order, changing);
    must(outcome == expected);
    if (is_new && outcome == TACIT_ORDER_DONE && order->kind == TACIT_ORDER_REMOVE) {
        tacit_members_seat(members, order->seat, tacit_members_vacancy(members, order->seat));
        members->epoch++;
        uint32_t least =
            order->seat < TACIT_NODE_MEMNODE ? seats.replicas_least : seats.memnodes_least;
        must(tacit_members_count(members, &seats, order->seat) >= least);
    }
    const struct tacit_members after = *members;
    (void)tacit_members_order(members, &seats, order, changing);
    must(memcmp(&after, members, sizeof after) == 0);
    tacit_orders_executed(world.smr.byzantine.orders, members->order_nonce);
}

// What is due was signed by the operator, is not void, and is endorsed.
static void check_due(bool executes)
{
    struct tacit_orders *orders = world.smr.byzantine.orders;
    uint8_t batch[TACIT_EPOCH_BATCH_BYTES];
    struct tacit_wire_item item;
    struct tacit_wire_order order;
    size_t offset = 0;
    size_t bytes = tacit_orders_proposal(orders, batch);
    must((bytes > 0) == tacit_orders_is_due(orders) && bytes <= sizeof batch);
    if (bytes == 0) {
        return;
    }
    must(tacit_wire_item_decode(&item, batch, bytes, &offset) == TACIT_VERDICT_OK);
    must(item.kind == TACIT_ITEM_ORDER && offset == bytes);
    must(tacit_wire_order_decode(&order, item.body, item.body_bytes) == TACIT_VERDICT_OK);
    must(order.signature[0] == GOOD && order.nonce > world.members.order_nonce);
    must(tacit_orders_endorse(orders, 0, &item) == TACIT_EPOCHS_OK);
    if (executes) {
        execute(&order);
        must(world.members.order_nonce >= order.nonce);
    }
}

// ---- members

static void sit(const uint8_t *draw)
{
    struct tacit_members *members = &world.members;
    struct tacit_seats seats = tacit_smr_seats(&world.smr);
    tacit_node_t seat = (tacit_node_t)(draw[0] % 4 + (draw[0] >= 128 ? TACIT_NODE_MEMNODE : 0));
    uint64_t now = members->seat[seat];
    uint32_t generation = tacit_incarnation_generation((tacit_incarnation_t)now) + draw[1] % 3;
    if (generation > TACIT_GENERATION_MAX) {
        return;
    }
    uint64_t next = tacit_incarnation_make(generation, draw[2] % (TACIT_BODY_VACANT + 1u),
                                           (tacit_incarnation_t)(draw[3] + 1u));
    if (tacit_members_may_follow(members, &seats, seat, next)) {
        bool is_change = tacit_seat_is_change(now, next);
        tacit_members_seat(members, seat, next);
        members->epoch += is_change;
        must(next >= now);
    }
}

static void check_members(void)
{
    const struct tacit_members *members = &world.members;
    uint64_t sitting[2] = {0, 0};
    for (tacit_node_t seat = 0; seat < TACIT_MEMBERS; seat++) {
        uint64_t now = members->seat[seat];
        uint32_t body = tacit_incarnation_body((tacit_incarnation_t)now);
        if (now == 0 || tacit_seat_is_vacant(now)) {
            continue;
        }
        uint64_t bit = tacit_body_bit(seat, body);
        uint64_t *taken = &sitting[seat >= TACIT_NODE_MEMNODE];
        must((members->barred & bit) == 0 && (*taken & bit) == 0);
        *taken |= bit;
    }
}

// ---- steps

static void world_open(void)
{
    static const struct tacit_signer_ops ops = {.submit = submit, .knows = knows};
    static const struct tacit_orders_config config = {
        .replicas = REPLICAS, .self = 0, .retry_ns = 1};
    memset(&world, 0, sizeof world);
    world.signer.ops = &ops;
    struct tacit_smr *smr = &world.smr;
    smr->config.engine = TACIT_ENGINE_BYZANTINE;
    smr->config.replicas = REPLICAS;
    smr->config.memnodes = MEMNODES;
    smr->active = smr->state_valid = true;
    smr->sessions.members = &world.members;
    smr->byzantine.signer = &world.signer;
    struct tacit_bump bump = {.base = world.memory};
    smr->byzantine.orders = tacit_orders_init(&bump, &config, NULL, &world.signer);
    must(bump.used <= sizeof world.memory);
    struct tacit_seats seats = tacit_smr_seats(smr);
    tacit_members_found(&world.members, &seats);
}

static void step(const uint8_t *draw, const uint8_t *raw, uint32_t raw_bytes)
{
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    uint8_t who = draw[1];
    bool is_raw = raw != NULL;
    make_order(draw + 2, order);
    const uint8_t *bytes = is_raw ? raw : order;
    uint32_t size = is_raw ? raw_bytes : sizeof order;
    switch (draw[0] % 8) {
    case 0:
        ask(who, bytes, size);
        break;
    case 1:
        tell(who, bytes, size);
        break;
    case 2:
        endorse(who, bytes, size);
        break;
    case 3:
    case 4:
        answer(who);
        break;
    case 5:
        check_due(true);
        break;
    case 6:
        sit(draw + 2);
        break;
    default:
        world.members.change_at = who % 2; // a change is decided, or in force
        break;
    }
    world.smr.now_ns += 1u + who % 8u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_open();
    check_bytes(data, size);
    for (uint32_t i = 0; i < STEPS_MAX && size >= STEP_BYTES; i++) {
        const uint8_t *draw = data;
        data += STEP_BYTES;
        size -= STEP_BYTES;
        const uint8_t *raw = NULL;
        uint32_t raw_bytes = 0;
        if (draw[0] >= 224 && size > 0) {
            raw_bytes = data[0] < size - 1 ? data[0] : (uint32_t)(size - 1);
            raw_bytes = raw_bytes < 128 ? raw_bytes : 128;
            raw = data + 1;
            data += 1 + raw_bytes;
            size -= 1 + raw_bytes;
        }
        step(draw, raw, raw_bytes);
        check_due(false);
        check_members();
    }
    return 0;
}
