#include "base/record.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void text_add(struct text *t, const char *format, ...)
{
	if (t->overflow)
		return;
	va_list args;
	va_start(args, format);
	int n = vsnprintf(t->at + t->len, t->cap - t->len, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->cap - t->len)
		t->overflow = true;
	else
		t->len += (size_t)n;
}

static bool needs_escape(unsigned char c)
{
	return c <= 0x20 || c == 0x7f || c == '%' || c == '=';
}

void text_word(struct text *t, const char *bytes, size_t len)
{
	if (len == 0)
		text_add(t, "%%-");
	for (size_t i = 0; i < len && !t->overflow; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (needs_escape(c)) {
			text_add(t, "%%%02X", c);
		} else if (t->len + 1 < t->cap) {
			t->at[t->len++] = (char)c;
			t->at[t->len] = 0;
		} else {
			t->overflow = true;
		}
	}
}

void text_pair(struct text *t, const char *key, const char *value)
{
	text_add(t, "%s%s=", t->len ? " " : "", key);
	text_word(t, value, strlen(value));
}

void text_pair_int(struct text *t, const char *key, int64_t value)
{
	text_add(t, "%s%s=%lld", t->len ? " " : "", key, (long long)value);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t word_decode(char *word, size_t len)
{
	if (len == 0)
		return -EINVAL;
	if (len == 2 && word[0] == '%' && word[1] == '-') {
		word[0] = 0;
		return 0;
	}
	size_t out = 0;
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '%') {
			int high = i + 2 < len ? hex_digit(word[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(word[i + 2]) : -1;
			if (high < 0 || low < 0)
				return -EINVAL;
			word[out++] = (char)(high * 16 + low);
			i += 2;
		} else if (needs_escape((unsigned char)word[i])) {
			return -EINVAL;
		} else {
			word[out++] = word[i];
		}
	}
	word[out] = 0;
	return (ssize_t)out;
}

static bool is_key(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') && key[i] != '-')
			return false;
	return len > 0;
}

int request_parse(char *line, size_t len, const char **verb, struct pairs *out)
{
	out->count = 0;
	char *end = line + len, *space = memchr(line, ' ', len);
	char *verb_end = space ? space : end;
	if (!is_key(line, (size_t)(verb_end - line)))
		return -EINVAL;
	*verb_end = 0;
	*verb = line;
	while (space) {
		char *item = space + 1;
		space = memchr(item, ' ', (size_t)(end - item));
		char *item_end = space ? space : end;
		char *equals = memchr(item, '=', (size_t)(item_end - item));
		if (!equals || !is_key(item, (size_t)(equals - item)) || out->count == PAIRS_MAX)
			return -EINVAL;
		ssize_t n = word_decode(equals + 1, (size_t)(item_end - equals - 1));
		if (n < 0)
			return -EINVAL;
		*equals = 0;
		out->item[out->count++] = (struct pair){ .key = item, .value = equals + 1, .len = (size_t)n };
	}
	return 0;
}

const char *pairs_get(const struct pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->item[i].key, key) == 0)
			return pairs->item[i].value;
	return NULL;
}

bool pairs_int(const struct pairs *pairs, const char *key, int64_t *value)
{
	const char *text = pairs_get(pairs, key);
	return !text || parse_i64(text, value);
}

// The line starting at `at`, without its newline; NULL when there is no newline before `end`.
static char *line_end(char *at, char *end)
{
	return at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
}

static bool parse_number(char **at, unsigned *out)
{
	if (**at < '0' || **at > '9')
		return false;
	unsigned value = 0;
	while (**at >= '0' && **at <= '9' && value < 100000)
		value = value * 10 + (unsigned)(*(*at)++ - '0');
	*out = value;
	return true;
}

int record_open(struct record *r, char *text, size_t len, const char *type)
{
	char *end = text + len, *first = line_end(text, end);
	size_t type_len = strlen(type);
	if (!first || len < 7 + type_len || memcmp(text, "moored-", 7) != 0 || memcmp(text + 7, type, type_len) != 0)
		return -EINVAL;
	char *at = text + 7 + type_len;
	unsigned major;
	*first = 0;
	if (*at++ != ' ' || !parse_number(&at, &major) || *at++ != '.' || !parse_number(&at, &r->minor) || at != first)
		return -EINVAL;
	if (major != 1)
		return -EPROTONOSUPPORT;
	for (char *line = first + 1, *stop; (stop = line_end(line, end)); line = stop + 1) {
		if (stop - line == 3 && memcmp(line, "end", 3) == 0) {
			r->next = first + 1;
			r->end = line;
			return memchr(r->next, 0, (size_t)(r->end - r->next)) ? -EINVAL : 0;
		}
	}
	return -ENODATA;
}

int record_next(struct record *r, struct field *out)
{
	if (r->next >= r->end)
		return 0;
	char *line = r->next, *stop = line_end(line, r->end);
	if (!stop)
		return -EINVAL;
	r->next = stop + 1;
	*stop = 0;
	out->count = 0;
	char *space = memchr(line, ' ', (size_t)(stop - line));
	char *key_end = space ? space : stop;
	if (!is_key(line, (size_t)(key_end - line)))
		return -EINVAL;
	*key_end = 0;
	out->key = line;
	while (space) {
		char *word = space + 1;
		space = memchr(word, ' ', (size_t)(stop - word));
		char *word_end = space ? space : stop;
		ssize_t n = word_decode(word, (size_t)(word_end - word));
		if (n < 0 || out->count == FIELD_WORDS)
			return -EINVAL;
		out->word[out->count] = word;
		out->len[out->count++] = (size_t)n;
	}
	return 1;
}

int record_save(int dir, const char *name, const struct text *t)
{
	char temporary[64];
	if (t->overflow || snprintf(temporary, sizeof temporary, "%s.new", name) >= (int)sizeof temporary)
		return -EOVERFLOW;
	cleanup_fd int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int failed = write_all(fd, t->at, t->len);
	if (failed)
		return failed;
	return renameat(dir, temporary, dir, name) < 0 ? -errno : 0;
}
