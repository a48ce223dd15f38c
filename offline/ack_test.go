package offline

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

func ackOf(t *testing.T, o *Outbox, e wire.Entry) wire.Ack {
	return wire.Ack{V: wire.AckVersion, Kiosk: kiosk, Epoch: o.Queue().Epoch, Number: e.Number, Chain: chainAt(t, o, e)}
}

func TestAcknowledge(t *testing.T) {
	o := open(t, Config{})
	for n := range 5 {
		appendAll(t, o, admit(n))
	}
	entries := all(t, o, 0)
	good := ackOf(t, o, entries[2])
	for name, tc := range map[string]struct {
		change func(*wire.Ack)
		want   error
	}{
		"other kiosk":          {func(a *wire.Ack) { a.Kiosk = "sgn-g13" }, ErrForeignAck},
		"other epoch":          {func(a *wire.Ack) { a.Epoch = strings.Repeat("0", 32) }, ErrForeignAck},
		"other content":        {func(a *wire.Ack) { a.Chain = wire.BodyHash(a.Chain) }, ErrAckChain},
		"hash of another row":  {func(a *wire.Ack) { a.Number++ }, ErrAckChain},
		"body hash, not chain": {func(a *wire.Ack) { a.Chain = entries[2].Hash }, ErrAckChain},
		"ahead":                {func(a *wire.Ack) { a.Number = 6 }, ErrAckAhead},
		"zero value":           {func(a *wire.Ack) { *a = wire.Ack{} }, ErrForeignAck},
	} {
		a := good
		tc.change(&a)
		if err := o.Acknowledge(t.Context(), a); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if o.Depth() != 5 {
			t.Fatalf("%s: depth %d after a refused acknowledgement", name, o.Depth())
		}
	}
	if err := o.Acknowledge(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if o.Depth() != 2 || !o.Oldest().Equal(admit(3).At) {
		t.Fatalf("depth %d, oldest %v", o.Depth(), o.Oldest())
	}
	// A late, lower one changes nothing.
	if err := o.Acknowledge(t.Context(), ackOf(t, o, entries[0])); err != nil {
		t.Fatal(err)
	}
	o = reopen(t, o)
	if o.Depth() != 2 {
		t.Fatalf("depth %d after a restart, want 2", o.Depth())
	}
}

func TestRewind(t *testing.T) {
	o := open(t, Config{})
	for n := range 5 {
		appendAll(t, o, admit(n))
	}
	e := all(t, o, 0)
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[4])); err != nil {
		t.Fatal(err)
	}
	forged := ackOf(t, o, e[1])
	forged.Chain = e[1].Hash
	if err := o.Rewind(t.Context(), forged); !errors.Is(err, ErrAckChain) || o.Depth() != 0 {
		t.Fatalf("rewind to another content: %v, depth %d", err, o.Depth())
	}
	if err := o.Rewind(t.Context(), ackOf(t, o, e[1])); err != nil || o.Depth() != 3 {
		t.Fatalf("rewind to 2: %v, depth %d", err, o.Depth())
	}
	zero := wire.Ack{Kiosk: kiosk, Epoch: o.Queue().Epoch, Chain: wire.ChainStart()}
	if err := o.Rewind(t.Context(), zero); err != nil || o.Depth() != 5 {
		t.Fatalf("rewind to 0: %v, depth %d", err, o.Depth())
	}
	if o = reopen(t, o); o.Depth() != 5 || !o.Oldest().Equal(admit(0).At) {
		t.Fatalf("after restart: depth %d, oldest %v", o.Depth(), o.Oldest())
	}
}

// Acknowledged rows go after their grace; the newest stays as the chain's
// foot; numbers are not used again even when everything else is gone.
func TestRetention(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := open(t, Config{KeepAge: time.Hour, Now: func() time.Time { return now }})
	for n := range 200 {
		appendAll(t, o, admit(n))
	}
	e := all(t, o, 0)
	for i := 9; i < 100; i += 10 {
		if err := o.Acknowledge(t.Context(), ackOf(t, o, e[i])); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if n := len(all(t, o, 0)); n != 200 {
		t.Fatalf("%d rows within their grace, want 200", n)
	}
	now = now.Add(2 * time.Hour)
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[199])); err != nil {
		t.Fatal(err)
	}
	if o.head.first != 101 {
		t.Fatalf("kept from %d, want 101", o.head.first)
	}
	if err := o.Rewind(t.Context(), ackOf(t, o, e[50])); !errors.Is(err, ErrGone) || o.Depth() != 0 {
		t.Fatalf("rewind beyond what is kept: %v", err)
	}
	// Row 100 is gone; the row after it remembers its hash.
	if err := o.Rewind(t.Context(), ackOf(t, o, e[99])); err != nil || o.Depth() != 100 {
		t.Fatalf("rewind to the edge: %v, depth %d", err, o.Depth())
	}
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[199])); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	appendAll(t, o, admit(200))
	last := all(t, o, 200)[0]
	if err := o.Acknowledge(t.Context(), ackOf(t, o, last)); err != nil {
		t.Fatal(err)
	}
	o = reopen(t, o)
	if o.head.first != 200 && o.head.first != 201 {
		t.Fatalf("kept from %d, want the newest", o.head.first)
	}
	if n, err := o.Append(t.Context(), admit(201)); err != nil || n != 202 {
		t.Fatalf("number %d (%v), want 202", n, err)
	}
	all(t, o, 201)
}

func TestKeepNothing(t *testing.T) {
	o := open(t, Config{KeepAge: -1})
	for n := range 150 {
		appendAll(t, o, admit(n))
	}
	e := all(t, o, 0)
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[149])); err != nil {
		t.Fatal(err)
	}
	if o.head.first != 150 {
		t.Fatalf("kept from %d, want 150", o.head.first)
	}
	o = reopen(t, o)
	if n, err := o.Append(t.Context(), admit(150)); err != nil || n != 151 {
		t.Fatalf("number %d (%v), want 151", n, err)
	}
}

func TestKeepBytes(t *testing.T) {
	o := open(t, Config{KeepBytes: 50_000})
	for n := range 400 {
		appendAll(t, o, admit(n))
	}
	e := all(t, o, 0)
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[399])); err != nil {
		t.Fatal(err)
	}
	if kept := 401 - o.head.first; kept < 20 || kept > 200 {
		t.Fatalf("%d rows kept in 50,000 bytes", kept)
	}
}

func TestPendingBounds(t *testing.T) {
	o := open(t, Config{})
	for n := range 20 {
		appendAll(t, o, admit(n))
	}
	size := wire.EncodedSize(len(all(t, o, 0)[0].Body))
	for _, tc := range []struct{ entries, bytes, want int }{
		{5, wire.BatchRoom, 5}, {100, wire.BatchRoom, 20}, {100, 3 * size, 3}, {100, 3*size + size/2, 3}, {100, 1, 1},
	} {
		_, got, err := o.Pending(t.Context(), 0, tc.entries, tc.bytes)
		if err != nil || len(got) != tc.want {
			t.Errorf("at most %d entries and %d bytes: %d entries (%v), want %d", tc.entries, tc.bytes, len(got), err, tc.want)
		}
	}
	if _, got, err := o.Pending(t.Context(), 20, 5, 1000); err != nil || len(got) != 0 {
		t.Errorf("after the last: %d entries, %v", len(got), err)
	}
}
