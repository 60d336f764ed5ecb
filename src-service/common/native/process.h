// What a process may and may not do, and who is told. Plain C; negative errno on failure.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

// In all threads. -EBUSY: a thread did not come to it within two seconds.
int process_drop_capabilities(void);
bool process_can_mount(void);
int process_forbid_core(void);
int process_set_name(const char *name);
// 1: sent, 0: nobody asked to be told.
int process_notify_systemd(const char *message);
// True when every thread of the process has ended, reaped or not.
bool process_is_gone(pid_t pid);
