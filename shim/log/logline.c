#include "log/logline.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

// Copies plain bytes and returns how many; may write up to 15 bytes beyond them.
static size_t copy_plain(const char *bytes, size_t len, char *out)
{
	size_t i = 0;
#ifdef __SSE2__
	const __m128i space = _mm_set1_epi8(0x20), backslash = _mm_set1_epi8('\\'), angle = _mm_set1_epi8('>'), two = _mm_set1_epi8(2);
	const __m128i quote = _mm_set1_epi8('"'), not_four = _mm_set1_epi8(~4);
	for (; i + 16 <= len; i += 16) {
		__m128i v = _mm_loadu_si128((const void *)(bytes + i));
		_mm_storeu_si128((void *)(out + i), v);
		__m128i bad = _mm_cmplt_epi8(v, space); // signed: control characters and everything from 0x80
		bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, backslash));
		bad = _mm_or_si128(bad, _mm_cmpeq_epi8(_mm_or_si128(v, two), angle)); // '<' is '>' without bit 1
		bad = _mm_or_si128(bad, _mm_cmpeq_epi8(_mm_and_si128(v, not_four), quote)); // '&' is '"' with bit 2
		int mask = _mm_movemask_epi8(bad);
		if (mask)
			return i + (size_t)__builtin_ctz((unsigned)mask);
	}
#endif
	for (; i < len && is_plain((unsigned char)bytes[i]); i++)
		out[i] = bytes[i];
	return i;
}

// The length of the UTF-8 character at `bytes`, or 0 when it is not one. *cut: it could become one with more bytes.
static size_t utf8_length(const unsigned char *bytes, size_t len, bool *cut)
{
	unsigned char c = bytes[0], low = 0x80, high = 0xbf;
	size_t need;
	*cut = false;
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		need = 2;
	else if (c >= 0xe0 && c <= 0xef)
		need = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		need = 4;
	else
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < need; i++, low = 0x80, high = 0xbf) {
		if (i == len) {
			*cut = true;
			return 0;
		}
		if (bytes[i] < low || bytes[i] > high)
			return 0;
	}
	return need;
}

// One byte or character that is not plain; returns how much of the input it was.
static size_t escape_one(const unsigned char *bytes, size_t len, char **out)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char c = bytes[0];
	char *o = *out;
	if (c >= 0x80) {
		bool cut;
		size_t n = utf8_length(bytes, len, &cut);
		if (n == 0) {
			memcpy(o, "\\ufffd", 6);
			*out = o + 6;
			return 1;
		}
		if (n == 3 && c == 0xe2 && bytes[1] == 0x80 && (bytes[2] & 0xfe) == 0xa8) {
			memcpy(o, "\\u202", 5);
			o[5] = hex[bytes[2] & 15];
			*out = o + 6;
			return 3;
		}
		memcpy(o, bytes, n);
		*out = o + n;
		return n;
	}
	char brief = c == '"' || c == '\\' ? (char)c : c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : 0;
	*o++ = '\\';
	if (brief) {
		*o++ = brief;
	} else {
		memcpy(o, "u00", 3);
		o[3] = hex[c >> 4];
		o[4] = hex[c & 15];
		o += 5;
	}
	*out = o;
	return 1;
}

size_t json_escape(const char *bytes, size_t len, char *out)
{
	char *o = out;
	for (size_t i = 0; i < len;) {
		size_t n = copy_plain(bytes + i, len - i, o);
		i += n;
		o += n;
		if (i < len)
			i += escape_one((const unsigned char *)bytes + i, len - i, &o);
	}
	return (size_t)(o - out);
}

void logline_init(struct logline *line, enum stream stream, const char *attrs)
{
	line->pending_len = 0;
	line->partial = false;
	line->attrs = attrs;
	line->attrs_len = attrs ? strlen(attrs) : 0;
	line->name = stream == STREAM_STDERR ? "stderr" : "stdout";
	line->tail_len = (size_t)snprintf(line->tail, sizeof line->tail, "\",\"stream\":\"%s\"%s", line->name, attrs ? ",\"attrs\":" : "");
	line->stamp_second = -1;
	logline_time(line, 0);
}

void logline_time(struct logline *line, int64_t time)
{
	int64_t second = time / SECOND, rest = time % SECOND;
	if (second != line->stamp_second) {
		struct tm tm;
		time_t t = (time_t)second;
		gmtime_r(&t, &tm);
		line->stamp_len = strftime(line->stamp, sizeof line->stamp, ",\"time\":\"%Y-%m-%dT%H:%M:%S.", &tm);
		memcpy(line->stamp + line->stamp_len, "000000000Z\"}\n", 13);
		line->stamp_len += 13;
		line->stamp_second = second;
	}
	char *digit = line->stamp + line->stamp_len - 5;
	for (int i = 0; i < 9; i++, rest /= 10)
		*digit-- = (char)('0' + rest % 10);
}

static char *put(char *out, const void *bytes, size_t len)
{
	memcpy(out, bytes, len);
	return out + len;
}

// `ended`: the line has its newline.
static size_t encode(const struct logline *line, const char *bytes, size_t len, bool ended, char *out)
{
	char *o = put(out, "{\"log\":\"", 8);
	o += json_escape(bytes, len, o);
	if (ended)
		o = put(o, "\\n", 2);
	o = put(o, line->tail, line->tail_len);
	if (line->attrs)
		o = put(o, line->attrs, line->attrs_len);
	o = put(o, line->stamp, line->stamp_len);
	return (size_t)(o - out);
}

// Where to cut at most `len` bytes so that no character is split.
static size_t cut_point(const char *bytes, size_t len)
{
	for (size_t back = 1; back <= 3 && back < len; back++) {
		bool cut;
		unsigned char c = (unsigned char)bytes[len - back];
		if (c < 0x80)
			break;
		if (c >= 0xc0) {
			(void)utf8_length((const unsigned char *)bytes + len - back, back, &cut);
			return cut ? len - back : len;
		}
	}
	return len;
}

// The pending bytes have filled a partial.
static size_t encode_partial(struct logline *line, char *out)
{
	size_t cut = cut_point(line->pending, LOG_LINE_MAX);
	size_t n = encode(line, line->pending, cut, false, out);
	line->partial = true;
	line->pending_len -= cut;
	memmove(line->pending, line->pending + cut, line->pending_len);
	return n;
}

size_t logline_take(struct logline *line, const char **at, const char *end, char *out)
{
	const char *start = *at;
	size_t left = (size_t)(end - start);
	// A full partial is held back until one more byte is there: it may be the newline.
	size_t room = LOG_LINE_MAX + 1 - line->pending_len;
	size_t look = left < room ? left : room;
	const char *newline = memchr(start, '\n', look);
	if (newline) {
		size_t len = (size_t)(newline - start);
		*at = newline + 1;
		line->partial = false;
		if (line->pending_len == 0)
			return encode(line, start, len, true, out);
		memcpy(line->pending + line->pending_len, start, len);
		size_t n = encode(line, line->pending, line->pending_len + len, true, out);
		line->pending_len = 0;
		return n;
	}
	memcpy(line->pending + line->pending_len, start, look);
	line->pending_len += look;
	*at = start + look;
	return line->pending_len > LOG_LINE_MAX ? encode_partial(line, out) : 0;
}

size_t logline_flush(struct logline *line, char *out)
{
	size_t len = line->pending_len;
	line->pending_len = 0;
	return len ? encode(line, line->pending, len, false, out) : 0;
}

size_t logline_cut(struct logline *line, char *out)
{
	bool begun = line->partial;
	line->pending_len = 0;
	line->partial = false;
	return begun ? encode(line, "", 0, true, out) : 0;
}
