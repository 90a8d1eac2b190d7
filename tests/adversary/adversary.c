// SPDX-License-Identifier: Apache-2.0
//
// Names of attacks, draws, and the way to the surrounding world. See adversary.h.
#include "adversary.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "byzantine/payload.h"

static const char *const attack_names[] = {
#define NAME(id, name, text) name,
    ADVERSARY_LIST(NAME)
#undef NAME
};
static const char *const attack_texts[] = {
#define TEXT(id, name, text) text,
    ADVERSARY_LIST(TEXT)
#undef TEXT
};

const char *adversary_attack_name(enum adversary_attack attack)
{
    return attack_names[attack];
}

const char *adversary_attack_text(enum adversary_attack attack)
{
    return attack_texts[attack];
}

void adversary_init(struct adversary *adversary, const struct adversary_world *world,
                    struct choice *choice, uint8_t replicas, uint32_t clients, uint32_t window)
{
    memset(adversary, 0, sizeof *adversary);
    adversary->world = *world;
    adversary->choice = choice;
    adversary->replicas = replicas;
    adversary->clients = clients;
    adversary->window = window;
}

void adversary_actor_draw(struct adversary *adversary, uint32_t faulty)
{
    static const uint8_t kinds[] = {0,
                                    TACIT_MESSAGE_LOCK,
                                    TACIT_MESSAGE_LOCKED,
                                    TACIT_MESSAGE_SIGNED,
                                    TACIT_MESSAGE_SUMMARY_SHARE,
                                    TACIT_MESSAGE_BODY,
                                    TACIT_MESSAGE_CHECKPOINT_SHARE,
                                    TACIT_MESSAGE_STATE_SHARE};
    struct adversary_actor *actor = &adversary->actor[faulty];
    uint32_t all = (1u << adversary->replicas) - 1;
    actor->silent_to = choice_u32(adversary->choice, all + 1);
    actor->silent_kind = kinds[choice_u32(adversary->choice, sizeof kinds)];
    actor->no_votes = choice_u32(adversary->choice, all + 1);
}

bool adversary_hits(struct adversary *adversary, enum adversary_attack attack)
{
    uint32_t rate = adversary->world.rate(adversary->world.context, attack);
    if (!choice_chance(adversary->choice, rate)) {
        return false;
    }
    adversary->done[attack]++;
    return true;
}

uint32_t adversary_style(struct adversary *adversary, enum adversary_attack attack, uint32_t bound)
{
    uint32_t style = adversary->how[attack].style;
    return style > 0 && style <= bound ? style - 1 : choice_u32(adversary->choice, bound);
}

struct tacit_smr *adversary_smr(const struct adversary *adversary, uint32_t faulty)
{
    return adversary->world.smr(adversary->world.context, faulty);
}

void adversary_sign(struct adversary *adversary, uint32_t faulty, tacit_domain_t domain,
                    const uint8_t *payload, uint32_t bytes, struct tacit_signature *out)
{
    adversary->world.sign(adversary->world.context, faulty, domain, payload, bytes, out);
}

void adversary_note(struct adversary *adversary, const char *format, ...)
{
    char text[200];
    va_list arguments;
    if (adversary->world.note != NULL) {
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        adversary->world.note(adversary->world.context, text);
    }
}
