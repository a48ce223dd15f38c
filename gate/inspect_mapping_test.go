package gate_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/match/document"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// mapped makes citizen cards with the chip authentication mapping beside the
// generic one, with an alteration each.
func mapped(t *testing.T) func(a doc.Alteration, more ...doc.Option) subject {
	w, dir := doc.NewWorld(6), t.TempDir()
	if err := w.WriteTrust(dir, "VNM"); err != nil {
		t.Fatal(err)
	}
	judge := document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))
	offers := doc.PACEOffers(doc.PACE{Cipher: chip.AES128, Curve: "P-256"}, doc.PACE{Cipher: chip.AES128, Curve: "P-256", Mapping: chip.ChipAuthMapping})
	return func(a doc.Alteration, more ...doc.Option) subject {
		options := append([]doc.Option{doc.PortraitSize(2000), offers, doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES128, Curve: "P-256"}), doc.With(a)}, more...)
		return subject{"mapping", must[*doc.Document](t)(w.VietnamID(w.Citizen(3), options...)), judge, false}
	}
}

// With the mapping the chip is proven by EF.CardSecurity and nothing else;
// where that does not succeed the other proofs run too, and cannot make good
// for a failure.
func TestInspectMapping(t *testing.T) {
	subject := mapped(t)
	for _, c := range []struct {
		name string
		doc.Alteration
		want string
	}{
		{"genuine", 0, "access.pace=S access=S chip.card_security=S chip.pace_cam=S chip.chip_auth=N chip.active_auth=N chip=S integrity.dg14=N integrity.dg15=N integrity=S"},
		{"clone", doc.Clone, "access.pace=S access=S chip.card_security=S chip.pace_cam=F chip.chip_auth=F chip=F"},
		{"no proof", doc.NoMappingProof, "access.pace=S access=S chip.card_security=S chip.pace_cam=F chip.chip_auth=S chip=F"},
		{"other key", doc.AlterCardSecurity, "access.pace=S access=S chip.card_security=F chip.pace_cam=F chip.chip_auth=S chip=F"},
		{"other state", doc.ForeignCardSecurity, "access=S chip.card_security=F chip.pace_cam=F chip=F"},
		{"withheld", doc.WithholdCardSecurity, "access.pace=S access=S chip.card_security=F chip.pace_cam=F chip.chip_auth=S chip=F"},
		{"unknown issuer", doc.UnknownIssuer, "access=S chip.card_security=U chip.pace_cam=U chip.chip_auth=S chip=S ds.signature=U"},
		{"broken signature", doc.BreakSignature, "access=S chip.card_security=S chip.pace_cam=S chip=S sod.signature=F"},
		// The chip authentication mapping is the last that is offered.
		{"hidden generic mapping", doc.HideStronger, "access.pace=F access=F chip.card_security=S chip.pace_cam=S"},
	} {
		in := subject(c.Alteration).inspect(&field{at: -1}, nil)
		complete(t, in)
		for _, w := range strings.Fields(c.want) {
			id, letter, _ := strings.Cut(w, "=")
			if got, _ := in.Report.Get(gate.CheckID(id)); got.Result != letters()[letter] {
				t.Errorf("%s: %s is %s %d (%s), not %s", c.name, id, got.Result, got.Code, got.Detail, letter)
			}
		}
	}
	// A chip stripped of the mapping is opened by what is left, and DG14 tells.
	stripped := subject(doc.HideStronger, doc.PACEOffers(
		doc.PACE{Cipher: chip.AES128, Curve: "P-256", Mapping: chip.ChipAuthMapping}, doc.PACE{Cipher: chip.AES128, Curve: "P-256"})).inspect(&field{at: -1}, nil)
	if r := &stripped.Report; r.Result("access.pace") != fail || r.Result("access") != fail || r.Result("chip.pace_cam") != none {
		t.Errorf("without the mapping: access.pace %s, access %s, chip.pace_cam %s", r.Result("access.pace"), r.Result("access"), r.Result("chip.pace_cam"))
	}
	genuine := subject(0).inspect(&field{at: -1}, nil)
	for id, want := range map[gate.CheckID]string{
		gate.CheckPACE: "PACE-ECDH-CAM-AES-CBC-CMAC-128 P-256 MRZ", gate.CheckPACECAM: "PACE-ECDH-CAM-AES-CBC-CMAC-128 P-256",
	} {
		if c, _ := genuine.Report.Get(id); c.Detail != want {
			t.Errorf("%s: %q", id, c.Detail)
		}
	}
	if overall := gate.DefaultProfile().Overall(&genuine.Report, ""); overall != succ {
		t.Errorf("overall %s", overall)
	}
}

// EF.CardSecurity is read where PACE leaves the chip: no folder is selected
// for it, and DG14 is not read at all.
func TestInspectMappingCommands(t *testing.T) {
	subject := mapped(t)
	f := &field{at: -1}
	subject(0).inspect(f, nil)
	selections := 0
	for _, e := range f.sent {
		if e.apdu[1] == 0xA4 {
			selections++
		}
		if e.op == "DG14" || e.op == "CA" {
			t.Errorf("%s was asked for", e.op)
		}
	}
	if selections > 1 {
		t.Errorf("%d selections where the application's is enough", selections)
	}
}

// A lie or a loss in any answer that brings EF.CardSecurity falls on its own
// check and never on the access.
func TestInspectMappingLies(t *testing.T) {
	s := mapped(t)(0, doc.WithQuirks(chip.Quirks{MaxRead: 500}))
	plan := &field{at: -1}
	s.inspect(plan, nil)
	first := -1
	for i, e := range plan.sent {
		if e.op == "open" && e.protected() && first < 0 {
			first = i
		}
		if first < 0 || e.op != "open" || e.apdu[1] == 0xA4 {
			continue
		}
		for name, c := range map[string]struct {
			disturb func([]byte) ([]byte, error)
			want    gate.Result
		}{
			"6982":    {func([]byte) ([]byte, error) { return []byte{0x69, 0x82}, nil }, fail}, // 6F00 would be tried once more
			"one bit": {func(b []byte) ([]byte, error) { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b, nil }, fail},
			"torn":    {func([]byte) ([]byte, error) { return nil, fmt.Errorf("link: %w", gate.ErrCardGone) }, abrt},
		} {
			in := s.inspect(&field{at: i, disturb: c.disturb}, nil)
			complete(t, in)
			r := &in.Report
			if r.Result("access") != succ || r.Result("chip.card_security") != c.want || r.Result("chip.pace_cam") != c.want || r.Result("chip") != c.want {
				t.Errorf("%s at command %d: access %s, chip.card_security %s, chip.pace_cam %s, chip %s", name, i,
					r.Result("access"), r.Result("chip.card_security"), r.Result("chip.pace_cam"), r.Result("chip"))
			}
		}
	}
	if first < 0 {
		t.Fatal("EF.CardSecurity was never read")
	}
}
