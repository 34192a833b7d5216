// What the main thread does for the log: compressing rotated files, and telling of losses.
#pragma once

struct shim;

void compress_init(struct shim *shim);
void compress_check(struct shim *shim);
void log_loss_check(struct shim *shim);
