#include "handover/state.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int giving_begin(struct giving *g)
{
	*g = (struct giving){ .fd = memfd_create("moored-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING) };
	if (g->fd < 0 || ftruncate(g->fd, STATE_TEXT) < 0)
		return -errno;
	char *map = mmap(NULL, STATE_TEXT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, g->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	g->text = (struct text){ .at = map, .cap = STATE_TEXT };
	text_add(&g->text, "moored-handover 1.0\n");
	return 0;
}

int giving_end(struct giving *g)
{
	text_add(&g->text, "end\n");
	if (g->text.overflow && !g->failed)
		g->failed = -EFBIG;
	if (g->text.at)
		munmap(g->text.at, g->text.cap);
	g->text.at = NULL;
	if (!g->failed && fcntl(g->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		g->failed = -errno;
	return g->failed;
}

void giving_drop(struct giving *g)
{
	if (g->text.at)
		munmap(g->text.at, g->text.cap);
	close_fd(&g->fd);
	free(g->fds);
	*g = (struct giving){ .fd = -1 };
}

void give_fd(struct giving *g, int fd)
{
	if (fd < 0)
		return;
	if (g->fd_count == g->fd_room) {
		size_t room = g->fd_room ? g->fd_room * 2 : 64;
		int *more = realloc(g->fds, room * sizeof *more);
		if (!more) {
			g->failed = -ENOMEM;
			return;
		}
		g->fds = more;
		g->fd_room = room;
	}
	g->fds[g->fd_count++] = fd;
}

static void append(struct giving *g, const char *bytes, size_t len)
{
	while (len && !g->failed) {
		ssize_t n = pwrite(g->fd, bytes, len, STATE_TEXT + g->bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || g->bytes + n > STATE_BYTES) {
			g->failed = n < 0 ? -errno : -EFBIG;
			return;
		}
		g->bytes += n;
		bytes += n;
		len -= (size_t)n;
	}
}

void give_bytes(struct giving *g, const char *key, const void *first, size_t first_len, const void *second, size_t second_len)
{
	if (first_len + second_len == 0)
		return;
	text_add(&g->text, "%s %lld %zu\n", key, (long long)g->bytes, first_len + second_len);
	append(g, first, first_len);
	append(g, second, second_len);
}

bool taken_int(const struct field *f, size_t at, int64_t low, int64_t high, int64_t *out)
{
	return at < f->count && parse_i64(f->word[at], out) && *out >= low && *out <= high;
}

const char *taken_bytes(const struct taking *t, const struct field *f, size_t at, size_t most, size_t *len)
{
	int64_t offset, length, size = (int64_t)t->bytes_len;
	if (!taken_int(f, at, 0, size, &offset) || !taken_int(f, at + 1, 1, size - offset, &length) || (uint64_t)length > most)
		return NULL;
	*len = (size_t)length;
	return t->bytes + offset;
}

void state_give(struct giving *g, struct shim *shim)
{
	char *spec = malloc(SPEC_MAX);
	ssize_t n = spec && lseek(shim->spec.file, 0, SEEK_SET) == 0 ? read_text(shim->spec.file, spec, SPEC_MAX) : -EIO;
	if (n < 0)
		g->failed = (int)n;
	else
		give_bytes(g, "spec", spec, (size_t)n, NULL, 0); // before everything that depends on it
	free(spec);
	fields_give(g, shim);
	parts_give(g, shim);
}

// The orders that the shim was born with. What came after them are fields of their own.
static int take_spec(struct taking *t, const struct field *f, struct error *err)
{
	struct shim *shim = t->shim;
	size_t len;
	const char *bytes = strcmp(f->key, "spec") == 0 && !shim->spec.text ? taken_bytes(t, f, 0, SPEC_MAX - 1, &len) : NULL;
	char *own = bytes ? malloc(len + 1) : NULL;
	if (!own)
		return error_set(err, "upgrade", -EINVAL, "handover: spec");
	memcpy(own, bytes, len);
	own[len] = 0;
	int failed = spec_parse(&shim->spec, own, len, err);
	if (failed)
		return failed;
	shim->spec.ports = shim->spec.holds = shim->spec.keep_links = 0;
	return writer_prepare(&shim->writer, &shim->spec, err);
}

static int take_one(struct taking *t, const struct field *f, struct error *err)
{
	bool known = false;
	if (!t->shim->spec.text)
		return take_spec(t, f, err);
	bool good = field_take(t, f, &known);
	if (good && !known)
		good = part_take(t, f, &known);
	return good ? 0 : error_set(err, "upgrade", -EINVAL, "handover: %.40s", f->key);
}

int state_take(struct shim *shim, char *text, size_t len, const char *bytes, size_t bytes_len, struct error *err)
{
	struct taking t = { .shim = shim, .bytes = bytes, .bytes_len = bytes_len };
	struct record record;
	struct field field;
	int more = record_open(&record, text, len, "handover");
	while (more >= 0 && (more = record_next(&record, &field)) > 0) {
		int failed = take_one(&t, &field, err);
		if (failed)
			return failed;
	}
	if (more < 0)
		return error_set(err, "upgrade", more, "handover: %s", more == -EPROTONOSUPPORT ? "of another version" : "not a state");
	if (!shim->spec.text || !fields_good(shim) || (t.tcp && t.tcp_ways != 2))
		return error_set(err, "upgrade", -EINVAL, "handover: the state is not whole");
	return 0;
}
