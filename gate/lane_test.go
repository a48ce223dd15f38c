package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"gateagent/gate/mrz"
	"gateagent/gate/wire"
)

// The parts around the lane are replaced here only to inject faults at exact
// moments; the same lane runs on real parts in the demonstration.

type rig struct {
	t     *testing.T
	lane  *Lane
	cards chan CardEvent
	scans chan Scan

	mu         sync.Mutex
	records    []wire.Record
	storeErr   error
	storeSlow  time.Duration
	opened     int
	passage    PassageResult
	openErr    error
	connectErr error // of the next connection only
	read       func(ctx context.Context, f File) ([]byte, error)
	list       ListAnswer
	last       View
}

func (r *rig) Events() <-chan CardEvent { return r.cards }
func (r *rig) Scans() <-chan Scan       { return r.scans }
func (r *rig) Connect(context.Context) (Card, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.connectErr
	r.connectErr = nil
	return fakeCard{}, err
}
func (r *rig) Lookup(ListQuery) ListAnswer { r.mu.Lock(); defer r.mu.Unlock(); return r.list }
func (r *rig) Healthy() error              { return nil }
func (r *rig) NewCase(TrustedTime) Case    { return fakeCase{} }
func (r *rig) Show(v View) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = v
}

func (r *rig) Open(context.Context, time.Time) (PassageResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.records); n == 0 || r.records[n-1].Decision == nil || r.records[n-1].Decision.Outcome != "admit" {
		r.t.Error("the barrier was opened without a stored admission before it")
	}
	r.opened++
	return r.passage, r.openErr
}

func (r *rig) Append(_ context.Context, rec wire.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.storeErr != nil {
		return r.storeErr
	}
	if r.storeSlow > 0 {
		r.mu.Unlock()
		time.Sleep(r.storeSlow)
		r.mu.Lock()
	}
	r.records = append(r.records, rec)
	return nil
}

type fakeCard struct{}

func (fakeCard) Transmit(context.Context, []byte) ([]byte, error) { return []byte{0x90, 0}, nil }
func (fakeCard) Close() error                                     { return nil }

// fakeChip opens to any key and asks the rig for files.
type fakeChip struct{ r *rig }

func (c fakeChip) Open(context.Context, AccessKey) (Access, error) {
	return Access{Protocol: CheckPACE, Established: true}, nil
}

func (c fakeChip) ReadFile(ctx context.Context, f File) ([]byte, error) {
	c.r.mu.Lock()
	read := c.r.read
	c.r.mu.Unlock()
	if read != nil {
		return read(ctx, f)
	}
	return []byte{1}, nil
}
func (c fakeChip) ChipAuthenticate(context.Context, []byte) (string, error) { return "CA", nil }
func (c fakeChip) ProveMapping(context.Context, []byte) (string, error)     { return "CAM", nil }
func (c fakeChip) ActiveAuthenticate(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("not asked")
}
func (c fakeChip) Stats() ChipStats { return ChipStats{} }
func (c fakeChip) Close()           {}

// fakeCase finds everything in order.
type fakeCase struct{}

func (fakeCase) SecurityObject([]byte) []Check {
	var out []Check
	for _, id := range []CheckID{CheckSODHash, CheckSODSignature, CheckSOD, CheckDSSignature, CheckDSValidity, CheckDSRevocation, CheckDSTrust, CheckDS} {
		out = append(out, Check{ID: id, Result: Successful})
	}
	return out
}
func (fakeCase) Foresee([]byte) []int            { return []int{1, 2, 14} }
func (fakeCase) Lists(n int) bool                { return n == 1 || n == 2 || n == 14 }
func (fakeCase) DataGroup(n int, _ []byte) Check { return Check{ID: CheckDG(n), Result: Successful} }
func (fakeCase) COM([]byte) Check                { return Check{} }
func (fakeCase) CardSecurity([]byte) ([]Check, []byte) {
	return []Check{{CheckCardSecurity, Successful, 0, ""}}, []byte{}
}
func (fakeCase) PromisesPACE([]byte) bool      { return false }
func (fakeCase) WantsTerminalAuth([]byte) bool { return false }
func (fakeCase) OffersChipAuth() bool          { return true }
func (fakeCase) OffersActiveAuth() bool        { return false }
func (fakeCase) ActiveAuth(_, _ []byte) Check  { return Check{} }
func (fakeCase) ChipProof(p Check) Check       { return p }
func (fakeCase) Person(Scan) []Check {
	return []Check{{ID: CheckIssuer, Result: Successful}, {ID: CheckExpiry, Result: Successful}, {ID: CheckMRZDG1, Result: Successful}}
}
func (fakeCase) Document() (Document, bool) {
	return Document{Type: "ID", Issuer: "UTO", Number: "X1", MatchNumber: "X1"}, true
}
func (fakeCase) Portrait() (Portrait, bool) { return Portrait{Format: "jpeg"}, true }
func (fakeCase) Wipe()                      {}

func newRig(t *testing.T, change ...func(*Parts)) *rig {
	t.Helper()
	r := &rig{t: t, cards: make(chan CardEvent), scans: make(chan Scan), passage: PassagePassed, list: ListAnswer{Verdict: ListAllow}}
	p := Parts{
		Gate: "G1", Policy: Policy{Name: "test", Face: FaceOff}, Profile: DefaultProfile(),
		Timing: Timing{Card: 300 * time.Millisecond, Scan: 300 * time.Millisecond, Transaction: 500 * time.Millisecond, Outcome: 50 * time.Millisecond, Store: time.Second},
		Cards:  r, Scanner: r, OpenChip: func(Transmitter) Chip { return fakeChip{r} }, Judge: r, List: r, Recorder: r, Barrier: r, Screen: r,
		Clock: func() TrustedTime { return TrustedTime{Now: time.Now(), Trusted: true} }, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&p)
	}
	lane, err := NewLane(p)
	if err != nil {
		t.Fatal(err)
	}
	r.lane = lane
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- lane.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the lane did not stop")
		}
	})
	r.card(false)
	return r
}

func (r *rig) card(present bool) {
	r.cards <- CardEvent{Reader: "R", Present: present, Healthy: true, At: time.Now()}
}

func (r *rig) scan() { r.scans <- Scan{Kind: ScanCAN, Key: AccessKey{CAN: Secret("123456")}} }

// wait polls what the lane showed or stored.
func (r *rig) wait(what string, cond func() bool) {
	r.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		r.mu.Lock()
		ok := cond()
		r.mu.Unlock()
		if ok {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Fatalf("never came: %s; last view %+v, records %+v", what, r.last, r.records)
}

// decision waits for the n-th decision (from 0).
func (r *rig) decision(n int) *wire.Decision {
	r.t.Helper()
	var d *wire.Decision
	r.wait(fmt.Sprintf("decision %d", n), func() bool {
		k := 0
		for _, rec := range r.records {
			if rec.Decision != nil {
				if k == n {
					d = rec.Decision
					return true
				}
				k++
			}
		}
		return false
	})
	return d
}

func (r *rig) visit() { r.scan(); r.card(true) }

func wantOutcome(t *testing.T, d *wire.Decision, outcome string, reasons ...Code) {
	t.Helper()
	if d.Outcome != outcome {
		t.Fatalf("outcome %s %v, want %s", d.Outcome, d.Reasons, outcome)
	}
	for _, c := range reasons {
		if !slices.Contains(d.Reasons, uint32(c)) {
			t.Errorf("reasons %v lack %d (%s)", d.Reasons, c, c.Info().Name)
		}
	}
}

func TestLaneAdmits(t *testing.T) {
	r := newRig(t)
	r.visit()
	d := r.decision(0)
	wantOutcome(t, d, "admit")
	if d.Face != "off" || d.List.Answer != "allow" || d.Overall != "successful" {
		t.Errorf("record: %+v", d)
	}
	r.wait("passage", func() bool {
		n := len(r.records)
		return r.records[n-1].Passage != nil && r.records[n-1].Passage.Result == "passed" && r.records[n-1].Tx == r.records[0].Tx
	})
	if r.opened != 1 {
		t.Errorf("opened %d times", r.opened)
	}
}

// A card that stays on the reader has one transaction, not two.
func TestLaneCardServedOnce(t *testing.T) {
	r := newRig(t)
	r.card(true)
	r.wait("asks for the scan", func() bool { return r.last.Stage == StageNeedScan })
	r.scan()
	wantOutcome(t, r.decision(0), "admit")
	r.wait("idle again", func() bool { return r.last.Stage == StageIdle })
	r.scan() // the same card still lies there
	wantOutcome(t, r.decision(1), "abort", CodeNoCard)
}

func TestLaneStoreFails(t *testing.T) {
	r := newRig(t)
	r.mu.Lock()
	r.storeErr = errors.New("disk full")
	r.mu.Unlock()
	r.visit()
	r.wait("out of order", func() bool { return r.last.Stage == StageOutOfOrder })
	r.card(false)
	r.scan() // nobody is served meanwhile
	r.mu.Lock()
	if r.opened != 0 {
		t.Error("the barrier opened although nothing was stored")
	}
	r.storeErr = nil
	r.mu.Unlock()
	wantOutcome(t, r.decision(0), "refer", CodeStoreFailed)
	r.wait("idle again", func() bool { return r.last.Stage == StageIdle })
	r.visit()
	wantOutcome(t, r.decision(1), "admit")
}

func TestLaneAbortsOnceThenRefers(t *testing.T) {
	r := newRig(t)
	r.read = func(context.Context, File) ([]byte, error) {
		return nil, &ChipError{Kind: ChipGone, Code: CodeChipGone, Step: "read"}
	}
	r.visit()
	wantOutcome(t, r.decision(0), "abort", CodeDocumentAborted, CodeChipGone)
	r.card(false)
	r.visit()
	wantOutcome(t, r.decision(1), "refer", CodeAbortedTwice)
	r.mu.Lock()
	r.read = nil
	r.mu.Unlock()
	r.card(false)
	r.visit()
	wantOutcome(t, r.decision(2), "admit")
}

// A chip that never answers costs the transaction its deadline, no more.
func TestLaneDeadline(t *testing.T) {
	r := newRig(t)
	r.read = func(ctx context.Context, _ File) ([]byte, error) {
		<-ctx.Done()
		return nil, &ChipError{Kind: ChipDeadline, Code: CodeDeadline, Step: "read", Err: ctx.Err()}
	}
	begin := time.Now()
	r.visit()
	wantOutcome(t, r.decision(0), "abort", CodeDeadline)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestLaneHelpWhileReading(t *testing.T) {
	r := newRig(t)
	started := make(chan struct{}, 8)
	r.read = func(ctx context.Context, _ File) ([]byte, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, &ChipError{Kind: ChipDeadline, Code: CodeDeadline, Step: "read", Err: ctx.Err()}
	}
	r.visit()
	<-started
	if err := r.lane.Help(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r.decision(0), "refer", CodeHelpAsked)
	r.wait("staff see it", func() bool { return r.last.Help && len(r.last.Open) == 1 })
	tx := r.records[0].Tx
	for _, tc := range []struct{ tx, who, outcome, why string }{
		{tx, "", "refused", "r"}, {tx, "An", "opened", "r"}, {tx, "An", "refused", ""}, {"no such", "An", "refused", "r"},
	} {
		if err := r.lane.Resolve(t.Context(), tc.tx, tc.who, tc.outcome, tc.why); err == nil {
			t.Errorf("resolved by %+v", tc)
		}
	}
	if err := r.lane.Resolve(t.Context(), tx, "An", "refused", "not entitled"); err != nil {
		t.Fatal(err)
	}
	r.wait("resolution", func() bool {
		last := r.records[len(r.records)-1]
		return last.Resolution != nil && last.Resolution.Operator == "An" && last.Tx == tx && len(r.last.Open) == 0 && !r.last.Help
	})
}

func TestLaneHelpWhenIdle(t *testing.T) {
	r := newRig(t)
	if err := r.lane.Help(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r.decision(0), "refer", CodeHelpAsked)
}

func TestLaneRescan(t *testing.T) {
	r := newRig(t)
	r.scans <- Scan{Kind: ScanUnknown}
	r.wait("asks again", func() bool { return r.last.Stage == StageRescan })
	r.scans <- Scan{Kind: ScanMRZ, MRZ: &mrz.Document{Digits: []mrz.Digit{{Field: "birth", Printed: '1', Computed: '2'}}}, Key: AccessKey{MRZInfo: Secret("x")}}
	r.wait("still asks", func() bool { return r.last.Stage == StageRescan })
	r.scan()
	r.wait("asks for the card", func() bool { return r.last.Stage == StageNeedCard })
	r.card(true)
	wantOutcome(t, r.decision(0), "admit")
}

func TestLaneListRefuses(t *testing.T) {
	r := newRig(t)
	r.list = ListAnswer{Verdict: ListTooLate, Code: CodeListTooLate}
	r.visit()
	wantOutcome(t, r.decision(0), "refer", CodeListRefused, CodeListTooLate)
	if r.opened != 0 {
		t.Error("opened")
	}
}

func TestLaneReaderOutOfOrder(t *testing.T) {
	r := newRig(t)
	r.cards <- CardEvent{Reader: "R", Healthy: false, Problem: "a command was abandoned"}
	r.wait("says so", func() bool { return r.last.Stage == StageOutOfOrder })
	r.scan()
	wantOutcome(t, r.decision(0), "refer", CodeReaderOutOfOrder)
	r.card(false)
	r.wait("recovers", func() bool { return r.last.Stage == StageIdle })
}

func TestLaneBarrierFails(t *testing.T) {
	r := newRig(t)
	r.passage, r.openErr = PassageRefused, errors.New("relay gone")
	r.visit()
	wantOutcome(t, r.decision(0), "admit")
	r.wait("passage says so", func() bool {
		p := r.records[len(r.records)-1].Passage
		return p != nil && p.Result == "not_opened" && p.Code == uint32(CodeBarrierFailed)
	})
}

// Without a word on the face nobody is admitted, whatever else is right.
func TestLaneNoFaceWord(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Policy.Face = FaceUnset })
	r.visit()
	wantOutcome(t, r.decision(0), "refer", CodeFaceNotDeclared)
}

func TestLaneKeyedCAN(t *testing.T) {
	r := newRig(t)
	for _, bad := range []string{"", "12345", "1234567", "12a456"} {
		if err := r.lane.EnterCAN(t.Context(), Secret(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := r.lane.EnterCAN(t.Context(), Secret("123456")); err != nil {
		t.Fatal(err)
	}
	r.card(true)
	wantOutcome(t, r.decision(0), "admit")
}

func TestNewLaneNeedsItsParts(t *testing.T) {
	if _, err := NewLane(Parts{Gate: "G1"}); err == nil {
		t.Error("a lane without parts was built")
	}
}

// The reader may notice late that the last traveller took their card: the next
// one, who scans already, is not turned away for it.
func TestLaneCardNeverThere(t *testing.T) {
	r := newRig(t)
	r.connectErr = fmt.Errorf("connect: %w", ErrCardGone)
	r.visit()
	r.wait("asks for the card", func() bool { return r.last.Stage == StageNeedCard && r.connectErr == nil })
	r.card(false)
	r.card(true)
	wantOutcome(t, r.decision(0), "admit")
}

// A slow disk does not keep a call for help from the staff.
func TestLaneHelpDuringSlowStore(t *testing.T) {
	r := newRig(t)
	r.storeSlow = 800 * time.Millisecond
	r.visit()
	r.wait("decides", func() bool { return r.last.Stage == StageReading })
	time.Sleep(50 * time.Millisecond)
	begin := time.Now()
	if err := r.lane.Help(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wait("staff see it", func() bool { return r.last.Help })
	if took := time.Since(begin); took > 400*time.Millisecond {
		t.Errorf("staff saw it after %v", took)
	}
}

// A driver that ignores its context costs the grace and no more; the evidence
// of the abandoned reading is wiped when it comes back.
func TestLaneAbandonsReading(t *testing.T) {
	r := newRig(t)
	release := make(chan struct{})
	r.read = func(context.Context, File) ([]byte, error) {
		<-release
		return nil, &ChipError{Kind: ChipDevice, Code: CodeReaderFault, Step: "read"}
	}
	r.visit()
	wantOutcome(t, r.decision(0), "refer", CodeReaderOutOfOrder)
	close(release)
}
