/* engine/queue.c: bounded queues of requests between threads. */
#include "engine/engine_in.h"

void queue_init(struct queue *q, size_t max)
{
    *q = (struct queue){ .max = max };
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wake, NULL);
    q->last = &q->first;
}

bool queue_push(struct queue *q, struct request *r)
{
    r->next = NULL;
    pthread_mutex_lock(&q->lock);
    bool good = !q->closed && q->count < q->max;
    if (good) {
        *q->last = r;
        q->last = &r->next;
        if (q->count++ == 0) pthread_cond_broadcast(&q->wake);
        else pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
    return good;
}

struct request *queue_take(struct queue *q, size_t max, bool wait)
{
    pthread_mutex_lock(&q->lock);
    while (!q->first && !q->closed && wait) pthread_cond_wait(&q->wake, &q->lock);
    struct request *list = q->first, **end = &list;
    size_t n = 0;
    while (*end && n < max) {
        end = &(*end)->next;
        n++;
    }
    q->first = *end;
    *end = NULL;
    if (!q->first) q->last = &q->first;
    q->count -= n;
    pthread_mutex_unlock(&q->lock);
    return list;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
}
