/** A wall clock that is stepped: back-off and probes follow the time that passed, not what the clock says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Container } from './harness.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'moored-clock-'));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Adds what a file holds (ns, int64) to CLOCK_REALTIME of whatever is started with it. */
const SOURCE = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static volatile int64_t *offset;
static int (*real)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("STEPPED_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
	offset = map == MAP_FAILED ? NULL : map;
	real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}
int clock_gettime(clockid_t clock, struct timespec *t)
{
	int got = real(clock, t);
	if (got == 0 && clock == CLOCK_REALTIME && offset) {
		int64_t ns = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec + *offset;
		t->tv_sec = ns / 1000000000;
		t->tv_nsec = ns % 1000000000;
	}
	return got;
}
`;

const library = path.join(folder, 'clock.so');
const built = spawnSync('gcc', ['-O1', '-shared', '-fPIC', '-x', 'c', '-', '-o', library, '-ldl'], { input: SOURCE, encoding: 'utf8' });
assert.equal(built.status, 0, built.stderr);

/** A clock of its own, and the way to step it. */
function steppedClock(name: string): { env: Record<string, string>; step(seconds: number): void } {
  const file = path.join(folder, name);
  const step = (seconds: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds) * 1_000_000_000n);
    fs.writeFileSync(file, bytes, { flag: fs.existsSync(file) ? 'r+' : 'w' });
  };
  step(0);
  return { env: { LD_PRELOAD: library, STEPPED_CLOCK: file }, step };
}

for (const seconds of [3600, -3600]) {
  test(`the clock is stepped by ${seconds} s: the back-off goes on, and restarts come when they should`, { timeout: 60_000 }, async (t) => {
    const clock = steppedClock(`restart${seconds}`);
    const c = new Container(t, { args: ['sh', '-c', 'sleep 0.5; exit 1'], spec: { restart: 'always', 'live-restore': true }, env: clock.env });
    const { watch } = await c.start();
    assert.equal((await watch.next('die')).pairs['delay-ms'], '100');
    const second = await watch.next('start');
    clock.step(seconds);
    const stepped = await watch.next('die');
    assert.equal(stepped.time > second.time, seconds > 0, 'the clock was not stepped');
    assert.equal(stepped.pairs['delay-ms'], '200', 'a step was taken for a long run, or a short one');
    const began = performance.now();
    await watch.next('start');
    assert.ok(performance.now() - began < 20_000, 'the restart waited for the clock');
    assert.equal((await watch.next('die')).pairs['delay-ms'], '400');
    await (await c.connect()).request('stop', { signal: 9, 'timeout-ms': 0 });
    await watch.next('end');
    await c.shimGone();
  });
}
