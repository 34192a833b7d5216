// The verb `upgrade`: this process goes on as another binary. The new one is tried on the present state first, and a
// state that it cannot read, or a start of it that fails, leaves the old one where it was.
#pragma once
#include "base/loop.h"
#include "processes/child.h"

struct shim;
struct conn;

enum upgrade_step { UPGRADE_NONE, UPGRADE_SETTLING, UPGRADE_PARKING, UPGRADE_TRYING };

struct upgrade {
	enum upgrade_step step;
	struct conn *asker; // NULL: has gone meanwhile
	int exe; // the new binary
	int answer; // the reading end of what it says
	char path[1024];
	struct child child; // the one that tries it
	struct timer look;
	int64_t deadline; // of this step, if nothing moves
	int64_t ends_by;
	uint64_t mark; // 0: not taken yet
	uint64_t taken; // of the log, as of the last look
	bool tried;
};

void upgrade_init(struct shim *shim);
// Answers when it is done, or why it is not.
void upgrade_begin(struct conn *conn, const char *path);
// Looks whether the next step can be done.
void upgrade_step(struct shim *shim);
// Nothing is read from the container at this moment.
bool upgrade_holds_output(const struct shim *shim);
void upgrade_conn_gone(struct shim *shim, const struct conn *conn);
// The container has ended: there is nothing to go on with.
void upgrade_give_up(struct shim *shim, const char *why);
