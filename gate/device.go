package gate

import (
	"context"
	"errors"
	"time"
)

// CardEvent tells the lane that something changed at the reader.
type CardEvent struct {
	Reader  string
	Present bool // a card is in the field
	Healthy bool // the reader works; false: out of order, Problem says why
	Problem string
	At      time.Time
}

// Cards is the card reader of a lane. drivers/pcsc implements it.
type Cards interface {
	// Events delivers every change; the current state is sent first. The
	// channel is never closed while the reader's task runs.
	Events() <-chan CardEvent
	// Connect powers the card in the field.
	Connect(ctx context.Context) (Card, error)
}

// Card is one connected card.
type Card interface {
	Transmitter
	// Close resets and releases the card within its own bound; a reader
	// whose transmit was abandoned reports itself out of order instead.
	Close() error
}

// Scanner delivers recognised scans. drivers/serial and drivers/scan together
// implement it.
type Scanner interface {
	Scans() <-chan Scan
}

// PassageResult says what happened at the gate after an admission.
type PassageResult string

// Passage results.
const (
	PassageOpened   PassageResult = "opened"    // the output was driven; there is no sensor to say more
	PassagePassed   PassageResult = "passed"    // the sensor saw the passage
	PassageTimedOut PassageResult = "timed_out" // opened, and nobody passed within the window
	PassageRefused  PassageResult = "not_opened"
	PassageUnknown  PassageResult = "unknown" // the agent ended before it could know
)

// ErrAdmitTooOld is wrapped by Barrier.Open when the admission lies too far
// back to be carried out.
var ErrAdmitTooOld = errors.New("the admission is older than five seconds and was not carried out")

// Barrier is the gate's output. drivers/barrier implements it.
type Barrier interface {
	// Open drives the output once and waits for the passage or its window.
	// It refuses (PassageRefused and an error) when admitted lies more than
	// five seconds back on the monotonic clock.
	Open(ctx context.Context, admitted time.Time) (PassageResult, error)
	// Healthy says whether the output can be driven now; nil when it can.
	Healthy() error
}
