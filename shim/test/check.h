// A test is a function; CHECK says which line was not as expected and ends the program.
#pragma once
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

void test_golden(void);
void test_record(void);
void test_spec(void);
void test_logline(void);
void test_logfile(void);
void test_journal(void);
void test_writer(void);
void test_restart(void);
void test_health(void);
void test_runtime(void);
void test_handover(void);
