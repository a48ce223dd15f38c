package uplink

import "gateagent/gate/wire"

// window is how many batches may be on their way. It begins with one, doubles
// with each round of acknowledgements up to half of where trouble was met
// last, and from there grows by one a round: a thousand kiosks that come back
// together share what central can take.
type window struct {
	size, most int
	slow       int // from here on the window grows slowly
	credit     int // batches acknowledged towards the next slow step
}

func newWindow(most int) window { return window{size: 1, most: most, slow: most} }

// grow notes that n batches were acknowledged.
func (w *window) grow(n int) {
	if w.size < w.slow {
		w.size = min(w.size+n, w.most)
		return
	}
	w.credit += n
	if w.credit >= w.size {
		w.credit = 0
		w.size = min(w.size+1, w.most)
	}
}

// lost begins anew after results did not arrive.
func (w *window) lost() {
	w.slow = max(w.size/2, 1)
	w.size, w.credit = 1, 0
}

// room is how many bytes of results go into one batch. A line that is too
// narrow for a large batch, or dies under it, gets smaller ones, down to one
// result each.
type room int

// leastRoom is as good as one result: a batch has at least that.
const leastRoom = 1 << 10

// less is for a batch that did not get through.
func (r *room) less() { *r = max(*r/2, leastRoom) }

// more is for one that was acknowledged soon.
func (r *room) more() { *r = min(2*max(*r, leastRoom), wire.BatchRoom) }
