/* apps/apps.c: the one list of applications. A new app is a folder, a descriptor, and a word here. */
#include "engine/app.h"

const struct app *const weir_apps[] = {
    NULL,
};
