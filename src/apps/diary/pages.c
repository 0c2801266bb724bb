/* apps/diary/pages.c: HTML for people who try the diary out.
 *
 * A page is written in order into the reply's body: page_begin, its own part, page_end. What comes from a request (the room's name, the host) goes through
 * page_text, which escapes for element content and for quoted attributes alike; everything else is a literal of this file. No page reads the store: these are
 * relays, what they show is fetched by the forms. The scripts get what they need from data attributes. */
#include "apps/diary/pages.h"

#include <stdio.h>

struct words { const char *zh, *en; };

enum input { INPUT_LINE, INPUT_AREA, INPUT_FILE };
struct form_field { const char *name; enum input input; bool required; struct words label; };
struct form_page {
    const char *page;                    /* the row's name behind "diary.page." */
    const char *path;
    bool post, file, asks_who;           /* asks_who: outside `open` it wants an openId as well */
    const char *action;
    enum { GROUP_DIARY, GROUP_PEOPLE, GROUP_CHAT, GROUP_PICTURE, GROUPS } group;
    struct words title, about;
    struct form_field fields[8];
};

#define OPENID { "openId", INPUT_LINE, true, { "用户 openId", "User’s openId" } }
#define DIARY_ID { "diaryId", INPUT_LINE, true, { "日记编号 diaryId", "Diary’s number (diaryId)" } }
#define IMAGE_NAME(required, zh, en) { "img_name", INPUT_LINE, required, { zh, en } }

/* The contract's field names, paths and methods: first seed, "访问 …". */
static const struct form_page forms[] = {
    { "emotion", "/matching/", true, false, false, "/matching/emotion/", GROUP_DIARY, { "写日记", "Write a diary" },
      { "保存日记，分析其中的情绪，并寻找心情相近的人。", "Stores the diary, tells its feeling and looks for somebody who feels alike." },
      { OPENID, { "title", INPUT_LINE, false, { "标题 title（可留空）", "Title (may be empty)" } }, { "content", INPUT_AREA, false, { "正文 content", "Content" } } } },
    { "get_diary", "/matching/get_diary/", false, false, false, "/matching/get_diary_action/", GROUP_DIARY, { "读日记", "Read a diary" },
      { "按编号读取一篇日记的全文。", "The whole of one diary." }, { DIARY_ID } },
    { "get_user_diary", "/matching/get_user_diary/", false, false, false, "/matching/get_user_diary_action/", GROUP_DIARY, { "全部日记", "All diaries" },
      { "一位用户的全部日记，从旧到新。", "All diaries of a user, oldest first." }, { OPENID } },
    { "alt_diary", "/matching/alt_diary/", true, false, false, "/matching/alt_diary_action/", GROUP_DIARY, { "修改日记", "Edit a diary" },
      { "修改标题和正文，重新分析情绪；不会重新匹配。", "New title and content, and a new feeling; matches stay as they are." },
      { DIARY_ID, { "title", INPUT_LINE, false, { "标题 title", "Title" } }, { "content", INPUT_LINE, false, { "正文 content", "Content" } } } },
    { "delete_diary", "/matching/delete_diary/", true, false, false, "/matching/delete_diary_action/", GROUP_DIARY, { "删除日记", "Delete a diary" },
      { "删除一篇日记。已有的匹配不受影响。", "Deletes one diary. A match it led to stays." }, { DIARY_ID } },
    { "get_openId", "/matching/get_openId/", false, false, false, "/matching/get_openId_action/", GROUP_PEOPLE, { "登录", "Log in" },
      { "用 wx.login 得到的 js_code 换取 openId 和 session_key。", "Gives openId and session_key for the js_code of wx.login." },
      { { "js_code", INPUT_LINE, true, { "登录凭证 js_code", "js_code" } } } },
    { "store", "/matching/store/", true, false, false, "/matching/store_action/", GROUP_PEOPLE, { "保存资料", "Store a profile" },
      { "保存或更新用户资料。", "Stores or updates a user’s profile." },
      { OPENID, { "nickName", INPUT_LINE, false, { "昵称 nickName", "Nickname (nickName)" } }, { "avatarUrl", INPUT_LINE, false, { "头像地址 avatarUrl", "Address of the portrait (avatarUrl)" } },
        { "gender", INPUT_LINE, true, { "性别 gender（0 未知，1 男，2 女）", "Gender (0 unknown, 1 male, 2 female)" } }, { "province", INPUT_LINE, false, { "省份 province", "Province" } },
        { "city", INPUT_LINE, false, { "城市 city", "City" } }, { "country", INPUT_LINE, false, { "国家 country", "Country" } } } },
    { "get_user", "/matching/get_user/", false, false, false, "/matching/get_user_action/", GROUP_PEOPLE, { "用户信息", "A user" },
      { "资料、最近十篇日记和匹配对象。", "Profile, the last ten diaries, and the match." }, { OPENID } },
    { "get_pair", "/matching/get_pair/", false, false, false, "/matching/get_pair_action/", GROUP_CHAT, { "查询房间", "Find my room" },
      { "配对双方共用的聊天房间编号。", "The number of the room that both partners share." }, { OPENID } },
    { "get_history", "/matching/get_history/", false, false, true, "/matching/get_history_action/", GROUP_CHAT, { "聊天记录", "Chat history" },
      { "一个房间的全部消息，从旧到新。", "All messages of a room, oldest first." }, { { "pair_id", INPUT_LINE, true, { "房间编号 pair_id", "Room’s number (pair_id)" } } } },
    { "depair", "/matching/depair/", true, false, false, "/matching/depair_action/", GROUP_CHAT, { "解除匹配", "Part" },
      { "解除当前的匹配关系。", "Ends the present match." }, { OPENID } },
    { "upload_img", "/matching/upload_img/", true, true, true, "/matching/upload_img_action/", GROUP_PICTURE, { "上传图片", "Upload a picture" },
      { "JPEG、PNG、GIF 或 WebP，最大 10 MB。图片会重新编码，不保留拍摄地点等信息。", "JPEG, PNG, GIF or WebP of at most 10 MB. It is encoded anew; where it was taken is not kept." },
      { { "img", INPUT_FILE, true, { "图片 img", "Picture (img)" } }, IMAGE_NAME(false, "图片名 img_name（可留空）", "Name (img_name, may be empty)") } },
    { "show_img", "/matching/show_img/", false, false, false, "/matching/show_img_action/", GROUP_PICTURE, { "查看图片", "Show a picture" },
      { "按名字（含扩展名）取得图片地址。", "The address of a picture by its name with extension." }, { IMAGE_NAME(true, "图片名 img_name", "Name (img_name)") } },
};

/* ---- writing ---- */

struct page { const struct request *r; struct reply *reply; struct buf *out; bool chinese; };

static void page_raw(struct page *p, const char *html) { buf_add_z(p->out, html); }

static void page_text(struct page *p, struct span text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *entity = text.p[i] == '&' ? "&amp;" : text.p[i] == '<' ? "&lt;" : text.p[i] == '>' ? "&gt;" : text.p[i] == '"' ? "&quot;" : text.p[i] == '\'' ? "&#39;" : NULL;
        if (!entity)
            continue;
        buf_add(p->out, text.p + kept, i - kept);
        buf_add_z(p->out, entity);
        kept = i + 1;
    }
    if (kept < text.n)
        buf_add(p->out, text.p + kept, text.n - kept);
}

static const char *pick(const struct page *p, struct words w) { return p->chinese ? w.zh : w.en; }
#define WORDS(zh_, en_) ((struct words){ zh_, en_ })
static void page_words(struct page *p, struct words w) { page_text(p, span_of(pick(p, w))); }

/* <tag>text</tag>; tag with its attributes, which are literals of ours */
static void page_element(struct page *p, const char *tag, struct words w)
{
    size_t name = strcspn(tag, " ");
    buf_printf(p->out, "<%s>", tag);
    page_words(p, w);
    buf_printf(p->out, "</%.*s>", (int)name, tag);
}

/* The phone page of the sandbox, if that is what plays WeChat for us; empty otherwise. */
static struct span sandbox_page(const struct request *r)
{
    static const char *const local[] = { "http://127.0.0.1:", "http://localhost:", "http://[::1]:" };
    struct span url = settings_get(request_settings(r), "wechat", "api_url");
    for (size_t i = 0; i < LENGTH(local); i++)
        if (span_begins(url, span_of(local[i]))) {
            while (span_ends(url, SPAN("/")))
                url.n--;
            return arena_printf(request_arena(r), "%.*s/", SPAN_ARGS(url));
        }
    return SPAN("");
}

static bool access_is_open(const struct request *r) { return span_is(settings_get(request_settings(r), "diary", "access"), SPAN("open")); }

static void nav_link(struct page *p, const char *path, struct words text, bool current)
{
    buf_printf(p->out, "<a href=\"%s\"%s>", path, current ? " aria-current=\"page\"" : "");
    page_words(p, text);
    page_raw(p, "</a>");
}

static struct page page_begin(const struct request *r, const char *title, const char *path)
{
    struct page p = { r, reply_text(r, 200, "text/html; charset=utf-8", SPAN("")), NULL, request_chinese(r) };
    p.out = &p.reply->body;
    /* A script of ours may speak to this host only; browsers before 2022 do not take 'self' for ws:, and the host's own name in a header would be a stranger's text. */
    reply_header(p.reply, "Content-Security-Policy", SPAN("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"));
    reply_header(p.reply, "Vary", SPAN("Accept-Language"));
    buf_printf(p.out, "<!doctype html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", p.chinese ? "zh-CN" : "en");
    page_text(&p, span_of(title));
    page_raw(&p, "</title>\n<link rel=\"icon\" href=\"/matching/static/icon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/matching/static/weir.css\">\n"
                 "<script type=\"module\" src=\"/matching/static/pages.js\"></script>\n</head>\n");
    buf_printf(p.out, "<body data-access=\"%s\">\n<header><nav><a class=\"home\" href=\"/\"><img src=\"/matching/static/icon.svg\" alt=\"\" width=\"28\" height=\"28\">Weir</a>", access_is_open(r) ? "open" : "closed");
    nav_link(&p, "/matching/", WORDS("写日记", "Write"), strcmp(path, "/matching/") == 0);
    nav_link(&p, "/matching/get_user/", WORDS("我的", "Me"), strcmp(path, "/matching/get_user/") == 0);
    nav_link(&p, "/matching/select_chat_room/", WORDS("聊天", "Chat"), strcmp(path, "/matching/select_chat_room/") == 0);
    struct span sandbox = sandbox_page(r);
    if (sandbox.n) {
        page_raw(&p, "<a href=\"");
        page_text(&p, sandbox);
        page_raw(&p, "\">");
        page_words(&p, WORDS("沙箱", "Sandbox"));
        page_raw(&p, "</a>");
    }
    page_raw(&p, "</nav></header>\n<main>\n");
    return p;
}

static struct reply *page_end(struct page *p)
{
    page_raw(p, "</main>\n<footer>Weir " WEIR_VERSION "</footer>\n</body>\n</html>\n");
    return p->reply;
}

/* Who one is in this tab; shown by the script, which alone can remember it. */
static void page_who(struct page *p)
{
    page_raw(p, "<div class=\"who\" id=\"who\" hidden><label for=\"who-openid\">");
    page_words(p, WORDS("当前身份 openId", "You are (openId)"));
    page_raw(p, "</label><input id=\"who-openid\" autocomplete=\"off\" spellcheck=\"false\"><span>");
    if (access_is_open(p->r)) {
        page_words(p, WORDS("演示模式：填写任意名字即可。", "Open demo: any name will do."));
    } else {
        page_words(p, WORDS("请先", "First "));
        nav_link(p, "/matching/get_openId/", WORDS("登录", "log in"), false);
    }
    page_raw(p, "</span></div>\n");
}

/* ---- the forms ---- */

static void field_write(struct page *p, const struct form_field *f)
{
    buf_printf(p->out, "<label for=\"%s\">", f->name);
    page_words(p, f->label);
    page_raw(p, "</label>\n");
    const char *required = f->required ? " required" : "";
    if (f->input == INPUT_AREA)
        buf_printf(p->out, "<textarea name=\"%s\" id=\"%s\" rows=\"10\" cols=\"50\"%s></textarea>\n", f->name, f->name, required);
    else if (f->input == INPUT_FILE)
        buf_printf(p->out, "<input type=\"file\" name=\"%s\" id=\"%s\" accept=\"image/jpeg,image/png,image/gif,image/webp\"%s>\n", f->name, f->name, required);
    else
        buf_printf(p->out, "<input type=\"text\" name=\"%s\" id=\"%s\" autocomplete=\"off\"%s>\n", f->name, f->name, required);
}

struct reply *page_form(const struct request *r)
{
    const char *name = request_command(r)->name + strlen("diary.page.");
    const struct form_page *f = NULL;
    for (size_t i = 0; i < LENGTH(forms); i++)
        if (strcmp(forms[i].page, name) == 0)
            f = &forms[i];
    must(f);                                                         /* a row of DIARY_PAGE_COMMANDS without its form */
    struct page p = page_begin(r, request_chinese(r) ? f->title.zh : f->title.en, f->path);
    page_element(&p, "h1", f->title);
    page_element(&p, "p class=\"lead\"", f->about);
    page_who(&p);
    page_raw(&p, "<section class=\"card\">\n");
    buf_printf(p.out, "<p class=\"route\"><b>%s</b> %s</p>\n", f->post ? "POST" : "GET", f->action);
    buf_printf(p.out, "<form id=\"call\" action=\"%s\" method=\"%s\"%s>\n", f->action, f->post ? "post" : "get", f->file ? " enctype=\"multipart/form-data\"" : "");
    page_raw(&p, "<input type=\"hidden\" name=\"csrfmiddlewaretoken\" value=\"\">\n");
    for (size_t i = 0; i < LENGTH(f->fields) && f->fields[i].name; i++)
        field_write(&p, &f->fields[i]);
    if (f->asks_who && !access_is_open(r))
        field_write(&p, &(struct form_field)OPENID);
    page_element(&p, "button type=\"submit\"", f->file ? WORDS("上传", "Upload") : WORDS("提交", "Submit"));
    page_raw(&p, "\n</form>\n</section>\n<section class=\"card answer\" id=\"answer\" aria-live=\"polite\"></section>\n");
    return page_end(&p);
}

/* ---- the start page ---- */

static void tile(struct page *p, const char *path, struct words title, const char *small)
{
    buf_printf(p->out, "<li><a href=\"%s\"><b>", path);
    page_words(p, title);
    buf_printf(p->out, "</b><span>%s</span></a></li>\n", small);
}

static void curl_lines(struct page *p)
{
    struct span origin = request_origin(p->r);
    /* the host is what the request said: only what a host may be made of goes into a line that people paste into a shell */
    for (size_t i = 0; i < origin.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:/[]", origin.p[i]) || origin.p[i] == 0)
            origin = SPAN("");
    if (!origin.n)
        origin = SPAN("http://127.0.0.1:8000");
    static const struct { const char *before, *after; } lines[] = {
        { "curl ", "/matching/emotion/ -d openId=alice -d title= --data-urlencode 'content=今天终于见到你了，真开心！'" },
        { "curl ", "/matching/emotion/ -d openId=bob -d title= --data-urlencode 'content=今天很开心，阳光真好。'" },
        { "curl '", "/matching/get_user_action/?openId=alice'" },
        { "curl '", "/matching/get_pair_action/?openId=alice'" },
        { "curl ", "/matching/send_message_via_http/ -d pair_id=1 -d openId=alice --data-urlencode 'content=你好呀'" },
        { "curl '", "/matching/get_history_action/?pair_id=1'" },
    };
    page_raw(p, "<pre class=\"curl\">");
    for (size_t i = 0; i < LENGTH(lines); i++) {
        page_raw(p, lines[i].before);
        page_text(p, origin);
        page_text(p, span_of(lines[i].after));
        page_raw(p, "\n");
    }
    page_raw(p, "</pre>\n");
}

struct reply *page_index(const struct request *r)
{
    static const struct words groups[GROUPS] = { { "日记", "Diary" }, { "用户", "People" }, { "匹配与聊天", "Match and chat" }, { "图片", "Pictures" } };
    struct page p = page_begin(r, request_chinese(r) ? "Weir · 微信后端" : "Weir · a WeChat backend", "/");
    page_raw(&p, "<div class=\"hero\">\n");
    page_element(&p, "h1", WORDS("写下今天，遇见心情相近的人", "Write down your day, meet who feels alike"));
    page_element(&p, "p class=\"lead\"", WORDS("Weir 是一个自托管的微信后端。这里是它的日记服务：读懂日记里的情绪，为心情相近的两个人配对，让他们聊天。",
                                               "Weir is a WeChat backend that you host yourself. This is its diary: it reads the feeling of an entry, brings together two people who feel alike, and lets them chat."));
    page_raw(&p, "<p><a class=\"button\" href=\"/matching/\">");
    page_words(&p, WORDS("写一篇日记", "Write a diary"));
    page_raw(&p, "</a><a class=\"button quiet\" href=\"/matching/select_chat_room/\">");
    page_words(&p, WORDS("进入聊天", "Go to the chat"));
    page_raw(&p, "</a></p>\n</div>\n");
    page_who(&p);
    struct span sandbox = sandbox_page(r);
    if (sandbox.n) {
        page_raw(&p, "<p class=\"soft\">");
        page_words(&p, WORDS("没有微信账号也没关系：", "No WeChat account is needed: "));
        page_raw(&p, "<a href=\"");
        page_text(&p, sandbox);
        page_raw(&p, "\">");
        page_words(&p, WORDS("沙箱", "the sandbox"));
        page_raw(&p, "</a>");
        page_words(&p, WORDS("在本机模拟微信，可以在那里取得登录用的 js_code。", " plays WeChat on this machine; it gives you a js_code to log in with."));
        page_raw(&p, "</p>\n");
    }
    for (int group = 0; group < GROUPS; group++) {
        page_element(&p, "h2", groups[group]);
        page_raw(&p, "<ul class=\"tiles\">\n");
        for (size_t i = 0; i < LENGTH(forms); i++)
            if ((int)forms[i].group == group)
                tile(&p, forms[i].path, forms[i].title, forms[i].path);
        if (group == GROUP_CHAT)
            tile(&p, "/matching/select_chat_room/", WORDS("聊天室", "Chat rooms"), "/matching/select_chat_room/");
        page_raw(&p, "</ul>\n");
    }
    page_element(&p, "h2", WORDS("用命令行试试", "Try it from a shell"));
    curl_lines(&p);
    return page_end(&p);
}

/* ---- chat ---- */

struct reply *page_rooms(const struct request *r)
{
    struct page p = page_begin(r, "chat rooms", "/matching/select_chat_room/");
    page_element(&p, "h1", WORDS("聊天室", "Chat rooms"));
    page_element(&p, "p class=\"lead\"", WORDS("输入配对的房间编号，或任意房间名。同一房间里的人可以看到彼此的消息。", "Enter the number of your match’s room, or any room’s name. Who is in the same room sees what the others write."));
    page_who(&p);
    page_raw(&p, "<section class=\"card\">\n<label for=\"room-name-input\">");
    page_words(&p, WORDS("房间", "Room"));
    page_raw(&p, "</label>\n<div class=\"row\"><input id=\"room-name-input\" type=\"text\" size=\"100\" maxlength=\"200\" autocomplete=\"off\"><button id=\"room-name-submit\" type=\"button\">");
    page_words(&p, WORDS("进入", "Enter"));
    page_raw(&p, "</button></div>\n<p class=\"soft\">");
    page_words(&p, WORDS("不知道编号？", "No number at hand? "));
    nav_link(&p, "/matching/get_pair/", WORDS("按 openId 查询", "Find it by your openId"), false);
    page_raw(&p, "</p>\n</section>\n");
    return page_end(&p);
}

struct reply *page_chat(const struct request *r)
{
    struct page p = page_begin(r, "Chat Room", "/matching/room/");
    page_raw(&p, "<div id=\"chat\" data-room=\"");
    page_text(&p, request_text(r, "room"));
    page_raw(&p, "\">\n<h1>");
    page_words(&p, WORDS("房间 ", "Room "));
    page_text(&p, request_text(r, "room"));
    page_raw(&p, " <span class=\"pill\" id=\"chat-state\" role=\"status\"></span></h1>\n<section class=\"card\">\n<label for=\"chat-log\">");
    page_words(&p, WORDS("消息", "Messages"));
    page_raw(&p, "</label>\n<textarea id=\"chat-log\" cols=\"100\" rows=\"20\" readonly></textarea>\n<div class=\"row\" id=\"openId-row\">\n<div><label for=\"openId\">");
    page_words(&p, WORDS("我的 openId", "My openId"));
    page_raw(&p, "</label><input id=\"openId\" type=\"text\" size=\"20\" autocomplete=\"off\" spellcheck=\"false\"></div>\n<div class=\"grow\"><label for=\"chat-message-input\">");
    page_words(&p, WORDS("输入消息，回车发送", "Message, Enter sends"));
    page_raw(&p, "</label><div class=\"row\"><input id=\"chat-message-input\" type=\"text\" size=\"100\" maxlength=\"10000\" autocomplete=\"off\"><button id=\"chat-message-submit\" type=\"button\">");
    page_words(&p, WORDS("发送", "Send"));
    page_raw(&p, "</button></div></div>\n</div>\n<p class=\"error\" id=\"chat-error\" role=\"alert\"></p>\n<noscript><p class=\"error\">");
    page_words(&p, WORDS("聊天需要启用 JavaScript。", "The chat needs JavaScript."));
    page_raw(&p, "</p></noscript>\n</section>\n</div>\n<script type=\"module\" src=\"/matching/static/chat.js\"></script>\n");
    return page_end(&p);
}

/* ---- files ---- */

struct reply *page_static(const struct request *r)
{
    struct span name = request_text(r, "file");
    for (const struct page_asset *a = page_assets; a->name; a++)
        if (span_is_z(name, a->name)) {
            struct reply *reply = reply_asset(r, a->type, span_from(a->bytes, a->n));
            reply_header(reply, "Cache-Control", SPAN("no-cache"));  /* kept, but asked about: a new version shows at once, and 304 is cheap */
            return reply;
        }
    return refuse(r, 404, "不存在", "not found");
}
