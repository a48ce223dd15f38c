package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
)

// result is what happened to one traveller. Milliseconds are measured here,
// at the staff page's events, unless they stand in Phases.
type result struct {
	Number    int              `json:"number"`
	Traveller string           `json:"traveller"`
	Tx        string           `json:"tx"`
	Outcome   string           `json:"outcome"`
	Reasons   []string         `json:"reasons"`
	List      string           `json:"list,omitempty"`
	Passage   string           `json:"passage,omitempty"`
	Phases    map[string]int64 `json:"phases_ms,omitempty"` // by the agent itself
	// ScanMS runs from the scan to the screen that asks for the card, CardMS
	// from the card to the first word of reading, DecisionMS from the card to
	// the outcome, PassageMS from the outcome to the passage.
	ScanMS      int64    `json:"scan_ms,omitempty"`
	CardMS      int64    `json:"card_ms,omitempty"`
	DecisionMS  int64    `json:"decision_ms,omitempty"`
	PassageMS   int64    `json:"passage_ms,omitempty"`
	FloorMS     int64    `json:"floor_ms,omitempty"` // what the chip alone must take by its model
	Notes       []string `json:"notes,omitempty"`
	Differences []string `json:"differences,omitempty"`

	AnswerMS int64      `json:"answer_ms,omitempty"` // from the notice to the traveller's answer
	Face     *faceShown `json:"face,omitempty"`

	codes    []gate.Code
	part     *part
	checks   []gate.Check
	figure   string
	resolved bool
}

func (r *result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *result) differs(format string, args ...any) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
}

// Waits of a visit. They are generous: what takes longer is a fault.
const (
	scanWithin     = 5 * time.Second
	cardWithin     = 10 * time.Second
	decideWithin   = 25 * time.Second
	passWithin     = 10 * time.Second
	settleWithin   = 40 * time.Second // until central holds everything
	helpWithin     = time.Second      // until staff see that help is wanted
	resolveOutcome = "refused"
	resolveReason  = "identity checked by hand"
)

// visit sends one traveller through and compares. Its error means that the
// demo cannot go on.
func (s *site) visit(ctx context.Context, t *traveller) (*result, error) {
	r := &result{Traveller: t.name, figure: t.figure}
	s.catchUp()
	if t.part != nil {
		s.filmed = false
		if err := s.studio.show(t.part.film); err != nil {
			return r, err
		}
	}
	fresh := func(v view) bool { return v.Tx != "" && v.Tx != s.previous }
	var err error
	switch t.event {
	case eventHelp:
		err = s.askForHelp(ctx, r, fresh)
	case eventDown:
		err = s.withoutCentral(ctx, r, func() error { return s.pass(ctx, t, r, fresh) })
	case eventRevoked:
		if err = s.revoke(ctx, t, r); err == nil {
			err = s.pass(ctx, t, r, fresh)
		}
	default:
		err = s.pass(ctx, t, r, fresh)
	}
	s.previous = r.Tx
	if err != nil {
		return r, err
	}
	if r.Outcome != t.outcome.String() || !slices.Equal(r.codes, t.reasons) {
		r.differs("expected %s %v", t.outcome, names(t.reasons))
	}
	if r.Outcome == gate.Admit.String() && r.Passage != string(gate.PassagePassed) {
		r.differs("expected to walk through, the kiosk says %q", r.Passage)
	}
	return r, nil
}

// pass is the usual visit: scan, present, be decided upon, walk through.
func (s *site) pass(ctx context.Context, t *traveller, r *result, fresh func(view) bool) error {
	began := time.Now()
	if err := t.scan(s.codes, s.zones); err != nil {
		return err
	}
	v, err := s.await(ctx, "the kiosk to ask for the card", scanWithin, fresh)
	if err != nil {
		return err
	}
	r.Tx, r.ScanMS = v.Tx, v.seen.Sub(began).Milliseconds()
	mine := func(v view) bool { return v.Tx == r.Tx }
	card := newField(t)
	presented := time.Now()
	link, err := s.daemon.Insert(0, card)
	if err != nil {
		return err
	}
	defer card.Close()
	defer link.Remove()
	go card.tear(link.Remove)
	v, err = s.await(ctx, "the kiosk to see the card", cardWithin, func(v view) bool {
		return mine(v) && (v.Stage == gate.StageReading || v.decided())
	})
	if err != nil {
		return err
	}
	r.CardMS = v.seen.Sub(presented).Milliseconds()
	if t.part != nil {
		if err := s.answer(ctx, t, r, mine); err != nil {
			return err
		}
		if s.asks {
			looks, away := context.WithCancel(ctx)
			var looking sync.WaitGroup
			looking.Go(func() { s.follow(looks, t) })
			defer looking.Wait()
			defer away()
		}
	}
	v, err = s.await(ctx, "a decision", decideWithin, func(v view) bool { return mine(v) && v.decided() })
	if err != nil {
		return err
	}
	decided := v.seen
	r.decided(v)
	r.judgeFace(t, v, s.filmed)
	r.DecisionMS = decided.Sub(presented).Milliseconds()
	r.FloorMS = card.Modelled().Milliseconds()
	link.Remove()
	if err := s.screenTells(r); err != nil {
		return err
	}
	if r.Outcome != gate.Admit.String() {
		return nil
	}
	v, err = s.await(ctx, "the passage", passWithin, func(v view) bool { return mine(v) && v.Passage != "" })
	r.Passage, r.PassageMS = v.Passage, v.seen.Sub(decided).Milliseconds()
	return err
}

func (r *result) decided(v view) {
	r.Outcome, r.codes, r.checks, r.List, r.Phases = v.Outcome, v.Reasons, v.Checks, v.List, v.Timing
	r.Reasons = names(v.Reasons)
}

// askForHelp presses the traveller's button; the officer comes and resolves.
func (s *site) askForHelp(ctx context.Context, r *result, fresh func(view) bool) error {
	began := time.Now()
	if err := s.pages.Help(ctx); err != nil {
		return err
	}
	v, err := s.await(ctx, "the call for help on the staff page", scanWithin, func(v view) bool {
		return fresh(v) && v.decided() && v.open(v.Tx)
	})
	if err != nil {
		return err
	}
	r.Tx = v.Tx
	r.decided(v)
	seen := v.seen.Sub(began)
	r.note("staff saw it after %d ms", seen.Milliseconds())
	if seen > helpWithin {
		r.differs("the call for help took %v to reach the staff page, allowed are %v", seen, helpWithin)
	}
	if v.Stage != gate.StageHelpComing || !v.Help {
		r.differs("expected stage help_coming with help wanted, the kiosk shows %q", v.Stage)
	}
	if err := s.resolve(ctx, r.Tx); err != nil {
		return err
	}
	r.resolved = true
	r.note("resolved by %s: %s, %s", operatorName, resolveOutcome, resolveReason)
	return nil
}

// resolve closes a referral on the staff page.
func (s *site) resolve(ctx context.Context, tx string) error {
	if err := s.pages.Resolve(ctx, tx, resolveOutcome, resolveReason); err != nil {
		return err
	}
	_, err := s.await(ctx, "the referral to be resolved", scanWithin, func(v view) bool { return !v.open(tx) })
	return err
}

// withoutCentral kills central for the time of a visit and brings it back.
func (s *site) withoutCentral(ctx context.Context, r *result, visit func() error) error {
	s.central.Kill()
	s.central = nil
	err := visit()
	if err != nil {
		return err
	}
	v, err := s.await(ctx, "the results to wait", scanWithin, func(v view) bool { return v.QueueDepth >= 2 && !v.UplinkUp })
	if err != nil {
		return err
	}
	waited := v.QueueDepth
	if err := s.startCentral(ctx); err != nil {
		return err
	}
	back := time.Now()
	if _, err := s.await(ctx, "the results to reach central", settleWithin, func(v view) bool { return v.QueueDepth == 0 && v.UplinkUp }); err != nil {
		return err
	}
	r.note("%d records waited, at central %.1f s after it was back", waited, time.Since(back).Seconds())
	return nil
}

// field is a document in the reader's field.
type field struct {
	*chip.Chip
	limit int // bytes after which it is torn out; 0: never
	sent  int // only Process touches it, which is called one at a time
	once  sync.Once
	torn  chan struct{}
	gone  chan struct{} // closed by Close
	leave sync.Once
}

// tornAfter lies inside DG2: the files before it have some 3 kB.
const tornAfter = 9000

func newField(t *traveller) *field {
	cfg := t.card.ChipConfig()
	cfg.Model = t.model
	f := &field{Chip: chip.New(cfg), torn: make(chan struct{}), gone: make(chan struct{})}
	if t.event == eventTorn {
		f.limit = tornAfter
	}
	return f
}

// Process answers until the document is torn out.
func (f *field) Process(apdu []byte) []byte {
	out := f.Chip.Process(apdu)
	f.sent += len(out)
	if f.limit > 0 && f.sent > f.limit {
		f.once.Do(func() { close(f.torn) })
		return nil
	}
	return out
}

// tear takes the document away when its moment has come.
func (f *field) tear(remove func()) {
	select {
	case <-f.torn:
		remove()
	case <-f.gone:
	}
}

// Close ends the chip.
func (f *field) Close() {
	f.leave.Do(func() { close(f.gone) })
	f.Chip.Close()
}

// names lists codes by name.
func names(codes []gate.Code) []string {
	out := make([]string, 0, len(codes))
	for _, c := range codes {
		out = append(out, c.Info().Name)
	}
	return out
}
