// SPDX-License-Identifier: Apache-2.0
//
// What the tests of replicated registers share: the configuration, and values that say what they
// are, so that a mixture of two is told from both.
#ifndef TACIT_TESTS_UNIT_BYZ_REGISTERS_VALUES_H
#define TACIT_TESTS_UNIT_BYZ_REGISTERS_VALUES_H

#include <stdint.h>
#include <string.h>

#include "core/base/mark.h"
#include "core/byzantine/registers.h"

enum { REPLICAS = 3, MEMNODES = 3, REGISTERS = 2, READS = 3, COOLDOWN = 20000, PATIENCE = 300000 };

static uint64_t marks[TACIT_MARKS];

static inline void mark(void *context, unsigned which)
{
    (void)context;
    marks[which]++;
}

static inline struct tacit_registers_config config_of(tacit_node_t self)
{
    return (struct tacit_registers_config){.replicas = REPLICAS,
                                           .memnodes = MEMNODES,
                                           .self = self,
                                           .registers = REGISTERS,
                                           .reads = READS,
                                           .cooldown_ns = COOLDOWN,
                                           .patience_ns = PATIENCE};
}

static inline void value_of(uint8_t out[TACIT_REGISTER_VALUE_BYTES], tacit_node_t owner,
                            uint32_t index, uint64_t number)
{
    for (uint32_t i = 0; i < TACIT_REGISTER_VALUE_BYTES; i += 8) {
        uint64_t word = number << 16 | (uint64_t)owner << 8 | index;
        memcpy(out + i, &word, 8);
    }
}

// The number of a value, 0 for NULL, UINT64_MAX if it is nothing that was ever written.
static inline uint64_t number_of(const uint8_t *value, tacit_node_t owner, uint32_t index)
{
    if (value == NULL) {
        return 0;
    }
    uint8_t right[TACIT_REGISTER_VALUE_BYTES];
    uint64_t word;
    memcpy(&word, value, 8);
    value_of(right, owner, index, word >> 16);
    return memcmp(right, value, sizeof right) == 0 ? word >> 16 : UINT64_MAX;
}

static inline tacit_node_t memnode(uint32_t i)
{
    return (tacit_node_t)(TACIT_NODE_MEMNODE + i);
}

#endif
