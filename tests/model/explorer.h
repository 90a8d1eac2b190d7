// SPDX-License-Identifier: Apache-2.0
//
// An explicit-state explorer: breadth-first search over all behaviours of a small model of a
// protocol, or random walks where the search is out of reach. States are stored whole (no hash
// compaction), so a search that ends without finding anything has seen everything within its
// bounds.
//
// A model owns its state's layout and its options; it calls explorer_emit() for every successor of
// the state that it is asked to expand, and explorer_violation() when a property does not hold. One
// thread, one run at a time.
#ifndef TACIT_TESTS_MODEL_EXPLORER_H
#define TACIT_TESTS_MODEL_EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORER_STATE_MAX 2048u // bytes of an unpacked state
#define EXPLORER_WORDS_MAX 32u   // 64-bit words of a packed one
#define EXPLORER_TEXT_MAX 240u

struct explorer;

// An option of a model: a number, or a text that the model parses itself (false: refused).
struct explorer_option {
    const char *name;
    int *value;
    int initial;
    bool (*parse)(const char *text);
    const char *help;
};

struct explorer_model {
    const char *name;
    size_t state_bytes;  // at most EXPLORER_STATE_MAX
    size_t packed_words; // at most EXPLORER_WORDS_MAX
    const struct explorer_option *options;
    size_t options_count;
    // Sets what is parsed (lists, texts) back to its default; numbers are set by the explorer.
    // NULL: nothing to do.
    void (*reset)(void);
    // Fills the first state; its bytes are zero before.
    void (*start)(void *state);
    // Emits every successor of the state.
    void (*expand)(struct explorer *explorer, const void *state);
    // To and from the stored form. NULL: the state's bytes are stored as they are, so the state
    // must have no padding (only uint8_t fields).
    void (*pack)(const void *state, uint64_t *words);
    void (*unpack)(const uint64_t *words, void *state);
};

struct explorer_result {
    const char *violation; // kind of the first violation; NULL: none
    char text[EXPLORER_TEXT_MAX];
    uint64_t states; // distinct ones
    uint64_t transitions;
    uint64_t depth; // length of the longest shortest path
    uint64_t walks; // random walks made, if asked for
    uint64_t steps;
    bool complete; // the state limit was not reached
};

// Explores `model` with options such as "views=3 lead=FAB". Of the explorer itself: max (states
// stored at most), walks (random walks instead of a search), seed, trace (1: prints the shortest
// run to a violation on stdout). False, with a message on stderr, if an option is unknown or
// refused or memory runs out.
bool explorer_run(const struct explorer_model *model, const char *options,
                  struct explorer_result *result);

// For models, during expand(): a successor. Violations are reported before the emit of the state
// that shows them; only the first one counts.
void explorer_emit(struct explorer *explorer, const void *state);
__attribute__((format(printf, 3, 4))) void
explorer_violation(struct explorer *explorer, const char *kind, const char *format, ...);

// Names the next successor, for a printed run. The arguments are only looked at while one is
// printed.
bool explorer_names(const struct explorer *explorer);
__attribute__((format(printf, 2, 3))) void explorer_name_step(struct explorer *explorer,
                                                              const char *format, ...);
#define EXPLORER_STEP(explorer, ...)                                                               \
    do {                                                                                           \
        if (explorer_names(explorer)) {                                                            \
            explorer_name_step(explorer, __VA_ARGS__);                                             \
        }                                                                                          \
    } while (0)

#endif
