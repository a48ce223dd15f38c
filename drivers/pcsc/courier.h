// One thread that carries the commands of one card; see courier.go.
#ifndef GATEAGENT_COURIER_H
#define GATEAGENT_COURIER_H

#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <winscard.h>

typedef struct {
	SCARDHANDLE card;
	DWORD protocol;
	pthread_t thread;
	sem_t ask;     // posted for a command, and to end
	int quit;
	int done;      // eventfd, counted up after every command
	LONG result;
	DWORD command_len, answer_len;
	BYTE command[MAX_BUFFER_SIZE_EXTENDED];
	BYTE answer[MAX_BUFFER_SIZE_EXTENDED];
} courier;

// courier_start returns NULL and sets errno when there is no memory, no
// descriptor or no thread for it.
courier *courier_start(SCARDHANDLE card, DWORD protocol);
// courier_send hands over a command of at most MAX_BUFFER_SIZE_EXTENDED bytes;
// done tells when result, answer and answer_len are there.
void courier_send(courier *c, const void *command, size_t len);
// courier_take moves the answer out and wipes it.
void courier_take(courier *c, void *answer);
// courier_stop ends the thread, which must not be carrying a command. It does
// not close done.
void courier_stop(courier *c);

#endif
