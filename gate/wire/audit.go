package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxFaults bounds the faults that an audit names.
const maxFaults = 100

// Audit is what an exported file turned out to be.
type Audit struct {
	Head                          ExportHead
	Results, Expired, Checkpoints uint64
	Epochs                        []ExportRange
	// Faults names what was removed, reordered or altered; empty: nothing.
	Faults []string
	More   int // faults beyond maxFaults
}

// auditor walks through a file.
type auditor struct {
	Audit
	key     ed25519.PublicKey
	missing []span  // of the current epoch
	run     []Entry // results since the last checkpoint
	now     ExportRange
	began   bool // now stands for an epoch
	closed  bool
}

// span is a run of numbers that are missing.
type span struct{ from, to uint64 }

// AuditExport reads an exported file to its end and proves it under the
// kiosk's signing key. each gets every result in the order of the file. The
// error says why the file could not be read at all.
func AuditExport(r io.Reader, key ed25519.PublicKey, each func(epoch string, e Entry) error) (*Audit, error) {
	x, err := NewExportReader(r)
	if err != nil {
		return nil, err
	}
	a := &auditor{Audit: Audit{Head: x.Head}, key: key}
	for {
		l, err := x.Next()
		switch {
		case errors.Is(err, io.EOF):
			a.finish()
			return &a.Audit, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, err
		case err != nil:
			a.fault("%v", err)
		case a.closed:
			a.fault("line %d stands after the end", x.Line)
		case l.Result != nil:
			a.run = append(a.run, *l.Result)
			if len(a.run) > MaxBatchEntries {
				a.fault("line %d: a checkpoint was removed before it", x.Line)
				a.run = a.run[1:]
			}
		case l.Checkpoint != nil:
			if err := a.checkpoint(l.Checkpoint, each); err != nil {
				return nil, err
			}
		case l.Close != nil:
			a.close(l.Close)
		default:
			a.fault("line %d: a second beginning", x.Line)
		}
	}
}

func (a *auditor) fault(format string, args ...any) {
	if len(a.Faults) >= maxFaults {
		a.More++
		return
	}
	a.Faults = append(a.Faults, fmt.Sprintf(format, args...))
}

// checkpoint judges the results before it, and then the checkpoint itself.
func (a *auditor) checkpoint(c *Checkpoint, each func(string, Entry) error) error {
	if CheckEpoch(c.Epoch) != nil {
		a.fault("a checkpoint names no epoch")
		return nil
	}
	if !a.began || c.Epoch != a.now.Epoch {
		a.endEpoch()
		a.now, a.began = ExportRange{Epoch: c.Epoch}, true
	}
	a.Checkpoints++
	signed := c.Verify(a.Head.Kiosk, a.key)
	if signed != nil {
		a.fault("epoch %s, checkpoint of the results %d to %d: %v", c.Epoch, c.First, c.Last, signed)
	}
	for _, e := range a.run {
		a.result(e)
		if err := each(c.Epoch, e); err != nil {
			return err
		}
	}
	a.run = nil
	if signed != nil {
		return nil
	}
	if a.now.Last < c.Last { // the newest are gone, or all
		if a.now.Last == 0 {
			a.now.First = c.First
			a.skip(c.First, c.Last)
		} else {
			a.skip(a.now.Last+1, c.Last)
		}
		a.now.Last, a.now.Chain = c.Last, c.Chain
		return nil
	}
	if a.now.Last != c.Last || !bytes.Equal(a.now.Chain, c.Chain) {
		a.fault("epoch %s: the results up to %d are not those that the kiosk signed", c.Epoch, c.Last)
		a.now.Chain = c.Chain // what follows hangs on the true chain
	}
	return nil
}

// result judges one result by itself and by the one before.
func (a *auditor) result(e Entry) {
	a.Results++
	if len(e.Body) == 0 {
		a.Expired++
	}
	name := fmt.Sprintf("epoch %s, result %d", a.now.Epoch, e.Number)
	if !e.BodyFits() {
		a.fault("%s: altered: its body is not the one whose hash it carries", name)
	}
	last := a.now.Last
	switch {
	case last == 0:
		a.now.First = e.Number
		if e.Number == 1 && !bytes.Equal(e.Prev, ChainStart()) {
			a.fault("%s: altered: it does not begin the chain", name)
		}
	case e.Number <= last:
		a.fault("%s: reordered or repeated: it stands after result %d", name, last)
		a.found(e.Number)
		return
	case e.Number > last+1:
		a.skip(last+1, e.Number-1)
	case !bytes.Equal(e.Prev, a.now.Chain):
		a.fault("%s: altered, or result %d is: one does not follow on the other", name, last)
	}
	chain, err := ChainNext(a.Head.Kiosk, a.now.Epoch, e.Number, e.Prev, e.Hash)
	if err != nil {
		a.fault("%s: altered: %v", name, err)
		return
	}
	a.now.Last, a.now.Chain = e.Number, chain
}

// skip notes that results are missing, unless they come later.
func (a *auditor) skip(from, to uint64) { a.missing = append(a.missing, span{from, to}) }

func (a *auditor) found(number uint64) {
	for i, m := range a.missing {
		if number < m.from || number > m.to {
			continue
		}
		a.missing = slices.Delete(a.missing, i, i+1)
		if m.from < number {
			a.skip(m.from, number-1)
		}
		if number < m.to {
			a.skip(number+1, m.to)
		}
		return
	}
}

// endEpoch tells what is missing of the epoch that is over.
func (a *auditor) endEpoch() {
	if !a.began {
		return
	}
	for _, m := range a.missing {
		if m.from == m.to {
			a.fault("epoch %s, result %d: removed", a.now.Epoch, m.from)
		} else {
			a.fault("epoch %s, results %d to %d: removed", a.now.Epoch, m.from, m.to)
		}
	}
	a.Epochs, a.missing, a.began = append(a.Epochs, a.now), nil, false
}

// close compares what was read with what the kiosk says it wrote.
func (a *auditor) close(c *ExportClose) {
	a.closed = true
	if len(a.run) > 0 {
		a.fault("the last checkpoint was removed: %d results are under no signature", len(a.run))
	}
	a.endEpoch()
	if err := verify(a.key, c.signed(&a.Head), c.Sig); err != nil {
		a.fault("the end of the file: %v", err)
		return
	}
	for _, want := range c.Epochs {
		i := slices.IndexFunc(a.Epochs, func(r ExportRange) bool { return r.Epoch == want.Epoch })
		switch {
		case i < 0:
			a.fault("epoch %s, results %d to %d: removed", want.Epoch, want.First, want.Last)
			continue
		case a.Epochs[i].First > want.First:
			a.fault("epoch %s, results %d to %d: removed", want.Epoch, want.First, a.Epochs[i].First-1)
		}
		if got := a.Epochs[i]; got.Last < want.Last {
			a.fault("epoch %s, results %d to %d: removed", want.Epoch, got.Last+1, want.Last)
		} else if !bytes.Equal(got.Chain, want.Chain) {
			a.fault("epoch %s: its results are not those that the kiosk signed", want.Epoch)
		}
	}
	if len(a.Epochs) > len(c.Epochs) {
		a.fault("the file holds %d epochs, the kiosk wrote %d", len(a.Epochs), len(c.Epochs))
	}
}

func (a *auditor) finish() {
	if !a.closed {
		a.endEpoch()
		a.fault("the kiosk's closing line is missing: the end of the file was cut off")
	}
}
