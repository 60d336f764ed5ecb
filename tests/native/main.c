// Checks the plain C files of the addon without Node.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"

int main(void) {
  if (mkdtemp(folder) == NULL) {
    perror(folder);
    return 1;
  }
  test_door();
  test_mounts();
  test_files_and_attributes();
  test_channels();
  test_process();
  const char *names[] = {"a", "b", "link", "fifo", "notify", "socket", "mount"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove(in_folder(names[i]));
  rmdir(folder);
  if (failed > 0) fprintf(stderr, "native: %d checks failed\n", failed);
  if (failed == 0) printf("native: %d checks passed\n", passed);
  return failed > 0;
}
