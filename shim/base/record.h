// The contract's encodings: words, pairs, record files.
#pragma once
#include "base/base.h"

// A bounded text under construction; once something did not fit, `overflow` stays set and nothing more is added.
struct text {
	char *at;
	size_t len, cap;
	bool overflow;
};
#define TEXT_ON(buffer) ((struct text){ .at = (buffer), .cap = sizeof(buffer) })

void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_word(struct text *t, const char *bytes, size_t len);
// ` key=word` and ` key=N`; the leading space only when the text is not empty.
void text_pair(struct text *t, const char *key, const char *value);
void text_pair_int(struct text *t, const char *key, int64_t value);

// Decodes in place and terminates; the decoded length or -EINVAL.
ssize_t word_decode(char *word, size_t len);

struct pair {
	const char *key;
	char *value; // decoded, terminated
	size_t len;
};

#define PAIRS_MAX 16

struct pairs {
	struct pair item[PAIRS_MAX];
	size_t count;
};

// `VERB key=word ...` without its newline, cut up in place. -EINVAL when it is not well formed.
int request_parse(char *line, size_t len, const char **verb, struct pairs *out);
// The value, or NULL when the key is missing.
const char *pairs_get(const struct pairs *pairs, const char *key);
// false only when the value is there and is not a number.
bool pairs_int(const struct pairs *pairs, const char *key, int64_t *value);

#define FIELD_WORDS 8

struct field {
	const char *key;
	char *word[FIELD_WORDS];
	size_t len[FIELD_WORDS];
	size_t count;
};

// Reads a record file's text in place, field by field.
struct record {
	char *next, *end;
	unsigned minor;
};

// -ENODATA: torn (no `end`); -EPROTONOSUPPORT: unknown major; -EINVAL: not such a record.
int record_open(struct record *r, char *text, size_t len, const char *type);
// 1: a field; 0: no more; -EINVAL: malformed.
int record_next(struct record *r, struct field *out);

// Writes `<name>.new` in the directory and renames it.
int record_save(int dir, const char *name, const struct text *t);
