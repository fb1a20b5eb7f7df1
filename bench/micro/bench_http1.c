// SPDX-License-Identifier: Apache-2.0
// Nanoseconds per HTTP/1.1 head parsed and written, and per 15 chunks: `bench_http1 [seconds]`.
#include "proto/http1/body.h"
#include "proto/http1/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char browser_request[] =
	"GET http://www.example.com/articles/2024/05/index.html?ref=front&id=12345 HTTP/1.1\r\n"
	"Host: www.example.com\r\n"
	"Proxy-Connection: keep-alive\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	"Chrome/124.0.0.0 Safari/537.36\r\n"
	"Accept: "
	"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
	"Referer: http://www.example.com/\r\n"
	"Accept-Encoding: gzip, deflate\r\n"
	"Accept-Language: en-GB,en;q=0.9\r\n"
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
	"If-None-Match: \"5f2b-60c1e8f0\"\r\n"
	"Cache-Control: max-age=0\r\n"
	"\r\n";

static const char small_request[] = "GET /a HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char typical_response[] = "HTTP/1.1 200 OK\r\n"
				       "Server: nginx/1.22.1\r\n"
				       "Date: Tue, 14 May 2024 12:00:00 GMT\r\n"
				       "Content-Type: text/html; charset=utf-8\r\n"
				       "Content-Length: 5120\r\n"
				       "Last-Modified: Mon, 13 May 2024 08:00:00 GMT\r\n"
				       "Connection: keep-alive\r\n"
				       "ETag: \"5f2b-60c1e8f0\"\r\n"
				       "Vary: Accept-Encoding\r\n"
				       "X-Served-By: cache-vie-1\r\n"
				       "Accept-Ranges: bytes\r\n"
				       "\r\n";

static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
static const struct http1_write_options via = {.via = SLICE_LITERAL("sluice")};
static struct http_field fields[128];
static struct http_head head;
static struct http1_parser parser;
static char out[8192];

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_http1: %s failed\n", what);
	exit(1);
}

static size_t parse_request(const char *text, size_t len)
{
	http_head_init(&head, fields, 128);
	http1_parser_init_request(&parser, &head, &limits);
	return http1_parser_feed(&parser, text, len) == (ssize_t)len ? len : 0;
}

static size_t parse_response(const char *text, size_t len)
{
	http_head_init(&head, fields, 128);
	http1_parser_init_response(&parser, &head, &limits, HTTP_METHOD_GET);
	return http1_parser_feed(&parser, text, len) == (ssize_t)len ? len : 0;
}

// These two write what the last parse has left in head.
static size_t write_request(const char *text, size_t len)
{
	ssize_t r = http1_write_request(out, sizeof(out), &head, &via);
	return r > 0 ? (size_t)r : 0;
}

static size_t write_response(const char *text, size_t len)
{
	struct http1_write_options options = via;
	options.framing = parser.framing;
	ssize_t r = http1_write_response(out, sizeof(out), &head, &options);
	return r > 0 ? (size_t)r : 0;
}

static size_t read_chunks(const char *text, size_t len)
{
	const struct http1_body_limits body_limits = HTTP1_BODY_LIMITS_DEFAULT;
	const struct http1_framing framing = {.kind = HTTP1_FRAMING_CHUNKED};
	struct http1_body body;
	struct http1_body_part part = {0};
	size_t at = 0;
	http1_body_init(&body, &framing, &body_limits, NULL);
	while (!part.done) {
		if (http1_body_feed(&body, text + at, len - at, &part) < 0 || part.consumed == 0)
			return 0;
		at += part.consumed;
	}
	return at;
}

static void measure(const char *name, size_t (*run)(const char *, size_t), const char *text,
		    size_t len, double seconds)
{
	uint64_t best = UINT64_MAX, start = now_ns();
	size_t bytes = 0;
	do { // the best of many short runs, since other programs share the machine
		uint64_t from = now_ns();
		for (int i = 0; i < 2000; i++) {
			bytes = run(text, len);
			if (!bytes)
				die(name);
		}
		uint64_t took = now_ns() - from;
		best = took < best ? took : best;
	} while ((double)(now_ns() - start) < seconds * 1e9);
	printf("%-28s %7.1f ns  %5zu bytes  %6.2f GB/s\n", name, (double)best / 2000, bytes,
	       (double)bytes * 2000 / (double)best);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0.5;
	static char chunks[16384];
	size_t n = 0;
	for (int i = 0; i < 15; i++) {
		n += http1_chunk_write_head(chunks + n, 1024);
		memset(chunks + n, 'x', 1024);
		n += 1024;
		memcpy(chunks + n, "\r\n", 2);
		n += 2;
	}
	n += (size_t)http1_chunk_write_last(chunks + n, sizeof(chunks) - n, NULL);

	measure("parse request, 11 fields", parse_request, browser_request,
		sizeof(browser_request) - 1, seconds);
	measure("write request, 11 fields", write_request, NULL, 0, seconds);
	measure("parse request, 1 field", parse_request, small_request, sizeof(small_request) - 1,
		seconds);
	measure("write request, 1 field", write_request, NULL, 0, seconds);
	measure("parse response, 10 fields", parse_response, typical_response,
		sizeof(typical_response) - 1, seconds);
	measure("write response, 10 fields", write_response, NULL, 0, seconds);
	measure("read 15 chunks of 1 KiB", read_chunks, chunks, n, seconds);
	return 0;
}
