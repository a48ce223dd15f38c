package pcsc

import (
	"errors"
	"testing"

	"github.com/ebfe/scard"
)

// TestCourierAsksTheLibrary sends on a card that was never connected: the
// refusal is libpcsclite's own, so the command went all the way.
func TestCourierAsksTheLibrary(t *testing.T) {
	c, err := newCourier(&scard.Card{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	for range 3 {
		if answer, err := c.transmit([]byte{0, 0xA4, 0, 0x0C}); !errors.Is(err, scard.ErrInvalidHandle) {
			t.Fatalf("%x, %v", answer, err)
		}
	}
	if _, err := c.transmit(make([]byte, 1<<17)); !errors.Is(err, scard.ErrInsufficientBuffer) {
		t.Fatalf("a command longer than any: %v", err)
	}
}
