package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	reader "gateagent/drivers/chip"
	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// lifted is a document that leaves the field at one command of each session
// and comes back, or something else does.
type lifted struct {
	s     subject
	torn  []int        // command of each session at which it leaves; a session beyond goes through
	later *chip.Config // what comes back; nil: the same document
	none  bool         // nothing comes back

	field    field // the running session
	op       []string
	sessions int
	close    func()
	told     int
}

func (l *lifted) session() gate.Chip {
	cfg := l.s.doc.ChipConfig()
	if l.sessions > 0 && l.later != nil {
		cfg = *l.later
	}
	l.field = field{chip: chip.New(cfg), at: -1}
	if l.sessions < len(l.torn) {
		l.field.at = l.torn[l.sessions]
		l.field.disturb = func([]byte) ([]byte, error) { return nil, fmt.Errorf("lifted: %w", gate.ErrCardGone) }
	}
	l.sessions++
	s := reader.New(&l.field, reader.Options{})
	l.close = func() {
		s.Close()
		l.field.chip.Close()
		for _, e := range l.field.sent {
			l.op = append(l.op, fmt.Sprint(l.sessions, " ", e.op))
		}
	}
	return watched{Chip: s, f: &l.field}
}

func (l *lifted) inspect() *gate.Inspection {
	first := l.session()
	defer func() { l.close() }()
	return gate.Inspect(context.Background(), first, l.s.kase(), l.s.scan(), gate.InspectOptions{
		Full:       l.s.full,
		OnDocument: func(gate.Document) { l.told++ },
		Reopen: func(context.Context) (gate.Chip, error) {
			l.close()
			if l.none {
				l.close = func() {}
				return nil, errors.New("nothing came back")
			}
			return l.session(), nil
		},
	})
}

func overall(in *gate.Inspection) gate.Result { return gate.DefaultProfile().Overall(&in.Report, "") }

// Lifted at any command and put back, the document is read to the same report,
// and no file is read again that was proven before.
func TestInspectLifted(t *testing.T) {
	for _, s := range subjects(t) {
		plan := &field{at: -1}
		base := s.inspect(plan, nil)
		same := map[gate.CheckID]gate.Result{}
		for _, c := range base.Report.Checks() {
			same[c.ID] = c.Result
		}
		for i, e := range plan.sent {
			l := lifted{s: s, torn: []int{i}}
			in := l.inspect()
			complete(t, in)
			if d := differences(&in.Report, same); d != "" || in.Fault != nil || l.told != 1 || !in.HasPortrait {
				t.Errorf("%s, lifted at command %d (%s): %s, fault %v, told %d times", s.name, i, e.op, d, in.Fault, l.told)
			}
			if in.Stats.APDUs <= len(plan.sent) && i > 0 {
				t.Errorf("%s, lifted at command %d: %d commands in all", s.name, i, in.Stats.APDUs)
			}
			if e.op != "DG2" {
				continue
			}
			for _, again := range []string{"2 DG1", "2 DG14", "2 DG15"} {
				if slices.Contains(l.op, again) {
					t.Errorf("%s, lifted in DG2: %s", s.name, again)
				}
			}
			for _, again := range []string{"2 EF.SOD", "2 DG2"} {
				if !slices.Contains(l.op, again) {
					t.Errorf("%s, lifted in DG2: not %s: %v", s.name, again, l.op)
				}
			}
			if !slices.Contains(l.op, "2 CA") && !slices.Contains(l.op, "2 AA") {
				t.Errorf("%s, lifted in DG2: the chip was not proven again", s.name)
			}
		}
	}
}

// Whatever comes back in place of a document, the report is never better than
// what it deserves.
func TestInspectSwapped(t *testing.T) {
	s := subjects(t)[0]
	plan := &field{at: -1}
	s.inspect(plan, nil)
	at := func(op string) int {
		return slices.IndexFunc(plan.sent, func(e exchange) bool { return e.op == op })
	}
	clone := s.doc.ChipConfig()
	clone.ChipKeys = []chip.ChipKey{{Cipher: clone.ChipKeys[0].Cipher, Curve: clone.ChipKeys[0].Curve, Private: clone.Active.D}}
	w := doc.NewWorld(6)
	stranger := must[*doc.Document](t)(w.Passport(w.Foreigner(0), doc.PortraitSize(3000), doc.PACEWith(chip.AES128, "P-256"), doc.ChipAuthWith()))
	other := stranger.ChipConfig()
	other.CAN, other.MRZInfo = s.doc.CAN(), s.doc.MRZInfo()

	for name, c := range map[string]struct {
		l    lifted
		want gate.Result
		told int
	}{
		"a clone, before anything":      {lifted{torn: []int{2}, later: &clone}, fail, 1},
		"a clone, after the proof":      {lifted{torn: []int{at("DG2")}, later: &clone}, fail, 1},
		"another document, at the SOD":  {lifted{torn: []int{at("EF.SOD")}, later: &other}, abrt, 1},
		"another document, at DG14":     {lifted{torn: []int{at("DG14")}, later: &other}, abrt, 0},
		"another document, at DG2":      {lifted{torn: []int{at("DG2")}, later: &other}, abrt, 1},
		"nothing":                       {lifted{torn: []int{at("DG2")}, none: true}, abrt, 1},
		"itself, twice":                 {lifted{torn: []int{3, at("DG2")}}, succ, 1},
		"itself, three times":           {lifted{torn: []int{3, 4, 5}}, abrt, 0},
		"itself, once before, once SOD": {lifted{torn: []int{at("DG14"), at("EF.SOD")}}, succ, 1},
	} {
		l := c.l
		l.s = s
		in := l.inspect()
		complete(t, in)
		got := overall(in)
		if name == "another document, at the SOD" { // nothing was known of the first: the second stands for itself, unknown here
			if got == succ || in.Report.Result("sod") != succ {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		if got != c.want || l.told != c.told || in.Report.Result("integrity.dg2") == succ && got != succ && got != fail {
			t.Errorf("%s: overall %s, not %s; told %d times, fault %v", name, got, c.want, l.told, in.Fault)
		}
	}
}

// What has failed before the document left stays failed.
func TestInspectNoSecondChance(t *testing.T) {
	w := doc.NewWorld(5)
	forged := must[*doc.Document](t)(w.Passport(w.Foreigner(0), doc.PortraitSize(3000), doc.With(doc.AlterDG1)))
	s := subjects(t)[1]
	s.doc = forged
	plan := &field{at: -1}
	s.inspect(plan, nil)
	last := len(plan.sent) - 1
	l := lifted{s: s, torn: []int{last}}
	in := l.inspect()
	complete(t, in)
	if l.sessions != 1 || overall(in) != fail || in.Report.Result("integrity.dg1") != fail {
		t.Errorf("%d sessions, overall %s, integrity.dg1 %s", l.sessions, overall(in), in.Report.Result("integrity.dg1"))
	}
}
