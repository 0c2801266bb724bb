/* engine/metrics.c: counters of each row on each loop, written by that loop only and added up when asked; the access log. */
#include "engine/engine_in.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const uint32_t bounds_us[HISTOGRAM - 1] = { 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000 };

static void bump(_Atomic uint64_t *counter, uint64_t by)      /* one writer: no locked instruction is needed */
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

void metrics_count(struct loop_state *s, const struct entry *entry, int status, uint64_t ns)
{
    struct counts *c = &s->counts[entry ? entry->index : s->engine->entry_count];     /* the last one: what was not routed */
    bump(&c->status[status >= 100 && status < 600 ? status / 100 : 0], 1);
    uint64_t us = ns / 1000;
    bump(&c->microseconds, us);
    int i = 0;
    while (i < HISTOGRAM - 1 && us > bounds_us[i]) i++;
    bump(&c->histogram[i], 1);
}

static uint64_t sum(struct engine *e, int entry, size_t offset)
{
    uint64_t total = 0;
    for (int l = 0; l < e->loop_count; l++)
        total += atomic_load_explicit((_Atomic uint64_t *)(void *)((char *)&e->loops[l]->counts[entry] + offset), memory_order_relaxed);
    return total;
}

static const char *name_of(const struct engine *e, int i)
{
    if (i == e->entry_count) return "unrouted";
    const struct entry *entry = &e->entries[i];
    if (entry->own) return entry->own == OWN_HEALTH ? "healthz" : entry->own == OWN_READY ? "readyz" : "metrics";
    return entry->command ? entry->command->name : entry->channel->name;
}

static void one(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name, (unsigned long long)value);
}

void metrics_write(struct engine *e, struct buf *out)
{
    buf_add_z(out, "# HELP weir_requests_total Requests and frames by command and class of status (0: the client left).\n# TYPE weir_requests_total counter\n");
    for (int i = 0; i <= e->entry_count; i++)
        for (size_t k = 0; k < 6; k++) {
            uint64_t v = sum(e, i, offsetof(struct counts, status) + k * sizeof(uint64_t));
            if (v) buf_printf(out, "weir_requests_total{command=\"%s\",status=\"%zuxx\"} %llu\n", name_of(e, i), k, (unsigned long long)v);
        }
    buf_add_z(out, "# HELP weir_request_seconds Time from a request's head to its answer.\n# TYPE weir_request_seconds histogram\n");
    for (int i = 0; i <= e->entry_count; i++) {
        uint64_t count = 0;
        for (size_t k = 0; k < HISTOGRAM; k++) count += sum(e, i, offsetof(struct counts, histogram) + k * sizeof(uint64_t));
        if (!count) continue;
        uint64_t running = 0;
        for (size_t k = 0; k < HISTOGRAM; k++) {
            running += sum(e, i, offsetof(struct counts, histogram) + k * sizeof(uint64_t));
            if (k < HISTOGRAM - 1) buf_printf(out, "weir_request_seconds_bucket{command=\"%s\",le=\"%g\"} %llu\n", name_of(e, i), bounds_us[k] / 1e6, (unsigned long long)running);
            else buf_printf(out, "weir_request_seconds_bucket{command=\"%s\",le=\"+Inf\"} %llu\n", name_of(e, i), (unsigned long long)running);
        }
        buf_printf(out, "weir_request_seconds_sum{command=\"%s\"} %g\nweir_request_seconds_count{command=\"%s\"} %llu\n", name_of(e, i),
                   (double)sum(e, i, offsetof(struct counts, microseconds)) / 1e6, name_of(e, i), (unsigned long long)count);
    }
    struct server_stats s;
    server_stats(e->server, &s);
    one(out, "weir_connections_accepted_total", "counter", "Connections accepted.", s.accepted);
    one(out, "weir_connections_open", "gauge", "Connections open, WebSockets among them.", s.open);
    one(out, "weir_websockets_open", "gauge", "WebSockets open.", s.sockets_open);
    one(out, "weir_connections_refused_total", "counter", "Connections refused because there were too many.", s.refused_full);
    one(out, "weir_protocol_refused_total", "counter", "Requests refused by the parser or a deadline.", s.refused_protocol);
    one(out, "weir_received_bytes_total", "counter", "Bytes received.", s.bytes_in);
    one(out, "weir_sent_bytes_total", "counter", "Bytes sent.", s.bytes_out);
    one(out, "weir_writer_batches_total", "counter", "Transactions of the writer.", atomic_load(&e->batches));
    one(out, "weir_writer_jobs_total", "counter", "Jobs in those transactions.", atomic_load(&e->batch_jobs));
    one(out, "weir_writer_commit_failures_total", "counter", "Commits that failed.", atomic_load(&e->commits_failed));
    one(out, "weir_writer_reruns_total", "counter", "Batches that were lost to one job and run again without it.", atomic_load(&e->reruns));
    pthread_mutex_lock(&e->writer.lock);
    size_t queued = e->writer.count;
    pthread_mutex_unlock(&e->writer.lock);
    one(out, "weir_writer_queue", "gauge", "Jobs waiting for the writer.", queued);
    one(out, "weir_queue_refused_total", "counter", "Commands refused because a queue was full.", atomic_load(&e->queue_refused));
    one(out, "weir_rate_refused_total", "counter", "Requests refused by a rate limit.", atomic_load(&e->rate_refused));
    one(out, "weir_idempotent_hits_total", "counter", "Repeats answered with the stored reply.", atomic_load(&e->idempotent_hits));
    one(out, "weir_publications_total", "counter", "Frames published to rooms.", atomic_load(&e->publications));
    one(out, "weir_outbox_delivered_total", "counter", "Deferred jobs done.", atomic_load(&e->outbox_delivered));
    one(out, "weir_outbox_failed_total", "counter", "Tries of deferred jobs that failed.", atomic_load(&e->outbox_failed));
    one(out, "weir_store_failing", "gauge", "1 while the store refuses to write.", atomic_load(&e->store_sick) || atomic_load(&e->broken));
    one(out, "weir_uptime_seconds", "gauge", "Since the start.", (clock_mono_ns() - e->started_ns) / 1000000000u);
}

/* ---- access log: `time client method route status bytes ms id step`; the route instead of the address, because addresses hold handles and tokens ---- */

void edge_flush_access(struct loop_state *s)
{
    if (!s->access.n) return;
    ssize_t n = write(s->engine->access_fd, s->access.p, s->access.n);     /* a full disk under the log must not stop the server */
    (void)n;
    s->access.n = 0;
}

void access_line(struct loop_state *s, const struct request *r, const struct exchange *x, int status)
{
    if (s->engine->access_fd < 0) return;
    static const char *const steps[] = { "read", "decode", "admit", "prepare", "errand", "queue", "run", "commit", "release" };
    time_t seconds = (time_t)(r->now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    struct span client = exchange_client(x);
    struct span method = http_method_name(exchange_head(x)->method);
    buf_printf(&s->access, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %.*s %.*s %s %d %llu %.3f %.*s %s\n", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(r->now_ms % 1000), SPAN_ARGS(client), SPAN_ARGS(method), name_of(s->engine, r->entry ? r->entry->index : s->engine->entry_count), status,
               (unsigned long long)exchange_sent_bytes(x), (double)(clock_mono_ns() - r->started_ns) / 1e6, SPAN_ARGS(r->request_id), steps[r->step]);
    if (s->access.n > 60 * 1024 || s->access.failed) {
        edge_flush_access(s);
        s->access.failed = false;
    }
}
