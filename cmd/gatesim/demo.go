package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"gateagent/gate"
)

// options of the demo.
type options struct {
	once   bool
	faces  bool
	models string
	pack   string
	json   bool
	state  string
	bin    string
	out    io.Writer // for people
}

// errDiffers: something was not as expected; it has been said.
var errDiffers = errors.New("not everything was as expected")

const (
	// decisionLimit is how long a genuine card may take from presentation to
	// decision.
	decisionLimit = 3 * time.Second
	// pause between travellers where somebody watches.
	pause = 3 * time.Second
	// openReferrals are left for the visitor to resolve; the officer resolves
	// older ones.
	openReferrals = 3
)

// report is what --json prints.
type report struct {
	OK          bool      `json:"ok"`
	Seconds     float64   `json:"seconds"`
	ReadySecs   float64   `json:"ready_seconds"`
	Results     []*result `json:"results"`
	Differences []string  `json:"differences"`
}

// demo runs the demonstration and leaves nothing running.
func demo(ctx context.Context, o options) (err error) {
	began := time.Now()
	show := newShow(o)
	show.line("starting card reader daemon, central, kiosk and devices …")
	s, err := openSite(ctx, o)
	defer func() {
		err = errors.Join(err, s.close())
		if ctx.Err() != nil && !o.once {
			show.line("\nended; the logs are in %s", s.dir)
		}
	}()
	if err != nil {
		return quiet(ctx, o, err)
	}
	rep := &report{ReadySecs: time.Since(began).Seconds()}
	show.welcome(s, rep.ReadySecs)
	if err := s.play(ctx, rep, show); err != nil {
		return quiet(ctx, o, err)
	}
	if !o.once {
		return quiet(ctx, o, s.goOn(ctx, show, len(rep.Results)))
	}
	rep.Differences = append(differences(rep.Results), s.verify(ctx, rep.Results)...)
	rep.OK, rep.Seconds = len(rep.Differences) == 0, time.Since(began).Seconds()
	show.summary(rep)
	if o.json {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(rep); err != nil {
			return err
		}
	}
	if !rep.OK {
		return errDiffers
	}
	return nil
}

// quiet drops the error of an end that was asked for.
func quiet(ctx context.Context, o options, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if o.once {
		return errors.New("interrupted")
	}
	return nil
}

// play sends the fixed cast through.
func (s *site) play(ctx context.Context, rep *report, show *show) error {
	show.header()
	for i, t := range s.cast {
		if t.part != nil && t.part.asked && !s.asks {
			show.line("the kiosk starts anew: from now on it asks for a turn of the head, and requires it")
			if err := s.require(ctx); err != nil {
				return fmt.Errorf("the kiosk under another policy: %w", err)
			}
		}
		r, err := s.visit(ctx, t)
		r.Number = i + 1
		rep.Results = append(rep.Results, r)
		if err != nil {
			return fmt.Errorf("traveller %d, %s: %w", r.Number, t.name, err)
		}
		show.visit(r)
		if err := s.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

// goOn sends travellers at random until ctx ends.
func (s *site) goOn(ctx context.Context, show *show, n int) error {
	show.line("\nthe cast goes on at random; Ctrl-C ends it\n")
	last := &result{}
	for {
		t := s.anybody(last.Outcome == gate.Abort.String())
		r, err := s.visit(ctx, t)
		n++
		r.Number = n
		if errors.Is(err, errWaited) {
			r.differs("%v", err) // a visitor may play with the pages, too
		} else if err != nil {
			return fmt.Errorf("traveller %d, %s: %w", n, t.name, err)
		}
		show.visit(r)
		last = r
		if err := s.rest(ctx); err != nil {
			return err
		}
	}
}

// anybody picks the next traveller. After an interruption a guest comes: a
// second one in a row would be referred. central stays up, so that visitors
// stay signed in at the fleet page.
func (s *site) anybody(afterAbort bool) *traveller {
	if rand.IntN(4) == 0 && !afterAbort {
		if t := s.cast[rand.IntN(len(s.cast))]; t.event != eventDown {
			return t
		}
	}
	if len(s.guests) == 0 {
		return s.cast[rand.IntN(len(s.cast))]
	}
	return s.guests[rand.IntN(len(s.guests))]
}

// rest leaves time to look at the screens; the officer works off referrals.
func (s *site) rest(ctx context.Context) error {
	if s.o.once {
		return nil
	}
	for len(s.now.Open) > openReferrals {
		oldest := s.now.Open[len(s.now.Open)-1].Tx
		if err := s.resolve(ctx, oldest); err != nil && s.now.open(oldest) {
			break // a visitor may have been first, and the page tells later
		}
	}
	_, err := s.await(ctx, "", pause, never)
	if errors.Is(err, errWaited) {
		return nil
	}
	return err
}

// differences gathers those of the visits and of the figures.
func differences(all []*result) []string {
	out := []string{}
	for _, r := range all {
		for _, d := range r.Differences {
			out = append(out, r.Traveller+": "+d)
		}
		if limit := decisionLimit.Milliseconds(); r.figure == "genuine card" && r.DecisionMS >= limit {
			out = append(out, fmt.Sprintf("%s: %d ms from presentation to decision, allowed are %d", r.Traveller, r.DecisionMS, limit))
		}
	}
	return out
}
