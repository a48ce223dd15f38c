package document

import (
	"crypto"
	"testing"

	"gateagent/gate"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// FuzzSecurityObject looks for panics and for a verdict that contradicts
// itself. Nothing but the seeds can be genuine.
func FuzzSecurityObject(f *testing.F) {
	d := must[*doc.Document](f)(world().VietnamID(holder))
	j := trusting(f, "VNM")
	f.Add(d.File(chip.FileSOD))
	genuine := string(d.File(chip.FileSOD))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := j.NewCase(now)
		r := report{}
		r.add(k.SecurityObject(b)...)
		if len(r) != 8 {
			t.Fatalf("%d checks", len(r))
		}
		if r["sod"].Result == gate.Successful && (r["sod.hash"].Result != gate.Successful || r["sod.signature"].Result != gate.Successful) {
			t.Errorf("sod succeeded without its parts: %v", r)
		}
		if r["sod"].Result == gate.Successful && string(b) != genuine && k.DataGroup(1, []byte("another")).Result == gate.Successful {
			t.Error("something else is proven")
		}
	})
}

// FuzzCardSecurity does the same for EF.CardSecurity, after the genuine
// security object of its passport.
func FuzzCardSecurity(f *testing.F) {
	d, raw := mapped(f, "NLD")
	j := trusting(f, "NLD")
	f.Add(raw)
	sod, access := d.File(chip.FileSOD), d.CardAccess()
	k := j.NewCase(now)
	k.SecurityObject(sod)
	_, infos := k.CardSecurity(raw)
	genuine := string(infos)
	f.Fuzz(func(t *testing.T, b []byte) {
		checks, infos := k.CardSecurity(b)
		if len(checks) != 1 || checks[0].ID != gate.CheckCardSecurity {
			t.Fatalf("%v", checks)
		}
		if proven := checks[0].Result == gate.Successful; proven != (infos != nil) || proven && string(infos) != genuine {
			t.Errorf("%v proves %d bytes", checks[0], len(infos))
		}
		k.PromisesPACE(access)
		k.WantsTerminalAuth(b)
	})
}

// FuzzCase hands a case data groups whose hashes are right, as an issuer's
// mistake or a stolen signing key would: whatever they hold, what does not
// conform is not reported, and an answer to a challenge proves nothing by
// chance.
func FuzzCase(f *testing.F) {
	for _, d := range []*doc.Document{
		must[*doc.Document](f)(world().VietnamID(holder)),
		must[*doc.Document](f)(world().Passport(traveller("UTO"), doc.FullDetails(), doc.PortraitSize(600), doc.Face(doc.ISO39794, 0))),
	} {
		for n := 1; n <= 16; n++ {
			if raw := d.File(chip.FileDG(n)); raw != nil && len(raw) < 2000 {
				f.Add(uint8(n), raw, []byte("answer"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, raw, answer []byte) {
		group := int(n%16) + 1
		k := &docCase{trust: &Trust{}, at: now, sod: gate.Successful, object: &lds.SecurityObject{
			Hash: crypto.SHA256, Hashes: map[int][]byte{group: pki.Sum(crypto.SHA256, raw)},
		}}
		got := k.DataGroup(group, raw)
		if got.Result != gate.Successful && got.Result != gate.Undetermined {
			t.Errorf("the hash is right: %v", got)
		}
		_, document := k.Document()
		_, portrait := k.Portrait()
		if bad := got.Result != gate.Successful; document && (bad || group != 1) || portrait && (bad || group != 2) || bad && (k.OffersActiveAuth() || k.OffersChipAuth()) {
			t.Errorf("DG%d: %v, document %v, portrait %v", group, got, document, portrait)
		}
		k.PromisesPACE(answer)
		k.Person(gate.Scan{})
		if aa := k.ActiveAuth([]byte("01234567"), answer); aa.Result == gate.Successful {
			t.Errorf("an answer of chance proves the chip: %v", aa)
		}
		k.Wipe()
	})
}
