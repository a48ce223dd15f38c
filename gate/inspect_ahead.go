package gate

import (
	"context"
	"slices"
)

// The chip is the slow part, so judging runs beside its next answer: the
// security object is verified while the chip gives the file that comes after
// it, a signature of active authentication while it gives DG1. Whatever uses a
// judgement waits for it (settle), and nothing is judged before its turn: the
// report is the same as if one had come after the other.

// answer is what a file's reading brought.
type answer struct {
	raw []byte
	err error
}

// later runs work with the case beside the chip. It must touch nothing that
// reading touches. Only one piece runs at a time.
func (in *inspector) later(work func()) {
	in.settle()
	done := make(chan struct{})
	in.judging = done
	go func() {
		defer close(done)
		work()
	}()
}

// settle waits until nothing runs beside the chip. After it the case and the
// report are the caller's.
func (in *inspector) settle() {
	if in.judging != nil {
		<-in.judging
		in.judging = nil
	}
}

// read gives a file: what was read ahead, or proven before the document left
// the field, else what the chip says.
func (in *inspector) read(ctx context.Context, f File) ([]byte, error) {
	if a, ok := in.ahead[f]; ok {
		delete(in.ahead, f)
		return a.raw, a.err
	}
	if raw := in.resumed.take(f); raw != nil {
		return raw, nil
	}
	return in.chip.ReadFile(ctx, f)
}

// foresee says which file the pass will want after the security object. That
// is taken from an object that is not proven yet: only the order of questions
// hangs on it.
func (in *inspector) foresee(object []byte) {
	listed := in.kase.Foresee(object)
	switch {
	case listed == nil:
		in.next = FileNone
	case in.access.ChipMapping && in.access.CardSecurityFault == nil:
		in.next = DG(1)
	case slices.Contains(listed, 14):
		in.next = DG(14)
	case slices.Contains(listed, 15):
		in.next = DG(15)
	default:
		in.next = DG(1)
	}
}

// proveObject fetches the next file while the security object is judged. Of
// the file nothing is looked at before the object is known, and nothing at all
// when that is malformed.
func (in *inspector) proveObject(ctx context.Context) error {
	if in.next != FileNone {
		raw, err := in.read(ctx, in.next)
		in.ahead = map[File]answer{in.next: {raw, err}}
	}
	in.settle()
	if in.malformed != nil {
		return in.malformed
	}
	return nil
}
