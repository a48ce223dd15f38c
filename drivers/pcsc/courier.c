#include "courier.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *run(void *p) {
	courier *c = p;
	for (;;) {
		while (sem_wait(&c->ask) != 0 && errno == EINTR) {
		}
		if (c->quit) return NULL;
		SCARD_IO_REQUEST send = {c->protocol, sizeof send}, receive = {0, sizeof receive};
		c->answer_len = sizeof c->answer;
		c->result = SCardTransmit(c->card, &send, c->command, c->command_len, &receive, c->answer, &c->answer_len);
		if (c->result != SCARD_S_SUCCESS) c->answer_len = 0;
		explicit_bzero(c->command, c->command_len);
		eventfd_write(c->done, 1);
	}
}

// start_thread blocks all signals in the new thread: they are for the Go
// runtime, on threads that it made.
static int start_thread(courier *c) {
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

courier *courier_start(SCARDHANDLE card, DWORD protocol) {
	courier *c = calloc(1, sizeof *c);
	if (c == NULL) return NULL;
	c->card = card;
	c->protocol = protocol;
	sem_init(&c->ask, 0, 0);
	int failed = 0;
	c->done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (c->done < 0) {
		failed = errno;
	} else if ((failed = start_thread(c)) != 0) {
		close(c->done);
	}
	if (failed == 0) return c;
	sem_destroy(&c->ask);
	free(c);
	errno = failed;
	return NULL;
}

void courier_send(courier *c, const void *command, size_t len) {
	memcpy(c->command, command, len);
	c->command_len = len;
	sem_post(&c->ask);
}

void courier_take(courier *c, void *answer) {
	memcpy(answer, c->answer, c->answer_len);
	explicit_bzero(c->answer, c->answer_len);
}

void courier_stop(courier *c) {
	c->quit = 1;
	sem_post(&c->ask);
	pthread_join(c->thread, NULL);
	sem_destroy(&c->ask);
	explicit_bzero(c->answer, sizeof c->answer);
	free(c);
}
