package gate

import (
	"context"
	"errors"
	"time"
)

// reading is the work of one inspection, done beside the lane's loop. The
// loop touches it again only when run has returned.
type reading struct {
	p     *Parts
	scan  Scan
	steps chan string
	// fresh is closed when something new was scanned: whoever lifted their
	// document is no longer waited for.
	fresh chan struct{}
	// documents brings the proven DG1 to the lane's loop, once.
	documents chan Document

	out     *Inspection
	list    ListAnswer
	connect time.Duration
	// neverThere: the card had left before it could be connected, as when
	// the reader notices late that the last traveller took theirs.
	neverThere bool
	kase       Case // kept for the portrait; the lane wipes it
	listTook   time.Duration
}

// run powers the card, reads and judges it, and asks the list as soon as DG1
// is proven.
func (r *reading) run(ctx context.Context) {
	begin := time.Now()
	card, err := r.p.Cards.Connect(ctx)
	r.connect = time.Since(begin)
	if err != nil {
		r.neverThere = errors.Is(err, ErrCardGone)
		r.out = NotOpened(r.scan, err)
		return
	}
	held := &Reopener{Cards: r.p.Cards, OpenChip: r.p.OpenChip, Card: card, Chip: r.p.OpenChip(card)}
	kase := r.p.Judge.NewCase(r.p.Clock())
	r.kase = kase
	answer := make(chan ListAnswer, 1)
	asked := false
	r.out = Inspect(ctx, held.Chip, kase, r.scan, InspectOptions{
		Reopen: func(ctx context.Context) (Chip, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() {
				select {
				case <-r.fresh:
					cancel()
				case <-ctx.Done():
				}
			}()
			return held.Reopen(ctx)
		},
		OnStep: func(s string) {
			select {
			case r.steps <- s:
			default: // the screen may miss a step, the reading may not wait
			}
		},
		OnDocument: func(d Document) {
			asked = true
			r.documents <- d // buffered
			go func() { answer <- r.ask(d) }()
		},
	})
	if asked {
		r.list = <-answer
	}
	if err := held.Release(); err != nil {
		r.p.Log.Warn("the card could not be released", "err", err)
	}
}

// abandon leaves a reading that outlived its grace to itself: it wipes its own
// evidence when it comes back after all.
func (r *reading) abandon(done <-chan struct{}) {
	go func() {
		<-done
		r.scan.Wipe()
		if r.kase != nil {
			r.kase.Wipe()
		}
		if r.out != nil {
			r.out.Portrait.Image.Wipe()
		}
	}()
}

// ask looks the document up; a document that failed meanwhile is refused by
// the decision, whatever the list says.
func (r *reading) ask(d Document) ListAnswer {
	begin := time.Now()
	defer func() { r.listTook = time.Since(begin) }()
	if d.MatchNumber == "" {
		return ListAnswer{Verdict: ListRefer, Code: CodeListNoNumber}
	}
	return r.p.List.Lookup(ListQuery{
		Issuer: d.Issuer, DocType: d.Type, Number: d.MatchNumber, Signature: d.Signature,
		Name: d.Name, Birth: d.Birth, Gate: r.p.Gate, At: r.p.Clock(),
	})
}

// phases names what took how long.
func (r *reading) phases() map[string]time.Duration {
	m := map[string]time.Duration{"connect": r.connect, "list": r.listTook}
	for k, v := range r.out.Phases {
		m[k] = v
	}
	return m
}

// NotOpened is the report on a card that could not even be connected.
func NotOpened(scan Scan, err error) *Inspection {
	in := &inspector{kase: noCase{}, scan: scan, out: &Inspection{Phases: map[string]time.Duration{}, Fault: err}}
	in.set(checkDigits(scan), verdict(CheckAccess, transportError("connect", err)))
	in.finish()
	return in.out
}

// noCase stands for the case that was never opened: it lists nothing.
type noCase struct{ Case }

func (noCase) Lists(int) bool                { return false }
func (noCase) WantsTerminalAuth([]byte) bool { return false }
func (noCase) ChipProof(p Check) Check       { return p }
