/* apps/diary/pages.h: the pages for people: the start page, a form for every call of the contract, the room chooser and the chat.
 *
 * They stand at the paths the first seed documents, with and without the slash; forms carry its field names and work without scripts. With scripts
 * the answer appears below the form. One stylesheet and two scripts, served from /matching/static/ and built into the program; the
 * Content-Security-Policy allows nothing else, no inline script and no other origin. Texts in Chinese or English by Accept-Language. */
#ifndef WEIR_DIARY_PAGES_H
#define WEIR_DIARY_PAGES_H
#include "engine/app.h"

/* The files of pages/, ended by a row without name; made by pages/embed.py when building. */
struct page_asset { const char *name, *type; const unsigned char *bytes; size_t n; };
extern const struct page_asset page_assets[];

relay_fn page_index, page_form, page_rooms, page_chat, page_static;

/* Rows for the diary's table of commands, with a comma behind the last. page_form finds what to show by the row's name. */
#define DIARY_PAGE_FORM_(page, path) { .name = "diary.page." page, .about = "the test form of " path, .http = "GET " path "/?", RELAYS(page_form) }
#define DIARY_PAGE_COMMANDS \
    { .name = "diary.page.index", .about = "the start page", .http = "GET /", RELAYS(page_index) }, \
    DIARY_PAGE_FORM_("emotion", "/matching"), DIARY_PAGE_FORM_("depair", "/matching/depair"), DIARY_PAGE_FORM_("store", "/matching/store"), \
    DIARY_PAGE_FORM_("get_user", "/matching/get_user"), DIARY_PAGE_FORM_("get_diary", "/matching/get_diary"), \
    DIARY_PAGE_FORM_("get_user_diary", "/matching/get_user_diary"), DIARY_PAGE_FORM_("alt_diary", "/matching/alt_diary"), \
    DIARY_PAGE_FORM_("get_openId", "/matching/get_openId"), DIARY_PAGE_FORM_("get_pair", "/matching/get_pair"), \
    DIARY_PAGE_FORM_("get_history", "/matching/get_history"), DIARY_PAGE_FORM_("delete_diary", "/matching/delete_diary"), \
    DIARY_PAGE_FORM_("upload_img", "/matching/upload_img"), DIARY_PAGE_FORM_("show_img", "/matching/show_img"), \
    { .name = "diary.page.rooms", .about = "choose a chat room", .http = "GET /matching/select_chat_room/?", RELAYS(page_rooms) }, \
    { .name = "diary.page.chat", .about = "the chat of a room", .http = "GET /matching/room/{room}/?, GET /matching/chat/{room}/?", \
      .takes = &SHAPE({ "room", .flags = REQUIRED | NOT_EMPTY, .min = 1, .max = 200, .about = "pair_id or the name of a room" }), RELAYS(page_chat) }, \
    { .name = "diary.page.static", .about = "stylesheet, scripts and picture of the pages", .http = "GET /matching/static/{file}", \
      .takes = &SHAPE({ "file", .flags = REQUIRED, .max = 100, .about = "the file's name" }), RELAYS(page_static) },

#endif
