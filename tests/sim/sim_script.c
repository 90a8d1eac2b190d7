// SPDX-License-Identifier: Apache-2.0
//
// Reads scenario files. A line is a setting, an event or an expectation; whatever is not understood
// is an error that says what is accepted. See sim_script.h and scenarios/README.md.
#include "sim_script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byzantine/payload.h"

#define LINE_BYTES 256u
#define WORDS_MAX 32u
#define LEADER_BIT (1u << 31)

struct reader {
    struct sim_script *script;
    uint32_t line;
    char text[LINE_BYTES];
    char *words[WORDS_MAX];
    uint32_t count, at;
    bool has_rule, has_must;
    bool failed;
    char *error;
    size_t error_max;
};

static const char *const step_names[SIM_STEPS] = {
    [SIM_STEP_SEAL] = "seal",
    [SIM_STEP_FORGET_CLAIMS] = "forget-claims",
    [SIM_STEP_FORGE_CLAIMS] = "forge-claims",
    [SIM_STEP_LIFT_CLAIMS] = "lift-claims",
    [SIM_STEP_CORRUPT_STATE] = "corrupt-state",
    [SIM_STEP_CORRUPT_RINGS] = "corrupt-rings",
    [SIM_STEP_CORRUPT_VOTES] = "corrupt-votes",
    [SIM_STEP_FLOOD] = "flood",
    [SIM_STEP_COSIGN] = "cosign-all",
    [SIM_STEP_LACK_ALL] = "lack-all",
    [SIM_STEP_UNBIND] = "unbind",
    [SIM_STEP_NEW_VIEW_FORGED] = "new-view-forged",
    [SIM_STEP_NEW_VIEW_OLD] = "new-view-old",
    [SIM_STEP_NEW_VIEW_SIGNER] = "new-view-signer",
    [SIM_STEP_NEW_VIEW_STATE] = "new-view-state",
    [SIM_STEP_NEW_VIEW_BASE] = "new-view-base",
    [SIM_STEP_NEW_VIEW_USURP] = "new-view-usurp",
};
static const char *const counter_names[SIM_COUNTERS] = {
    [SIM_COUNT_VIEW] = "view",
    [SIM_COUNT_EPOCH] = "epoch",
    [SIM_COUNT_APPLIED] = "applied",
    [SIM_COUNT_BASE] = "base",
    [SIM_COUNT_FAST] = "fast",
    [SIM_COUNT_SLOW] = "slow",
    [SIM_COUNT_SEALS] = "seals",
    [SIM_COUNT_NEW_VIEWS] = "new-views",
    [SIM_COUNT_CHECKPOINTS] = "checkpoints",
    [SIM_COUNT_TRANSFERS] = "transfers",
    [SIM_COUNT_GAPS] = "gaps",
    [SIM_COUNT_ADOPTED] = "adopted",
    [SIM_COUNT_BAD_SIGNATURES] = "bad-signatures",
    [SIM_COUNT_MALFORMED] = "malformed",
    [SIM_COUNT_LACKS] = "lacks",
    [SIM_COUNT_OBLIGATIONS] = "obligations",
    [SIM_COUNT_DUPLICATES] = "duplicates",
    [SIM_COUNT_REPLACED] = "replaced",
    [SIM_COUNT_FETCHED] = "fetched",
    [SIM_COUNT_ACKNOWLEDGED] = "acknowledged",
    [SIM_COUNT_WAIT_US] = "wait-us",
};
static const char *const mark_names[] = {
#define NAME(name, text) #name,
    TACIT_MARK_LIST(NAME)
#undef NAME
};
static const char *const payload_names[TACIT_PAYLOAD_KINDS] = {
    [TACIT_PAYLOAD_PREPARE] = "PREPARE",       [TACIT_PAYLOAD_COMMIT] = "COMMIT",
    [TACIT_PAYLOAD_CHECKPOINT] = "CHECKPOINT", [TACIT_PAYLOAD_SEAL_VIEW] = "SEAL_VIEW",
    [TACIT_PAYLOAD_NEW_VIEW] = "NEW_VIEW",
};

const char *sim_counter_name(enum sim_script_counter counter)
{
    return counter_names[counter];
}

// ---- words

static void wrong(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void wrong(struct reader *reader, const char *format, ...)
{
    if (reader->failed) {
        return; // the first error counts
    }
    reader->failed = true;
    int used =
        snprintf(reader->error, reader->error_max, "%s:%u: ", reader->script->path, reader->line);
    if (used < 0 || (size_t)used >= reader->error_max) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->error + used, reader->error_max - (size_t)used, format, arguments);
    va_end(arguments);
}

static bool more(const struct reader *reader)
{
    return !reader->failed && reader->at < reader->count;
}

static const char *next(struct reader *reader, const char *what)
{
    if (reader->at < reader->count) {
        return reader->words[reader->at++];
    }
    wrong(reader, "%s is missing at the end of the line", what);
    return "";
}

// Takes the next word if it is this one.
static bool takes(struct reader *reader, const char *word)
{
    if (!more(reader) || strcmp(reader->words[reader->at], word) != 0) {
        return false;
    }
    reader->at++;
    return true;
}

static uint64_t number_of(struct reader *reader, const char *word, uint64_t low, uint64_t high)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(word, &end, 10);
    if (errno != 0 || end == word || *end != 0 || *word == '-' || value < low || value > high) {
        wrong(reader, "'%s' is not a number from %llu to %llu", word, (unsigned long long)low,
              (unsigned long long)high);
        return low;
    }
    return value;
}

static uint64_t number(struct reader *reader, const char *what, uint64_t low, uint64_t high)
{
    return number_of(reader, next(reader, what), low, high);
}

static uint64_t duration_ns(struct reader *reader)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}};
    const char *word = next(reader, "a duration");
    char *end = NULL;
    unsigned long long value = strtoull(word, &end, 10);
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (end != word && *word != '-' && strcmp(end, units[i].name) == 0 && value < 10000000) {
            return value * units[i].ns;
        }
    }
    wrong(reader, "'%s' is not a duration such as 200us or 3ms", word);
    return 0;
}

static uint32_t name_of(struct reader *reader, const char *word, const char *const *names,
                        uint32_t count, const char *what)
{
    char known[512] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(names[i], word) == 0) {
            return i;
        }
        if (names[i] != NULL && used < sizeof known - 64) {
            used += (size_t)snprintf(known + used, sizeof known - used, " %s", names[i]);
        }
    }
    wrong(reader, "'%s' is not %s; accepted:%s%s", word, what, known,
          used >= sizeof known - 64 ? " ..." : "");
    return 0;
}

// r1, m0, c2: a slot of the cluster.
static uint32_t place_of(struct reader *reader, const char *word)
{
    const struct sim_script *script = reader->script;
    static const char letters[] = "rmc";
    const uint32_t counts[] = {script->replicas, script->memnodes, script->clients};
    uint32_t first = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (word[0] == letters[i] && word[1] >= '0' && word[1] <= '9' && word[2] == 0 &&
            (uint32_t)(word[1] - '0') < counts[i]) {
            return first + (uint32_t)(word[1] - '0');
        }
        first += counts[i];
    }
    wrong(reader,
          "'%s' is nobody here; accepted: r0 to r%u, m0 to m%u, c0 to c%u, 'leader' or 'all'", word,
          script->replicas - 1, script->memnodes - 1, script->clients - 1);
    return 0;
}

// A list of places, separated by commas; `all` is all replicas.
static uint32_t places(struct reader *reader)
{
    char *word = (char *)(uintptr_t)next(reader, "a place (r0, m1, c0, leader, all)");
    uint32_t set = 0;
    if (strcmp(word, "all") == 0) {
        return (1u << reader->script->replicas) - 1;
    }
    if (strcmp(word, "leader") == 0) {
        return LEADER_BIT;
    }
    char *rest = NULL;
    for (char *part = strtok_r(word, ",", &rest); part != NULL && !reader->failed;
         part = strtok_r(NULL, ",", &rest)) {
        set |= 1u << place_of(reader, part);
    }
    if (set == 0) {
        wrong(reader, "a place is expected: r0, m1, c0, leader or all");
    }
    return set;
}

static uint32_t ids(struct reader *reader, uint32_t first, uint32_t count)
{
    uint32_t set = places(reader);
    uint32_t valid = ((1u << count) - 1) << first;
    if ((set & ~valid) != 0) {
        wrong(reader, "only %s may be named here", first == 0 ? "replicas" : "clients");
    }
    return (set & valid) >> first;
}

// ---- settings

struct setting {
    const char *name;
    size_t offset;
    uint32_t low, high;
};
#define SETTING(name, field, low, high)                                                            \
    {                                                                                              \
        name, offsetof(struct sim_script, field), low, high                                        \
    }
static const struct setting settings[] = {
    SETTING("runs", runs, 1, 1000),
    SETTING("replicas", replicas, 3, 7),
    SETTING("memnodes", memnodes, 1, 5),
    SETTING("clients", clients, 1, SIM_CLIENTS_MAX),
    SETTING("operations", operations, 1, 120),
    SETTING("pipeline", pipeline, 1, 4),
    SETTING("sessions", sessions, 1, SIM_CLIENT_SESSIONS),
    SETTING("window", window, 8, 64),
    SETTING("tail", tail, 16, 64),
    SETTING("inflight", inflight, 1, 8),
    SETTING("batch", batch, 1, 8),
    SETTING("padding", padding, 0, 240),
};

static bool set_number(struct reader *reader, const char *name)
{
    for (uint32_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            uint32_t value =
                (uint32_t)number(reader, "a number", settings[i].low, settings[i].high);
            memcpy((char *)reader->script + settings[i].offset, &value, sizeof value);
            return true;
        }
    }
    return false;
}

static bool read_setting(struct reader *reader, const char *name)
{
    struct sim_script *script = reader->script;
    if (strcmp(name, "rule") == 0 || strcmp(name, "must") == 0) {
        bool *has = name[0] == 'r' ? &reader->has_rule : &reader->has_must;
        *has = true;
        (void)next(reader, "what it is about");
        reader->at = reader->count;
        return true;
    }
    if (script->events + script->expects > 0 &&
        (strcmp(name, "replicas") == 0 || strcmp(name, "memnodes") == 0 ||
         strcmp(name, "clients") == 0)) {
        wrong(reader, "'%s' must come before all events", name);
    }
    if (set_number(reader, name)) {
        return true;
    }
    if (strcmp(name, "think") == 0) {
        script->think_ns = (uint32_t)duration_ns(reader);
    } else if (strcmp(name, "for") == 0) {
        script->span_ns = duration_ns(reader);
    } else if (strcmp(name, "view-timeout") == 0) {
        script->view_timeout_ns = duration_ns(reader);
    } else if (strcmp(name, "slow-after") == 0) {
        script->slow_after_ns = duration_ns(reader);
    } else if (strcmp(name, "retry") == 0) {
        script->retry_ns = duration_ns(reader);
    } else if (strcmp(name, "broadcast-on") == 0) {
        static const char *const names[] = {"replicas", "memnodes"};
        script->on_memnodes = name_of(reader, next(reader, "a place"), names, 2, "a place") == 1;
    } else if (strcmp(name, "network") == 0) {
        static const char *const names[] = {"calm", "rough"};
        script->rough = name_of(reader, next(reader, "a network"), names, 2, "a network") == 1;
    } else if (strcmp(name, "liar") == 0) {
        script->liars = ids(reader, 0, script->replicas);
    } else if (strcmp(name, "lying-client") == 0) {
        script->lying_clients = ids(reader, script->replicas + script->memnodes, script->clients);
    } else if (strcmp(name, "too-many") == 0) {
        script->too_many = true;
    } else {
        return false;
    }
    return true;
}

// ---- events

static void read_rule(struct reader *reader, struct sim_script_event *event)
{
    struct sim_script_rule *rule = &event->rule;
    char *what = (char *)(uintptr_t)next(reader, "a kind of message");
    char *payload = strchr(what, ':');
    if (payload != NULL) {
        *payload++ = 0;
        rule->payload =
            (uint8_t)name_of(reader, payload, payload_names, TACIT_PAYLOAD_KINDS, "a payload");
    }
    if (!sim_wire_find(what, &rule->what)) {
        char known[512] = "";
        size_t used = 0;
        for (uint32_t i = 0; sim_wire_name(i) != NULL && used < sizeof known - 48; i++) {
            used += (size_t)snprintf(known + used, sizeof known - used, " %s", sim_wire_name(i));
        }
        wrong(reader, "'%s' is not a kind of message; accepted:%s", what, known);
    }
    rule->to = UINT32_MAX;
    while (more(reader)) {
        if (takes(reader, "view")) {
            rule->has_view = true;
            rule->view = number(reader, "a view", 0, UINT32_MAX);
        } else if (takes(reader, "slot")) {
            rule->has_slot = true;
            rule->slot = number(reader, "a slot", 0, UINT32_MAX);
        } else if (takes(reader, "from")) {
            rule->from = places(reader);
        } else if (takes(reader, "to")) {
            rule->to = places(reader);
        } else if (takes(reader, "times")) {
            rule->times = (uint32_t)number(reader, "a number", 1, UINT32_MAX);
        } else if (event->which == 1 && takes(reader, "by")) {
            rule->delay_ns = duration_ns(reader);
        } else {
            wrong(reader, "'%s' is not understood; accepted: view, slot, from, to, times%s",
                  reader->words[reader->at], event->which == 1 ? ", by" : "");
        }
    }
    const struct sim_script *script = reader->script;
    uint32_t liars = script->liars | script->lying_clients << (script->replicas + script->memnodes);
    if (rule->from == 0) {
        rule->from = liars;
    }
    if ((rule->from & ~liars) != 0 || liars == 0) {
        wrong(reader, "only what liars write can be held back; 'cut' works for all");
    }
}

static void read_attack(struct reader *reader, struct sim_script_event *event)
{
    const char *name = next(reader, "an attack");
    event->which = ADVERSARY_ATTACKS;
    for (uint32_t i = 0; i < ADVERSARY_ATTACKS; i++) {
        if (strcmp(adversary_attack_name((enum adversary_attack)i), name) == 0) {
            event->which = i;
        }
    }
    if (event->which == ADVERSARY_ATTACKS) {
        wrong(reader, "there is no attack '%s'; --list-attacks lists them", name);
    }
    event->value = CHOICE_ALWAYS;
    while (more(reader)) {
        if (takes(reader, "rate")) {
            event->value = (uint32_t)number(reader, "a rate", 1, CHOICE_ALWAYS);
        } else if (takes(reader, "off")) {
            event->value = 0;
        } else if (takes(reader, "to")) {
            event->set[0] = places(reader);
        } else if (event->which == ADVERSARY_EQUIVOCATE && takes(reader, "on")) {
            event->only = name_of(reader, next(reader, "a payload"), payload_names,
                                  TACIT_PAYLOAD_KINDS, "a payload");
        } else if (takes(reader, "style")) {
            event->style = 1 + (uint32_t)number(reader, "a style", 0, 31);
        } else {
            wrong(reader, "'%s' is not understood; accepted: rate N, off, to PLACES, style N%s",
                  reader->words[reader->at],
                  event->which == ADVERSARY_EQUIVOCATE ? ", on PAYLOAD" : "");
        }
    }
    if (reader->script->liars == 0 && reader->script->lying_clients == 0) {
        wrong(reader, "an attack needs a liar or a lying-client");
    }
}

static void read_groups(struct reader *reader, struct sim_script_event *event)
{
    uint32_t group = 0;
    event->set[group++] = places(reader);
    while (takes(reader, "/")) {
        if (group == SIM_SCRIPT_GROUPS) {
            wrong(reader, "at most %u groups", SIM_SCRIPT_GROUPS);
            return;
        }
        event->set[group++] = places(reader);
    }
    if (group < 2) {
        wrong(reader, "a split needs at least two groups, with ' / ' between them");
    }
}

static void read_step(struct reader *reader, struct sim_script_event *event)
{
    event->which = name_of(reader, next(reader, "a step"), step_names, SIM_STEPS, "a step");
    event->set[0] = reader->script->liars;
    if (more(reader)) {
        event->set[0] = places(reader);
    }
    if (event->set[0] == 0 || (event->set[0] & ~reader->script->liars) != 0) {
        wrong(reader, "only a liar takes steps");
    }
}

static void read_places_event(struct reader *reader, struct sim_script_event *event)
{
    event->set[0] = places(reader);
    if (event->action == SIM_DO_CUT || event->action == SIM_DO_BREAK) {
        event->one_way = takes(reader, ">");
        event->set[1] = places(reader);
    }
    if ((event->action == SIM_DO_CUT || event->action == SIM_DO_PAUSE) && takes(reader, "for")) {
        event->span_ns = duration_ns(reader);
    }
    if (event->action == SIM_DO_SUSPECT &&
        (event->set[0] & ~LEADER_BIT) >> reader->script->replicas != 0) {
        wrong(reader, "only replicas suspect");
    }
}

static void read_action(struct reader *reader, struct sim_script_event *event)
{
    static const char *const names[] = {
        [SIM_DO_ATTACK] = "attack", [SIM_DO_CRASH] = "crash",       [SIM_DO_RESTART] = "restart",
        [SIM_DO_PAUSE] = "pause",   [SIM_DO_RESUME] = "resume",     [SIM_DO_FREEZE] = "freeze",
        [SIM_DO_CUT] = "cut",       [SIM_DO_MEND] = "mend",         [SIM_DO_SPLIT] = "split",
        [SIM_DO_BREAK] = "break",   [SIM_DO_SUSPECT] = "suspect",   [SIM_DO_HOLD] = "drop",
        [SIM_DO_OBEY] = "obey",     [SIM_DO_REMEMBER] = "remember", [SIM_DO_STEP] = "step"};
    const char *name = next(reader, "an action");
    bool delays = strcmp(name, "delay") == 0;
    event->action =
        delays ? SIM_DO_HOLD
               : (enum sim_script_action)name_of(reader, name, names, sizeof names / sizeof *names,
                                                 "an action ('delay' is one, too)");
    switch (event->action) {
    case SIM_DO_ATTACK:
        read_attack(reader, event);
        break;
    case SIM_DO_HOLD:
        event->which = delays;
        read_rule(reader, event);
        if (delays && event->rule.delay_ns == 0 && !reader->failed) {
            wrong(reader, "delay needs 'by DURATION'");
        }
        break;
    case SIM_DO_SPLIT:
        read_groups(reader, event);
        break;
    case SIM_DO_STEP:
        read_step(reader, event);
        break;
    case SIM_DO_MEND:
    case SIM_DO_OBEY:
    case SIM_DO_REMEMBER:
        break;
    default:
        read_places_event(reader, event);
        break;
    }
}

static void read_when(struct reader *reader, struct sim_script_event *event)
{
    if (takes(reader, "mark")) {
        event->condition = SIM_WHEN_MARK;
        event->condition_which =
            name_of(reader, next(reader, "a mark"), mark_names, TACIT_MARKS, "a mark");
        event->condition_value = 1;
        if (takes(reader, "times")) {
            event->condition_value = number(reader, "a number", 1, UINT32_MAX);
        }
    } else if (takes(reader, "line")) {
        event->condition = SIM_WHEN_LINE;
        uint32_t line = (uint32_t)number(reader, "a line", 1, reader->line - 1);
        event->condition_which = SIM_SCRIPT_EVENTS;
        for (uint32_t i = 0; i + 1 < reader->script->events; i++) {
            if (reader->script->event[i].line == line) {
                event->condition_which = i;
            }
        }
        if (event->condition_which == SIM_SCRIPT_EVENTS) {
            wrong(reader, "there is no event in line %u", line);
        }
    } else {
        event->condition = SIM_WHEN_COUNTER;
        event->condition_which = name_of(reader, next(reader, "a condition"), counter_names,
                                         SIM_COUNTERS, "a condition ('mark' and 'line' are, too)");
        event->condition_value = number(reader, "a number", 0, UINT32_MAX);
    }
    if (takes(reader, "after")) {
        event->after_ns = duration_ns(reader);
    }
}

static void read_event(struct reader *reader, bool timed)
{
    struct sim_script *script = reader->script;
    if (script->events == SIM_SCRIPT_EVENTS) {
        wrong(reader, "more than %u events", SIM_SCRIPT_EVENTS);
        return;
    }
    struct sim_script_event *event = &script->event[script->events++];
    event->line = reader->line;
    if (timed) {
        event->condition = SIM_WHEN_TIME;
        event->condition_value = duration_ns(reader);
    } else {
        read_when(reader, event);
    }
    read_action(reader, event);
}

// ---- expectations

static void read_compare(struct reader *reader, struct sim_script_expect *expect)
{
    static const char *const names[] = {
        [SIM_AT_LEAST] = ">=", [SIM_AT_MOST] = "<=", [SIM_EQUAL] = "=="};
    if (!more(reader)) {
        expect->value = 1;
        return;
    }
    expect->compare = (enum sim_script_compare)name_of(reader, next(reader, "a comparison"), names,
                                                       3, "a comparison");
    expect->value = number(reader, "a number", 0, UINT32_MAX);
}

static void read_verdict(struct reader *reader, struct sim_script_expect *expect)
{
    const struct sim_script *script = reader->script;
    expect->kind = SIM_EXPECT_VERDICT;
    expect->set = places(reader);
    expect->value = 1;
    if ((expect->set & ~script->liars) != 0) {
        wrong(reader, "a verdict can only be on a liar");
    }
    if (takes(reader, "by")) {
        uint32_t correct = script->replicas - (uint32_t)__builtin_popcount(script->liars);
        expect->value = takes(reader, "all") ? correct : number(reader, "a number", 1, correct);
    }
}

static void read_expect(struct reader *reader)
{
    struct sim_script *script = reader->script;
    if (script->expects == SIM_SCRIPT_EXPECTS) {
        wrong(reader, "more than %u expectations", SIM_SCRIPT_EXPECTS);
        return;
    }
    struct sim_script_expect *expect = &script->expect[script->expects++];
    expect->line = reader->line;
    if (takes(reader, "mark")) {
        expect->kind = SIM_EXPECT_MARK;
        expect->which = name_of(reader, next(reader, "a mark"), mark_names, TACIT_MARKS, "a mark");
        read_compare(reader, expect);
    } else if (takes(reader, "verdict")) {
        read_verdict(reader, expect);
    } else if (takes(reader, "no-verdict")) {
        expect->kind = SIM_EXPECT_NO_VERDICT;
    } else if (takes(reader, "violation")) {
        expect->kind = SIM_EXPECT_VIOLATION;
        if (!script->too_many) {
            wrong(reader, "a violation is only expected with 'too-many'");
        }
    } else {
        expect->kind = takes(reader, "grew") ? SIM_EXPECT_GREW : SIM_EXPECT_COUNTER;
        expect->which =
            name_of(reader, next(reader, "what is expected"), counter_names, SIM_COUNTERS,
                    "to be expected ('mark', 'verdict', 'no-verdict', 'grew' and "
                    "'violation' are, too)");
        read_compare(reader, expect);
    }
}

// ---- the file

static void read_line(struct reader *reader)
{
    char *comment = strchr(reader->text, '#');
    if (comment != NULL) {
        *comment = 0;
    }
    reader->count = reader->at = 0;
    char *rest = NULL;
    for (char *word = strtok_r(reader->text, " \t\r\n", &rest); word != NULL;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (reader->count == WORDS_MAX) {
            wrong(reader, "more than %u words", WORDS_MAX);
            return;
        }
        reader->words[reader->count++] = word;
    }
    if (reader->count == 0) {
        return;
    }
    const char *first = next(reader, "a word");
    if (strcmp(first, "at") == 0 || strcmp(first, "when") == 0) {
        read_event(reader, first[0] == 'a');
    } else if (strcmp(first, "expect") == 0) {
        read_expect(reader);
    } else if (!read_setting(reader, first)) {
        wrong(reader, "'%s' begins no line; accepted: a setting, 'at', 'when', 'expect'", first);
    }
    if (more(reader)) {
        wrong(reader, "'%s' is one word too many", reader->words[reader->at]);
    }
}

// What only the whole shows.
static void check_whole(struct reader *reader)
{
    const struct sim_script *script = reader->script;
    uint32_t liars = (uint32_t)__builtin_popcount(script->liars);
    reader->line = 0;
    if (!reader->has_rule || !reader->has_must) {
        wrong(reader, "a scenario says with 'rule' what it attacks and with 'must' what has to "
                      "happen");
    }
    if (script->replicas % 2 == 0 || script->memnodes % 2 == 0) {
        wrong(reader, "replicas and memnodes are odd numbers");
    }
    if (liars > (script->replicas - 1) / 2 && !script->too_many) {
        wrong(reader, "%u liars of %u replicas are more than f; 'too-many' allows it", liars,
              script->replicas);
    }
    if (script->expects == 0) {
        wrong(reader, "nothing is expected; a scenario that cannot fail shows nothing");
    }
    if (script->clients * script->operations > CHECKER_OPS / 2) {
        wrong(reader, "at most %u operations in all", CHECKER_OPS / 2);
    }
}

bool sim_script_read(struct sim_script *script, const char *path, char *error, size_t error_max)
{
    *script = (struct sim_script){.runs = 3,
                                  .replicas = 3,
                                  .memnodes = 3,
                                  .clients = 2,
                                  .operations = 40,
                                  .pipeline = 2,
                                  .sessions = 1,
                                  .window = 16,
                                  .tail = 16,
                                  .inflight = 4,
                                  .batch = 2,
                                  .span_ns = 10000000,
                                  .view_timeout_ns = 2000000,
                                  .slow_after_ns = 50000,
                                  .retry_ns = 300000};
    struct reader reader = {.script = script, .error = error, .error_max = error_max};
    const char *base = strrchr(path, '/');
    snprintf(script->path, sizeof script->path, "%s", path);
    snprintf(script->name, sizeof script->name, "%s", base == NULL ? path : base + 1);
    char *dot = strrchr(script->name, '.');
    if (dot != NULL) {
        *dot = 0;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        snprintf(error, error_max, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    while (!reader.failed && fgets(reader.text, sizeof reader.text, file) != NULL) {
        reader.line++;
        if (strchr(reader.text, '\n') == NULL && feof(file) == 0) {
            wrong(&reader, "a line is longer than %u characters", LINE_BYTES - 2);
        }
        read_line(&reader);
    }
    fclose(file);
    check_whole(&reader);
    return !reader.failed;
}
