package pcsc_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gateagent/drivers/pcsc"
	"gateagent/gate"
)

var selectMF = []byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00}

func TestInsertTransmitRemove(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		r := start(t, pcsc.Config{Reader: slotName(0), Exclusive: exclusive})
		until(t, r, "empty reader first", 5*time.Second, empty)
		c := &chip{}
		link := insert(t, 0, c)
		e := until(t, r, "card", 5*time.Second, present)
		if e.Reader != slotName(0) || e.At.IsZero() {
			t.Errorf("event %+v", e)
		}
		card := connect(t, r)
		got, err := card.Transmit(within(t, time.Second), selectMF)
		if err != nil || !bytes.Equal(got, append(bytes.Clone(selectMF), 0x90, 0x00)) {
			t.Fatalf("exclusive %v: %X, %v", exclusive, got, err)
		}
		before := c.resets.Load()
		if err := card.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if c.resets.Load() == before {
			t.Error("close did not reset the chip")
		}
		if err := card.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if _, err := card.Transmit(within(t, time.Second), selectMF); !errors.Is(err, gate.ErrReaderFault) {
			t.Errorf("transmit to a closed card: %v", err)
		}
		link.Remove()
		until(t, r, "card gone", 5*time.Second, empty)
		if _, err := r.Connect(within(t, time.Second)); !errors.Is(err, gate.ErrCardGone) {
			t.Errorf("connect without a card: %v", err)
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	r := start(b, pcsc.Config{Reader: slotName(0), Exclusive: true})
	until(b, r, "empty reader", 5*time.Second, empty)
	insert(b, 0, &chip{})
	until(b, r, "card", 5*time.Second, present)
	for b.Loop() {
		card, err := r.Connect(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := card.Transmit(context.Background(), selectMF); err != nil {
			b.Fatal(err)
		}
		if err := card.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMuteChip(t *testing.T) {
	var log records
	r := start(t, pcsc.Config{Reader: slotName(0), Exclusive: true, Log: log.logger()})
	c := &chip{mute: make(chan struct{})}
	until(t, r, "empty reader", 5*time.Second, empty)
	insert(t, 0, c)
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)

	begun := time.Now()
	_, err := card.Transmit(within(t, 200*time.Millisecond), selectMF)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, gate.ErrReaderFault) {
		t.Fatalf("transmit to a mute chip: %v", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("transmit ended %v after a deadline of 200ms", took)
	}
	refusedAtOnce := func(what string, err error, begun time.Time) {
		t.Helper()
		if !errors.Is(err, gate.ErrReaderFault) {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("%s was refused after %v", what, took)
		}
	}
	begun = time.Now()
	_, err = card.Transmit(within(t, time.Minute), selectMF)
	refusedAtOnce("second transmit", err, begun)
	begun = time.Now()
	_, err = r.Connect(within(t, time.Minute))
	refusedAtOnce("connect", err, begun)
	begun = time.Now()
	if err := card.Close(); err != nil || time.Since(begun) > 100*time.Millisecond {
		t.Errorf("close of an abandoned card: %v after %v", err, time.Since(begun))
	}
	e := until(t, r, "out of order", 5*time.Second, unhealthy)
	if !e.Present || !strings.Contains(e.Problem, "take the document away") {
		t.Errorf("event %+v", e)
	}

	close(c.mute)
	until(t, r, "recovery", 5*time.Second, present)
	card = connect(t, r)
	defer card.Close()
	if _, err := card.Transmit(within(t, time.Second), selectMF); err != nil {
		t.Errorf("transmit after recovery: %v", err)
	}
	if strings.Contains(strings.ToUpper(log.String()), "A4000C") {
		t.Error("a command is in the log")
	}
}

func TestNames(t *testing.T) {
	names, err := pcsc.Readers(within(t, 2*time.Second))
	if err != nil || len(names) != 2 || names[0] != slotName(0) || names[1] != slotName(1) {
		t.Errorf("readers: %q, %v", names, err)
	}
	several := start(t, pcsc.Config{Reader: "Virtual*"})
	if e := until(t, several, "ambiguous", 5*time.Second, unhealthy); !strings.Contains(e.Problem, "several fit") {
		t.Errorf("problem %q", e.Problem)
	}
	other := start(t, pcsc.Config{Reader: "ACS*"})
	if e := until(t, other, "not there", 5*time.Second, unhealthy); !strings.Contains(e.Problem, slotName(1)) {
		t.Errorf("the problem does not list what is there: %q", e.Problem)
	}
	one := start(t, pcsc.Config{Reader: "*PCD 00 ?1"})
	if e := until(t, one, "pattern", 5*time.Second, empty); e.Reader != slotName(1) || one.Name() != slotName(1) {
		t.Errorf("pattern found %q", e.Reader)
	}
	if err := pcsc.New(pcsc.Config{}).Run(t.Context()); err == nil {
		t.Error("a reader without a name runs")
	}
}

func TestTornDuringTransmit(t *testing.T) {
	r := start(t, pcsc.Config{Reader: slotName(1), Exclusive: true})
	until(t, r, "empty", 5*time.Second, empty)
	c := &chip{mute: make(chan struct{})}
	defer close(c.mute)
	link := insert(t, 1, c)
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)
	ended := make(chan error, 1)
	ctx := within(t, 20*time.Second)
	go func() {
		_, err := card.Transmit(ctx, selectMF)
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond)
	go link.Remove()
	select {
	case err := <-ended:
		if !errors.Is(err, gate.ErrCardGone) {
			t.Errorf("a torn card: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the transmit does not end")
	}
	_, err := card.Transmit(within(t, time.Second), selectMF)
	if !errors.Is(err, gate.ErrCardGone) {
		t.Errorf("the next command to a torn card: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Errorf("close of a torn card: %v", err)
	}
	until(t, r, "card gone", 5*time.Second, empty)
}

func TestTornBetweenCommands(t *testing.T) {
	r := start(t, pcsc.Config{Reader: slotName(1)})
	until(t, r, "empty", 5*time.Second, empty)
	link := insert(t, 1, &chip{})
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)
	link.Remove()
	until(t, r, "card gone", 5*time.Second, empty)
	if _, err := card.Transmit(within(t, time.Second), selectMF); !errors.Is(err, gate.ErrCardGone) {
		t.Errorf("a card that left: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Errorf("close of a card that left: %v", err)
	}
}

func TestCancel(t *testing.T) {
	r := start(t, pcsc.Config{Reader: slotName(1), Exclusive: true})
	until(t, r, "empty", 5*time.Second, empty)
	c := &chip{mute: make(chan struct{})}
	insert(t, 1, c)
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)
	defer card.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := card.Transmit(over, selectMF); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := card.Transmit(ctx, selectMF); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled transmit: %v", err)
	}
	close(c.mute)
	// The call came back before anybody had to be told.
	time.Sleep(500 * time.Millisecond)
	select {
	case e := <-r.Events():
		t.Errorf("a short wait was reported: %+v", e)
	default:
	}
	again := connect(t, r)
	defer again.Close()
	if _, err := again.Transmit(within(t, time.Second), selectMF); err != nil {
		t.Error(err)
	}
}

func TestExtendedLengths(t *testing.T) {
	r := start(t, pcsc.Config{Reader: slotName(1), Exclusive: true})
	until(t, r, "empty", 5*time.Second, empty)
	// The virtual reader carries 65,535 bytes in one message.
	c := &chip{answer: append(bytes.Repeat([]byte{0xA5}, 65533), 0x90, 0x00)}
	insert(t, 1, c)
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)
	defer card.Close()
	readBinary := []byte{0x00, 0xB0, 0x00, 0x00, 0x00, 0xFF, 0xFD}
	got, err := card.Transmit(within(t, 2*time.Second), readBinary)
	if err != nil || !bytes.Equal(got, c.answer) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	long := append([]byte{0x00, 0x2A, 0x00, 0x00, 0x00, 0x80, 0x00}, make([]byte, 0x8000)...)
	if _, err := card.Transmit(within(t, 2*time.Second), long); err != nil {
		t.Errorf("a command of 32 KiB: %v", err)
	}
	for _, short := range [][]byte{nil, {0}, {0, 0xB0, 0}} {
		if _, err := card.Transmit(within(t, time.Second), short); err == nil {
			t.Errorf("a command of %d bytes was sent", len(short))
		}
	}
}

func TestAccess(t *testing.T) {
	exclusive := start(t, pcsc.Config{Reader: slotName(1), Exclusive: true})
	shared := start(t, pcsc.Config{Reader: slotName(1)})
	until(t, exclusive, "empty", 5*time.Second, empty)
	insert(t, 1, &chip{})
	until(t, exclusive, "card", 5*time.Second, present)
	until(t, shared, "card", 5*time.Second, present)

	first, second := connect(t, shared), connect(t, shared)
	for _, card := range []gate.Card{first, second, first} {
		if _, err := card.Transmit(within(t, time.Second), selectMF); err != nil {
			t.Errorf("shared: %v", err)
		}
	}
	_, err := exclusive.Connect(within(t, time.Second))
	if !errors.Is(err, gate.ErrReaderFault) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("exclusive access beside others: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	// The first closed with a reset: the second one's session is lost and
	// it must be told, not served.
	if _, err := second.Transmit(within(t, time.Second), selectMF); !errors.Is(err, gate.ErrReaderFault) {
		t.Errorf("a card that another program has reset: %v", err)
	}
	_ = second.Close()
	card := connect(t, exclusive)
	if _, err := shared.Connect(within(t, time.Second)); !errors.Is(err, gate.ErrReaderFault) {
		t.Errorf("shared access beside exclusive: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}

func TestFindCard(t *testing.T) {
	type result struct {
		name string
		err  error
	}
	found := make(chan result, 1)
	ctx := within(t, 10*time.Second)
	go func() {
		name, err := pcsc.FindCard(ctx, "*")
		found <- result{name, err}
	}()
	time.Sleep(200 * time.Millisecond)
	insert(t, 1, &chip{})
	if r := <-found; r.err != nil || r.name != slotName(1) {
		t.Errorf("found %q, %v", r.name, r.err)
	}
	if name, err := pcsc.FindCard(within(t, time.Second), slotName(1)); err != nil || name != slotName(1) {
		t.Errorf("a card that lies there: %q, %v", name, err)
	}
	begun := time.Now()
	_, err := pcsc.FindCard(within(t, 300*time.Millisecond), slotName(0))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 2*time.Second {
		t.Errorf("no card: %v after %v", err, time.Since(begun))
	}
}

func TestLockHoldsOthersOff(t *testing.T) {
	dir := t.TempDir()
	held, err := pcsc.Lock(dir, slotName(1))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, pcsc.Config{Reader: slotName(1), LockDir: dir})
	if e := until(t, r, "locked", 5*time.Second, unhealthy); !strings.Contains(e.Problem, "in use by this process") {
		t.Errorf("problem %q", e.Problem)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "free", 5*time.Second, func(e gate.CardEvent) bool { return e.Healthy })
	if _, err := pcsc.Lock(dir, slotName(1)); !errors.Is(err, pcsc.ErrLocked) {
		t.Errorf("the running reader does not hold its lock: %v", err)
	}
	if other, err := pcsc.Lock(dir, slotName(0)); err != nil {
		t.Errorf("another reader's lock: %v", err)
	} else {
		_ = other.Release()
	}
}

// A lane is seen also by those who look in the other folder.
func TestLockAlso(t *testing.T) {
	own, also := t.TempDir(), t.TempDir()
	held, err := pcsc.Lock(also, slotName(1))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, pcsc.Config{Reader: slotName(1), LockDir: own, LockAlso: also})
	until(t, r, "locked", 5*time.Second, unhealthy)
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "free", 5*time.Second, func(e gate.CardEvent) bool { return e.Healthy })
	for _, dir := range []string{own, also} {
		if _, err := pcsc.Lock(dir, slotName(1)); !errors.Is(err, pcsc.ErrLocked) {
			t.Errorf("the running reader does not hold its lock in %s: %v", dir, err)
		}
	}
}

// One folder by two names is locked once, and one that cannot be made holds
// nobody up.
func TestLockAlsoBestEffort(t *testing.T) {
	dir := t.TempDir()
	for _, also := range []string{dir + "/.", "/proc/none/locks"} {
		ctx, stop := context.WithCancel(t.Context())
		r := pcsc.New(pcsc.Config{Reader: slotName(1), LockDir: dir, LockAlso: also})
		done := make(chan struct{})
		go func() { defer close(done); _ = r.Run(ctx) }()
		until(t, r, "free", 5*time.Second, func(e gate.CardEvent) bool { return e.Healthy })
		stop()
		<-done
	}
}
