/* apps/apps.c: the one list of applications. A new app is a folder, a descriptor, and a word here. */
#include "engine/app.h"

extern const struct app diary_app, absence_app, operator_app, debug_app;

const struct app *const weir_apps[] = {
    &diary_app, &absence_app, &operator_app, &debug_app, NULL,
};
