#include "services/health.h"
#include "services/probe.h"
#include "shim.h"
#include <fcntl.h>
#include <string.h>

void health_judge(struct status *status, const struct health_spec *spec, int exit_code, int64_t since_start)
{
	if (exit_code == 0) {
		status->health = HEALTH_HEALTHY;
		status->health_streak = 0;
		return;
	}
	if (status->health == HEALTH_STARTING && since_start < spec->start_period)
		return; // a failure while starting up does not count
	status->health_streak++;
	if (status->health_streak >= spec->retries)
		status->health = HEALTH_UNHEALTHY;
}

int64_t health_wait(const struct status *status, const struct health_spec *spec, int64_t since_start)
{
	bool starting = status->health == HEALTH_STARTING && since_start < spec->start_period;
	int64_t wait = starting ? spec->start_interval : spec->interval;
	return wait > MS ? wait : MS;
}

void health_parse(struct health *h, char *text, size_t len)
{
	struct record record;
	struct field f;
	int64_t exit_code;
	h->count = 0;
	int more = record_open(&record, text, len, "health");
	while (more >= 0 && (more = record_next(&record, &f)) > 0 && h->count < PROBES_KEPT) {
		struct probe_result *r = &h->kept[h->count];
		if (strcmp(f.key, "probe") != 0)
			continue;
		if (f.count < 4 || !parse_i64(f.word[0], &r->start) || !parse_i64(f.word[1], &r->end) || !parse_i64(f.word[2], &exit_code))
			continue;
		r->exit_code = (int)exit_code;
		r->len = f.len[3] < sizeof r->output ? f.len[3] : sizeof r->output - 1;
		memcpy(r->output, f.word[3], r->len);
		h->count++;
	}
}

static void save(const struct health *h)
{
	static char buffer[PROBES_KEPT * (PROBE_OUTPUT * 3 + 128)];
	struct text t = TEXT_ON(buffer);
	text_add(&t, "moored-health 1.0\n");
	for (size_t i = 0; i < h->count; i++) {
		const struct probe_result *r = &h->kept[i];
		text_add(&t, "probe %lld %lld %d ", (long long)r->start, (long long)r->end, r->exit_code);
		text_word(&t, r->output, r->len);
		text_add(&t, "\n");
	}
	text_add(&t, "end\n");
	(void)record_save(AT_FDCWD, "health", &t); // for the daemon to show; the rules do not need it
}

static int64_t since_start(const struct health *h)
{
	return now_mono() - h->started;
}

static void schedule(struct shim *shim)
{
	struct health *h = &shim->health;
	timer_set(&shim->loop, &h->next, health_wait(&shim->status, &shim->spec.health, since_start(h)));
}

static void next_due(struct timer *timer)
{
	struct health *h = container_of(timer, struct health, next);
	struct shim *shim = container_of(h, struct shim, health);
	h->due = !machine_may_act(shim);
	if (h->due)
		return; // health_may_act comes back
	if (h->busy)
		timer_set(&shim->loop, timer, 100 * MS); // one of the run before is still being taken away
	else
		probe_begin(shim);
}

void health_probed(struct shim *shim)
{
	struct health *h = &shim->health;
	struct status *s = &shim->status;
	enum health_state before = s->health;
	char buffer[64];
	if (h->count == PROBES_KEPT) {
		memmove(&h->kept[0], &h->kept[1], sizeof h->kept[0] * (PROBES_KEPT - 1));
		h->count--;
	}
	h->kept[h->count++] = h->now;
	save(h);
	health_judge(s, &shim->spec.health, h->now.exit_code, since_start(h) - (now_real() - h->now.start));
	if (s->health != before) {
		struct text t = TEXT_ON(buffer);
		text_pair(&t, "status", health_name(s->health));
		journal_add(shim, "health", &t);
	}
	status_save(shim);
	schedule(shim);
}

void health_skipped(struct shim *shim)
{
	if (shim->health.active)
		schedule(shim);
}

void health_init(struct shim *shim)
{
	shim->health.next.fire = next_due;
	probe_init(shim);
}

void health_start(struct shim *shim)
{
	struct health *h = &shim->health;
	if (!shim->spec.health.process)
		return;
	h->active = true;
	h->count = 0;
	h->started = now_mono();
	shim->status.health = HEALTH_STARTING;
	shim->status.health_streak = 0;
	save(h);
	schedule(shim);
}

void health_reread(struct shim *shim)
{
	static char text[PROBES_KEPT * (PROBE_OUTPUT * 3 + 128)];
	ssize_t n = shim->spec.health.process ? read_file_at(AT_FDCWD, "health", text, sizeof text) : 0;
	if (n > 0)
		health_parse(&shim->health, text, (size_t)n);
}

void health_resume(struct shim *shim)
{
	struct health *h = &shim->health;
	if (!shim->spec.health.process)
		return;
	health_reread(shim);
	h->active = true;
	h->started = now_mono() - (now_real() - shim->status.started_at);
	schedule(shim);
}

void health_stop(struct shim *shim)
{
	struct health *h = &shim->health;
	if (!h->active)
		return;
	h->active = h->due = false;
	timer_stop(&shim->loop, &h->next);
	probe_cancel(shim);
	shim->status.health = HEALTH_UNHEALTHY; // as Docker shows a container that has ended
}

void health_may_act(struct shim *shim)
{
	struct health *h = &shim->health;
	if (h->active && h->due && machine_may_act(shim))
		next_due(&h->next);
}
