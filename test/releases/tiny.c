/*
 * The one program of the image in recorded data roots: a few hundred bytes, no libc.
 * `tiny exit N` says `ready` and ends with N; `tiny wait` says `ready`, and `bye` at SIGTERM. Built by scripts/record-release.ts.
 */
#include <asm/unistd.h>

static long call(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 asm("r10") = d;
	asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return result;
}

static int number(const char *text)
{
	int value = 0;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + (*text++ - '0');
	return value;
}

__attribute__((used)) static void run(long *stack)
{
	char **argv = (char **)(stack + 1);
	unsigned long term = 1UL << (15 - 1);
	/* Blocked before `ready` is said, so that a signal that follows it is waited for. */
	call(__NR_rt_sigprocmask, 0, (long)&term, 0, sizeof term);
	call(__NR_write, 1, (long)"ready\n", 6, 0);
	if (stack[0] > 2)
		call(__NR_exit, number(argv[2]), 0, 0, 0);
	while (call(__NR_rt_sigtimedwait, (long)&term, 0, 0, sizeof term) != 15)
		;
	call(__NR_write, 1, (long)"bye\n", 4, 0);
	call(__NR_exit, 0, 0, 0, 0);
}

asm(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall run\n");
