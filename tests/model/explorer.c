// SPDX-License-Identifier: Apache-2.0
//
// The explorer: a table of packed states in the order in which they were met, open addressing over
// their hashes, and the parent of each, from which the shortest run to a violation is told.
#include "explorer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096u
#define RUN_STEPS_MAX 512u
#define NO_PARENT UINT32_MAX

struct explorer {
    const struct explorer_model *model;
    size_t words;
    // The store. A slot of `table` is 0 (empty) or an index + 1.
    uint64_t *states;
    uint32_t *parents;
    uint32_t *table;
    uint64_t count;
    uint64_t capacity;
    uint64_t table_size; // a power of two, at least 3/2 of the capacity
    uint64_t count_max;
    bool limited; // count_max was reached
    bool failed;  // out of memory
    uint32_t current;
    uint64_t transitions;
    // The first violation, and the state that shows it.
    const char *violation;
    char text[EXPLORER_TEXT_MAX];
    bool have_bad;
    uint64_t bad[EXPLORER_WORDS_MAX];
    // Telling a run: the step whose successor is `wanted` is printed.
    bool telling;
    bool told;
    uint64_t wanted[EXPLORER_WORDS_MAX];
    char step[EXPLORER_TEXT_MAX];
    // Walking: a successor picked at random, or the one that shows a violation.
    bool walking;
    uint64_t random;
    uint64_t candidates;
    uint64_t picked[EXPLORER_WORDS_MAX];
    // Options of the explorer itself.
    uint64_t walks;
    bool trace;
    _Alignas(16) unsigned char state[EXPLORER_STATE_MAX];
};

static uint64_t hash(const uint64_t *words, size_t count)
{
    uint64_t value = 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < count; i++) {
        value ^= words[i];
        value *= 0xff51afd7ed558ccdull;
        value ^= value >> 32;
        value *= 0xc4ceb9fe1a85ec53ull;
        value ^= value >> 29;
    }
    return value;
}

static uint64_t draw(struct explorer *explorer)
{
    explorer->random ^= explorer->random << 13;
    explorer->random ^= explorer->random >> 7;
    explorer->random ^= explorer->random << 17;
    return explorer->random;
}

// ---- the store ----------------------------------------------------------------------------------

static bool resize(void **memory, uint64_t bytes)
{
    void *bigger = realloc(*memory, bytes);
    if (bigger != NULL) {
        *memory = bigger;
    }
    return bigger != NULL;
}

static bool grow(struct explorer *explorer)
{
    uint64_t capacity = explorer->capacity == 0 ? FIRST_CAPACITY : explorer->capacity * 2;
    void *states = explorer->states;
    void *parents = explorer->parents;
    bool enough = capacity < UINT32_MAX &&
                  resize(&states, capacity * explorer->words * sizeof *explorer->states);
    explorer->states = states;
    enough = enough && resize(&parents, capacity * sizeof *explorer->parents);
    explorer->parents = parents;
    uint32_t *table = enough ? calloc(capacity * 2, sizeof *table) : NULL;
    if (table == NULL) {
        explorer->failed = true;
        return false;
    }
    free(explorer->table);
    explorer->table = table;
    explorer->capacity = capacity;
    explorer->table_size = capacity * 2;
    for (uint64_t i = 0; i < explorer->count; i++) {
        uint64_t at = hash(explorer->states + i * explorer->words, explorer->words);
        for (at &= explorer->table_size - 1; table[at] != 0;) {
            at = (at + 1) & (explorer->table_size - 1);
        }
        table[at] = (uint32_t)(i + 1);
    }
    return true;
}

static void store(struct explorer *explorer, const uint64_t *words)
{
    if (explorer->failed || (explorer->count == explorer->capacity && !grow(explorer))) {
        return;
    }
    size_t bytes = explorer->words * sizeof *words;
    uint64_t at = hash(words, explorer->words) & (explorer->table_size - 1);
    while (explorer->table[at] != 0) {
        uint64_t index = explorer->table[at] - 1;
        if (memcmp(explorer->states + index * explorer->words, words, bytes) == 0) {
            return;
        }
        at = (at + 1) & (explorer->table_size - 1);
    }
    if (explorer->count >= explorer->count_max) {
        explorer->limited = true;
        return;
    }
    memcpy(explorer->states + explorer->count * explorer->words, words, bytes);
    explorer->parents[explorer->count] = explorer->current;
    explorer->count++;
    explorer->table[at] = (uint32_t)explorer->count;
}

// ---- what a model calls -------------------------------------------------------------------------

static void pack(const struct explorer *explorer, const void *state, uint64_t *words)
{
    if (explorer->model->pack != NULL) {
        explorer->model->pack(state, words);
        return;
    }
    words[explorer->words - 1] = 0;
    memcpy(words, state, explorer->model->state_bytes);
}

static void unpack(struct explorer *explorer, const uint64_t *words)
{
    memset(explorer->state, 0, explorer->model->state_bytes);
    if (explorer->model->unpack != NULL) {
        explorer->model->unpack(words, explorer->state);
    } else {
        memcpy(explorer->state, words, explorer->model->state_bytes);
    }
}

void explorer_emit(struct explorer *explorer, const void *state)
{
    uint64_t words[EXPLORER_WORDS_MAX];
    size_t bytes = explorer->words * sizeof *words;
    pack(explorer, state, words);
    explorer->transitions++;
    if (explorer->telling) {
        if (!explorer->told && memcmp(words, explorer->wanted, bytes) == 0) {
            printf("  %s\n", explorer->step);
            explorer->told = true;
        }
        return;
    }
    if (explorer->walking) {
        if (explorer->violation != NULL && !explorer->have_bad) {
            explorer->have_bad = true;
            memcpy(explorer->picked, words, bytes);
            explorer->candidates = 1;
        } else if (explorer->violation == NULL && draw(explorer) % ++explorer->candidates == 0) {
            memcpy(explorer->picked, words, bytes);
        }
        return;
    }
    store(explorer, words);
    if (explorer->violation != NULL && !explorer->have_bad) {
        explorer->have_bad = true;
        memcpy(explorer->bad, words, bytes);
    }
}

void explorer_violation(struct explorer *explorer, const char *kind, const char *format, ...)
{
    if (explorer->violation != NULL || explorer->telling) {
        return;
    }
    explorer->violation = kind;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(explorer->text, sizeof explorer->text, format, arguments);
    va_end(arguments);
}

bool explorer_names(const struct explorer *explorer)
{
    return explorer->telling;
}

void explorer_name_step(struct explorer *explorer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(explorer->step, sizeof explorer->step, format, arguments);
    va_end(arguments);
}

// ---- searching, walking, telling ----------------------------------------------------------------

static void search(struct explorer *explorer, struct explorer_result *result)
{
    uint64_t level_end = 1;
    for (uint64_t i = 0; i < explorer->count && explorer->violation == NULL && !explorer->limited &&
                         !explorer->failed;
         i++) {
        if (i == level_end) {
            result->depth++;
            level_end = explorer->count;
        }
        unpack(explorer, explorer->states + i * explorer->words);
        explorer->current = (uint32_t)i;
        explorer->model->expand(explorer, explorer->state);
    }
}

static void walk(struct explorer *explorer, const uint64_t *first, struct explorer_result *result)
{
    size_t bytes = explorer->words * sizeof *first;
    explorer->walking = true;
    while (result->walks < explorer->walks && explorer->violation == NULL) {
        result->walks++;
        memcpy(explorer->picked, first, bytes);
        do {
            unpack(explorer, explorer->picked);
            explorer->candidates = 0;
            explorer->model->expand(explorer, explorer->state);
            result->steps += explorer->candidates > 0;
        } while (explorer->candidates > 0 && explorer->violation == NULL);
    }
}

// Prints the steps from the first state to the one that shows the violation: each state on the way
// is expanded again, and the step that leads to the next one is named.
static void tell(struct explorer *explorer)
{
    uint32_t chain[RUN_STEPS_MAX];
    uint32_t length = 0;
    for (uint32_t i = explorer->current; i != NO_PARENT && length < RUN_STEPS_MAX;) {
        chain[length++] = i;
        i = explorer->parents[i];
    }
    explorer->telling = true;
    for (uint32_t k = length; k-- > 0;) {
        const uint64_t *next =
            k > 0 ? explorer->states + chain[k - 1] * explorer->words : explorer->bad;
        memcpy(explorer->wanted, next, explorer->words * sizeof *next);
        explorer->told = false;
        unpack(explorer, explorer->states + chain[k] * explorer->words);
        explorer->model->expand(explorer, explorer->state);
    }
}

// ---- options ------------------------------------------------------------------------------------

static bool set_own(struct explorer *explorer, const char *name, const char *text)
{
    uint64_t value = strtoull(text, NULL, 10);
    if (strcmp(name, "max") == 0) {
        explorer->count_max = value;
    } else if (strcmp(name, "walks") == 0) {
        explorer->walks = value;
    } else if (strcmp(name, "seed") == 0) {
        explorer->random ^= value * 0x9e3779b97f4a7c15ull;
    } else if (strcmp(name, "trace") == 0) {
        explorer->trace = value != 0;
    } else {
        return false;
    }
    return true;
}

static bool set_one(struct explorer *explorer, const char *name, const char *text)
{
    const struct explorer_model *model = explorer->model;
    for (size_t i = 0; i < model->options_count; i++) {
        const struct explorer_option *option = &model->options[i];
        if (strcmp(option->name, name) != 0) {
            continue;
        }
        if (option->parse != NULL) {
            return option->parse(text);
        }
        char *end = NULL;
        long value = strtol(text, &end, 10);
        if (end == text || *end != '\0' || value < 0 || value > 255) {
            return false;
        }
        *option->value = (int)value;
        return true;
    }
    return set_own(explorer, name, text);
}

static bool set_all(struct explorer *explorer, const char *options)
{
    const struct explorer_model *model = explorer->model;
    for (size_t i = 0; i < model->options_count; i++) {
        if (model->options[i].value != NULL) {
            *model->options[i].value = model->options[i].initial;
        }
    }
    if (model->reset != NULL) {
        model->reset();
    }
    while (*options != '\0') {
        char word[64];
        size_t length = strcspn(options, " ");
        if (length >= sizeof word) {
            length = sizeof word - 1;
        }
        memcpy(word, options, length);
        word[length] = '\0';
        options += length;
        options += strspn(options, " ");
        char *text = strchr(word, '=');
        if (text != NULL) {
            *text++ = '\0';
        }
        if (length > 0 && (text == NULL || !set_one(explorer, word, text))) {
            fprintf(stderr, "%s: option %s is unknown, or its value is refused\n", model->name,
                    word);
            return false;
        }
    }
    return true;
}

bool explorer_run(const struct explorer_model *model, const char *options,
                  struct explorer_result *result)
{
    memset(result, 0, sizeof *result);
    struct explorer *explorer = calloc(1, sizeof *explorer);
    if (explorer == NULL) {
        return false;
    }
    explorer->model = model;
    explorer->words = model->packed_words;
    explorer->count_max = 200u * 1000 * 1000;
    explorer->random = 88172645463325252ull;
    explorer->current = NO_PARENT;
    bool fine = set_all(explorer, options);
    if (fine) {
        uint64_t first[EXPLORER_WORDS_MAX];
        memset(explorer->state, 0, sizeof explorer->state);
        model->start(explorer->state);
        pack(explorer, explorer->state, first);
        if (explorer->walks > 0) {
            walk(explorer, first, result);
        } else {
            store(explorer, first);
            search(explorer, result);
        }
        result->violation = explorer->violation;
        memcpy(result->text, explorer->text, sizeof result->text);
        result->states = explorer->count;
        result->transitions = explorer->transitions;
        result->complete = !explorer->limited && !explorer->failed;
        if (explorer->trace && explorer->have_bad && !explorer->walking) {
            tell(explorer);
        }
    }
    fine = fine && !explorer->failed;
    free(explorer->states);
    free(explorer->parents);
    free(explorer->table);
    free(explorer);
    return fine;
}
