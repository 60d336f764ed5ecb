/* Preloaded into every program of a test: the time of day is off by as many seconds as a file says. Other clocks are as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#ifndef OFFSET_FILE
#error "OFFSET_FILE is the path of the file: an int64_t in the order of this machine"
#endif

static int64_t offset(void)
{
	static const volatile int64_t *mapped;
	if (!mapped) {
		int fd = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
		void *memory = fd < 0 ? MAP_FAILED : mmap(0, sizeof *mapped, PROT_READ, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED) return 0;
		mapped = memory;
	}
	return *mapped;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int failed = real(clock, time);
	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += offset();
	return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
	time->tv_sec = now.tv_sec;
	time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *told)
{
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
	if (told) *told = now.tv_sec;
	return now.tv_sec;
}
