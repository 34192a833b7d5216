#include "handover/state.h"
#include "check.h"
#include "forget.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MOST (1 << 20)

static struct shim shim;

struct sample {
	char *text, *bytes;
	size_t len, bytes_len;
};

static char *slurp(const char *path, size_t *len)
{
	char *text = malloc(TEXT_MOST);
	ssize_t n = read_file_at(AT_FDCWD, path, text, TEXT_MOST);
	CHECK(n >= 0);
	*len = (size_t)n;
	return text;
}

static void drop(struct sample *s)
{
	free(s->text);
	free(s->bytes);
}

// Takes a copy of the first `len` bytes of the text, as it is cut up by it.
static int take(const struct sample *s, size_t len)
{
	struct error err;
	char *text = malloc(len + 1);
	memcpy(text, s->text, len);
	text[len] = 0;
	shim_init(&shim);
	int failed = state_take(&shim, text, len, s->bytes, s->bytes_len, &err);
	free(text);
	return failed;
}

// What the shim that was just taken would give.
static struct sample given(const char *spec, size_t spec_len)
{
	struct giving g;
	struct stat st;
	struct sample s;
	int kept = shim.spec.file;
	shim.spec.file = memfd_create("spec", 0);
	CHECK(write(shim.spec.file, spec, spec_len) == (ssize_t)spec_len);
	CHECK(giving_begin(&g) == 0);
	state_give(&g, &shim);
	close(shim.spec.file);
	shim.spec.file = kept;
	s.len = g.text.len + 4;
	s.text = malloc(s.len + 1);
	CHECK(giving_end(&g) == 0);
	CHECK(pread(g.fd, s.text, s.len, 0) == (ssize_t)s.len && memcmp(s.text + s.len - 4, "end\n", 4) == 0);
	s.text[s.len] = 0;
	CHECK(fstat(g.fd, &st) == 0);
	s.bytes_len = (size_t)(st.st_size - STATE_TEXT);
	s.bytes = malloc(s.bytes_len);
	CHECK(pread(g.fd, s.bytes, s.bytes_len, STATE_TEXT) == (ssize_t)s.bytes_len);
	giving_drop(&g);
	return s;
}

// Which descriptor the spec has differs; everything else comes through twice as it was. (Lists are turned round each time.)
static void round_trip(const struct sample *golden, const char *spec, size_t spec_len)
{
	CHECK(take(golden, golden->len) == 0);
	struct sample once = given(spec, spec_len);
	forget(&shim);
	CHECK(take(&once, once.len) == 0);
	struct sample twice = given(spec, spec_len);
	forget(&shim);
	CHECK(take(&twice, twice.len) == 0);
	struct sample thrice = given(spec, spec_len);
	forget(&shim);
	CHECK(once.len == thrice.len && memcmp(once.text, thrice.text, once.len) == 0);
	CHECK(once.bytes_len == thrice.bytes_len && memcmp(once.bytes, thrice.bytes, once.bytes_len) == 0);
	drop(&once);
	drop(&twice);
	drop(&thrice);
}

// One line of the text is another one.
static int take_with(const struct sample *golden, const char *from, const char *to)
{
	struct sample changed = *golden;
	char *at = strstr(golden->text, from);
	CHECK(at);
	size_t before = (size_t)(at - golden->text), rest = golden->len - before - strlen(from);
	changed.len = before + strlen(to) + rest;
	changed.text = malloc(changed.len + 1);
	sprintf(changed.text, "%.*s%s%s", (int)before, golden->text, to, at + strlen(from));
	int failed = take(&changed, changed.len);
	forget(&shim);
	free(changed.text);
	return failed;
}

void test_handover(void)
{
	struct sample golden;
	golden.text = slurp("golden/handover/1.0.text", &golden.len);
	golden.bytes = slurp("golden/handover/1.0.bytes", &golden.bytes_len);

	CHECK(take(&golden, golden.len) == 0);
	CHECK(shim.machine.state == S_RUNNING && shim.status.run == 1 && strcmp(shim.status.state, "running") == 0);
	CHECK(shim.spec.ports == 3 && shim.spec.holds == 1 && shim.spec.keep_links == 2 && strcmp(shim.spec.keep_link[1], "eth1") == 0);
	CHECK(shim.ports.relays && shim.control.count == 5 && shim.upgrade.asker && shim.upgrade.asker->waiting);
	CHECK(shim.writer.line[0].pending_len == 7 && memcmp(shim.writer.line[0].pending, "partial", 7) == 0);
	CHECK(shim.stdio.in_used > 0 && shim.health.busy && shim.health.now.len == 6);
	size_t spec_len;
	char *spec = slurp("golden/handover/1.0.bytes", &spec_len);
	char *spec_end = strstr(spec, "\nend\n");
	CHECK(spec_end);
	spec_len = (size_t)(spec_end - spec) + 5;
	forget(&shim);
	round_trip(&golden, spec, spec_len);
	free(spec);

	// Cut anywhere it is no state, and nothing of it stays.
	for (size_t len = 0; len + 1 < golden.len; len++) {
		CHECK(take(&golden, len) < 0);
		forget(&shim);
	}
	CHECK(take_with(&golden, "moored-handover 1.0", "moored-handover 1.7") == 0);
	CHECK(take_with(&golden, "moored-handover 1.0", "moored-handover 2.0") == -EPROTONOSUPPORT);
	CHECK(take_with(&golden, "\nlock ", "\nfrom-the-future 1 2 3\nlock ") == 0);
	CHECK(take_with(&golden, "\nstate 3\n", "\nstate 4\n") < 0);
	CHECK(take_with(&golden, "\nstate 3\n", "\nstate 77\n") < 0);
	CHECK(take_with(&golden, "\nspec ", "\nspek ") < 0);
	CHECK(take_with(&golden, "\nstdout-pending ", "\nstdout-pending 9") < 0);
	CHECK(take_with(&golden, "\nway ", "\nwee ") < 0);
	CHECK(take_with(&golden, "\ntcp ", "\ntcp 9") < 0);
	CHECK(take_with(&golden, "\nhealth 1\n", "\nhealth 4\n") < 0);
	drop(&golden);
}
