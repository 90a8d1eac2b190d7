// SPDX-License-Identifier: Apache-2.0
//
// Which view of the group a replica is in, and until when it may rely on leading it, for other
// threads of its process (tacit/smr.h).
#include <stddef.h>

#include "internal.h"

#define WORD(name) offsetof(struct tacit_view_words, name)
#define READ_TRIES 100u

static void view_of(const struct tacit_smr *smr, struct tacit_view_id *id)
{
    const struct tacit_crash *crash = &smr->crash;
    id->epoch = tacit_smr_is_byzantine(smr) ? smr->byzantine.epoch : smr->sessions.members->epoch;
    if (smr->config.engine == TACIT_ENGINE_NONE) {
        id->leader = smr->config.self;
        id->term = 0;
    } else if (tacit_smr_is_byzantine(smr)) {
        struct tacit_agree_report agree;
        tacit_agree_status(smr->byzantine.agree, &agree);
        id->leader = smr->active ? agree.leader : TACIT_NODE_NONE;
        id->term = agree.view;
    } else {
        id->leader = crash->leader;
        id->term = crash->role == TACIT_ROLE_LEADER ? crash->ballot : 0;
    }
}

void tacit_smr_view_show(struct tacit_smr *smr)
{
    struct tacit_view_words *words = smr->config.view_words;
    if (words == NULL || !smr->state_valid) {
        return; // (an invalid state leads nothing: its lease was dropped)
    }
    struct tacit_view_id id;
    view_of(smr, &id);
    uint64_t until_ns = smr->config.engine == TACIT_ENGINE_CRASH && smr->active
                            ? tacit_lease_until(&smr->crash)
                            : 0;
    bool same = words->epoch == id.epoch && words->term == id.term && words->leader == id.leader;
    if (!same) {
        uint64_t sequence = words->sequence;
        tacit_word_store(words, WORD(sequence), sequence + 1);
        tacit_word_store(words, WORD(until_ns), 0);
        tacit_word_store(words, WORD(epoch), id.epoch);
        tacit_word_store(words, WORD(term), id.term);
        tacit_word_store(words, WORD(leader), id.leader);
        tacit_word_store(words, WORD(until_ns), until_ns);
        tacit_word_store(words, WORD(sequence), sequence + 2);
    } else if (words->until_ns != until_ns) {
        tacit_word_store(words, WORD(until_ns), until_ns);
    }
}

bool tacit_view_words_read(const struct tacit_view_words *words, struct tacit_view_id *id,
                           tacit_time_ns_t *until_ns)
{
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        uint64_t before = tacit_word_load(words, WORD(sequence));
        id->epoch = tacit_word_load(words, WORD(epoch));
        id->term = tacit_word_load(words, WORD(term));
        id->leader = (tacit_node_t)tacit_word_load(words, WORD(leader));
        *until_ns = tacit_word_load(words, WORD(until_ns));
        if (before % 2 == 0 && tacit_word_load(words, WORD(sequence)) == before) {
            return true;
        }
    }
    return false;
}

bool tacit_view_holds(const struct tacit_view_words *words, tacit_time_ns_t now_ns)
{
    struct tacit_view_id id;
    tacit_time_ns_t until_ns;
    return tacit_view_words_read(words, &id, &until_ns) && now_ns < until_ns;
}
