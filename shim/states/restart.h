// Docker's restart rules. Pure: no clock, no effects.
#pragma once
#include "base/base.h"

enum restart_kind { RESTART_NO, RESTART_ALWAYS, RESTART_UNLESS_STOPPED, RESTART_ON_FAILURE };

struct restart_policy {
	enum restart_kind kind;
	int64_t max; // on-failure: 0 is without limit
};

struct run_result {
	int exit_code; // -1: unknown, which counts as a failure
	int64_t ran_for; // nanoseconds
	int64_t restart_count; // so far
	bool stop_requested;
};

bool restart_policy_name(const char *name, enum restart_kind *out);

// Whether to start again. *delay is the wait before the previous restart (0: none yet) and becomes the next one.
bool restart_decide(const struct restart_policy *policy, const struct run_result *run, int64_t *delay);
