// SPDX-License-Identifier: Apache-2.0
// The live page's files, by the linker.
#include "control/admin_page.h"

#include <string.h>

#include "control/admin_request.h"

#define FILE_OF(name)                                                                              \
	extern const char page_##name[];                                                           \
	extern const unsigned page_##name##_len;

FILE_OF(index_html)
FILE_OF(page_css)
FILE_OF(page_js)

void admin_page(struct control *control, const struct admin_request *request,
		struct admin_reply *reply)
{
	if (slice_equal(request->path, SLICE("/"))) {
		reply->type = "text/html; charset=utf-8";
		text_bytes(&reply->body, page_index_html, page_index_html_len);
	} else if (slice_equal(request->path, SLICE("/page/page.css"))) {
		reply->type = "text/css; charset=utf-8";
		text_bytes(&reply->body, page_page_css, page_page_css_len);
	} else if (slice_equal(request->path, SLICE("/page/page.js"))) {
		reply->type = "text/javascript; charset=utf-8";
		text_bytes(&reply->body, page_page_js, page_page_js_len);
	} else {
		admin_say(reply, 404, "There is no such file.");
	}
}
