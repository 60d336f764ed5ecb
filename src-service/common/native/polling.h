// Whether to poll for the next request instead of sleeping: judged by windows of attempts. A window with too few hits
// switches it off for a number of rounds, doubled each time.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct polling {
  uint32_t limit_microseconds; // 0: never
  uint32_t attempts, hits;     // of this window
  uint32_t rest, next_rest;    // rounds still to skip, and after the next bad window
};

// Never polls on one processor: the caller could not run meanwhile.
void polling_begin(struct polling *polling, uint32_t limit_microseconds);
bool polling_allowed(struct polling *polling);
void polling_record(struct polling *polling, bool hit);
