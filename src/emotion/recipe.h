/* emotion/recipe.h: how a model for serving is made, and how one is judged before it exists.
 *
 * Training alone says nothing about how sure the model may be. The recipe first trains with a part of the corpus held out,
 * measures there, chooses the temperature under which the held-out probabilities are honest, and then trains once more on
 * everything with that temperature. What is held out are files when there are several (a file is a writer, and the model will
 * read people whom it has not read before), a quarter of them at a time; else one tenth of the texts. */
#ifndef WEIR_EMOTION_RECIPE_H
#define WEIR_EMOTION_RECIPE_H
#include "emotion/train.h"

enum emotion_folds { EMOTION_FOLDS_FILES, EMOTION_FOLDS_QUARTERS /* of the files */, EMOTION_FOLDS_TENTHS };

/* Trains as often as there are parts, each time without one of them, and measures every text by the model that did not
 * see it. `*temperature` is chosen from those answers unless it is given (> 0). False and a sentence in err on failure. */
bool emotion_cross(const struct emotion_corpus *, const struct emotion_list *, const struct emotion_train_options *, enum emotion_folds,
                   double *temperature, struct emotion_measure *out, struct buf *err);

/* The recipe. With `dev_tenth` the model is the one that was trained without the tenth, so that it can be judged on it.
 * Returns the model's bytes (free()), their number in *out_n, and what was measured on held-out texts. */
uint8_t *emotion_recipe(const struct emotion_corpus *, const struct emotion_list *, const struct emotion_train_options *, bool dev_tenth,
                        size_t *out_n, struct emotion_measure *out_measure, struct buf *err);

#endif
