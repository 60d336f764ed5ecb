#define _GNU_SOURCE
#include "polling.h"

#include <sched.h>

enum { WINDOW = 16, HITS_THAT_PAY = 4, REST_MIN = 64, REST_MAX = 4096 };

static bool one_cpu(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

void polling_begin(struct polling *polling, uint32_t limit_microseconds) {
  *polling = (struct polling){.limit_microseconds = one_cpu() ? 0 : limit_microseconds, .next_rest = REST_MIN};
}

bool polling_allowed(struct polling *polling) {
  if (polling->limit_microseconds == 0) return false;
  if (polling->rest == 0) return true;
  polling->rest--;
  return false;
}

void polling_record(struct polling *polling, bool hit) {
  polling->attempts++;
  if (hit) polling->hits++;
  if (polling->attempts < WINDOW) return;
  if (polling->hits >= HITS_THAT_PAY) {
    polling->next_rest = REST_MIN;
  } else {
    polling->rest = polling->next_rest;
    if (polling->next_rest < REST_MAX) polling->next_rest *= 2;
  }
  polling->attempts = polling->hits = 0;
}
