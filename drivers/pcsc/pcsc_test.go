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
