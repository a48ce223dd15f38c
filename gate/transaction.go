package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"gateagent/gate/wire"
)

// transaction is the state that the steps of one traveller share.
type transaction struct {
	id         string
	at         time.Time // when it began
	begun      time.Time // when scan and card were both at hand; zero before
	scan       Scan
	inspection *Inspection
	list       ListAnswer
	decision   Decision
	decided    time.Time
	passage    PassageResult
	phases     map[string]int64
	helpAsked  bool
	face       *faceStep // nil where no face is compared
	kase       Case      // holds the evidence until the transaction ends
}

// transact runs one transaction: a flat list of steps over one state. A step
// that decides ends the gathering of evidence; deciding, recording and
// showing always run.
func (l *Lane) transact(ctx context.Context) {
	tx := &transaction{id: newTx(), at: time.Now(), phases: map[string]int64{}}
	l.begin(tx)
	for l.gather(ctx, tx) && l.inspect(ctx, tx) == again {
	}
	defer tx.wipe()
	if ctx.Err() != nil {
		l.endFace(tx)
		return // the agent is stopping: nobody was decided upon
	}
	// A card that stays has had its transaction.
	l.consumed = l.card.Present
	l.compareFace(ctx, tx)
	l.endFace(tx)
	if ctx.Err() != nil {
		return
	}
	l.decide(tx)
	l.record(ctx, tx)
	l.openBarrier(ctx, tx)
	tx.wipe()
	l.showOutcome(ctx, tx)
}

func (l *Lane) begin(tx *transaction) {
	l.view = View{
		Gate: l.view.Gate, Policy: l.view.Policy, FaceOff: l.view.FaceOff, Open: l.view.Open,
		Notices: l.view.Notices, ListStatus: l.view.ListStatus, Clock: l.view.Clock,
		QueueDepth: l.view.QueueDepth, UplinkUp: l.view.UplinkUp,
		Tx: tx.id, Stage: l.view.Stage, Since: l.view.Since,
	}
}

// gather waits until a usable scan and a card are both there.
func (l *Lane) gather(ctx context.Context, tx *transaction) bool {
	patience := l.p.Timing.Card
	if l.scan == nil && tx.scan.Key.Empty() {
		patience = l.p.Timing.Scan
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	unreadable := false
	for {
		if l.help {
			l.help, tx.helpAsked = false, true
			return false
		}
		if l.scan != nil {
			tx.scan.Wipe()
			tx.scan, l.scan = *l.scan, nil
			unreadable = tx.scan.Key.Empty() || tx.scan.MRZ != nil && !tx.scan.MRZ.Valid()
			timer.Reset(l.p.Timing.Card)
		}
		if !l.card.Healthy {
			tx.decision = refer(CodeReaderOutOfOrder)
			return false
		}
		have := !tx.scan.Key.Empty() && !unreadable
		if have && l.card.Present && !l.consumed {
			return true
		}
		switch {
		case unreadable:
			l.stage(StageRescan, "")
		case have:
			l.stage(StageNeedCard, "")
		default:
			l.stage(StageNeedScan, "")
		}
		switch l.await(ctx, timer.C, nil) {
		case ended:
			return false
		case timedOut:
			tx.decision = Decision{Outcome: Abort, Reasons: []Code{gatherCode(have, unreadable)}}
			return false
		}
	}
}

func gatherCode(have, unreadable bool) Code {
	switch {
	case unreadable:
		return CodeScanUnreadable
	case have:
		return CodeNoCard
	}
	return CodeNoScan
}

// inspectGrace is how long after its deadline an inspection may still take to
// come back before it is given up: every transmit honours its context, so
// this only guards against a driver that does not.
const inspectGrace = 3 * time.Second

// attempt says how an inspection went.
type attempt bool

// again: the card had left before anything was read, so gather once more.
const again attempt = true

// inspect reads and judges the document beside the lane's own loop, which
// goes on serving the desk; the list is asked as soon as DG1 is proven.
func (l *Lane) inspect(ctx context.Context, tx *transaction) attempt {
	tx.begun = time.Now()
	l.consumed = true
	outer := ctx
	if l.wantsFace() && tx.face == nil {
		tx.face = &faceStep{}
		l.choice, l.document = faceUnanswered, nil
		l.view.Face = &FaceView{State: FaceAsk}
	}
	l.stage(StageReading, "access")
	ctx, cancel := context.WithTimeout(ctx, l.p.Timing.Transaction)
	defer cancel()
	work := &reading{p: &l.p, scan: tx.scan, steps: make(chan string, 16), documents: make(chan Document, 1), fresh: make(chan struct{})}
	giveUp := sync.OnceFunc(func() { close(work.fresh) })
	l.steps, l.documents = work.steps, work.documents
	defer func() { l.steps, l.documents = nil, nil }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work.run(ctx)
	}()
	for {
		switch l.await(ctx, nil, done) {
		case scanned:
			giveUp()
		case helped:
			l.help, tx.helpAsked = false, true
			cancel()
		case chosen, documentKnown:
			l.faceProgress(outer, tx)
		case ended: // stopping, help, or the deadline: the reading honours it
			if !l.awaitEnd(outer, tx, done) {
				work.abandon(done)
				tx.scan = Scan{} // the abandoned reading owns it now
				tx.decision = refer(CodeReaderOutOfOrder)
				return !again
			}
			tx.take(work)
			return !again
		case finished:
			if work.neverThere && ctx.Err() == nil {
				return again
			}
			tx.take(work)
			return !again
		}
	}
}

// awaitEnd gives a reading or comparison whose context has ended its grace to
// come back, and serves the desk meanwhile. It says whether it came back.
func (l *Lane) awaitEnd(ctx context.Context, tx *transaction, done <-chan struct{}) bool {
	grace := time.NewTimer(inspectGrace)
	defer grace.Stop()
	for {
		switch l.await(ctx, grace.C, done) {
		case finished:
			return true
		case helped:
			l.help, tx.helpAsked = false, true
		case timedOut:
			return false
		case ended: // the agent is stopping
			select {
			case <-done:
				return true
			case <-grace.C:
				return false
			}
		}
	}
}

// take moves the results of a finished reading into the transaction.
func (tx *transaction) take(r *reading) {
	tx.inspection, tx.list, tx.kase = r.out, r.list, r.kase
	for name, d := range r.phases() {
		tx.phases[name] = d.Milliseconds()
	}
}

func (l *Lane) decide(tx *transaction) {
	tx.decided = time.Now()
	defer func() {
		l.view.Outcome, l.view.Reasons, l.view.CloneUnproven = tx.decision.Outcome, tx.decision.Reasons, tx.decision.CloneUnproven
	}()
	facts := Facts{Policy: l.p.Policy, Closed: l.closed(), HelpAsked: tx.helpAsked, AbortedBefore: l.aborted, List: tx.list.Verdict, ListCode: tx.list.Code}
	facts.Face, facts.FaceCode, facts.FaceStrict = tx.faceFacts()
	if tx.inspection == nil {
		if tx.decision.Reasons == nil || tx.helpAsked {
			tx.decision = Decide(facts)
		}
		// Staff took over: an interrupted reading before this is not the next
		// traveller's.
		l.aborted = l.aborted && tx.decision.Outcome == Abort
		return
	}
	issuer := tx.inspection.Document.Issuer
	facts.Document = l.p.Profile.Overall(&tx.inspection.Report, issuer)
	facts.CloneUnproven = l.p.Profile.CloneUnproven(&tx.inspection.Report, issuer)
	tx.decision = Decide(facts)
	l.aborted = tx.decision.Outcome == Abort
	failing := tx.inspection.Report.Failing(l.p.Profile, issuer)
	if facts.Document != Successful && tx.decision.Outcome != Admit && !tx.helpAsked {
		tx.decision.Reasons = append(tx.decision.Reasons, reasonsOf(failing, facts.Document)...)
	}
	l.view.Checks = failing
	l.view.List = tx.list.Verdict.String()
	l.view.Timing = tx.timing()
}

// reasonsOf lists the codes of the checks that made the overall result what it
// is, once each; what merely followed from them is in the checks.
func reasonsOf(failing []Check, overall Result) []Code {
	var out []Code
	seen := map[Code]bool{0: true}
	for _, c := range failing {
		blamed := c.Result == overall || overall == Undetermined && c.Result == NotSupported
		if blamed && !seen[c.Code] {
			seen[c.Code] = true
			out = append(out, c.Code)
		}
	}
	return out
}

// record commits the decision before anything may open. If it cannot, nobody
// is admitted and the lane is out of order until it can.
func (l *Lane) record(ctx context.Context, tx *transaction) {
	begin := time.Now()
	rec := l.decisionRecord(tx)
	err := l.storeServing(ctx, rec)
	tx.phases["store"] = time.Since(begin).Milliseconds()
	if err != nil {
		l.p.Log.Error("the result could not be stored; nobody is admitted", "tx", tx.id, "err", err)
		tx.decision = refer(append([]Code{CodeStoreFailed}, tx.decision.Reasons...)...)
		rec = l.decisionRecord(tx)
		l.unsaved = &rec
	}
	l.view.Outcome, l.view.Reasons, l.view.CloneUnproven = tx.decision.Outcome, tx.decision.Reasons, tx.decision.CloneUnproven
	if tx.decision.Outcome == Refer {
		l.view.Open = append([]Referral{{
			Tx: tx.id, At: tx.decided, Outcome: Refer, Reasons: tx.decision.Reasons, Checks: l.view.Checks,
		}}, l.view.Open...)
	}
	l.p.Log.Info("decided", "tx", tx.id, "outcome", tx.decision.Outcome.String(), "reasons", codeNames(tx.decision.Reasons),
		"clone_unproven", tx.decision.CloneUnproven, "timing_ms", tx.timing())
}

// openBarrier opens for an admission and records what then happened.
func (l *Lane) openBarrier(ctx context.Context, tx *transaction) {
	if tx.decision.Outcome != Admit {
		return
	}
	l.stage(StageAdmitted, "barrier")
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		tx.passage, err = l.p.Barrier.Open(ctx, tx.decided)
	}()
	for h := nothing; h != finished; {
		if h = l.await(ctx, nil, done); h == ended {
			<-done // the barrier honours ctx
			break
		}
	}
	code := l.passageCode(ctx, tx, err)
	l.view.Passage = string(tx.passage)
	rec := l.stamp(wire.KindPassage, tx.id, time.Now())
	rec.Passage = &wire.Passage{Result: string(tx.passage), Code: uint32(code)}
	// Also while stopping: what was seen at the gate is worth the wait.
	if err := l.storeServing(context.WithoutCancel(ctx), rec); err != nil {
		l.p.Log.Error("the passage could not be stored; it is reported as unknown after a restart", "tx", tx.id, "err", err)
		l.unsaved = &rec
	}
	if code != 0 {
		l.view.Reasons = []Code{code}
		l.stage(StageSeeStaff, "")
	}
}

// passageCode says what went wrong at the barrier; 0 when nothing did.
func (l *Lane) passageCode(ctx context.Context, tx *transaction, err error) Code {
	if err == nil {
		return 0
	}
	if tx.passage == "" {
		tx.passage = PassageRefused
	}
	switch {
	case ctx.Err() != nil:
		l.p.Log.Info("stopping while the gate may be open; nobody sees who passes", "tx", tx.id, "passage", string(tx.passage))
		return 0
	case errors.Is(err, ErrAdmitTooOld):
		l.p.Log.Error("the admission was not carried out", "tx", tx.id, "err", err)
		return CodeAdmitTooOld
	}
	l.p.Log.Error("the barrier failed", "tx", tx.id, "passage", string(tx.passage), "err", err)
	return CodeBarrierFailed
}

// showOutcome keeps the outcome on the screen until its time is over, or the
// next traveller begins.
func (l *Lane) showOutcome(ctx context.Context, tx *transaction) {
	switch {
	case tx.helpAsked:
		l.stage(StageHelpComing, "")
	case tx.decision.Outcome == Admit && l.view.Stage == StageSeeStaff:
	case tx.decision.Outcome == Admit:
		l.stage(StageAdmitted, "")
	case tx.decision.Outcome == Abort:
		l.stage(StageTryAgain, "")
	default:
		l.stage(StageSeeStaff, "")
	}
	timer := time.NewTimer(l.p.Timing.Outcome)
	defer timer.Stop()
	for {
		if l.pending() {
			return
		}
		switch l.await(ctx, timer.C, nil) {
		case ended:
			return
		case timedOut:
			l.view.Tx = ""
			l.rest()
			return
		}
	}
}
