package gate

import (
	"time"

	"gateagent/gate/wire"
)

// stamp begins a record of this lane. at is of the wall clock; where the time
// is trusted, the record has the trusted time of that moment. The recorder
// adds boot time and boot id.
func (l *Lane) stamp(kind, tx string, at time.Time) wire.Record {
	now := l.p.Clock()
	if now.Trusted {
		at = now.Now.Add(-time.Since(at)) // by the monotonic clock
	}
	return wire.Record{
		V: wire.RecordVersion, Kind: kind, Tx: tx, Gate: l.p.Gate,
		At: at.UTC().Round(time.Millisecond), ClockTrusted: now.Trusted, ClockSource: now.Source,
	}
}

// decisionRecord says what was decided and why, and names nobody.
func (l *Lane) decisionRecord(tx *transaction) wire.Record {
	rec := l.stamp(wire.KindDecision, tx.id, tx.decided)
	d := &wire.Decision{
		Outcome: tx.decision.Outcome.String(),
		Reasons: make([]uint32, 0, len(tx.decision.Reasons)),
		Policy:  l.p.Policy.Name,
		Face:    l.faceWord(tx),
		List:    wire.List{Answer: tx.list.Verdict.String(), Generation: tx.list.Generation, Version: tx.list.Version, Stale: tx.list.Stale},
		PhaseMS: tx.timing(),

		CloneUnproven: tx.decision.CloneUnproven,
		FaceCheck:     l.faceRecord(tx),
	}
	for _, c := range tx.decision.Reasons {
		d.Reasons = append(d.Reasons, uint32(c))
	}
	rec.Decision = d
	if tx.inspection == nil {
		d.Overall = NotSupported.String()
		return rec
	}
	in := tx.inspection
	d.Overall = l.p.Profile.Overall(&in.Report, in.Document.Issuer).String()
	for _, c := range in.Report.Checks() {
		if c.Result == NotSupported && c.Code != 0 && !l.p.Profile.Counts(c, in.Document.Issuer) {
			continue // nothing to say
		}
		d.Checks = append(d.Checks, wire.Check{ID: string(c.ID), Result: c.Result.String(), Code: uint32(c.Code)})
	}
	if in.HasDocument {
		d.Issuer, d.DocType = in.Document.Issuer, in.Document.Type
		if l.p.DocRef != nil {
			d.DocRef = l.p.DocRef(in.Document)
		}
	}
	return rec
}

// faceWord is the policy's word where no face was compared, else the verdict.
func (l *Lane) faceWord(tx *transaction) string {
	if tx.face == nil {
		return l.p.Policy.Face.String()
	}
	v, _, _ := tx.faceFacts()
	return v.String()
}

// timing gives the milliseconds of each phase; "total" runs from scan and
// card both at hand to the decision.
func (tx *transaction) timing() map[string]int64 {
	m := make(map[string]int64, len(tx.phases)+1)
	for k, v := range tx.phases {
		m[k] = v
	}
	if !tx.begun.IsZero() && !tx.decided.IsZero() {
		m["total"] = tx.decided.Sub(tx.begun).Milliseconds()
	}
	return m
}

// wipe forgets the evidence.
func (tx *transaction) wipe() {
	tx.scan.Wipe()
	if tx.kase != nil {
		tx.kase.Wipe()
		tx.kase = nil
	}
	if tx.inspection != nil {
		tx.inspection.Portrait.Image.Wipe()
		tx.inspection.Document = Document{}
	}
}

// codeNames lists codes by name for the journal.
func codeNames(codes []Code) []string {
	out := make([]string, 0, len(codes))
	for _, c := range codes {
		out = append(out, c.Info().Name)
	}
	return out
}
