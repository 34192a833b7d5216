#include "base/record.h"
#include "check.h"
#include <errno.h>
#include <string.h>

static int parse(const char *line, const char **verb, struct pairs *pairs)
{
	static char copy[512];
	snprintf(copy, sizeof copy, "%s", line);
	return request_parse(copy, strlen(copy), verb, pairs);
}

void test_record(void)
{
	const char *verb;
	struct pairs pairs;
	CHECK(parse("hello", &verb, &pairs) == 0 && strcmp(verb, "hello") == 0 && pairs.count == 0);
	CHECK(parse("stop signal=15 timeout-ms=-1", &verb, &pairs) == 0);
	int64_t number = 7;
	CHECK(pairs_int(&pairs, "timeout-ms", &number) && number == -1);
	CHECK(pairs_int(&pairs, "missing", &number) && number == -1);
	CHECK(parse("x a=%3D b=%-", &verb, &pairs) == 0);
	CHECK(strcmp(pairs_get(&pairs, "a"), "=") == 0 && strcmp(pairs_get(&pairs, "b"), "") == 0);
	static const char *const bad[] = { "", " ", "Hello", "x a", "x a=", "x =1", "x  a=1", "x a=1 ", "x a=b=c", "x A=1", "x a=%4" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(parse(bad[i], &verb, &pairs) == -EINVAL);
	CHECK(parse("x a=1 a=2 a=3 a=4 a=5 a=6 a=7 a=8 a=9 a=10 a=11 a=12 a=13 a=14 a=15 a=16 a=17", &verb, &pairs) == -EINVAL);

	char small[8];
	struct text t = TEXT_ON(small);
	text_word(&t, "123456789", 9);
	CHECK(t.overflow && t.len < sizeof small);
	text_add(&t, "x");
	CHECK(t.overflow);

	int64_t value = 1;
	CHECK(!parse_i64("", &value) && !parse_i64("-", &value) && !parse_i64(" 1", &value) && !parse_i64("1x", &value));
	CHECK(!parse_i64("9223372036854775808", &value) && value == 1);
	CHECK(parse_i64("-9223372036854775808", &value) && value == INT64_MIN);
}
