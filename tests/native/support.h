// What the C tests share.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define CHECK(condition) check((condition), #condition, __func__, __LINE__)

extern int passed, failed;
// A folder that is gone at the end.
extern char folder[];

bool check(bool condition, const char *text, const char *where, int line);
const char *in_folder(const char *name);
int count_entries(const char *path);
int open_descriptors(void);
void wait_milliseconds(long milliseconds);
bool close_on_exec(int fd);
// Sends `length` bytes and the descriptors along; 0 or a negative errno.
int send_fds(int socket, const int *fds, size_t count, size_t length);

void test_door(void);
void test_mounts(void);
void test_files_and_attributes(void);
void test_channels(void);
void test_process(void);
