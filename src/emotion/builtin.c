/* emotion/builtin.c: the model and the word lists that the build linked in (train_main.c writes the assembler for it). */
#include "emotion/words.h"
#include <pthread.h>

extern const char weir_emotion_model[], weir_emotion_model_end[], weir_emotion_words[], weir_emotion_words_end[];

static struct emotion_model builtin;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    struct buf err;
    buf_init(&err, 256);
    must(emotion_model_view(span_from(weir_emotion_model, (size_t)(weir_emotion_model_end - weir_emotion_model)), &builtin, &err));
    buf_done(&err);
}

const struct emotion_model *emotion_model_builtin(void)
{
    pthread_once(&once, load);
    return &builtin;
}

struct span emotion_list_builtin(void) { return span_from(weir_emotion_words, (size_t)(weir_emotion_words_end - weir_emotion_words)); }
