// Runs every unit test, or those whose names are given.
#include "check.h"
#include <signal.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "golden", test_golden }, { "record", test_record }, { "spec", test_spec }, { "logline", test_logline },
	{ "logfile", test_logfile }, { "journal", test_journal }, { "writer", test_writer }, { "restart", test_restart },
	{ "health", test_health }, { "runtime", test_runtime }, { "handover", test_handover },
};

int main(int argc, char **argv)
{
	signal(SIGXFSZ, SIG_IGN); // a test makes writes fail by RLIMIT_FSIZE
	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		int wanted = argc == 1;
		for (int a = 1; a < argc; a++)
			wanted |= strcmp(argv[a], tests[i].name) == 0;
		if (!wanted)
			continue;
		tests[i].run();
		printf("ok %s\n", tests[i].name);
	}
	return 0;
}
