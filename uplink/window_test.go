package uplink

import (
	"testing"

	"gateagent/gate/wire"
)

// The window doubles, is cut by trouble, and then grows by one a round.
func TestWindow(t *testing.T) {
	w := newWindow(32)
	round := func() { w.grow(w.size) }
	for _, want := range []int{1, 2, 4, 8, 16, 32, 32} {
		if w.size != want {
			t.Fatalf("window %d, want %d", w.size, want)
		}
		round()
	}
	w.lost()
	for _, want := range []int{1, 2, 4, 8, 16, 17, 18} {
		if w.size != want {
			t.Fatalf("after trouble: window %d, want %d", w.size, want)
		}
		round()
	}
	for range 10 {
		w.lost()
	}
	if w.size != 1 || w.slow != 1 {
		t.Fatalf("after much trouble: %+v", w)
	}
	w.grow(1)
	if w.size != 2 {
		t.Fatalf("the window does not grow again: %+v", w)
	}
}

// The room of a batch is halved by trouble down to one result, and comes back.
func TestRoom(t *testing.T) {
	r := room(wire.BatchRoom)
	for range 20 {
		r.less()
	}
	if r != leastRoom {
		t.Errorf("after much trouble: room for %d bytes", r)
	}
	for n := 0; r < wire.BatchRoom; n++ {
		if r.more(); n > 10 {
			t.Fatalf("after %d batches that went well: room for %d bytes", n, r)
		}
	}
	if r.more(); r != wire.BatchRoom {
		t.Errorf("room for %d bytes, more than a batch may have", r)
	}
}
