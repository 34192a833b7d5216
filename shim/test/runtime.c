#include "processes/runtime.h"
#include "check.h"
#include <string.h>

void test_runtime(void)
{
	char out[256];
	static const char log[] = "{\"level\":\"warning\",\"msg\":\"no\"}\n{\"level\":\"error\",\"msg\":\"first\",\"time\":\"t\"}\n"
		"{\"level\":\"error\",\"msg\":\"exec: \\\"foo\\\": not \\u003cfound\\u003e\\n\\u00e9\",\"time\":\"t\"}\n";
	CHECK(runtime_log_error(log, sizeof log - 1, out, sizeof out));
	CHECK(strcmp(out, "exec: \"foo\": not <found>\n\xc3\xa9") == 0);
	CHECK(!runtime_log_error("{\"level\":\"error\"}", 17, out, sizeof out));
	CHECK(!runtime_log_error("", 0, out, sizeof out));
	CHECK(runtime_exit_code("exec: \"x\": executable file not found in $PATH", 128) == 127);
	CHECK(runtime_exit_code("exec: \"/x\": permission denied", 128) == 126);
	CHECK(runtime_exit_code("something else", 128) == 128);
}
