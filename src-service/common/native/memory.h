// The request memory: a memfd with a header page, slabs and slots (layout in native.ts). Its creation is declared in door.h.
#pragma once
#include "door.h"

// Writes to every page without changing it, and keeps the pages in memory where the limit allows it.
void memory_touch(uint8_t *memory, size_t size);
// Maps the whole memory into the door after checking its header; the header page and the slots are touched, slabs are not.
int memory_map(struct door *door, int memory_fd);
