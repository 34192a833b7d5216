#include "services/health.h"
#include "check.h"
#include <fcntl.h>

void test_health(void)
{
	struct health_spec spec = { .interval = 30 * SECOND, .start_interval = SECOND, .start_period = 10 * SECOND, .retries = 2 };
	struct status s = { .health = HEALTH_STARTING };
	CHECK(health_wait(&s, &spec, 0) == SECOND && health_wait(&s, &spec, 10 * SECOND) == 30 * SECOND);
	health_judge(&s, &spec, 1, 5 * SECOND);
	CHECK(s.health == HEALTH_STARTING && s.health_streak == 0);
	health_judge(&s, &spec, 1, 11 * SECOND);
	CHECK(s.health == HEALTH_STARTING && s.health_streak == 1);
	health_judge(&s, &spec, 1, 12 * SECOND);
	CHECK(s.health == HEALTH_UNHEALTHY && s.health_streak == 2);
	health_judge(&s, &spec, 0, 13 * SECOND);
	CHECK(s.health == HEALTH_HEALTHY && s.health_streak == 0);
	CHECK(health_wait(&s, &spec, 0) == 30 * SECOND);
	health_judge(&s, &spec, -1, 0); // within the start period, but no longer starting
	CHECK(s.health_streak == 1 && s.health == HEALTH_HEALTHY);

	static struct health h;
	char text[4096];
	ssize_t n = read_file_at(AT_FDCWD, "golden/records/health-two.rec", text, sizeof text);
	CHECK(n > 0);
	health_parse(&h, text, (size_t)n);
	CHECK(h.count == 2 && h.kept[0].len == 3 && h.kept[1].exit_code == -1);
}
