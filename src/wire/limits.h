/* wire/limits.h: every limit of Weir in one place (docs: README "Limits"). Sizes in bytes unless the name says otherwise. */
#ifndef WEIR_LIMITS_H
#define WEIR_LIMITS_H

/* HTTP */
#define LIMIT_HEAD_BYTES        (16 * 1024)      /* request line and headers: 431 (414 if the target alone is longer than half of it) */
#define LIMIT_TARGET_BYTES      (8 * 1024)       /* 414 */
#define LIMIT_HEADER_LINES      100              /* 431 */
#define LIMIT_TRAILER_BYTES     4096             /* all trailer lines of a chunked body: 400 */
#define LIMIT_BODY_BYTES        (1024 * 1024)    /* form and JSON bodies held in memory: 413 */
#define LIMIT_UPLOAD_BYTES      (10 * 1024 * 1024)   /* one multipart body streamed to disk: 413 */
#define LIMIT_MULTIPART_PARTS   64
#define LIMIT_PART_HEAD_BYTES   4096
#define LIMIT_PART_FIELD_BYTES  (256 * 1024)     /* one text field of a multipart body */
#define LIMIT_PARAMETERS        200              /* name=value pairs of a query or form */
#define LIMIT_JSON_DEPTH        64
#define LIMIT_JSON_VALUES       100000           /* values and keys of one text: two bytes of input can cost a hundred of memory */
#define LIMIT_COOKIES           50
#define LIMIT_JWT_BYTES         4096             /* one JSON Web Token */

/* WebSocket */
#define LIMIT_WS_MESSAGE_BYTES  (1024 * 1024)    /* whole message after reassembly and inflation: close 1009 */
#define LIMIT_WS_QUEUE_BYTES    (1024 * 1024)    /* unsent bytes of one socket: slow consumers are closed with 1013 */
#define LIMIT_WS_INFLIGHT       16               /* commands of one socket under way: then it is not read */

/* time, ms */
#define LIMIT_HEAD_MS           10000            /* first byte of a head to its last: 408 */
#define LIMIT_IDLE_MS           75000            /* keep-alive without a request: closed */
#define LIMIT_BODY_GRACE_MS     10000            /* a body may take this plus its size over the minimum rate */
#define LIMIT_BODY_RATE         1024             /* bytes a second */
#define LIMIT_SEND_MS           30000            /* without progress on a response: closed */
#define LIMIT_WS_PING_MS        30000
#define LIMIT_WS_PONG_MS        20000
#define LIMIT_DRAIN_MS          10000            /* SIGTERM to exit at the latest */

/* engine */
#define LIMIT_ARENA_BYTES       (16 * 1024 * 1024)
#define LIMIT_REPLY_BYTES       (8 * 1024 * 1024)
#define LIMIT_WRITER_QUEUE      4096             /* jobs: then 503 with Retry-After at admission */
#define LIMIT_WRITER_BATCH      512
#define LIMIT_WORKER_QUEUE      1024
#define LIMIT_COMMAND_MS        10000            /* deadline of a command from admission */
#define LIMIT_OPERATOR_MS       600000           /* the same for an errand of the operator's (a copy of the database) */

/* diary */
#define LIMIT_DIARY_CHARS       10000
#define LIMIT_TITLE_CHARS       10000
#define LIMIT_MESSAGE_CHARS     10000
#define LIMIT_PROFILE_CHARS     1000
#define LIMIT_OPENID_BYTES      256
#define LIMIT_IMAGE_PIXELS      (40 * 1000 * 1000)
#endif
