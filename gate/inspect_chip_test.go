package gate_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/drivers/chip"
	"gateagent/gate"
)

// lie is one way in which a single answer of the chip is wrong.
type lie struct {
	name string
	tell func(answer []byte) []byte
}

func lies() []lie {
	status := func(sw uint16) lie {
		return lie{fmt.Sprintf("%04X", sw), func([]byte) []byte { return []byte{byte(sw >> 8), byte(sw)} }}
	}
	return []lie{
		status(0x6F00), status(0x6982), status(0x6A82), status(0x6300), status(0x9000),
		status(0x6700), status(0x6C10), status(0x6110),
		{"noise", func([]byte) []byte { return append(bytes.Repeat([]byte{0xDE, 0xAD, 0x87}, 9), 0x90, 0) }},
		{"one bit", func(b []byte) []byte { b = slices.Clone(b); b[len(b)/2] ^= 4; return b }},
		{"half", func(b []byte) []byte { return b[:max(2, len(b)/2)] }},
		{"nothing", func([]byte) []byte { return nil }},
		{"far too much", func([]byte) []byte { return make([]byte, 70000) }},
	}
}

// verdict says what a lie in answer to a command may lead to.
type verdict struct {
	survive bool        // it may have been mended: the report is as without it
	ran     gate.Result // of the running step, where it was not
	unclear bool        // the chip may itself have rejected what the lie led to
}

func judgeLie(l lie, e exchange, plan []exchange) verdict {
	length := l.name == "6700" || l.name == "6C10"
	if e.protected() { // a read that the chip stumbles over is tried once more
		stumble := l.name == "6F00" && e.apdu[1] == 0xB0
		return verdict{survive: length || stumble, ran: fail}
	}
	begins := slices.IndexFunc(plan, func(x exchange) bool { return x.apdu[1] == 0x22 || x.apdu[1] == 0x84 })
	last := plan[e.index+1].protected() // the password step
	v := verdict{ran: fail}
	switch ins := e.apdu[1]; {
	case e.index < begins, ins == 0x22, l.name == "6C10", l.name == "6110":
		v = verdict{survive: true, unclear: true, ran: fail}
	case last && l.name == "6300":
		v.ran = abrt
	default:
		v.unclear = l.name == "one bit" || l.name == "half" || l.name == "noise"
	}
	return v
}

// The chip lies once, at every single command: whatever it says, no report is
// successful that would not have been without the lie, and the fault falls on
// the running step.
func TestInspectLies(t *testing.T) {
	for _, s := range subjects(t) {
		if s.name == "passport" { // read in full, it is asked the same and more
			continue
		}
		plan := &field{at: -1}
		base := s.inspect(plan, nil)
		same := map[gate.CheckID]gate.Result{}
		for _, c := range base.Report.Checks() {
			same[c.ID] = c.Result
		}
		for _, l := range lies() {
			t.Run(s.name+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				for _, e := range plan.sent {
					f := &field{at: e.index, disturb: func(b []byte) ([]byte, error) { return l.tell(b), nil }}
					in := s.inspect(f, nil)
					complete(t, in)
					v := judgeLie(l, e, plan.sent)
					mended := differences(&in.Report, same) == ""
					d := differences(&in.Report, afterLoss(&base.Report, e, plan.sent, v.ran, false))
					overall := gate.DefaultProfile().Overall(&in.Report, "")
					switch {
					case mended && !v.survive, !mended && overall == succ:
						t.Errorf("command %d (%s %X): overall %s in spite of it", e.index, e.op, e.apdu[:2], overall)
					case !mended && !v.unclear && d != "":
						t.Errorf("command %d (%s %X): %s", e.index, e.op, e.apdu[:2], d)
					case overall == abrt && v.ran != abrt && in.Report.Result("access") != abrt:
						t.Errorf("command %d (%s %X): aborted by a lie", e.index, e.op, e.apdu[:2])
					}
				}
			})
		}
	}
}

// refusal is one step that the chip refuses, and what differs in the report.
type refusal struct {
	subject, op string
	kind        gate.ChipErrorKind
	sw          uint16
	want        string
}

func refusals() []refusal {
	ended := " integrity.dg1=N integrity.dg2=N integrity=U issuer=U expiry=U"
	closed := ended + ` chip.active_auth=N chip.chip_auth=N chip.pace_cam=N chip.card_security=N chip=N access.terminal_auth=N
		integrity.dg14=N integrity.dg15=N sod.hash=U sod.signature=U sod=U ds.signature=U ds.validity=U ds.revocation=U ds.trust=U ds=U`
	const byAA = " chip.active_auth=S integrity.dg15=S"
	return []refusal{
		{"card", "open", gate.ChipUnsupported, 0, "access.pace=N access=N" + closed},
		{"card", "open", gate.ChipPassword, 0x6300, "access.pace=N access=A" + closed},
		{"card", "EF.SOD", gate.ChipDenied, 0x6982, `sod.hash=F sod.signature=U sod=F ds.signature=U ds.validity=U ds.revocation=U ds.trust=U ds=U
			chip.chip_auth=N chip.active_auth=N chip=N integrity.dg14=N` + ended},
		{"card", "EF.SOD", gate.ChipStatus, 0x6F00, `sod.hash=F sod.signature=U sod=F ds.signature=U ds.validity=U ds.revocation=U ds.trust=U ds=U
			chip.chip_auth=N chip.active_auth=N chip=N integrity.dg14=N` + ended},
		{"card", "DG14", gate.ChipStatus, 0x6F00, "integrity.dg14=F integrity=F chip.chip_auth=F chip=F" + byAA},
		{"card", "DG14", gate.ChipNonsense, 0, "integrity.dg14=F chip.chip_auth=N chip.active_auth=N chip=N" + ended + " integrity=F"},
		{"card", "CA", gate.ChipStatus, 0x6A80, "chip.chip_auth=F chip=F" + byAA},
		{"card", "CA", gate.ChipDenied, 0x6982, "chip.chip_auth=F chip=F" + byAA},
		{"card", "CA", gate.ChipAlgorithm, 0, "chip.chip_auth=U" + byAA},
		{"card", "CA", gate.ChipNotOffered, 0, "chip.chip_auth=N" + byAA},
		{"card", "CA", gate.ChipNonsense, 0, "chip.chip_auth=F chip.active_auth=N chip=F" + ended},
		{"card", "DG1", gate.ChipMissing, 0x6A82, "integrity.dg1=F integrity=F issuer=U expiry=U"},
		{"card", "DG1", gate.ChipStatus, 0x6F00, "integrity.dg1=F integrity=F issuer=U expiry=U"},
		{"card", "DG2", gate.ChipStatus, 0x6300, "integrity.dg2=F integrity=F"},
		{"card", "DG2", gate.ChipStatus, 0x6700, "integrity.dg2=F integrity=F"},
		{"passport", "AA", gate.ChipStatus, 0x6D00, "chip.active_auth=F chip=F"},
		{"passport", "AA", gate.ChipMissing, 0x6A88, "chip.active_auth=F chip=F"},
		{"passport", "AA", gate.ChipAlgorithm, 0, "chip.active_auth=U chip=U"},
		{"passport", "DG15", gate.ChipDenied, 0x6982, "integrity.dg15=F integrity=F chip.active_auth=F chip=F"},
		{"passport", "DG14", gate.ChipMissing, 0x6A82, "integrity.dg14=F integrity=F chip.chip_auth=F chip=F"},
		{"passport in full", "EF.COM", gate.ChipDenied, 0x6982, "integrity.com=N"},
		{"passport in full", "EF.COM", gate.ChipStatus, 0x6C00, "integrity.com=F"},
		{"passport in full", "DG11", gate.ChipDenied, 0x6982, "integrity.dg11=U"},
		{"passport in full", "DG11", gate.ChipStatus, 0x6F00, "integrity.dg11=U"},
		{"passport in full", "DG11", gate.ChipStatus, 0x6700, "integrity.dg11=F integrity=F"},
		{"passport in full", "DG12", gate.ChipMissing, 0x6A82, "integrity.dg12=F integrity=F"},
		{"passport in full", "DG7", gate.ChipStatus, 0x6F00, ""},
		{"passport in full", "DG3", gate.ChipDenied, 0x6982, ""},
	}
}

// A chip that refuses one step gets what the contract says about that step.
func TestInspectRefusals(t *testing.T) {
	for _, s := range subjects(t) {
		base := s.inspect(&field{at: -1}, nil)
		for _, r := range refusals() {
			if r.subject != s.name {
				continue
			}
			want := map[gate.CheckID]gate.Result{}
			for _, c := range base.Report.Checks() {
				want[c.ID] = c.Result
			}
			for _, w := range strings.Fields(r.want) {
				id, letter, _ := strings.Cut(w, "=")
				want[gate.CheckID(id)] = letters()[letter]
			}
			in := s.inspect(&field{at: -1}, func(w *watched) {
				w.refuse = map[string]*gate.ChipError{r.op: {Kind: r.kind, Code: gate.CodeChipStatus, Step: r.op, SW: r.sw}}
			})
			complete(t, in)
			if d := differences(&in.Report, want); d != "" {
				t.Errorf("%s, %s refused by kind %d, %04X: %s", r.subject, r.op, r.kind, r.sw, d)
			}
		}
	}
}

// mute is a chip that answers nothing more after some commands.
type mute struct {
	gate.Transmitter
	left int
}

func (m *mute) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if m.left--; m.left < 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.Transmitter.Transmit(ctx, apdu)
}

// A mute chip ends with the deadline, and as A.
func TestInspectDeadline(t *testing.T) {
	s := subjects(t)[1]
	for left := range 12 {
		f := &field{at: -1, chip: s.chip()}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		begin := time.Now()
		session := chip.New(&mute{f, left}, chip.Options{})
		in := gate.Inspect(ctx, session, s.kase(), s.scan(), gate.InspectOptions{})
		cancel()
		complete(t, in)
		if overall := gate.DefaultProfile().Overall(&in.Report, ""); overall != abrt || time.Since(begin) > 3*time.Second {
			t.Errorf("mute after %d commands: %s after %v", left, overall, time.Since(begin))
		}
	}
}

// The steps are told in their order, the document as soon as DG1 is proven,
// and never where it is not.
func TestInspectTells(t *testing.T) {
	s := subjects(t)[0]
	for _, proven := range []bool{true, false} {
		f := &field{at: -1, chip: s.chip()}
		session := chip.New(f, chip.Options{})
		var told []string
		w := watched{Chip: session, f: f}
		if !proven {
			w.refuse = map[string]*gate.ChipError{"DG1": {Kind: gate.ChipDenied}}
		}
		in := gate.Inspect(context.Background(), w, s.kase(), s.scan(), gate.InspectOptions{
			OnStep:     func(step string) { told = append(told, step) },
			OnDocument: func(d gate.Document) { told = append(told, "document of "+d.Issuer+" before "+f.op) },
		})
		want := "access sod chip dg1 document of VNM before DG1 dg2"
		if !proven {
			want = "access sod chip dg1 dg2"
		}
		if got := strings.Join(told, " "); got != want || in.HasDocument != proven {
			t.Errorf("told %q, not %q", got, want)
		}
		if in.Stats.APDUs != len(f.sent) || len(in.Phases) != 5 {
			t.Errorf("%d commands counted, %d sent; phases %v", in.Stats.APDUs, len(f.sent), in.Phases)
		}
	}
}

// A card that could not even be powered: nothing is known, nobody accused.
func TestNotOpened(t *testing.T) {
	for err, want := range map[error]gate.Result{gate.ErrCardGone: abrt, gate.ErrReaderFault: none, context.DeadlineExceeded: none} {
		in := gate.NotOpened(gate.Scan{Kind: gate.ScanCAN}, fmt.Errorf("connect: %w", err))
		complete(t, in)
		if r := &in.Report; r.Result("access") != abrt || r.Result("access.pace") != want || r.Result("integrity.dg1") != want || r.Result("mrz.dg1") != none {
			t.Errorf("%v: access %s, access.pace %s", err, r.Result("access"), r.Result("access.pace"))
		}
		if got := gate.DefaultProfile().Overall(&in.Report, ""); got != abrt {
			t.Errorf("%v: overall %s", err, got)
		}
	}
}

// letters are the results as tables write them.
func letters() map[string]gate.Result {
	return map[string]gate.Result{"S": succ, "F": fail, "U": und, "N": none, "A": abrt}
}
