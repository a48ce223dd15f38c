package pcsc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate"

	"github.com/ebfe/scard"
)

func TestErrorKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
	}{
		{scard.ErrRemovedCard, gate.ErrCardGone},
		{scard.ErrNoSmartcard, gate.ErrCardGone},
		{scard.ErrNotTransacted, gate.ErrCardGone},
		{scard.ErrUnresponsiveCard, gate.ErrCardGone},
		{scard.ErrUnpoweredCard, gate.ErrCardGone},
		{errEmpty, gate.ErrCardGone},
		{scard.ErrTimeout, context.DeadlineExceeded},
		{scard.ErrWaitedTooLong, context.DeadlineExceeded},
		{context.DeadlineExceeded, context.DeadlineExceeded},
		{scard.ErrCancelled, context.Canceled},
		{scard.ErrSystemCancelled, context.Canceled},
		{context.Canceled, context.Canceled},
		{scard.ErrResetCard, gate.ErrReaderFault},
		{scard.ErrSharingViolation, gate.ErrReaderFault},
		{scard.ErrNoService, gate.ErrReaderFault},
		{scard.ErrServiceStopped, gate.ErrReaderFault},
		{scard.ErrReaderUnavailable, gate.ErrReaderFault},
		{scard.ErrUnknownReader, gate.ErrReaderFault},
		{scard.ErrNoReadersAvailable, gate.ErrReaderFault},
		{scard.ErrCommError, gate.ErrReaderFault},
		{scard.ErrInvalidHandle, gate.ErrReaderFault},
		{scard.ErrProtoMismatch, gate.ErrReaderFault},
		{scard.ErrInsufficientBuffer, gate.ErrReaderFault},
		{scard.Error(0x80100FFF), gate.ErrReaderFault}, // not a code of PC/SC
		{errors.New("something else"), gate.ErrReaderFault},
		{fmt.Errorf("wrapped: %w", scard.ErrRemovedCard), gate.ErrCardGone},
		{errors.Join(scard.ErrRemovedCard, scard.ErrNoService), gate.ErrCardGone}, // the first counts
	} {
		err := failure("R", "transmit", c.err)
		for _, kind := range []error{gate.ErrCardGone, gate.ErrReaderFault, context.DeadlineExceeded, context.Canceled} {
			if got := errors.Is(err, kind); got != (kind == c.want) {
				t.Errorf("%v: is %v: %v", c.err, kind, got)
			}
		}
		if !errors.Is(err, c.err) && c.err != c.want {
			t.Errorf("%v lost its cause", c.err)
		}
		if text := err.Error(); !strings.Contains(text, `"R"`) || !strings.Contains(text, "transmit") {
			t.Errorf("message %q names neither reader nor step", text)
		}
	}
}

func TestFits(t *testing.T) {
	const acs = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00"
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{acs, acs, true},
		{"ACS*PICC*", acs, true},
		{"*", acs, true},
		{"*[ACR1252 Dual Reader PICC]*", acs, true},
		{"ACS*SAM*", acs, false},
		{"ACS", acs, false},
		{"*00 0?", acs, true},
		{"*00 1?", acs, false},
		{"", acs, false},
		{"", "", true},
		{"?", "", false},
		{"a*b*c", "aXbXbXc", true},
		{"a*b*c", "aXcXb", false},
		{"**", "x", true},
	} {
		if got := fits(c.pattern, c.name); got != c.want {
			t.Errorf("fits(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestPickExactNameWins(t *testing.T) {
	names := []string{"Reader ?", "Reader 1", "Reader 2"}
	if got, err := pick("Reader ?", names); err != nil || got != "Reader ?" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := pick("Reader*", names); !errors.Is(err, gate.ErrReaderFault) {
		t.Errorf("several fit: %v", err)
	}
	if _, err := pick("Reader 3", nil); err == nil || !strings.Contains(err.Error(), "there is no card reader") {
		t.Errorf("none there: %v", err)
	}
}

func TestLockNames(t *testing.T) {
	t.Setenv(daemonSocket, "/one")
	a, b := lockName("A/B [x] 00"), lockName("A-B [x] 00")
	if a == b || strings.ContainsAny(a, "/ []") || len(lockName(strings.Repeat("ü/", 400))) > 100 {
		t.Errorf("lock names %q, %q", a, b)
	}
	t.Setenv(daemonSocket, "/two")
	if lockName("A/B [x] 00") == a {
		t.Error("readers of two daemons share a lock")
	}
}

func TestLockSurvivesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first, err := Lock(dir, "R")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Lock(dir, "R"); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := Lock(dir, "R")
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	defer second.Release()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(filepath.Join(file, "x"), "R"); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a folder that cannot be made: %v", err)
	}
}

// TestLineOrder holds what the line promises without a reader: one call at a
// time, an abandoned one refuses the others at once, salvage follows it, and
// the reports come in order and only when it lasted.
func TestLineOrder(t *testing.T) {
	reports := make(chan bool, 4)
	l := newLine(func(stuck bool) { reports <- stuck })
	release := make(chan struct{})
	salvaged := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	waiting := make(chan error, 1)
	go func() {
		time.Sleep(10 * time.Millisecond)
		_, err := l.do(t.Context(), func() { t.Error("ran beside another") }, func() {})
		waiting <- err
	}()
	abandoned, err := l.do(ctx, func() { <-release }, func() { close(salvaged) })
	if !abandoned || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("abandoned %v, %v", abandoned, err)
	}
	if err := <-waiting; !errors.Is(err, errAbandoned) {
		t.Errorf("who waited was told %v", err)
	}
	if _, err := l.do(t.Context(), func() { t.Error("ran beside another") }, func() {}); !errors.Is(err, errAbandoned) {
		t.Errorf("the next was told %v", err)
	}
	if stuck := <-reports; !stuck {
		t.Error("first report says free")
	}
	close(release)
	<-salvaged
	if stuck := <-reports; stuck {
		t.Error("second report says stuck")
	}
	ran := false
	if _, err := l.do(t.Context(), func() { ran = true }, func() {}); err != nil || !ran {
		t.Errorf("after recovery: ran %v, %v", ran, err)
	}
	over, stop := context.WithCancel(t.Context())
	stop()
	if _, err := l.do(over, func() { t.Error("ran after its context") }, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("context over: %v", err)
	}
	select {
	case r := <-reports:
		t.Errorf("one report too many: %v", r)
	default:
	}
}
