#include "states/restart.h"
#include <string.h>

#define DELAY_FIRST (100 * MS)
#define DELAY_MOST (60 * SECOND)
#define LONG_RUN (10 * SECOND)

bool restart_policy_name(const char *name, enum restart_kind *out)
{
	static const char *const names[] = {
		[RESTART_NO] = "no",
		[RESTART_ALWAYS] = "always",
		[RESTART_UNLESS_STOPPED] = "unless-stopped",
		[RESTART_ON_FAILURE] = "on-failure",
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum restart_kind)i;
			return true;
		}
	}
	return false;
}

static bool wanted(const struct restart_policy *policy, const struct run_result *run)
{
	if (run->stop_requested)
		return false;
	switch (policy->kind) {
	case RESTART_NO:
		return false;
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED:
		return true;
	case RESTART_ON_FAILURE:
		return run->exit_code != 0 && (policy->max <= 0 || run->restart_count < policy->max);
	}
	return false;
}

bool restart_decide(const struct restart_policy *policy, const struct run_result *run, int64_t *delay)
{
	if (*delay <= 0 || run->ran_for >= LONG_RUN)
		*delay = DELAY_FIRST;
	else
		*delay = *delay >= DELAY_MOST / 2 ? DELAY_MOST : *delay * 2;
	return wanted(policy, run);
}
