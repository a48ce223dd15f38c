package pcsc

/*
#cgo pkg-config: libpcsclite
#include "courier.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"unsafe"

	"github.com/ebfe/scard"
)

// courier carries the commands of one card on a thread that the Go scheduler
// does not know. A goroutine that waits in C holds a processor of the
// scheduler, and for up to 10 ms a monitor looks every 20 µs whether it should
// be taken away (runtime, sysmon and retake). At a hundred commands of 20 ms
// each that is most of what a document costs the host. A goroutine that waits
// for a descriptor costs nothing.
type courier struct {
	c    *C.courier
	done *os.File
}

// newCourier stands in for scard's Transmit, which waits in C. scard keeps the
// handle of a card to itself, and nothing else of it is needed.
func newCourier(card *scard.Card) (*courier, error) {
	handle := reflect.ValueOf(card).Elem().FieldByName("handle")
	if !handle.IsValid() || !handle.CanUint() {
		return nil, errors.New("this release of github.com/ebfe/scard keeps the card's handle elsewhere")
	}
	c, err := C.courier_start(C.SCARDHANDLE(handle.Uint()), C.DWORD(card.ActiveProtocol()))
	if c == nil {
		return nil, fmt.Errorf("thread for the card's commands: %w", err)
	}
	return &courier{c: c, done: os.NewFile(uintptr(c.done), "card answer")}, nil
}

// transmit carries one command and waits for its answer.
func (c *courier) transmit(command []byte) ([]byte, error) {
	if len(command) > len(c.c.command) {
		return nil, scard.ErrInsufficientBuffer
	}
	C.courier_send(c.c, unsafe.Pointer(unsafe.SliceData(command)), C.size_t(len(command)))
	var count [8]byte
	if _, err := c.done.Read(count[:]); err != nil {
		return nil, err
	}
	if c.c.result != C.SCARD_S_SUCCESS {
		return nil, scard.Error(c.c.result)
	}
	answer := make([]byte, c.c.answer_len)
	C.courier_take(c.c, unsafe.Pointer(unsafe.SliceData(answer)))
	return answer, nil
}

// stop ends the thread. No command may be on its way.
func (c *courier) stop() {
	_ = c.done.Close()
	C.courier_stop(c.c)
}
