/* cli/features.c: `weir --version`. Versions are asked of the libraries that were really loaded, not of the headers we were compiled with; a difference between the
 * two is the first thing to look at when a bug appears on one machine only. CI compares the names with the list it expects, so that a library that silently went
 * missing fails the build. */
#include "cli/cli.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <zlib.h>

#include "base/base.h"

static const char *openssl_version(void) { return OpenSSL_version(OPENSSL_FULL_VERSION_STRING); }
static const char *libjwt_version(void) { return LIBJWT_VERSION; }                  /* 1.x has no call that tells it */
static const char *curl_version_only(void) { return curl_version_info(CURLVERSION_NOW)->version; }

/* libgd is opened by the image worker alone (it costs a server 9 MB), so here too it is opened only to be asked. */
static const char *libgd_version(void)
{
    void *library = dlopen("libgd.so.3", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "gdVersionString") : NULL;
    const char *(*version)(void);
    memcpy(&version, &symbol, sizeof version);
    return version ? version() : "missing";
}

static const struct { const char *name, *use; const char *(*version)(void); } features[] = {
    { "sqlite", "the store", sqlite3_libversion },
    { "openssl", "TLS, sealed ids", openssl_version },
    { "zlib", "gzip, permessage-deflate", zlibVersion },
    { "jansson", "JSON from outside", jansson_version_str },
    { "libjwt", "signed tokens", libjwt_version },
    { "libcurl", "calls to WeChat, e-mail", curl_version_only },
    { "libgd", "re-encoding of uploaded images", libgd_version },
};

void features_print(void)
{
    printf("weir %s\n", WEIR_VERSION);
    for (size_t i = 0; i < LENGTH(features); i++)
        printf("  %-8s %-10s %s\n", features[i].name, features[i].version(), features[i].use);
#ifdef WEIR_FAULTS
    printf("  %-8s %-10s %s\n", "faults", "on", "WEIR_FAULT makes the Nth allocation, fsync or send fail: a build for tests");
#endif
}
