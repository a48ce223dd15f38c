package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
)

// A document that is lifted for a moment and comes back is read on without a
// new scan. What lies there then may be another one: access and the proof of
// the chip run again from their beginning, and EF.SOD is read again. Only when
// it is the same to the bit, files that it had proven before count without
// being read once more: whatever chip lies there could bring no other bytes.
// Everything is judged anew, by an empty case. Nothing is taken up again after
// a check has failed: what was found stays found.

// maxResumed bounds how often one inspection is taken up again.
const maxResumed = 2

// resumed is what outlives a document's leaving the field.
type resumed struct {
	times  int
	stats  ChipStats
	told   bool               // OnDocument was called
	object *[sha256.Size]byte // hash of EF.SOD; nil before it was read
	proven map[File][]byte    // files that the case of this access has proven
	kept   map[File][]byte    // copies of those of earlier accesses
	usable bool               // the object of this access is the one of before
}

var errOtherDocument = errors.New("another document came back")

// prove notes a file that the security object proves.
func (r *resumed) prove(f File, raw []byte) {
	if r.proven == nil {
		r.proven = map[File][]byte{}
	}
	r.proven[f] = raw
}

// take gives a file of an earlier access, once.
func (r *resumed) take(f File) []byte {
	if !r.usable {
		return nil
	}
	raw := r.kept[f]
	delete(r.kept, f)
	return raw
}

// keep copies the files that were proven: the case wipes its own.
func (r *resumed) keep() {
	for f, raw := range r.proven {
		if r.kept == nil {
			r.kept = map[File][]byte{}
		}
		r.kept[f] = bytes.Clone(raw)
	}
	r.proven, r.usable = nil, false
}

// wipe overwrites the copies that nobody took.
func (r *resumed) wipe() {
	for _, raw := range r.kept {
		clear(raw)
	}
	r.kept, r.proven = nil, nil
}

func (s ChipStats) plus(t ChipStats) ChipStats {
	return ChipStats{s.APDUs + t.APDUs, s.BytesOut + t.BytesOut, s.BytesIn + t.BytesIn}
}

// bind compares EF.SOD with the one of before.
func (in *inspector) bind(raw []byte) error {
	sum := sha256.Sum256(raw)
	r := &in.resumed
	switch {
	case r.object == nil:
		r.object = &sum
	case *r.object != sum:
		return &ChipError{Kind: ChipGone, Code: CodeChipGone, Step: "EF.SOD", Err: errOtherDocument}
	}
	r.usable = r.times > 0
	return nil
}

// again says whether the pass that has just ended is to be run once more, with
// what lies in the field by then.
func (in *inspector) again(ctx context.Context) bool {
	r, err := &in.resumed, in.out.Fault
	if err == nil || in.opt.Reopen == nil || r.times >= maxResumed || ctx.Err() != nil ||
		asChipError(err).Kind != ChipGone || errors.Is(err, errOtherDocument) || in.foundFault() {
		return false
	}
	spent := in.chip.Stats()
	next, err := in.opt.Reopen(ctx)
	if err != nil {
		return false
	}
	r.times++
	r.stats = r.stats.plus(spent)
	r.keep()
	in.kase.Wipe()
	out := in.out
	out.Fault, out.Document, out.HasDocument, out.Portrait, out.HasPortrait = nil, Document{}, false, Portrait{}, false
	*in = inspector{chip: next, kase: in.kase, scan: in.scan, opt: in.opt, out: out, resumed: *r}
	in.begin()
	return true
}

// foundFault says whether something has failed besides what was scanned.
func (in *inspector) foundFault() bool {
	for _, id := range CheckIDs() {
		if id != CheckMRZDigits && in.out.Report.Result(id) == Failed {
			return true
		}
	}
	return false
}
