package main

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/offline"
)

// recorder stamps each record with the boot clock, leaves what the level says
// and commits it.
type recorder struct {
	box   *offline.Outbox
	level string
}

func (r recorder) Append(ctx context.Context, rec wire.Record) error {
	if err := r.box.Stamp(&rec, rec.At, rec.ClockTrusted); err != nil {
		return err
	}
	_, err := r.box.Append(ctx, rec.AtLevel(r.level))
	return err
}

// scanners joins the scans of several scanners.
type scanners struct {
	sources []gate.Scanner
	out     chan gate.Scan
}

func newScanners() *scanners { return &scanners{out: make(chan gate.Scan)} }

func (s *scanners) add(src gate.Scanner)    { s.sources = append(s.sources, src) }
func (s *scanners) Scans() <-chan gate.Scan { return s.out }

func (s *scanners) run(ctx context.Context) error {
	var g errgroup.Group
	for _, src := range s.sources {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case v := <-src.Scans():
					select {
					case s.out <- v:
					case <-ctx.Done():
						v.Wipe()
						return nil
					}
				}
			}
		})
	}
	return g.Wait()
}

// screens shows each view on several screens.
type screens []gate.Screen

func (s screens) Show(v gate.View) {
	for _, one := range s {
		one.Show(v)
	}
}

// status keeps the newest view for the heartbeat.
type status struct {
	mu   sync.Mutex
	view gate.View
}

func (s *status) Show(v gate.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
}

// rootDigits of a list's root tell one list from every other.
const rootDigits = 16

// wire gives the heartbeat's content: no transaction, no reason.
func (s *status) wire(version string, list gate.ListStatus) wire.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := wire.Status{
		Version: version, Gate: s.view.Gate, Stage: string(s.view.Stage), FaceOff: s.view.FaceOff, Policy: s.view.Policy,
		Clock: wireClock(s.view.Clock),
		List: wire.ListStatus{
			Present: list.Present, Generation: list.Generation, Version: list.Version, Entries: list.Entries,
			Issued: list.Issued, Expires: list.Expires, Problem: list.Problem,
			Root: list.Root[:min(len(list.Root), rootDigits)], Revocations: list.Revocations,
		},
	}
	for _, n := range s.view.Notices {
		if len(st.Notices) < wire.MaxNotices {
			st.Notices = append(st.Notices, wire.Notice(n))
		}
	}
	return st
}

// heartbeat is what central sees.
func (b *builder) heartbeat() wire.Status {
	s := b.status.wire(version, b.store.Status())
	now, _ := b.clock.Now()
	s.DocKeys, _ = b.docKeys.State(now)
	s.Secrets = b.secrets.Name()
	if b.updates != nil {
		s.Airport, s.Update = b.c.Update.Airport, b.updates.InForce()
	}
	return s
}

// surroundings is what staff see of the parts around the lane.
func (b *builder) surroundings() gate.Surroundings {
	now := b.clock.State()
	s := gate.Surroundings{List: b.signedFloor(), Clock: clockStatus(now), QueueDepth: b.box.Depth(), Notices: b.box.Notices()}
	note := func(level, source, text string) {
		s.Notices = append(s.Notices, gate.Notice{Level: level, Source: source, Text: text})
	}
	for i, p := range b.ports {
		if err := p.Healthy(); err != nil {
			note("fault", "scanner "+b.c.Scanner[i].Path, err.Error())
		}
	}
	if b.sealTo == nil {
		note("warning", "sealing", "results lie in clear on this kiosk's disk: enrol it, or name a key with record.seal_key")
	}
	b.secretNotices(note)
	if s.List.Problem != "" {
		note("warning", "allowlist", s.List.Problem)
	}
	if text, fault := b.judge.Problem(); fault {
		note("fault", "trust", text)
	} else if text != "" {
		note("warning", "trust", text)
	}
	if code := listCode(s.List, now.Now); code != 0 {
		note("fault", "allowlist", code.Info().Text+": "+code.Info().Remedy)
	}
	clockNotices(now, b.clock.MaxHoldover, note)
	if b.updates != nil {
		s.Notices = append(s.Notices, b.updates.Notices()...)
	}
	b.docKeyNotices(now.Now, note)
	b.faceNotices(note)
	if h := hours(b.c); h != nil && !now.Trusted {
		note("fault", "hours", "the gate stays closed: the time is not trusted, so nobody can tell whether it should be open; see the clock")
	}
	if b.up != nil {
		s.UplinkUp = b.up.Up()
		s.Notices = append(s.Notices, b.up.Notices()...)
	}
	return s
}

// listCode says why the list in force admits nobody; 0 when it may.
func listCode(list gate.ListStatus, now time.Time) gate.Code {
	switch {
	case !list.Present:
		return gate.CodeListAbsent
	case !now.Before(list.Expires):
		return gate.CodeListExpired
	}
	return 0
}

// docRef makes the keyed hash by which central tells documents apart without
// knowing them; nil without an enrolment. Without a key in force it makes none:
// the record does without, since it is no part of the decision.
func (b *builder) docRef() func(gate.Document) string {
	if b.docKeys == nil {
		return nil
	}
	return func(d gate.Document) string {
		now, _ := b.clock.Now()
		return b.docKeys.Ref(now, d.Issuer, d.Type, d.MatchNumber)
	}
}

// docKeyNotices says that records go without references.
func (b *builder) docKeyNotices(now time.Time, note func(level, source, text string)) {
	if b.docKeys == nil || b.c.Record.Level == wire.LevelBasic {
		return
	}
	if _, inForce := b.docKeys.State(now); !inForce {
		note("warning", "document key", "the key of document references has ended and central has sent no other: records go without references until it does")
	}
}

// referral makes the desk's line of a stored decision that staff have not
// resolved yet.
func referral(rec wire.Record) gate.Referral {
	r := gate.Referral{Tx: rec.Tx, At: rec.At, Outcome: gate.Refer}
	for _, c := range rec.Decision.Reasons {
		r.Reasons = append(r.Reasons, gate.Code(c))
	}
	for _, c := range rec.Decision.Checks {
		var res gate.Result
		if res.UnmarshalText([]byte(c.Result)) == nil && res != gate.Successful {
			r.Checks = append(r.Checks, gate.Check{ID: gate.CheckID(c.ID), Result: res, Code: gate.Code(c.Code)})
		}
	}
	return r
}
