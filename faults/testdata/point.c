// A library to be loaded before a program (LD_PRELOAD): at the n-th operation
// of a kind on a file it kills the program as kill -9 does, or lets the
// operation fail from then on, as long as another file exists.
//
//   POINT_OP    write, sync, truncate or unlink
//   POINT_FILE  how the file's name ends
//   POINT_N     at which operation, from 1
//   POINT_HOW   before, torn (half of a write is done), after, or an errno
//   POINT_WHILE with an errno: as long as this file exists
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { PASS, BEFORE, TORN, AFTER, FAIL };

static int counted;

static int ends(const char *name, const char *tail) {
	size_t n = strlen(name), m = strlen(tail);
	return n >= m && strcmp(name + n - m, tail) == 0;
}

static int due_path(const char *op, const char *path) {
	const char *want = getenv("POINT_OP"), *file = getenv("POINT_FILE"), *how = getenv("POINT_HOW"), *n = getenv("POINT_N");
	if (!want || !file || !how || !n || strcmp(want, op) != 0 || !ends(path, file))
		return PASS;
	int now = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST), at = atoi(n);
	if (atoi(how) > 0) {
		const char *there = getenv("POINT_WHILE");
		return now >= at && there && access(there, F_OK) == 0 ? FAIL : PASS;
	}
	if (now != at)
		return PASS;
	return strcmp(how, "before") == 0 ? BEFORE : strcmp(how, "torn") == 0 ? TORN : AFTER;
}

static int due(const char *op, int fd) {
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return PASS;
	path[n] = 0;
	return due_path(op, path);
}

static void die(void) {
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static int failure(void) {
	errno = atoi(getenv("POINT_HOW"));
	return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at) {
	int d = due("write", fd);
	if (d == BEFORE)
		die();
	if (d == FAIL)
		return failure();
	ssize_t done = REAL(pwrite64)(fd, buf, d == TORN ? n / 2 : n, at);
	if (d != PASS)
		die();
	return done;
}

int fsync(int fd) {
	int d = due("sync", fd);
	if (d == BEFORE || d == TORN)
		die();
	if (d == FAIL)
		return failure();
	int r = REAL(fsync)(fd);
	if (d != PASS)
		die();
	return r;
}

int ftruncate64(int fd, off64_t size) {
	int d = due("truncate", fd);
	if (d == BEFORE || d == TORN)
		die();
	if (d == FAIL)
		return failure();
	int r = REAL(ftruncate64)(fd, size);
	if (d != PASS)
		die();
	return r;
}

int unlink(const char *path) {
	int d = due_path("unlink", path);
	if (d == BEFORE || d == TORN)
		die();
	if (d == FAIL)
		return failure();
	int r = REAL(unlink)(path);
	if (d != PASS)
		die();
	return r;
}
