package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// InspectOptions steer one inspection.
type InspectOptions struct {
	// Full also reads EF.COM and every readable listed data group.
	Full bool
	// OnStep is told the name of each step as it begins; may be nil.
	OnStep func(step string)
	// OnDocument is told as soon as DG1 is proven, while DG2 is still to be
	// read; may be nil. It is called once, however often a reading is taken
	// up again.
	OnDocument func(Document)
	// Reopen is asked when the document left the field in the middle of a
	// reading: it waits a little for something to lie there again and gives
	// a new session with it, or the reason why not. It also closes the
	// session before. Nil: the reading ends there.
	Reopen func(context.Context) (Chip, error)
}

// Inspection is what one reading of one document brought.
type Inspection struct {
	Report      Report
	Document    Document
	HasDocument bool // DG1 is proven
	Portrait    Portrait
	HasPortrait bool // DG2 is proven
	Stats       ChipStats
	Phases      map[string]time.Duration // access, sod, chip, dg1, dg2
	// Fault is the error that ended the reading early; nil when it went
	// through.
	Fault error
}

// inspector is the state that the steps of one inspection share.
type inspector struct {
	chip   Chip
	kase   Case
	scan   Scan
	opt    InspectOptions
	out    *Inspection
	access Access
	object bool         // the security object was read: what it lists is known
	used   map[int]bool // data groups that a proof used
	asked  map[int]bool // data groups that the chip was asked for

	next      File            // what will be read after the security object; see foresee
	ahead     map[File]answer // what was read before its turn
	judging   chan struct{}   // closed when what runs beside the chip has ended; nil when nothing does
	malformed *ChipError      // the security object is none
	resumed   resumed         // what outlives the document's leaving the field
}

// step is one named entry of the forward pass. Its error ends the pass.
type step struct {
	name string
	run  func(context.Context) error
}

// Inspect reads and judges one document in one forward pass: access, security
// object, chip proof, DG1, DG2 (the order of TR-03135 and of the architecture:
// each file is proven before the next step uses it). It always returns a
// complete report.
func Inspect(ctx context.Context, chip Chip, kase Case, scan Scan, opt InspectOptions) *Inspection {
	in := &inspector{chip: chip, kase: kase, scan: scan, opt: opt, out: &Inspection{Phases: map[string]time.Duration{}}}
	in.begin()
	for in.pass(ctx); in.again(ctx); in.pass(ctx) {
	}
	in.out.Stats = in.resumed.stats.plus(in.chip.Stats())
	in.finish()
	in.resumed.wipe()
	return in.out
}

// begin sets out with nothing known.
func (in *inspector) begin() {
	in.out.Report = Report{}
	in.used, in.asked = map[int]bool{}, map[int]bool{}
	in.set(checkDigits(in.scan))
}

// pass runs the steps, up to the first that cannot go on.
func (in *inspector) pass(ctx context.Context) {
	steps := []step{
		{"access", in.open},
		{"sod", in.securityObject},
		{"chip", in.proveChip},
		{"dg1", in.person},
		{"dg2", in.portrait},
	}
	if in.opt.Full {
		steps = append(steps, step{"rest", in.rest})
	}
	for _, s := range steps {
		if in.opt.OnStep != nil {
			in.opt.OnStep(s.name)
		}
		begin := time.Now()
		err := s.run(ctx)
		in.out.Phases[s.name] += time.Since(begin)
		if err != nil {
			in.out.Fault = err
			break
		}
	}
	in.settle()
}

// checkDigits reports the check digits of an optical MRZ.
func checkDigits(s Scan) Check {
	c := Check{ID: CheckMRZDigits, Result: NotSupported, Code: CodeMRZNotPresented}
	if s.MRZ == nil {
		return c
	}
	if !s.MRZ.Valid() {
		return Check{CheckMRZDigits, Failed, CodeMRZDigit, "format " + s.MRZ.Format}
	}
	return Check{CheckMRZDigits, Successful, 0, "format " + s.MRZ.Format}
}

func (in *inspector) set(c ...Check) { in.out.Report.Set(c...) }

// verdict turns a chip's error into the result of the running step: A for
// what is nobody's fault, F for what only the document can be blamed for.
func verdict(id CheckID, err error) Check {
	e := asChipError(err)
	c := Check{ID: id, Code: e.Code, Detail: e.Step}
	if e.SW != 0 {
		c.Detail += fmt.Sprintf(", status %04X", e.SW)
	}
	switch e.Kind {
	case ChipGone, ChipDeadline, ChipDevice, ChipPassword:
		c.Result = Aborted
	case ChipUnsupported, ChipNotOffered:
		c.Result = NotSupported
	case ChipAlgorithm:
		c.Result = Undetermined
	default:
		c.Result = Failed
	}
	return c
}

func asChipError(err error) *ChipError {
	var e *ChipError
	if errors.As(err, &e) {
		return e
	}
	return transportError("reader", err)
}

// transportError sorts an error that did not come from the chip protocol.
func transportError(step string, err error) *ChipError {
	switch {
	case errors.Is(err, ErrCardGone):
		return &ChipError{Kind: ChipGone, Code: CodeChipGone, Step: step, Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &ChipError{Kind: ChipDeadline, Code: CodeDeadline, Step: step, Err: err}
	}
	return &ChipError{Kind: ChipDevice, Code: CodeReaderFault, Step: step, Err: err}
}

// ends says whether after this error nothing more can be asked of the chip.
func ends(err error) bool {
	switch asChipError(err).Kind {
	case ChipMissing, ChipDenied, ChipStatus, ChipNotOffered, ChipAlgorithm:
		return false
	}
	return true
}

func (in *inspector) open(ctx context.Context) error {
	a, err := in.chip.Open(ctx, in.scan.Key)
	in.access = a
	if a.Established && a.Protocol != "" {
		in.set(Check{a.Protocol, Successful, 0, a.Detail})
		in.chipMapping()
	}
	if err == nil || a.CardSecurityFault != nil && errors.Is(err, a.CardSecurityFault) {
		in.rollUpAccess() // EF.CardSecurity is no part of the access
		return err
	}
	v := verdict(CheckAccess, err)
	if a.Protocol != "" && !a.Established {
		p := v
		p.ID = a.Protocol
		if a.Detail != "" {
			p.Detail = a.Detail
		}
		in.set(p)
	}
	in.set(v)
	return err
}

// rollUpAccess joins PACE, BAC and terminal authentication; of the last only
// a failure counts.
func (in *inspector) rollUpAccess() {
	results := []Result{NotSupported}
	for _, id := range [...]CheckID{CheckPACE, CheckBAC} {
		if c, ok := in.out.Report.Get(id); ok {
			results = append(results, c.Result)
		}
	}
	if in.out.Report.Result(CheckTerminalAuth) == Failed {
		results = append(results, Failed)
	}
	in.set(Check{ID: CheckAccess, Result: RollUp(results...), Detail: in.access.Detail})
}

func (in *inspector) securityObject(ctx context.Context) error {
	raw, err := in.read(ctx, FileSOD)
	if err != nil {
		v := verdict(CheckSODHash, err)
		if v.Result == NotSupported {
			v.Result = Failed
		}
		in.set(v)
		v.ID = CheckSOD
		in.set(v)
		return err
	}
	if err := in.bind(raw); err != nil {
		in.set(verdict(CheckSODHash, err), verdict(CheckSOD, err))
		return err
	}
	in.foresee(raw)
	in.later(func() { in.takeObject(in.kase.SecurityObject(raw)) })
	return nil
}

// takeObject notes what was judged of the security object. A malformed one
// ends the pass.
func (in *inspector) takeObject(checks []Check) {
	in.set(checks...)
	for _, c := range checks {
		if c.Code == CodeSODMalformed {
			in.malformed = &ChipError{Kind: ChipNonsense, Code: CodeSODMalformed, Step: "EF.SOD"}
			return
		}
	}
	in.object = true
}

// group reads and judges data group n. proven says whether later steps may
// rest on it; err ends the pass.
func (in *inspector) group(ctx context.Context, n int) (raw []byte, proven bool, err error) {
	raw, err = in.read(ctx, DG(n))
	in.asked[n] = true
	in.settle()
	if err != nil {
		in.set(in.withheld(n, err))
		if ends(err) {
			return nil, false, err
		}
		return nil, false, nil
	}
	c := in.kase.DataGroup(n, raw)
	in.set(c)
	proven = c.Result == Successful && in.out.Report.Result(CheckSOD) == Successful
	if proven {
		in.resumed.prove(DG(n), raw)
	}
	return raw, proven, nil
}

// withheld judges a data group that the chip would not give. A group that the
// security object lists must be there; that it is locked is a fault only of
// those that every inspection needs.
func (in *inspector) withheld(n int, err error) Check {
	c := verdict(CheckDG(n), err)
	e := asChipError(err)
	if ends(err) || lengthStatus(e.SW) {
		return c
	}
	switch {
	case !in.kase.Lists(n):
		c.Result, c.Code = NotSupported, CodeNotListed
	case e.Kind == ChipMissing || n <= 2 || n == 14 || n == 15:
		c.Result, c.Code = Failed, CodeDGWithheld
	case e.Kind == ChipDenied && needsTerminal(n):
		c.Result = NotSupported
	default:
		c.Result = Undetermined
	}
	return c
}

// needsTerminal names the data groups that extended access control locks
// (ICAO 9303-10 sections 4.7.3 and 4.7.4).
func needsTerminal(n int) bool { return n == 3 || n == 4 }

// lengthStatus: the chip refused every length that it was asked for.
func lengthStatus(sw uint16) bool { return sw == 0x6700 || sw>>8 == 0x6C }

func (in *inspector) person(ctx context.Context) error {
	_, _, err := in.group(ctx, 1)
	if err != nil {
		return err
	}
	in.set(in.kase.Person(in.scan)...)
	if in.out.Report.Result(CheckDG(1)) != Successful {
		return nil
	}
	in.out.Document, in.out.HasDocument = in.kase.Document()
	if in.out.HasDocument && in.opt.OnDocument != nil && !in.resumed.told {
		in.resumed.told = true
		in.opt.OnDocument(in.out.Document)
	}
	return nil
}

func (in *inspector) portrait(ctx context.Context) error {
	_, _, err := in.group(ctx, 2)
	if err != nil {
		return err
	}
	if in.out.Report.Result(CheckDG(2)) == Successful {
		in.out.Portrait, in.out.HasPortrait = in.kase.Portrait()
	}
	return nil
}

// rest reads what only a full read wants: EF.COM and the other data groups,
// last the ones that may be locked and those that nothing lists: a chip that
// serves such a group all the same is found out.
func (in *inspector) rest(ctx context.Context) error {
	raw, err := in.read(ctx, FileCOM)
	in.settle()
	switch {
	case err == nil:
		in.set(in.kase.COM(raw))
	case ends(err) || lengthStatus(asChipError(err).SW):
		in.set(verdict(CheckIntegrityCOM, err))
	default:
		c := verdict(CheckIntegrityCOM, err)
		c.Result = NotSupported
		in.set(c)
	}
	if err != nil && ends(err) {
		return err
	}
	for _, n := range in.remaining() {
		if _, _, err := in.group(ctx, n); err != nil {
			return err
		}
	}
	if d, ok := in.kase.Document(); ok {
		in.out.Document = d
	}
	return nil
}

// remaining lists the data groups that have not been asked for.
func (in *inspector) remaining() []int {
	var open, locked, unlisted []int
	for n := 1; n <= 16; n++ {
		switch {
		case in.asked[n]:
		case !in.kase.Lists(n):
			unlisted = append(unlisted, n)
		case needsTerminal(n):
			locked = append(locked, n)
		default:
			open = append(open, n)
		}
	}
	return slices.Concat(open, locked, unlisted)
}

// challenge makes the 8 random bytes of active authentication (9303-11
// section 6.1); fresh each time.
func challenge() []byte {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}
