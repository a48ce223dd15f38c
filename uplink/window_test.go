package uplink

import "testing"

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
