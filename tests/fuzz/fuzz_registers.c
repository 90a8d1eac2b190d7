// SPDX-License-Identifier: Apache-2.0
//
// Replicated registers whose bytes change under their reader (core/byzantine/registers.h). A
// correct owner writes, another owner lies with what it copies, moves and spoils at each memory
// node, and one reader reads both, word by word, while time passes, connections break and one
// memory node comes back empty. The correct owner's register is regular, a value that nobody sealed
// is never returned, and when everybody can be reached each read and write ends.
#include "unit/support/fake_fabric.h"

#include "script.h"
#include "unit/byz_registers_values.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    READER = 0,
    OWNER = 1,
    LIAR = 2,
    SIDES = 2, // processes: the reader and the owner
    REGION = REGISTERS * TACIT_REGISTER_BYTES,
    TICKETS = 512,
    STEPS_MAX = 600,
    TURNS_MAX = 400,
};

static struct {
    struct side {
        struct fake_fabric fake;
        struct tacit_registers *registers;
        _Alignas(64) uint8_t memory[1u << 15];
    } side[SIDES];
    _Alignas(8) uint8_t region[REPLICAS][MEMNODES][REGION];
    tacit_time_ns_t now_ns;
    uint64_t begun[REGISTERS], done[REGISTERS]; // numbers that the owner writes
    struct {
        bool is_out;
        tacit_node_t owner;
        uint32_t index;
        uint64_t least;
    } reads[TICKETS];
    uint64_t read_count, reads_out;
    bool is_emptied; // one memory node was
} world;

static void on_written(void *context, uint32_t index, uint64_t ticket)
{
    (void)context;
    must(ticket <= world.begun[index] && ticket > world.done[index]);
    world.done[index] = ticket;
}

static void on_read(void *context, uint64_t ticket, const uint8_t *value)
{
    (void)context;
    must(ticket < world.read_count && world.reads[ticket].is_out);
    world.reads[ticket].is_out = false;
    world.reads_out--;
    uint32_t index = world.reads[ticket].index;
    if (world.reads[ticket].owner == OWNER) {
        uint64_t number = number_of(value, OWNER, index);
        must(number != UINT64_MAX);
        must(number >= world.reads[ticket].least && number <= world.begun[index]);
        return;
    }
    bool known = value == NULL;
    for (uint32_t i = 0; i < REGISTERS; i++) { // the liar has what the owner sealed, and no more
        known = known || number_of(value, OWNER, i) <= world.begun[i];
    }
    must(known);
}

static void pump(void)
{
    for (uint32_t i = 0; i < SIDES; i++) {
        struct tacit_event event;
        struct side *side = &world.side[i];
        while (fake_take(&side->fake, &event)) {
            tacit_registers_event(side->registers, &event, world.now_ns);
        }
        (void)tacit_registers_poll(side->registers, world.now_ns);
    }
}

static void open_side(uint32_t which)
{
    struct side *side = &world.side[which];
    struct tacit_registers_config config = config_of((tacit_node_t)which);
    struct tacit_registers_calls calls = {NULL, on_written, on_read};
    struct tacit_bump bump = {.base = (char *)side->memory};
    fake_init(&side->fake, (tacit_node_t)which, 1);
    side->registers = tacit_registers_init(&bump, &config, &side->fake.fabric, &calls,
                                           (struct tacit_marker){.mark = mark});
    must(bump.used <= sizeof side->memory);
    for (uint32_t r = 0; r < REPLICAS; r++) {
        tacit_registers_owner(side->registers, (tacit_node_t)r, 1);
        for (uint32_t m = 0; m < MEMNODES; m++) {
            fake_add_region(&side->fake, memnode(m), TACIT_REGION_REGISTERS, (tacit_node_t)r, 1,
                            world.region[r][m], REGION);
        }
    }
    for (uint32_t m = 0; m < MEMNODES; m++) {
        tacit_registers_accept(side->registers, memnode(m), 1);
        fake_up(&side->fake, memnode(m), 1);
    }
}

static void write_next(uint32_t index)
{
    uint8_t value[TACIT_REGISTER_VALUE_BYTES];
    value_of(value, OWNER, index, ++world.begun[index]);
    tacit_registers_write(world.side[OWNER].registers, index, value, world.begun[index],
                          world.now_ns);
}

static void read_next(tacit_node_t owner, uint32_t index)
{
    uint64_t ticket = world.read_count;
    if (ticket < TICKETS &&
        tacit_registers_read(world.side[READER].registers, owner, index, ticket, world.now_ns)) {
        world.reads[ticket].is_out = true;
        world.reads[ticket].owner = owner;
        world.reads[ticket].index = index;
        world.reads[ticket].least = world.done[index];
        world.read_count++;
        world.reads_out++;
    }
}

static void lie(struct script *script)
{
    uint8_t(*mine)[REGION] = world.region[LIAR];
    uint32_t m = take_below(script, MEMNODES);
    uint8_t what = (uint8_t)take(script, 1);
    size_t slot = what % (2u * REGISTERS) * TACIT_REGISTER_SLOT_BYTES;
    size_t other = what / 4u % (2u * REGISTERS) * TACIT_REGISTER_SLOT_BYTES;
    size_t word = take_below(script, TACIT_REGISTER_SLOT_BYTES / 8) * 8u;
    switch (what / 16 % 4) {
    case 0: // a word is spoilt
        mine[m][slot + word] ^= what;
        break;
    case 1: // the owner's sub-slot, from any register and node
        memcpy(mine[m] + slot, world.region[OWNER][what / 64 % MEMNODES] + other,
               TACIT_REGISTER_SLOT_BYTES);
        break;
    case 2: // the upper part of it
        memcpy(mine[m] + slot + word, world.region[OWNER][what / 64 % MEMNODES] + other + word,
               TACIT_REGISTER_SLOT_BYTES - word);
        break;
    default:
        memset(mine[m] + slot, 0, TACIT_REGISTER_SLOT_BYTES);
    }
}

static void land(struct side *side, uint32_t which, uint32_t words)
{
    if (side->fake.op_count > 0) {
        fake_land(&side->fake, which % side->fake.op_count, words);
    }
}

// It comes up again when its DOWN was taken: until then its handles are valid.
static void flip(struct side *side, uint32_t m)
{
    if (side->fake.host[memnode(m)].up) {
        fake_down(&side->fake, memnode(m), true);
    } else if (side->fake.event_count == 0) {
        fake_up(&side->fake, memnode(m), world.is_emptied && m == 0 ? 2 : 1);
    }
}

// Memory node 0 loses its memory: both lose their connection first.
static void empty(void)
{
    for (uint32_t i = 0; i < SIDES; i++) {
        if (world.side[i].fake.host[memnode(0)].up) {
            flip(&world.side[i], 0);
        }
    }
    world.is_emptied = true;
    for (uint32_t r = 0; r < REPLICAS; r++) {
        memset(world.region[r][0], 0, REGION);
    }
}

static void step(struct script *script)
{
    uint8_t what = (uint8_t)take(script, 1);
    struct side *side = &world.side[what / 128];
    switch (what % 16) {
    case 0:
    case 1:
        write_next(what / 16u % REGISTERS);
        break;
    case 2:
    case 3:
        read_next(OWNER, what / 16u % REGISTERS);
        break;
    case 4:
        read_next(LIAR, what / 16u % REGISTERS);
        break;
    case 5:
    case 6:
        lie(script);
        break;
    case 7:
    case 8:
    case 9:
        land(side, what / 16u, take_below(script, 80));
        break;
    case 10:
    case 11:
        land(side, what / 16u, UINT32_MAX);
        break;
    case 12:
        flip(side, what / 16u % MEMNODES);
        break;
    case 13:
        if (what == 253) {
            empty();
        }
        break;
    default:
        world.now_ns += (tacit_time_ns_t)take(script, 1) * 200 + 1;
    }
    pump();
}

static void finish(void)
{
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        for (uint32_t i = 0; i < SIDES; i++) {
            struct side *side = &world.side[i];
            for (uint32_t m = 0; m < MEMNODES; m++) {
                if (!side->fake.host[memnode(m)].up) {
                    flip(side, m);
                }
            }
            while (side->fake.op_count > 0) {
                land(side, 0, UINT32_MAX);
            }
        }
        pump();
        world.now_ns += COOLDOWN / 16;
        if (world.reads_out == 0 && memcmp(world.begun, world.done, sizeof world.begun) == 0) {
            return;
        }
    }
    must_not("reads and writes go on for ever");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("CMOCKA_TEST_ABORT", "1", 1); // assertions of the fake end the target
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    memset(&world, 0, sizeof world);
    world.now_ns = 1000;
    for (uint32_t i = 0; i < SIDES; i++) {
        open_side(i);
    }
    pump();
    for (uint32_t i = 0; i < STEPS_MAX && !script_is_over(&script); i++) {
        step(&script);
    }
    finish();
    for (uint32_t i = 0; i < REGISTERS; i++) { // the newest is there
        read_next(OWNER, i);
    }
    finish();
    return 0;
}
