package manifest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gateagent/match/allowlist"
)

// Sink takes what was read; *allowlist.Builder is one. A *allowlist.FieldError
// from Add says that the row was rejected and reported; every other error ends
// the reading.
type Sink interface {
	Add(row allowlist.Row, at int64) error
	Reject(at int64, field, reason string)
}

// Options say what passenger lists leave open.
type Options struct {
	// Now is when the list is issued. Dates without a century or a year are
	// read as the ones that fit it.
	Now time.Time
	// Zone is the zone of the airport: all times in passenger lists are local.
	Zone *time.Location
	// Gates where these travellers may pass, "*" for every one, unless Plan
	// names others for the flight.
	Gates []string
	Plan  Plan
	// Opens and Closes widen the window before and after the departure.
	Opens, Closes time.Duration
	// Airport keeps only those who board there (IATA code); empty keeps all.
	Airport string
	// Note hears of things that are no fault of one row, without content.
	Note func(at int64, reason string)
}

// Reader reads inputs of any known format, one after the other, and gives
// travellers to its sink. It belongs to one goroutine.
type Reader struct {
	opt       Options
	sink      Sink
	inputs    []string // names of those read so far
	telegrams telegrams
	parts     map[string]*sequence // of PAXLST messages that come in several
	stats     []Stats
}

// Stats describe what one input held.
type Stats struct {
	Format     Format `json:"format"`
	Messages   uint64 `json:"messages,omitempty"`   // telegrams or messages
	Travellers uint64 `json:"travellers,omitempty"` // that they list, before ADLs take effect
}

// NewReader checks nothing yet: a list of nothing but CSV needs no options
// except the zone.
func NewReader(opt Options, sink Sink) *Reader {
	if opt.Note == nil {
		opt.Note = func(int64, string) {}
	}
	opt.Airport = strings.ToUpper(opt.Airport)
	return &Reader{opt: opt, sink: sink, parts: map[string]*sequence{}, telegrams: telegrams{flights: map[flightKey][]*telegram{}}}
}

// check wants what both kinds of passenger lists leave open.
func (o *Options) check() error {
	switch {
	case len(o.Gates) == 0 && len(o.Plan) == 0:
		return errors.New("passenger lists name no gates: say at which ones these travellers may pass (--gates, '*' is every gate, or --plan)")
	case o.Zone == nil:
		return errors.New("passenger lists hold local times: name the airport's zone (--zone)")
	case o.Opens < 0 || o.Closes < 0 || o.Opens > maxWindow || o.Closes > maxWindow:
		return errors.New("the window may open and close at most 72h from the departure")
	case o.Now.IsZero():
		return errors.New("the moment of issue is missing")
	}
	return nil
}

const maxWindow = 72 * time.Hour

// inputShift leaves an input 2^40 lines.
const inputShift = 40

// Place splits a position as sinks hear of it into the number of the input,
// from 0 in the order of reading, and the line or segment in it, from 1.
func Place(at int64) (input int, number int64) {
	return int(at >> inputShift), at & (1<<inputShift - 1)
}

// Read takes one input; its name stands in errors. Csv reads one that is neither
// telegrams nor PAXLST; it adds base to its line numbers. An error means that
// the list must not be built.
func (r *Reader) Read(ctx context.Context, name string, in io.Reader, format Format, csv func(in io.Reader, base int64) error) error {
	if err := r.read(ctx, in, format, csv); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.inputs = append(r.inputs, name)
	return nil
}

func (r *Reader) read(ctx context.Context, in io.Reader, format Format, csv func(in io.Reader, base int64) error) error {
	b := bufio.NewReaderSize(in, sniffed)
	if format == Auto {
		var err error
		if format, err = detect(b); err != nil {
			return err
		}
	}
	base := int64(len(r.inputs)) << inputShift
	r.stats = append(r.stats, Stats{Format: format})
	st := &r.stats[len(r.stats)-1]
	if format == CSV {
		return csv(b, base)
	}
	if err := r.opt.check(); err != nil {
		return err
	}
	if format == Telegrams {
		return r.readTelegrams(ctx, b, base, st)
	}
	p := paxlst{r: r, st: st, segments: segments{in: b}, base: base}
	return p.read(ctx)
}

// Finish takes what waited for the last input: telegrams are put together and
// applied, parts of messages counted.
func (r *Reader) Finish(ctx context.Context) error {
	if err := r.finishParts(); err != nil {
		return err
	}
	return r.finishTelegrams(ctx)
}

// Stats of every input, in the order of reading.
func (r *Reader) Stats() []Stats { return r.stats }

// faults collects what is wrong with an input as a whole, so that one run names
// it all.
type faults struct {
	list []error
	more int
}

const maxFaults = 20

func (f *faults) add(format string, args ...any) {
	if len(f.list) == maxFaults {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Errorf(format, args...))
}

func (f *faults) err() error {
	if f.more > 0 {
		return errors.Join(append(f.list, fmt.Errorf("and %d more", f.more))...)
	}
	return errors.Join(f.list...)
}
