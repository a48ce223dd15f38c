package gate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"gateagent/gate/wire"
)

// Recorder commits a record durably before it returns. offline implements it.
type Recorder interface {
	Append(ctx context.Context, rec wire.Record) error
}

// Surroundings is what the lane shows staff of the parts around it.
type Surroundings struct {
	Notices    []Notice
	List       ListStatus
	Clock      ClockStatus
	QueueDepth int
	UplinkUp   bool
}

// Timing holds the lane's waits; zero fields take the defaults.
type Timing struct {
	Card        time.Duration // after a scan, until the card must lie on the reader (20 s)
	Scan        time.Duration // after a card, until something must be scanned (30 s)
	Transaction time.Duration // from both at hand to the decision (15 s)
	Consent     time.Duration // until the traveller has answered the notice before the camera (20 s)
	Face        time.Duration // from portrait and consent both at hand to the verdict (10 s)
	Outcome     time.Duration // how long an outcome stays on the screen (6 s)
	Store       time.Duration // until a commit must have come back (3 s)
}

// withDefaults fills zero fields.
func (t Timing) withDefaults() Timing {
	for _, f := range []struct {
		d   *time.Duration
		def time.Duration
	}{
		{&t.Card, 20 * time.Second}, {&t.Scan, 30 * time.Second},
		{&t.Transaction, 15 * time.Second}, {&t.Outcome, 6 * time.Second},
		{&t.Store, 3 * time.Second}, {&t.Consent, 20 * time.Second}, {&t.Face, 10 * time.Second},
	} {
		if *f.d <= 0 {
			*f.d = f.def
		}
	}
	return t
}

// Parts are what a lane is built from. All are needed but Hours,
// Surroundings, DocRef and Referrals.
type Parts struct {
	Gate     string
	Policy   Policy
	Profile  Profile
	Timing   Timing
	Cards    Cards
	Scanner  Scanner
	OpenChip func(Transmitter) Chip
	Judge    Judge
	List     Allowlist
	Recorder Recorder
	Barrier  Barrier
	Screen   Screen
	Clock    func() TrustedTime
	Log      *slog.Logger

	// Faces compares faces; needed where the policy requires one.
	Faces Faces
	// Hours says when the gate is open; nil is always.
	Hours *Hours
	// Surroundings is asked once a second; it must not block.
	Surroundings func() Surroundings
	// DocRef makes the keyed hash of a document for the record.
	DocRef func(Document) string
	// Referrals were open when the agent started.
	Referrals []Referral
}

// Lane runs one gate, one transaction after the other. One goroutine (Run)
// owns all its state; pages reach it through the Desk methods.
type Lane struct {
	p     Parts
	asks  chan ask
	alive atomic.Int64 // unix nanoseconds of the loop's last turn
	ready chan struct{}

	// Owned by Run from here on.
	tick     *time.Ticker
	view     View
	card     CardEvent
	consumed bool // the card in the field already had its transaction
	scan     *Scan
	help     bool          // help was asked for in the running transaction
	aborted  bool          // the last reading was aborted
	steps    <-chan string // of the running reading; nil between readings
	// Of the face step; nil or zero outside it.
	documents <-chan Document // proven DG1 of the running reading
	document  *Document       // what came from it and was not looked at yet
	hints     <-chan FaceHint
	choice    faceChoice
	unsaved   *wire.Record
}

// ask is something that a page wants, run by the lane's own goroutine.
type ask struct {
	do   func(context.Context) (happening, error)
	done chan error
}

// NewLane checks the parts and builds a lane.
func NewLane(p Parts) (*Lane, error) {
	switch {
	case p.Cards == nil, p.Scanner == nil, p.OpenChip == nil, p.Judge == nil, p.List == nil,
		p.Recorder == nil, p.Barrier == nil, p.Screen == nil, p.Clock == nil, p.Log == nil:
		return nil, errors.New("lane: a part is missing; reader, scanner, chip, judge, list, recorder, barrier, screen, clock and log are all needed")
	case p.Policy.Face == FaceRequired && p.Faces == nil:
		return nil, errors.New("lane: the policy requires a face comparison and there is none; configure the face table")
	case p.Gate == "":
		return nil, errors.New("lane: the gate has no name; set gate.name in the configuration")
	}
	p.Timing = p.Timing.withDefaults()
	l := &Lane{p: p, asks: make(chan ask), ready: make(chan struct{})}
	l.view = View{
		Gate: p.Gate, Stage: StageIdle, Since: time.Now(), Policy: p.Policy.Name,
		FaceOff: p.Policy.Face == FaceOff, Open: p.Referrals,
	}
	return l, nil
}

// Ready is closed once the lane knows the state of its reader.
func (l *Lane) Ready() <-chan struct{} { return l.ready }

// Alive says when the lane's loop last turned; it feeds the watchdog.
func (l *Lane) Alive() time.Time { return time.Unix(0, l.alive.Load()) }

// Run serves travellers until ctx ends.
func (l *Lane) Run(ctx context.Context) error {
	l.tick = time.NewTicker(time.Second)
	defer l.tick.Stop()
	l.refresh(ctx)
	l.rest()
	known := false
	for {
		switch l.await(ctx, nil, nil) {
		case ended:
			return nil
		case cardChanged:
			if !known {
				known = true
				close(l.ready)
			}
		}
		l.rest()
		for l.pending() && ctx.Err() == nil {
			l.transact(ctx)
		}
	}
}

// pending says whether a traveller is there to be served. While a result
// waits to be stored none is: the next one could not be stored either. A call
// for help stays on the staff page meanwhile and is recorded afterwards.
func (l *Lane) pending() bool {
	if l.unsaved != nil {
		l.keepScan(nil)
		return false
	}
	if l.closed() {
		l.keepScan(nil)
		return l.help
	}
	fresh := l.card.Present && l.card.Healthy && !l.consumed
	return l.scan != nil || l.help || fresh
}

// happening is why await came back.
type happening uint8

const (
	nothing happening = iota
	ended             // the context ended
	cardChanged
	scanned
	helped
	timedOut
	finished
	chosen        // the traveller answered the notice
	documentKnown // DG1 is proven
)

// await is the lane's only wait. It keeps the lane alive, the pages fresh and
// the desk served, and comes back when something concerns the transaction.
func (l *Lane) await(ctx context.Context, timer <-chan time.Time, done <-chan struct{}) happening {
	for {
		l.alive.Store(time.Now().UnixNano())
		select {
		case <-ctx.Done():
			return ended
		case e := <-l.p.Cards.Events():
			if !e.Present {
				l.consumed = false
			}
			l.card = e
			return cardChanged
		case s := <-l.p.Scanner.Scans():
			l.keepScan(&s)
			return scanned
		case a := <-l.asks:
			h, err := a.do(ctx)
			a.done <- err
			if h != nothing {
				return h
			}
		case step := <-l.steps:
			l.stage(StageReading, step)
		case d := <-l.documents:
			l.document = &d
			return documentKnown
		case hint := <-l.hints:
			if l.view.Face != nil {
				l.showFace(l.view.Face.State, hint)
			}
		case <-timer:
			return timedOut
		case <-done:
			return finished
		case <-l.tick.C:
			l.refresh(ctx)
		}
	}
}

func (l *Lane) keepScan(s *Scan) {
	if l.scan != nil {
		l.scan.Wipe()
	}
	l.scan = s
	if s != nil && l.aborted {
		l.consumed = false // a fresh scan after an interrupted reading: the card may stay where it is
	}
}

// rest shows the idle screen, or that the gate is closed or out of order.
func (l *Lane) rest() {
	stage := StageIdle
	l.view.Opens = time.Time{}
	switch {
	case l.closed():
		stage = StageClosed
		l.view.Opens = l.p.Hours.Opens(l.p.Clock())
	case l.outOfOrder():
		stage = StageOutOfOrder
	}
	l.stage(stage, "")
}

// closed says whether the opening hours keep the gate shut.
func (l *Lane) closed() bool { return l.p.Hours != nil && !l.p.Hours.Open(l.p.Clock()) }

func (l *Lane) outOfOrder() bool { return l.unsaved != nil || !l.card.Healthy }

func (l *Lane) stage(s Stage, step string) {
	if l.view.Stage != s {
		l.view.Since = time.Now()
	}
	l.view.Stage, l.view.Step = s, step
	l.show()
}

// show hands the screens a copy that the lane no longer touches.
func (l *Lane) show() {
	v := l.view
	v.Open = append([]Referral(nil), v.Open...)
	v.Help = l.help || slices.ContainsFunc(v.Open, func(r Referral) bool { return slices.Contains(r.Reasons, CodeHelpAsked) })
	v.Notices = append([]Notice(nil), v.Notices...)
	l.p.Screen.Show(v)
}

// refresh brings notices up to date and retries what could not be stored.
func (l *Lane) refresh(ctx context.Context) {
	if l.unsaved != nil {
		if err := l.store(ctx, *l.unsaved); err == nil {
			l.unsaved = nil
		}
	}
	var s Surroundings
	if l.p.Surroundings != nil {
		s = l.p.Surroundings()
	}
	var notices []Notice
	if l.unsaved != nil {
		notices = append(notices, Notice{"fault", "store", CodeStoreFailed.Info().Text + ": " + CodeStoreFailed.Info().Remedy})
	}
	if !l.card.Healthy && l.card.Problem != "" {
		notices = append(notices, Notice{"fault", "reader", l.card.Problem})
	}
	if err := l.p.Barrier.Healthy(); err != nil {
		notices = append(notices, Notice{"fault", "barrier", err.Error()})
	}
	l.view.Notices = append(notices, s.Notices...)
	l.view.ListStatus, l.view.Clock, l.view.QueueDepth, l.view.UplinkUp = s.List, s.Clock, s.QueueDepth, s.UplinkUp
	switch l.view.Stage {
	case StageIdle, StageOutOfOrder, StageClosed:
		l.rest()
		return
	}
	l.show()
}

func (l *Lane) store(ctx context.Context, rec wire.Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.p.Timing.Store)
	defer cancel()
	return l.p.Recorder.Append(ctx, rec)
}

// storeServing stores beside the loop, which goes on serving the desk: a call
// for help must not wait for a slow disk.
func (l *Lane) storeServing(ctx context.Context, rec wire.Record) error {
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = l.store(ctx, rec)
	}()
	for {
		switch l.await(ctx, nil, done) {
		case finished:
			return err
		case ended:
			<-done // bounded by the store's own time
			return err
		}
	}
}

func newTx() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
