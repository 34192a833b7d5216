#include "states/restart.h"
#include "check.h"

static bool decide(enum restart_kind kind, int64_t max, int exit_code, int64_t count, bool stopped)
{
	struct restart_policy policy = { kind, max };
	struct run_result run = { .exit_code = exit_code, .restart_count = count, .stop_requested = stopped };
	int64_t delay = 0;
	return restart_decide(&policy, &run, &delay);
}

void test_restart(void)
{
	CHECK(!decide(RESTART_NO, 0, 1, 0, false));
	CHECK(decide(RESTART_ALWAYS, 0, 0, 100, false) && !decide(RESTART_ALWAYS, 0, 0, 0, true));
	CHECK(decide(RESTART_UNLESS_STOPPED, 0, 1, 0, false) && !decide(RESTART_UNLESS_STOPPED, 0, 1, 0, true));
	CHECK(!decide(RESTART_ON_FAILURE, 0, 0, 0, false) && decide(RESTART_ON_FAILURE, 0, 1, 1000, false));
	CHECK(decide(RESTART_ON_FAILURE, 0, -1, 0, false)); // unknown is a failure
	CHECK(decide(RESTART_ON_FAILURE, 3, 1, 2, false) && !decide(RESTART_ON_FAILURE, 3, 1, 3, false));

	struct restart_policy always = { RESTART_ALWAYS, 0 };
	struct run_result brief = { .ran_for = SECOND };
	int64_t delay = 0;
	static const int64_t ms[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000 };
	for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
		CHECK(restart_decide(&always, &brief, &delay));
		CHECK(delay == ms[i] * MS);
	}
	struct run_result long_run = { .ran_for = 10 * SECOND };
	CHECK(restart_decide(&always, &long_run, &delay) && delay == 100 * MS);
}
