/* net/timer.c: the timer wheel of a loop. 4096 slots of 16 ms; setting and clearing a timer is a list operation, whatever their number.
 * A timer that is due in more than one round (65 s) is met early and stays for its next round. A bitmap tells which slots
 * are in use, so that an idle loop sleeps until the next of them instead of ticking.
 *
 * Nothing fires early; late by up to a tick and whatever the loop was busy with. The connections set theirs lazily: their deadline moves with
 * each request, their timer only when it fires (conn.c). Called by loop.c and, through server.h, by everybody on the loop's thread. */
#include <limits.h>

#include "base/clock.h"
#include "net/net_in.h"

enum { MASK = WHEEL_SLOTS - 1 };

static int64_t tick_of(int64_t due_ms) { return (due_ms + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT; }

void wheel_init(struct loop *l)
{
    l->tick = clock_mono_ms() >> TICK_SHIFT;
    l->wake_tick = INT64_MAX;
}

static void timer_link(struct loop *l, struct loop_timer *t, int64_t tick)
{
    size_t slot = (size_t)(tick & MASK);
    t->link = &l->wheel[slot];
    t->next = l->wheel[slot];
    if (t->next) t->next->link = &t->next;
    l->wheel[slot] = t;
    l->wheel_used[slot / 64] |= (uint64_t)1 << (slot % 64);
}

static void timer_unlink(struct loop_timer *t)
{
    *t->link = t->next;
    if (t->next) t->next->link = t->link;
    t->next = NULL;
    t->link = NULL;
}

void timer_at(struct loop *l, struct loop_timer *t, int64_t due_mono_ms)
{
    if (t->link) timer_unlink(t);
    t->due_mono_ms = due_mono_ms;
    int64_t tick = tick_of(due_mono_ms);
    if (tick <= l->tick) tick = l->tick + 1;
    timer_link(l, t, tick);
    if (tick < l->wake_tick) l->wake_tick = tick;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay_ms)
{
    must(t->fire && delay_ms < INT64_MAX / 2);
    timer_at(l, t, clock_mono_ms() + (delay_ms > 0 ? delay_ms : 0));
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
    (void)l;
    if (t->link) timer_unlink(t);
}

/* The next tick with a slot in use, at most one round ahead. */
static int64_t next_used(const struct loop *l)
{
    size_t from = (size_t)((l->tick + 1) & MASK);
    for (size_t i = 0; i <= WHEEL_SLOTS / 64; i++) {
        size_t word = (from / 64 + i) % (WHEEL_SLOTS / 64);
        uint64_t bits = l->wheel_used[word];
        if (i == 0) bits &= ~(uint64_t)0 << (from % 64);
        if (!bits) continue;
        size_t slot = word * 64 + (size_t)__builtin_ctzll(bits);
        return l->tick + 1 + (int64_t)((slot - from) & MASK);
    }
    return INT64_MAX;
}

/* Fires the slot's timers that are due and puts the others back. A callback may set and clear any timer, also those that wait in `list`. */
static void slot_fire(struct loop *l, size_t slot)
{
    struct loop_timer *list = l->wheel[slot];
    l->wheel[slot] = NULL;
    l->wheel_used[slot / 64] &= ~((uint64_t)1 << (slot % 64));
    if (list) list->link = &list;
    while (list) {
        struct loop_timer *t = list;
        timer_unlink(t);
        if (t->due_mono_ms > l->now_ms) timer_link(l, t, (int64_t)slot);
        else t->fire(l, t);
    }
}

void wheel_turn(struct loop *l)
{
    int64_t now = l->now_ms >> TICK_SHIFT;
    if (now < l->wake_tick) {
        if (now > l->tick) l->tick = now;          /* nothing stands in between */
        return;
    }
    int64_t from = l->tick + 1;
    if (now - from >= WHEEL_SLOTS) from = now - WHEEL_SLOTS + 1;
    for (int64_t tick = from; tick <= now; tick++) {
        l->tick = tick;
        slot_fire(l, (size_t)(tick & MASK));
    }
    l->wake_tick = next_used(l);
}

int wheel_wait_ms(const struct loop *l, int64_t now_ms)
{
    if (l->wake_tick == INT64_MAX) return -1;
    int64_t wait = (l->wake_tick << TICK_SHIFT) - now_ms;
    return wait < 0 ? 0 : wait > INT_MAX ? INT_MAX : (int)wait;
}
