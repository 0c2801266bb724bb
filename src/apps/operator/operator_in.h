/* apps/operator/operator_in.h: what the files of this folder share. */
#ifndef WEIR_OPERATOR_IN_H
#define WEIR_OPERATOR_IN_H
#include "engine/app.h"

extern const struct query *const outbox_queries[];
read_fn outbox_list;
write_fn outbox_retry, outbox_drop;

#endif
