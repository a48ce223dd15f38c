package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gateagent/gate"
)

// show prints for people, at most 100 columns wide.
type show struct {
	out    io.Writer
	colour bool
	faces  bool // a column for them
}

func newShow(o options) *show {
	f, ok := o.out.(*os.File)
	if ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		ok = err == nil && os.Getenv("NO_COLOR") == ""
	}
	return &show{out: o.out, colour: ok, faces: o.faces}
}

func (s *show) line(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// Colours of a terminal (ECMA-48 section 8.3.117).
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s *show) in(colour, text string) string {
	if !s.colour || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (s *show) welcome(d *site, seconds float64) {
	s.line("ready after %.1f s\n", seconds)
	s.line("  kiosk screen   %s", s.in(bold, d.pages.Origin()+"/"))
	s.line("  staff page     %s   operator %s, PIN %s", s.in(bold, d.pages.Origin()+"/staff"), operatorName, d.pin)
	s.line("  fleet page     %s   name admin, password %s", s.in(bold, d.fleet.origin+"/"), d.password)
	s.line("                 its certificate is signed by %s", d.path("central/ca/ca.pem"))
	s.line("  logs           %s\n", d.path("*.log"))
}

// step is one column of the table: which of the agent's phases it shows and
// which failing checks belong to it.
type step struct {
	title string
	width int
	phase string
	owns  func(id gate.CheckID) bool
}

func (s *show) steps() []step {
	is := func(ids ...gate.CheckID) func(gate.CheckID) bool {
		return func(id gate.CheckID) bool {
			for _, own := range ids {
				if id == own || strings.HasPrefix(string(id), string(own)+".") {
					return true
				}
			}
			return false
		}
	}
	out := []step{
		{"access", 7, "access", is(gate.CheckAccess)},
		{"sod", 6, "sod", is(gate.CheckSOD, gate.CheckDS)},
		{"chip", 6, "chip", is(gate.CheckChip, gate.CheckDG(14), gate.CheckDG(15))},
		{"dg1", 6, "dg1", is(gate.CheckDG(1), gate.CheckIssuer, gate.CheckExpiry, gate.CheckMRZDG1)},
		{"dg2", 6, "dg2", is(gate.CheckDG(2))},
	}
	if s.faces { // what the verdict took after the reading
		out = append(out, step{"face", 6, "face", is()})
	}
	return out
}

// nameWidth leaves room for the columns.
func (s *show) nameWidth() int {
	if s.faces {
		return 28
	}
	return 34
}

func (s *show) header() {
	text := fmt.Sprintf("%3s  %-*s%6s%7s", "", s.nameWidth(), "milliseconds", "scan", "card")
	for _, c := range s.steps() {
		text += fmt.Sprintf("%*s", c.width, c.title)
	}
	s.line("%s", s.in(dim, text+fmt.Sprintf("%7s%10s", "list", "decision")))
	s.line("")
}

// visit prints one traveller: what each step took, × where it failed, ? where
// it could not be proven, ! where it was interrupted; below it what came of it.
func (s *show) visit(r *result) {
	name := fmt.Sprintf("%3d  %-*s", r.Number, s.nameWidth(), r.Traveller)
	text := number(6, r.ScanMS, r.CardMS > 0) + number(7, r.CardMS, r.CardMS > 0)
	for _, c := range s.steps() {
		ms, ran := r.Phases[c.phase]
		mark, colour := r.mark(c)
		cell := number(c.width-1, ms, ran)
		if !ran {
			mark, colour = " ", dim
		}
		text += cell + s.in(colour, mark)
	}
	ms, asked := r.Phases["list"]
	asked = asked && r.List != "" && r.List != "not_asked"
	text += number(6, ms, asked) + map[bool]string{true: s.in(red, "×"), false: " "}[asked && r.List != "allow"]
	text += number(9, r.DecisionMS, r.DecisionMS > 0)
	s.line("%s%s", s.in(bold, name), text)
	s.outcome(r)
	for _, d := range r.Differences {
		s.line("     %s", s.in(red, "DIFFERS: "+d))
	}
}

func number(width int, ms int64, ran bool) string {
	if !ran {
		return fmt.Sprintf("%*s", width, "·")
	}
	return fmt.Sprintf("%*d", width, ms)
}

// mark finds the worst of the failing checks that belong to a step.
func (r *result) mark(c step) (mark, colour string) {
	mark, colour = " ", dim
	for _, check := range r.checks {
		if !c.owns(check.ID) {
			continue
		}
		switch check.Result {
		case gate.Failed:
			return "×", red
		case gate.Aborted:
			mark, colour = "!", yellow
		default:
			if mark == " " {
				mark, colour = "?", yellow
			}
		}
	}
	return mark, colour
}

func (s *show) outcome(r *result) {
	colour := map[string]string{"admit": green, "abort": yellow}[r.Outcome]
	if colour == "" {
		colour = red
	}
	text := s.in(colour, r.Outcome)
	if len(r.Reasons) > 0 {
		text += "  " + strings.Join(r.Reasons, ", ")
	}
	if r.Passage != "" {
		text += fmt.Sprintf("  %s after %d ms", r.Passage, r.PassageMS)
	}
	s.line("     %s", text)
	for _, n := range r.Notes {
		s.line("     %s", s.in(dim, n))
	}
}

// summary prints figures and verdict of --once.
func (s *show) summary(rep *report) {
	s.line("\nmilliseconds from presentation to decision (424 kbit/s, 15 kB portrait)")
	s.line("  %-16s%22s%22s%22s", "", "document put down", "reader saw it", "modelled floor")
	s.line("  %-16s%22s%22s%22s", "", "to decision", "to decision", "of the chip alone")
	outcomes := map[string]int{}
	for _, r := range rep.Results {
		outcomes[r.Outcome]++
		if r.figure != "" && r.part == nil {
			s.line("  %-16s%22d%22d%22d", r.figure, r.DecisionMS, r.Phases["total"], r.FloorMS)
		}
	}
	s.faceFigures(rep)
	s.line("  (the virtual reader alone takes up to 0.9 s to notice a document)\n")
	if rep.OK {
		s.line("%s", s.in(green, fmt.Sprintf("all as expected after %.1f s: %d travellers, %d admitted, %d referred, %d interrupted",
			rep.Seconds, len(rep.Results), outcomes["admit"], outcomes["refer"], outcomes["abort"])))
		s.line("central holds one record of each and of what followed; the gate opened %d times", outcomes["admit"])
		return
	}
	s.line("%s", s.in(red, fmt.Sprintf("%d differences after %.1f s:", len(rep.Differences), rep.Seconds)))
	for _, d := range rep.Differences {
		s.line("  %s", d)
	}
}

// faceFigures prints median and 95th percentile over the right people.
func (s *show) faceFigures(rep *report) {
	var down, seen, face []int64
	var floor int64
	for _, r := range rep.Results {
		if r.part != nil && r.figure == rightFigure {
			down, seen, face = append(down, r.DecisionMS), append(seen, r.Phases["total"]), append(face, r.Phases["face"])
			floor = r.FloorMS
		}
	}
	if len(down) == 0 {
		return
	}
	for _, p := range []struct {
		name string
		of   float64
	}{{"median", 0.5}, {"95 %", 0.95}} {
		s.line("  %-16s%22d%22d%22d", p.name, percentile(down, p.of), percentile(seen, p.of), floor)
	}
	for _, r := range rep.Results {
		if r.figure == askedFigure && r.Face != nil && r.Face.Challenge != nil {
			s.line("  %-16s%22d%22d   (who took %d ms to turn the head)", askedFigure, r.DecisionMS, r.Phases["total"], r.Face.Challenge.Reaction)
		}
	}
	s.line("  (%d right people; the verdict came %d ms after the reading in the median, %d at 95 %%)", len(down), percentile(face, 0.5), percentile(face, 0.95))
}

// percentile is the smallest value that at least the part p of all values
// does not exceed.
func percentile(values []int64, p float64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}
